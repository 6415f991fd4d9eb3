"""A round as its coordinator sees it, with contributions from files, for measuring its memory.

The contributions are made before, by the client's own code, and lie on disk: encrypting is not what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coordinator.rounds.machine import RoundMachine
from coordinator.store.boxes import BoxFolder
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.client import contribute
from fl_core.protocol.dry_parties import DryNotary, Party, make_header, make_parties
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import RevealRequest
from fl_core.protocol.share_check import AcceptedOnLedger, answer_check
from fl_core.quantise import Block
from fl_core.randomness import SystemRandomSource

CLIP = 0.05


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the coordinator starts from: the round, who takes part, and one file with each contribution."""

    folder: Path
    header: RoundHeader
    parties: tuple[Party, ...]
    notary: DryNotary


def prepare(folder: Path, length: int, count: int) -> Prepared:
    """Make a round of ``count`` clients and as many members, and write their contributions to files."""
    notary = DryNotary()
    random = SystemRandomSource()
    parties = make_parties(count, random, notary)
    header = make_header(parties, (Block("update", length, CLIP),))
    update, keys = np.full(length, CLIP / 3, np.float32), tuple(p.transport.public for p in parties)
    for party in parties:
        prepared = contribute(
            header,
            me=party.address,
            update=update,
            examples=500,
            counters=(),
            dataset=bytes(32),
            transport_keys=keys,
            signer=party,
            random=random,
        )
        (folder / f"{party.address.hex()}.frame").write_bytes(prepared.frame.encode())
    return Prepared(folder, header, parties, notary)


def coordinate(prepared: Prepared) -> None:
    """Carry the round through to the opened sum; members are asked one after the other, with one request in memory."""
    header, notary, parties = prepared.header, prepared.notary, prepared.parties
    signers = {party.address: party.address for party in parties}
    machine = RoundMachine(header, signers=signers, notary=notary, spool=BoxFolder(prepared.folder / "boxes"))
    for frame in _frames(prepared):
        machine.accept(frame)
    accepted = machine.commit()
    on_ledger = AcceptedOnLedger(root=accepted.root, count=accepted.count, signers=signers)
    for party in parties:
        asked = machine.check_request(party.address, b"").encode()
        said = answer_check(
            header,
            CheckRequest.decode(asked),
            me=party.address,
            committed=on_ledger,
            transport=party.transport,
            notary=notary,
            signer=party,
        )
        machine.add_check(said.encode())
    included = machine.include(_no_ciphertext)
    committed = Committed(
        accepted_root=accepted.root,
        accepted_count=accepted.count,
        included_root=included.root,
        included_count=len(included.members),
        signers=signers,
    )
    for party in parties[: header.threshold]:
        asked = machine.request(party.address, b"").encode()
        revealed = answer(
            header,
            RevealRequest.decode(asked),
            me=party.address,
            committed=committed,
            transport=party.transport,
            notary=notary,
            signer=party,
        )
        machine.add_reveal(revealed.encode())
    machine.open()


def _frames(prepared: Prepared) -> Iterator[bytes]:
    for party in prepared.parties:
        yield (prepared.folder / f"{party.address.hex()}.frame").read_bytes()


def _no_ciphertext(client: bytes) -> bytes:
    raise AssertionError(f"nobody is left out, also not {client.hex()}")
