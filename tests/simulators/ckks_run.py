"""Real nodes in the CKKS mode around a ledger of plain facts; a test can be any of the parties."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from clients.ckks_calls import CkksProtectCall
from clients.door import Method
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.ceremony import PARAMETERS
from fl_core.secagg.ckks.keys import PublicContext
from fl_core.secagg.ckks.messages import EncryptedSum, Report, Upload
from fl_core.secagg.ckks.running import RunningSum
from fl_core.secagg.ckks.steps import CkksBeginCall, CkksStep, Place, TakeCall, encode_step
from tests.simulators.consortium import MODEL, POLICY, TERMS, Consortium, Holder

CKKS_TERMS = replace(TERMS, parameter_set=PARAMETERS.name, packing="FLAT")
CKKS_POLICY = replace(POLICY, allow_ckks=True, release_ckks_model=True)
INITIAL = bytes.fromhex(CKKS_TERMS.initial_model)
LENGTH = 4 * (2 + len(CKKS_TERMS.counters)) + 5


class CkksRun:
    """A consortium whose holders may share a key.

    Args:
        folder: Where the nodes live.
        count: Number of holders.
        policy: Every holder's policy.
    """

    def __init__(self, folder: Path, count: int = 4, **changes: object) -> None:
        self.world = Consortium(folder, count, policy=replace(CKKS_POLICY, **changes), terms=CKKS_TERMS)
        self.holders = self.world.holders

    def plan(self, positions: Iterable[int] | None = None, **changes: object) -> Plan:
        """The plan for some holders."""
        chosen = self.holders if positions is None else [self.holders[i] for i in positions]
        plan = Plan(
            chain_id=self.world.facts.chain_id,
            contract=self.world.facts.address,
            run=self.world.run,
            epoch=1,
            cohort=tuple(h.account for h in chosen),
            transport_keys=tuple(h.transport.public for h in chosen),
        )
        return replace(plan, **changes)

    def ask(self, holder: Holder, step: CkksStep, payload: bytes) -> bytes:
        """Call a node through its door."""
        return holder.node.call(Method.CKKS, encode_step(step, payload))

    def deal(self, plan: Plan, position: int = 0) -> KeyPackage:
        return KeyPackage.decode(self.ask(self.holders[position], CkksStep.DEAL, plan.encode()))

    def take(self, position: int, plan: Plan, package: KeyPackage) -> bytes:
        call = TakeCall(plan=plan.encode(), package=package.encode())
        return self.ask(self.holders[position], CkksStep.TAKE, call.encode())

    def shared(self) -> KeyPackage:
        """Hold the ceremony for all holders."""
        plan = self.plan()
        package = self.deal(plan)
        for position in range(len(self.holders)):
            assert self.take(position, plan, package) == package.signed
        return package

    def place(self, number: int = 1, parent: bytes = INITIAL) -> Place:
        return Place(run=self.world.run, round=number, parent=parent)

    def begin(self, position: int, place: Place, model: bytes = b"") -> bytes:
        call = CkksBeginCall(place=place, model=model)
        return self.ask(self.holders[position], CkksStep.BEGIN, call.encode())

    def upload(self, position: int, place: Place, value: float = 0.25, **changes: object) -> Upload:
        """Let a node begin and encrypt an update whose values are all ``value``."""
        self.begin(position, place, MODEL if place.parent == INITIAL else b"")
        call = CkksProtectCall(
            place=place, update=np.full(5, value, "<f4").tobytes(), examples=500, counters=(7,)
        )
        return Upload.decode(
            self.ask(self.holders[position], CkksStep.PROTECT, replace(call, **changes).encode())
        )

    def summed(self, package: KeyPackage, place: Place, uploads: Iterable[Upload]) -> EncryptedSum:
        """What the coordinator adds and signs."""
        context = PublicContext.decode(PARAMETERS, len(self.holders), package.context)
        total = RunningSum(context, LENGTH)
        for upload in uploads:
            total.add(upload.chunks)
        return self.signed(package, place, total.encode())

    def signed(self, package: KeyPackage, place: Place, chunks: tuple[bytes, ...]) -> EncryptedSum:
        total = EncryptedSum(
            package=package.signed,
            round=place.round,
            parent=place.parent,
            chunks=chunks,
            signature=bytes(65),
        )
        return replace(total, signature=self.world.coordinator.sign_digest(total.signed))

    def open(self, position: int, place: Place, total: EncryptedSum) -> Report:
        payload = place.encode() + total.encode()
        return Report.decode(self.ask(self.holders[position], CkksStep.OPEN, payload))

    def close(self) -> None:
        self.world.close()


def deadly(context: bytes) -> bytes:
    """Return a context that ends the process that hands it to SEAL: another number of coefficients and of primes."""
    changed = bytearray(context)
    changed[39], changed[43] = 2, 16
    return bytes(changed)
