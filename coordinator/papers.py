"""Puts a round's evidence into the archive and says where it is; keeps the next round's clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from coordinator.rounds.machine import IncludedSet
from fl_core.protocol.header import RoundHeader
from fl_core.quantise import Block
from ledger.papers import RoundPaper


def round_paper(
    *,
    header: RoundHeader,
    archived: Mapping[bytes, tuple[Future[bytes], Future[bytes]]],
    included: IncludedSet,
    prekeys: Mapping[bytes, bytes],
    checks: Mapping[bytes, bytes],
    reveals: Mapping[bytes, bytes],
    blames: Mapping[bytes, bytes],
    blamed: Sequence[bytes],
    weights: Mapping[bytes, bytes],
    objects: Mapping[str, bytes],
    put: Callable[[bytes], Future[bytes]],
) -> RoundPaper:
    """Archive what is not archived yet and return the round's paper.

    Args:
        header: The round.
        archived: Account -> SHA-256 of its archived leaf and ciphertext.
        included: The included set.
        prekeys: Account -> the member's signed prekey.
        checks: Account -> the member's values in the share check.
        reveals: Account -> the member's answer.
        blames: Account -> the member's values in a blame opening; empty where there was none.
        blamed: Clients that it named, ascending.
        weights: Account -> its opened weight; empty under terms that do not pay by examples.
        objects: Aggregate key, metrics, rewards (may be empty) and model.
        put: Archives an object; its future gives the SHA-256.
    """
    header_object, exclusions = put(header.encode()), put(included.exclusions.encode())
    stored = {name: put(data) if data else None for name, data in objects.items()}
    sealed_to = {member: put(data) for member, data in sorted(prekeys.items())}
    values = {member: put(data) for member, data in sorted(checks.items())}
    told = {member: put(data) for member, data in sorted(blames.items())}
    opened = {member: put(data) for member, data in sorted(weights.items())}
    answers = {member: put(data) for member, data in sorted(reveals.items())}
    return RoundPaper(
        round=header.round,
        header=header_object.result().hex(),
        leaves={account.hex(): leaf.result().hex() for account, (leaf, _) in sorted(archived.items())},
        included=[account.hex() for account in included.members],
        exclusions=exclusions.result().hex(),
        ciphertexts={
            account.hex(): ciphertext.result().hex() for account, (_, ciphertext) in sorted(archived.items())
        },
        prekeys={member.hex(): prekey.result().hex() for member, prekey in sealed_to.items()},
        checks={member.hex(): answer.result().hex() for member, answer in values.items()},
        reveals={member.hex(): answer.result().hex() for member, answer in answers.items()},
        blames={member.hex(): answer.result().hex() for member, answer in told.items()},
        blamed=[client.hex() for client in blamed],
        weights={client.hex(): opening.result().hex() for client, opening in opened.items()},
        **{name: "" if future is None else future.result().hex() for name, future in stored.items()},
    )


def encode_blocks(blocks: tuple[Block, ...]) -> bytes:
    """Return blocks as JSON; clips as hexadecimal floats, which are exact."""
    return json.dumps([[block.name, block.size, block.clip.hex()] for block in blocks]).encode()


def decode_blocks(data: bytes) -> tuple[Block, ...]:
    """Read what :func:`encode_blocks` wrote."""
    return tuple(Block(name=n, size=s, clip=float.fromhex(c)) for n, s, c in json.loads(data))
