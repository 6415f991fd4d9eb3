"""What the benchmarks of the secure aggregation start from: parties, a round, an update."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label
from fl_core.protocol.dry_parties import DryNotary, Party, make_header, make_parties
from fl_core.protocol.header import RoundHeader
from fl_core.quantise import Block
from fl_core.randomness import Stream, SystemRandomSource

CLIP = 0.05


def update(length: int) -> npt.NDArray[np.float32]:
    """Return an update with values of the size of real ones."""
    values = np.empty(length, np.uint16)
    Stream(hashlib.sha256(b"update").digest(), Label.ROUNDING).fill(values)
    return (values.astype(np.float32) - np.float32(32768)) / np.float32(32768 * 40)


def round_of(length: int, count: int) -> tuple[RoundHeader, tuple[Party, ...]]:
    """Return a round among ``count`` parties, all of them clients and members."""
    parties = make_parties(count, SystemRandomSource(), DryNotary())
    return make_header(parties, (Block("update", length, CLIP),)), parties


def contribution(
    parties: tuple[Party, ...], position: int, values: npt.NDArray[np.float32]
) -> dict[str, Any]:
    """Return what a party's contribution is made of, as arguments of :func:`~fl_core.protocol.client.contribute`."""
    return {
        "me": parties[position].address,
        "update": values,
        "examples": 500,
        "counters": (),
        "dataset": bytes(32),
        "transport_keys": tuple(party.transport.public for party in parties),
        "signer": parties[position],
        "random": SystemRandomSource(),
    }
