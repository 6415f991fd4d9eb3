"""A round as its coordinator sees it, with contributions from files, for measuring its memory.

Encrypting for 64 clients is not what is measured, and takes long: each contribution is made and written to a file before,
with real signatures and real boxes, and one ciphertext is used by all. The sum of n times one ciphertext opens under n
times its secret, and the shares add up accordingly, so everything that the coordinator checks is as in a real round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coordinator.rounds.machine import RoundMachine
from coordinator.store.boxes import BoxFolder
from fl_core.digests import Label
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.dry_run import DryNotary, Party, make_header, make_parties
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Frame, Leaf, RevealRequest, boxes_digest
from fl_core.protocol.setup import box_context, layout_of
from fl_core.protocol.share_check import AcceptedOnLedger, answer_check
from fl_core.protocol.statements import Contribution
from fl_core.quantise import Block
from fl_core.randomness import SEED_SIZE, Stream, SystemRandomSource
from fl_core.secagg import boxes as sealing
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.encrypt import encrypt

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
    parties = make_parties(count, SystemRandomSource(), notary)
    header = make_header(parties, (Block("update", length, CLIP),))
    layout, seed = layout_of(header), SystemRandomSource().secret(SEED_SIZE)
    values = np.full(layout.length, layout.packing.max_value // 2, layout.value_dtype)
    ciphertext, secret = encrypt(layout, header.digest, values, seed)
    root, encoded = ciphertext_root(layout, ciphertext), ciphertext.tobytes()
    points = tuple(range(1, len(header.committee) + 1))
    shares = shamir.share(layout.params, secret, header.threshold, points, Stream(seed, Label.SHARING))
    plain = [shamir.encode_vector(layout.params, share) for share in shares]
    keys = [party.transport.public for party in parties]
    for party in parties:
        sealed = tuple(
            sealing.seal(key, box_context(header, party.address, seat), share)
            for key, seat, share in zip(keys, header.committee, plain, strict=True)
        )
        statement = _statement(header, party.address, root, sealed)
        leaf = Leaf(statement=statement, signature=party.sign(statement))
        frame = Frame(leaf=leaf, boxes=sealed, ciphertext=encoded)
        (folder / f"{party.address.hex()}.frame").write_bytes(frame.encode())
    return Prepared(folder, header, parties, notary)


def _statement(header: RoundHeader, member: bytes, root: bytes, sealed: tuple[bytes, ...]) -> Contribution:
    nothing = bytes(32)
    return Contribution(
        run=header.run,
        round=header.round,
        member=member,
        header=header.digest,
        parent=header.parent,
        ciphertext=root,
        boxes=boxes_digest(sealed),
        dataset=nothing,
        weight=nothing,
        metrics=nothing,
    )


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
