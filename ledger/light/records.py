"""Models in the contract's storage, proven present or absent under the state root of a checked block (checks 10 to 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from eth_utils.crypto import keccak

from fl_core.errors import DecodeError, VerificationError
from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.errors import ChainUnreachable
from ledger.light import slots, table
from ledger.light.proofs import EMPTY_CODE
from ledger.light.state import ContractState
from ledger.light.table import LightCheckFailed
from ledger.light.verify import LightVerification, Skip
from ledger.records import EMPTY_WORD, WORD_SIZE
from ledger.typed_data import Domain, model_id

MAX_ROUNDS = 100_000
"""Most rounds of one run that are searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenModel:
    """A model that the ledger holds.

    Attributes:
        id: Its id.
        record: Its record.
        parent: Id of the model that its round trained from; empty for a root.
    """

    id: bytes
    record: slots.ModelRecord
    parent: bytes


class RecordProofs:
    """The contract's storage in the state of a checked block.

    Args:
        verification: Checks the block.
        state: The contract in the state of that block, where somebody has it already.

    Raises:
        LightCheckFailed: A check of the block, 10 or 11 failed.
    """

    def __init__(self, verification: LightVerification, state: ContractState | None = None) -> None:
        self._verification = verification
        self._pins = verification.pins
        self._block = verification.block
        nodes = verification.nodes.connections
        name = verification.witness_node(self._block.number)
        self._connection = nodes[name]
        self._state = state or ContractState({name: nodes[name]}, self._block, self._pins.contract)
        verification.make(table.ACCOUNT, self._check_account)
        verification.make(table.CODE, self._check_code)

    # ------------------------------------------------------------------ proofs

    def _check_account(self) -> str:
        """(10) The state root leads to the contract's account, and it has code."""
        account = self._state.account
        if account is None or account.code_hash == EMPTY_CODE:
            what = "no account" if account is None else "an account without code"
            raise LightCheckFailed(
                table.ACCOUNT, f"there is {what} at 0x{self._pins.contract.hex()} in block {self._block.number}",
                fix="Check --contract and --chain-id.",
            )  # fmt: skip
        return f"0x{self._pins.contract.hex()} is in the state 0x{self._block.header.state_root.hex()}"

    def _check_code(self) -> str:
        """(11) The code is this version's, with this chain and address in it, and the pinned one."""
        domain = Domain(chain_id=self._pins.chain_id, contract=self._pins.contract)
        expected = keccak(load("TrainingLedger").deployed_code({"DOMAIN": domain.separator()}))
        found = self._state.code_hash
        if self._pins.code and found != self._pins.code:
            raise LightCheckFailed(
                table.CODE, f"the code has the hash 0x{found.hex()}, pinned is 0x{self._pins.code.hex()}",
                fix="Ask the members which contract is theirs.",
            )  # fmt: skip
        if found != expected:
            raise LightCheckFailed(
                table.CODE, f"the code has the hash 0x{found.hex()}, this version's has 0x{expected.hex()}",
                fix="Check --contract and the version of Suture.",
            )  # fmt: skip
        return f"0x{found.hex()}"

    def words(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """Return what slots hold, each proven.

        Raises:
            VerificationError: The node proves something else, or nothing.
        """
        return self._state.words(wanted)

    # ------------------------------------------------------------------ models

    def model(self, model: bytes) -> ProvenModel | None:
        """Return a model by id, or None where it is proven that there is none.

        Raises:
            VerificationError: The node proves neither, or the record does not give the id.
        """
        record = slots.ModelRecord.of(self.words(slots.model_slots(model)))
        if record is None:
            return None
        if not 0 <= record.round < 2**32 or model_id(record.run, record.round, record.artifact) != model:
            raise VerificationError(f"the record of model 0x{model.hex()} does not give its id")
        parent = EMPTY_WORD
        if record.round:
            (word,) = self.words([slots.parent_slot(record.run, record.round)])
            parent = word.to_bytes(WORD_SIZE, "big")
        return ProvenModel(id=model, record=record, parent=parent)

    def hinted(self, subject: Subject) -> list[bytes]:
        """Return ids under which the node says a file is; a hint, which is proven afterwards."""
        ledger, run = interface("TrainingLedger"), subject.run or None
        finalised, root = ledger.event("RoundFinalised"), ledger.event("RootRegistered")
        patterns = (
            (finalised, [finalised.topic, run, None, subject.artifact]),
            (root, [root.topic, run, subject.artifact]),
        )
        try:
            return [
                cast(bytes, kind.decode(log.topics, log.data)["model"])
                for kind, topics in patterns
                for log in self._connection.logs(self._pins.contract, topics, 0, self._block.number)
            ]
        except (ChainUnreachable, DecodeError):
            return []  # without hints a run can still be searched

    def present(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return those ids under which there is a model; of each other one it is proven that there is none."""
        words = self.words([slots.model_slots(model)[slots.RUN] for model in ids])
        return [model for model, word in zip(ids, words, strict=True) if word]

    def candidates(self, artifact: bytes, run: bytes) -> list[bytes]:
        """Return every id that an artifact could have in a run: as its root, and in each round that was opened.

        Raises:
            VerificationError: The node does not prove the number of rounds.
        """
        (word,) = self.words([slots.run_slot(run)])
        opened = slots.opened_rounds(word)
        if opened > MAX_ROUNDS:
            raise VerificationError(f"the run has {opened} rounds; at most {MAX_ROUNDS} are searched")
        return [model_id(run, number, artifact) for number in range(opened + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is looked for: a model by its id, or a file.

    Attributes:
        model: Model id, or empty.
        artifact: SHA-256 of the file, or empty.
        run: The run to search; empty for any. A file's absence can be proven for one run only.
    """

    model: bytes = b""
    artifact: bytes = b""
    run: bytes = b""


def find(verification: LightVerification, subject: Subject) -> tuple[ProvenModel, ...]:
    """Make all checks; return the models that the subject is, or nothing where it is proven to be absent.

    Raises:
        LightCheckFailed: A check failed; neither presence nor absence is proven.
    """
    proofs, found = RecordProofs(verification), list[ProvenModel]()
    searched = 0

    def record() -> str | Skip:
        """(12) The record's words are proven, and give its id."""
        nonlocal searched
        ids = [subject.model] if subject.model else list(dict.fromkeys(proofs.hinted(subject)))
        found.extend(model for model in map(proofs.model, ids) if model is not None and _is(model, subject))
        searched = len(ids)
        if not found and subject.artifact and subject.run:
            ids = proofs.candidates(subject.artifact, subject.run)
            searched = len(ids)
            found.extend(filter(None, map(proofs.model, proofs.present(ids))))
        if found:
            return _described(found)
        if not (subject.model or subject.run):
            raise LightCheckFailed(
                table.RECORD, "the node points to no model that is this file, which proves nothing",
                fix="Give --run, and the file's absence from that run is proven.",
            )  # fmt: skip
        return Skip("there is no record")

    def absence() -> str | Skip:
        """(13) Check 12 looked at every id that there is, and each was proven to hold nothing."""
        if found:
            return Skip("the model is on the ledger")
        where = f" in run 0x{subject.run.hex()}" if subject.run else ""
        return f"nothing under {searched} possible {'id' if searched == 1 else 'ids'}{where}"

    verification.make(table.RECORD, record)
    verification.make(table.ABSENCE, absence)
    return tuple(found)


def _is(model: ProvenModel, subject: Subject) -> bool:
    record = model.record
    return (not subject.artifact or record.artifact == subject.artifact) and (
        not subject.run or record.run == subject.run
    )


def _described(found: Sequence[ProvenModel]) -> str:
    return "; ".join(
        f"model 0x{m.id.hex()}, " + (f"round {m.record.round}" if m.record.round else "a registered root")
        for m in found
    )
