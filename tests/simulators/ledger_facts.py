"""A ledger of plain facts that a test changes: what the node reads of :class:`ledger.reader.LedgerReader`, without a chain.

``tests/unit/clients/node/test_view_on_the_chain.py`` shows that a real contract gives the same views.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ledger.errors import RecordMissing
from ledger.records import (
    EMPTY_ADDRESS,
    EMPTY_WORD,
    Head,
    Keys,
    Member,
    Model,
    Origin,
    Pledge,
    Role,
    Round,
    RoundState,
    Run,
    RunState,
)
from ledger.typed_data import model_id


class LedgerFacts:
    """What a ledger says.

    Args:
        chain_id: Its chain.
        address: Its contract.
    """

    def __init__(self, chain_id: int = 31337, address: bytes = b"\xc0" * 20) -> None:
        self.chain_id = chain_id
        self.address = address
        self.members: dict[bytes, Member] = {}
        self.key_sets: dict[bytes, list[Keys]] = {}
        self.the_runs: dict[bytes, Run] = {}
        self.consents: dict[tuple[bytes, bytes], bytes] = {}
        self.pledges: dict[tuple[bytes, bytes], bytes] = {}
        self.rounds: dict[tuple[bytes, int], Round] = {}
        self.models: dict[bytes, Model] = {}
        self._blocks = [self._hash(0, "genesis")]

    # ------------------------------------------------------------------ what happens on the ledger

    def mine(self, what: str = "") -> int:
        """Add a block and return its number."""
        self._blocks.append(self._hash(len(self._blocks), what))
        return len(self._blocks) - 1

    def fork(self, number: int) -> None:
        """Replace every block from ``number`` on."""
        self._blocks[number:] = [self._hash(n, "fork") for n in range(number, len(self._blocks))]

    def admit(self, account: bytes, roles: Role = Role.HOLDER) -> None:
        epoch = len(self.key_sets.get(account, ()))
        self.members[account] = Member(address=account, roles=roles, epoch=epoch, since=self.mine())

    def remove(self, account: bytes) -> None:
        self.members[account] = replace(self.members[account], roles=Role(0), since=0)
        for run, holder in [entry for entry in self.consents if entry[1] == account]:
            del self.consents[run, holder]

    def set_keys(self, account: bytes, signer: bytes, encryption: bytes) -> None:
        sets = self.key_sets.setdefault(account, [])
        sets.append(Keys(epoch=len(sets) + 1, signer=signer, encryption=encryption, block=self.mine()))
        self.members[account] = replace(self.members[account], epoch=len(sets))

    def create_run(self, run: bytes, terms: bytes, coordinator: bytes, min_clients: int) -> None:
        self.the_runs[run] = Run(
            id=run, sponsor=coordinator, coordinator=coordinator, token=EMPTY_ADDRESS, terms=terms,
            state=RunState.OPEN, min_clients=min_clients, max_rounds=100, opened=0, finalised=0, accepted=0,
            closing_delay=0, closes_at=0, budget=0, spent=0, escrow=0, allocated=0, claimed=0,
        )  # fmt: skip
        self.mine()

    def accept(self, run: bytes, holder: bytes, terms: bytes, dataset: bytes = EMPTY_WORD) -> None:
        self.consents[run, holder] = terms
        self.pledges[run, holder] = dataset
        self.mine()

    def withdraw(self, run: bytes, holder: bytes) -> None:
        self.consents.pop((run, holder), None)
        self.mine()

    def register_root(self, run: bytes, artifact: bytes) -> bytes:
        root = model_id(run, 0, artifact)
        self.models[root] = Model(
            id=root,
            run=run,
            round=0,
            parent=EMPTY_WORD,
            artifact=artifact,
            metrics=EMPTY_WORD,
            aggregate_key=EMPTY_WORD,
        )
        self.mine()
        return root

    def open_round(self, run: bytes, number: int, parent: bytes, header: bytes) -> None:
        self.rounds[run, number] = replace(
            self._no_round(run, number), state=RoundState.OPEN, parent=parent, header=header
        )
        self.mine()

    def commit_round(self, run: bytes, number: int, root: bytes, count: int) -> None:
        self._change(run, number, state=RoundState.COMMITTED, root=root, count=count)

    def commit_included(self, run: bytes, number: int, root: bytes, count: int) -> None:
        self._change(run, number, state=RoundState.INCLUDED, included=root, included_count=count)

    def end(self, run: bytes, number: int, state: RoundState = RoundState.ABORTED) -> None:
        self._change(run, number, state=state)

    def _change(self, run: bytes, number: int, **changes: object) -> None:
        self.rounds[run, number] = replace(self.rounds[run, number], **changes)
        self.mine()

    # ------------------------------------------------------------------ what LedgerReader has

    def head(self) -> Head:
        number = len(self._blocks) - 1
        return Head(number=number, hash=self._blocks[-1], timestamp=number)

    def block_hash(self, number: int) -> bytes:
        if not 0 <= number < len(self._blocks):
            raise RecordMissing(f"The chain has no block {number}.")
        return self._blocks[number]

    def member(self, account: bytes) -> Member:
        return self.members.get(account, Member(address=account, roles=Role(0), epoch=0, since=0))

    def keys(self, account: bytes) -> Keys:
        sets = self.key_sets.get(account)
        return sets[-1] if sets else Keys(epoch=0, signer=EMPTY_ADDRESS, encryption=EMPTY_WORD, block=0)

    def keys_at(self, account: bytes, epoch: int) -> Keys:
        return self.key_sets[account][epoch - 1]

    def origin(self, run: bytes) -> Origin:
        found = self.run(run)
        return Origin(sponsor=found.sponsor, coordinator=found.coordinator, terms=found.terms)

    def run(self, run: bytes) -> Run:
        if run not in self.the_runs:
            raise RecordMissing(f"The ledger has no run 0x{run.hex()}.")
        return self.the_runs[run]

    def consent(self, run: bytes, holder: bytes) -> bytes:
        return self.consents.get((run, holder), EMPTY_WORD)

    def pledge(self, run: bytes, holder: bytes) -> Pledge:
        dataset = self.pledges.get((run, holder), EMPTY_WORD)
        return Pledge(run=run, holder=holder, dataset=dataset, since=0)

    def round(self, run: bytes, number: int) -> Round:
        return self.rounds.get((run, number), self._no_round(run, number))

    def model(self, model: bytes) -> Model:
        if model not in self.models:
            raise RecordMissing(f"The ledger has no model 0x{model.hex()}.")
        return self.models[model]

    @staticmethod
    def _hash(number: int, what: str) -> bytes:
        return hashlib.sha256(f"{number} {what}".encode()).digest()

    @staticmethod
    def _no_round(run: bytes, number: int) -> Round:
        empty = dict.fromkeys(
            ("parent", "header", "root", "included", "exclusions", "rewards", "model"), EMPTY_WORD
        )
        return Round(run=run, number=number, state=RoundState.NONE, count=0, included_count=0, **empty)
