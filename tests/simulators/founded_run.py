"""A founded consortium on a real embedded chain, copied as often as tests need one, with its hospitals' nodes in reach.

Founding takes two seconds, copying a few milliseconds: a module founds once and every test works on a copy.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients import door
from clients.calls import BeginCall, ProtectCall
from clients.door import Method
from clients.hospital import Hospital
from clients.node.house import open_house
from coordinator.context import RunContext, open_run
from coordinator.demo.consortium import SCRYPT_COST, found_consortium, write_terms
from coordinator.demo.holders import bundled_csv, hospital_files, read_csv, training_task
from coordinator.demo.options import DemoOptions, Engine, Protection
from coordinator.demo.settlement import seal_run
from coordinator.history import MAX_MODEL_BYTES, newest_model
from coordinator.session import RoundSession
from coordinator.store.events import Event
from fl_core.models import Tensors, decode_model, encode_model
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.randomness import SystemRandomSource
from ledger.signer import Signer

TASK = "heart-disease"
DEADLINE_S = 3600


def now() -> int:
    return int(time.time())


def options(
    folder: Path,
    *,
    rounds: int = 3,
    seed: int = 42,
    hospitals: str = "4",
    plain: bool = False,
    ckks: bool = False,
    node: str | None = None,
    rewards: str = "equal",
) -> DemoOptions:
    """The demo's options for a run in this process."""
    return DemoOptions(
        engine=Engine.LOCAL,
        hospitals=hospitals,
        rounds=rounds,
        seed=seed,
        folder=folder,
        data=bundled_csv(),
        table=read_csv(bundled_csv()),
        protection=Protection.NONE if plain else Protection.CKKS if ckks else Protection.LATTICE,
        drop=0,
        port=None,
        ledger_url=node,
        rewards=rewards,
    )


def found(
    folder: Path, *, rounds: int, bundle: str = "", node: str | None = None, rewards: str = "equal"
) -> Path:
    """Found a consortium of four hospitals, and close it.

    Args:
        folder: Where.
        rounds: How many rounds can be tried.
        bundle: What the terms name as the code that runs.
        node: URL of a node whose chain the ledger goes on; by default a chain in the public folder.
        rewards: The terms' reward policy.
    """
    random = SystemRandomSource()
    hospitals = [
        Hospital.create(
            folder / "nodes" / name.lower().replace(" ", "-"),
            name,
            records,
            tasks=(TASK,),
            allow_plaintext=False,
            clock=now,
            random=random,
            scrypt_cost=SCRYPT_COST,
        )
        for name, records in hospital_files(read_csv(bundled_csv()), bundled_csv()).items()
    ]
    chosen = options(folder, rounds=rounds, node=node, rewards=rewards)
    terms, model = write_terms(chosen, training_task(TASK), len(hospitals), bundle)
    found_consortium(chosen, hospitals, terms, model, clock=now, random=random)
    for hospital in hospitals:
        hospital.close()
    return folder


def copied(founded: Path, folder: Path) -> Path:
    """Copy a founded run; its nodes follow the copied chain."""
    shutil.copytree(founded, folder)
    for config in folder.glob("nodes/*/node.toml"):
        config.write_text(config.read_text().replace(str(founded.resolve()), str(folder.resolve())))
    return folder


def opened_hospitals(folder: Path) -> list[Hospital]:
    """Open the hospitals of a run's folder; the caller closes them."""
    return [
        Hospital(node, clock=now, random=SystemRandomSource())
        for node in sorted((folder / "nodes").iterdir())
    ]


def cosign_and_seal(folder: Path) -> None:
    """Have every hospital co-sign the last block, and seal the public folder."""
    for hospital in opened_hospitals(folder):
        hospital.cosign()
        hospital.close()
    support = seal_run(folder, clock=now, random=SystemRandomSource())
    assert support.signed == support.witnesses >= support.needed


@contextmanager
def coordinator_of(folder: Path, listener: Callable[[Event], None] | None = None) -> Iterator[RunContext]:
    """Open the run as its coordinator."""
    run = open_run(folder, clock=now, random=SystemRandomSource(), listener=listener)
    try:
        yield run
    finally:
        run.close()


@dataclass
class Holder:
    """One hospital seen from the glue: its door, and its account for tests in which it lies."""

    name: str
    account: Signer

    def call(self, method: Method, payload: bytes) -> bytes:
        return door.connect(f"inproc:{self.name}").call(method, payload)


class RunWithNodes:
    """A copied run: the coordinator's context, and every hospital's node in this process.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hospitals = opened_hospitals(folder)
        for hospital in self._hospitals:
            hospital.serve_in_process()
        self.run = open_run(folder, clock=now, random=SystemRandomSource())
        accounts = [open_house(node).account for node in sorted((folder / "nodes").iterdir())]
        found = [Holder(h.name, account) for h, account in zip(self._hospitals, accounts, strict=True)]
        self.holders = {holder.account.address: holder for holder in found}
        """The holders by account, ascending, as in a header's cohort."""
        self.holders = dict(sorted(self.holders.items()))

    def close(self) -> None:
        """Close everything; again does no harm."""
        if self._hospitals:
            self.run.close()
        while self._hospitals:
            self._hospitals.pop().close()

    def model(self) -> Tensors:
        """The newest model of the run."""
        _, artifact = newest_model(self.run)
        return decode_model(self.run.archive.get(artifact, MAX_MODEL_BYTES), MAX_MODEL_BYTES)

    def open_round(self) -> RoundSession:
        """Open the next round on the ledger for all hospitals, with the prekeys that their nodes have now."""
        for account, holder in self.holders.items():
            status = json.loads(holder.call(Method.STATUS, b""))
            self.run.prekeys[account] = SignedPrekey.decode(bytes.fromhex(status["prekey"]))
        return RoundSession(self.run, self.model(), list(self.holders), now() + DEADLINE_S)

    def begin(self, session: RoundSession, account: bytes) -> None:
        """Let a hospital's node check the round's header."""
        call = BeginCall(header=session.header.encode(), model=encode_model(session.tensors))
        self.holders[account].call(Method.BEGIN, call.encode())

    def contribution(
        self, session: RoundSession, account: bytes, value: float = 0.125, examples: int = 100
    ) -> bytes:
        """Let a hospital's node begin, and seal an update whose values are all ``value``; return the frame."""
        header, holder = session.header, self.holders[account]
        self.begin(session, account)
        protect = ProtectCall(
            header=header.digest,
            update=np.full(header.parameters, value, "<f4").tobytes(),
            examples=examples,
            counters=(1, 2),
            prekeys=tuple(session.prekeys[seat.address].encode() for seat in header.committee),
        )
        return holder.call(Method.PROTECT, protect.encode())

    def included(self, session: RoundSession) -> dict[bytes, bytes]:
        """Let every hospital contribute and pass the share check; return what each member is to be asked."""
        for account in self.holders:
            session.accept(self.contribution(session, account))
        session.commit()
        self.check(session)
        session.include()
        return dict(session.requests())

    def check(self, session: RoundSession) -> None:
        """Let every hospital's node answer the share check of a round whose accepted set is committed."""
        for account, request in session.check_requests():
            session.add_check(self.holders[account].call(Method.CHECK, request))
