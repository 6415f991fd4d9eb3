"""Puts a round's evidence into the archive and says where it is; keeps the next round's clips."""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator.rounds.machine import IncludedSet
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Reveal
from fl_core.quantise import Block
from ledger.archive import Archive
from ledger.papers import RoundPaper


def round_paper(
    *,
    header: RoundHeader,
    archived: Mapping[bytes, tuple[bytes, bytes]],
    included: IncludedSet,
    reveals: tuple[bytes, ...],
    objects: Mapping[str, bytes],
    archive: Archive,
) -> RoundPaper:
    """Archive what is not archived yet and return the round's paper.

    Args:
        header: The round.
        archived: Account -> SHA-256 of its archived leaf and ciphertext.
        included: The included set.
        reveals: The members' answers.
        objects: Aggregate key, metrics, rewards (may be empty) and model.
        archive: Where to.
    """
    stored = {name: archive.put(data).hex() if data else "" for name, data in objects.items()}
    members = {Reveal.decode(data).statement.member: archive.put(data) for data in reveals}
    return RoundPaper(
        round=header.round,
        header=archive.put(header.encode()).hex(),
        leaves={account.hex(): leaf.hex() for account, (leaf, _) in sorted(archived.items())},
        included=[account.hex() for account in included.members],
        exclusions=archive.put(included.exclusions).hex(),
        ciphertexts={account.hex(): archived[account][1].hex() for account in included.members},
        reveals={account.hex(): digest.hex() for account, digest in sorted(members.items())},
        **stored,
    )


def encode_blocks(blocks: tuple[Block, ...]) -> bytes:
    """Return blocks as JSON; clips as hexadecimal floats, which are exact."""
    return json.dumps([[block.name, block.size, block.clip.hex()] for block in blocks]).encode()


def decode_blocks(data: bytes) -> tuple[Block, ...]:
    """Read what :func:`encode_blocks` wrote."""
    return tuple(Block(name=n, size=s, clip=float.fromhex(c)) for n, s, c in json.loads(data))
