"""A round as its coordinator sees it, with contributions from files, for measuring its memory.

The contributions are made before, by the client's own code, and lie on disk: encrypting is not what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.secagg_inputs import CLIP, contribution, round_of
from coordinator.rounds.machine import RoundMachine
from coordinator.store.boxes import BoxFolder
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.client import contribute_into
from fl_core.protocol.dry_parties import DryNotary, Party
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import RevealRequest
from fl_core.protocol.share_check import AcceptedOnLedger, answer_check


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the coordinator starts from: the round, who takes part, and one file with each contribution."""

    folder: Path
    header: RoundHeader
    parties: tuple[Party, ...]
    notary: DryNotary


def prepare(folder: Path, length: int, count: int) -> Prepared:
    """Make a round of ``count`` clients and as many members, and write their contributions to files."""
    header, parties = round_of(length, count)
    values = np.full(length, CLIP / 3, np.float32)
    for position, party in enumerate(parties):
        with (folder / f"{party.address.hex()}.frame").open("wb") as file:
            contribute_into(file, header, **contribution(parties, position, values))
    return Prepared(folder, header, parties, parties[0].notary)


def coordinate(prepared: Prepared) -> None:
    """Carry the round through to the opened sum; members are asked one after the other, with one request in memory."""
    header, notary, parties = prepared.header, prepared.notary, prepared.parties
    signers = {party.address: party.address for party in parties}
    machine = RoundMachine(header, signers=signers, notary=notary, spool=BoxFolder(prepared.folder / "boxes"))
    for party in parties:  # one contribution in memory, as when they arrive one after the other
        machine.accept((prepared.folder / f"{party.address.hex()}.frame").read_bytes())
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


def _no_ciphertext(client: bytes) -> bytes:
    raise AssertionError(f"nobody is left out, also not {client.hex()}")
