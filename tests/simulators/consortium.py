"""Real nodes and a real round machine around a ledger of plain facts, so that a test can be any of the parties.

Parameter set P2048, five parameters, keys from fixed seeds: a whole round takes a fraction of a second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clients.calls import BeginCall, Order, ProtectCall
from clients.door import Method
from clients.node.ckks_files import CkksFiles
from clients.node.logbook import Logbook
from clients.node.policy import Policy
from clients.node.prekeys import Prekeys
from clients.node.register import Register
from clients.node.service import DataSet, Node
from coordinator.rounds.machine import IncludedSet, RoundMachine
from coordinator.rounds.plan import Situation, first_blocks, plan_header
from fl_core.lattice.parameters import PACK15, PARAMETER_SETS
from fl_core.models import TensorSpec, encode_model
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Leaf
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.statements import Acceptance
from fl_core.protocol.terms import Terms
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.records import Role
from ledger.signer import KeySigner
from ledger.typed_data import run_id
from tests.simulators.insecure_random import InsecureRandomSource
from tests.simulators.ledger_facts import LedgerFacts
from tests.simulators.spoilt_round import Garbage, garbled

NOW = 1_800_000_000
MODEL = encode_model({"a": np.zeros(3, np.float32), "b": np.zeros(2, np.float32)})
TERMS = Terms(
    title="A test",
    purpose="To be sure.",
    task="heart-disease",
    task_settings={"updates": 2, "learning_rate": 0.5, "kind": "x"},
    tensors=(TensorSpec("a", (3,)), TensorSpec("b", (2,))),
    initial_model=hashlib.sha256(MODEL).hexdigest(),
    strategy="fedavg",
    rounds=3,
    parameter_set="P2048",
    packing="PACK15",
    weight_cap=1000,
    counters=("right",),
    initial_clip=1.0,
    clip_floor=0.25,
    clip_factor=6.0,
    n_min=3,
    reward_policy="equal",
    reward_per_round=10,
    bundle="",
)
POLICY = Policy(tasks=("heart-disease",), parameter_sets=("P2048",))


def seed(name: object) -> Secret:
    return Secret(hashlib.sha256(repr(name).encode()).digest())


@dataclass
class Holder:
    """One data holder: its keys and its node."""

    name: str
    signer: KeySigner
    transport: TransportPrivateKey
    folder: Path
    node: Node

    @property
    def account(self) -> bytes:
        return self.signer.address


class Consortium:
    """Holders, a coordinator and their ledger, ready to open round 1.

    Args:
        folder: Where the nodes live.
        count: Number of holders.
        policy: Every holder's policy.
        facts: The ledger to found the consortium on.
        terms: The run's terms.
        model: The first model.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 4,
        *,
        policy: Policy = POLICY,
        facts: LedgerFacts | None = None,
        terms: Terms = TERMS,
        model: bytes = MODEL,
    ) -> None:
        self.model = model
        self.facts = facts or LedgerFacts()
        self.terms, self.policy, self.now = terms, policy, NOW
        self.random = InsecureRandomSource("consortium")
        self.prekeys: dict[bytes, SignedPrekey] = {}
        """The newest prekeys that the coordinator knows."""
        self.begun: set[int] = set()
        """Positions of the holders that began the open round."""
        self.ciphertexts: dict[bytes, bytes] = {}
        """The accepted ciphertexts of the open round."""
        self.notary = LedgerNotary(self.facts.chain_id, self.facts.address)
        self.coordinator = KeySigner(seed("coordinator"))
        self.holders = [self._found(folder / f"holder-{position}", position) for position in range(count)]
        self.holders.sort(key=lambda holder: holder.account)
        self.facts.admit(self.coordinator.address, Role.COORDINATOR)
        self.facts.set_keys(self.coordinator.address, self.coordinator.address, bytes(31) + b"\x01")
        self.run = run_id(self.coordinator.address, terms.digest)
        self.facts.create_run(self.run, terms.digest, self.coordinator.address, min_clients=terms.n_min)
        for holder in self.holders:
            self.facts.accept(self.run, holder.account, terms.digest)
        self.parent = self.facts.register_root(self.run, hashlib.sha256(model).digest())

    def _found(self, folder: Path, position: int) -> Holder:
        folder.mkdir(parents=True)
        signer = KeySigner(seed(("account", position)))
        transport = TransportPrivateKey.from_seed(seed(("transport", position)))
        self.facts.admit(signer.address)
        self.facts.set_keys(signer.address, signer.address, transport_key_digest(transport.public))
        holder = Holder(f"holder-{position}", signer, transport, folder, node=None)  # type: ignore[arg-type]
        holder.node = self.start(holder)
        return holder

    def start(self, holder: Holder, **changes: object) -> Node:
        """Return a node on the holder's folder, as its process makes it; ``changes`` replace its parts."""
        parts = {
            "name": holder.name,
            "account": holder.signer,
            "transport": holder.transport,
            "prekeys": None,
            "reader": self.facts,
            "register": None,
            "logbook": None,
            "policy": self.policy,
            "terms": {self.terms.digest: self.terms},
            "data": {
                "records": DataSet(path=holder.folder / "data.csv", commitment=bytes(32), records=10_000)
            },
            "clock": lambda: self.now,
            "ckks": CkksFiles(holder.folder / "ckks"),
            "random": InsecureRandomSource((holder.name, self.random.secret(8).reveal())),
            **changes,
        }
        parts["prekeys"] = parts["prekeys"] or Prekeys(
            holder.folder / "prekeys", random=parts["random"], clock=parts["clock"]
        )
        parts["register"] = parts["register"] or Register(holder.folder)
        parts["logbook"] = parts["logbook"] or Logbook(holder.folder, holder.account, clock=parts["clock"])
        return Node(**parts)

    def restart(self, position: int) -> Node:
        """Close a holder's node and open it again."""
        holder = self.holders[position]
        holder.node.close()
        holder.node = self.start(holder)
        return holder.node

    def close(self) -> None:
        for holder in self.holders:
            holder.node.close()

    @property
    def layout(self) -> Layout:
        """The shape of the run's ciphertexts."""
        length = sum(spec.size for spec in self.terms.tensors) + 1 + len(self.terms.counters)
        return Layout(params=PARAMETER_SETS[self.terms.parameter_set], packing=PACK15, length=length)

    # ------------------------------------------------------------------ the coordinator's side

    def learn_prekeys(self) -> None:
        """Ask every node for the prekey of its next round."""
        for holder in self.holders:
            status = json.loads(holder.node.call(Method.STATUS, b""))
            self.prekeys[holder.account] = SignedPrekey.decode(bytes.fromhex(status["prekey"]))

    def plan(self, number: int = 1, **changes: object) -> RoundHeader:
        """Return a header for all holders, changed as asked, without opening its round."""
        head = self.facts.head()
        self.learn_prekeys()
        situation = Situation(
            chain_id=self.facts.chain_id,
            contract=self.facts.address,
            run=self.run,
            round=number,
            parent=self.parent,
            artifact=self.facts.model(self.parent).artifact,
            transport_keys={account: prekey.digest for account, prekey in self.prekeys.items()},
            blocks=first_blocks(self.terms),
            beacon_number=head.number,
            beacon=head.hash,
            deadline=self.now + 60,
        )
        return replace(plan_header(self.terms, situation), **changes)

    def open_round(self, number: int = 1, **changes: object) -> RoundHeader:
        """Open a round on the ledger for all holders."""
        self.facts.mine()
        self.begun, self.ciphertexts = set(), {}
        header = self.plan(number, **changes)
        self.facts.open_round(self.run, number, header.parent, header.digest)
        return header

    def machine(self, header: RoundHeader) -> RoundMachine:
        signers = {h.account: self.facts.keys(h.account).signer for h in self.holders}
        return RoundMachine(header, signers=signers, notary=self.notary)

    def commit_accepted(self, machine: RoundMachine) -> None:
        """Put V on the ledger."""
        accepted = machine.commit()
        self.facts.commit_round(self.run, machine.header.round, accepted.root, accepted.count)

    def check_all(self, machine: RoundMachine) -> None:
        """Let every node that began the round answer the share check."""
        for position in sorted(self.begun):
            machine.add_check(self.check(position, self.check_request(machine, position)))

    def include(self, machine: RoundMachine) -> IncludedSet:
        """Have the machine judge, and put U on the ledger."""
        included = machine.include(self.ciphertexts.__getitem__)
        self.facts.commit_included(self.run, machine.header.round, included.root, len(included.members))
        return included

    def commit(self, machine: RoundMachine) -> None:
        """Put V on the ledger, do the share check, put U on the ledger."""
        self.commit_accepted(machine)
        self.check_all(machine)
        self.include(machine)

    def receipt(self, header: RoundHeader, member: bytes, contribution: bytes) -> bytes:
        acceptance = Acceptance(run=header.run, round=header.round, member=member, contribution=contribution)
        return LedgerSigner(self.notary, self.coordinator).sign(acceptance)

    def receipt_of(self, machine: RoundMachine, position: int) -> bytes:
        """Return the receipt for a holder's accepted contribution, or nothing."""
        account = self.holders[position].account
        mine = {a.leaf.statement.member: a.digest for a in machine.accepted}.get(account)
        return b"" if mine is None else self.receipt(machine.header, account, mine)

    def check_request(self, machine: RoundMachine, position: int) -> bytes:
        """Return what the coordinator asks a member in the share check, with the receipt."""
        account = self.holders[position].account
        return machine.check_request(account, self.receipt_of(machine, position)).encode()

    def request(self, machine: RoundMachine, position: int) -> bytes:
        """Return what the coordinator asks a member at the reveal, with the receipt."""
        account = self.holders[position].account
        return machine.request(account, self.receipt_of(machine, position)).encode()

    # ------------------------------------------------------------------ the glue's side

    def begin(self, position: int, header: RoundHeader, model: bytes | None = None) -> Order:
        call = BeginCall(header=header.encode(), model=self.model if model is None else model)
        order = Order.decode(self.holders[position].node.call(Method.BEGIN, call.encode()))
        self.begun.add(position)
        return order

    def protect_call(self, header: RoundHeader, **changes: object) -> ProtectCall:
        call = ProtectCall(
            header=header.digest,
            update=np.full(header.parameters, 0.25, "<f4").tobytes(),
            examples=500,
            counters=(7,),
            prekeys=tuple(self.prekeys[seat.address].encode() for seat in header.committee),
        )
        return replace(call, **changes)

    def protect(self, position: int, header: RoundHeader, **changes: object) -> bytes:
        call = self.protect_call(header, **changes)
        return self.holders[position].node.call(Method.PROTECT, call.encode())

    def check(self, position: int, request: bytes) -> bytes:
        return self.holders[position].node.call(Method.CHECK, request)

    def reveal(self, position: int, request: bytes) -> bytes:
        return self.holders[position].node.call(Method.REVEAL, request)

    def blame(self, position: int, request: bytes) -> bytes:
        return self.holders[position].node.call(Method.BLAME, request)

    def garbled(self, position: int, data: bytes, garbage: Garbage) -> bytes:
        """Return a holder's frame with another ciphertext that the holder signed."""
        layout = self.layout
        frame = Frame.decode(data, ciphertext_bytes=layout.ciphertext_bytes)
        ciphertext = garbled(layout, frame.ciphertext, garbage)
        statement = replace(frame.leaf.statement, ciphertext=ciphertext_root(layout, ciphertext))
        signature = LedgerSigner(self.notary, self.holders[position].signer).sign(statement)
        return replace(
            frame, leaf=Leaf(statement=statement, signature=signature), ciphertext=ciphertext
        ).encode()

    def contributed(self, header: RoundHeader, positions: Iterable[int] | None = None) -> RoundMachine:
        """Let holders begin and contribute; return the machine that has their frames."""
        machine = self.machine(header)
        for position in range(len(self.holders)) if positions is None else positions:
            self.begin(position, header)
            self.deliver(machine, self.protect(position, header))
        return machine

    def deliver(self, machine: RoundMachine, data: bytes) -> None:
        """Hand the machine a frame and keep its ciphertext, as the archive does."""
        _, frame = machine.accept(data)
        self.ciphertexts[frame.leaf.statement.member] = frame.ciphertext

    def included(self, number: int = 1, positions: Iterable[int] | None = None) -> RoundMachine:
        """Carry a round to the point where its members are asked."""
        machine = self.contributed(self.open_round(number), positions)
        self.commit(machine)
        return machine
