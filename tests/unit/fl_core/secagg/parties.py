"""A few parties with known seeds, for the tests of this folder."""

from __future__ import annotations

import hashlib

import numpy as np

from fl_core.digests import Label
from fl_core.lattice.parameters import P2048, PACK15, Packing, ParameterSet
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secagg.round_secret import RoundSecret
from fl_core.secret import Secret


def known(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


HEADER = known("header")


def layout_of(length: int, params: ParameterSet = P2048, packing: Packing = PACK15) -> Layout:
    return Layout(params=params, packing=packing, length=length)


def values_of(layout: Layout, who: object) -> np.ndarray:
    size = np.dtype(layout.value_dtype).itemsize
    raw = hashlib.shake_256(known(f"values {who}")).digest(size * layout.length)
    return (np.frombuffer(raw, f"<u{size}") & layout.packing.max_value).astype(layout.value_dtype)


def encrypted(
    layout: Layout, who: object, values: np.ndarray | None = None
) -> tuple[np.ndarray, RoundSecret]:
    chosen = values_of(layout, who) if values is None else values
    return encrypt(layout, HEADER, chosen, Secret(known(f"seed {who}")))


def shares_of(layout: Layout, who: object, secret: RoundSecret, threshold: int, members: int):
    stream = Stream(known(f"seed {who}"), Label.SHARING)
    return shamir.share(layout.params, secret, threshold, range(1, members + 1), stream)


def summed(layout: Layout, parties: range) -> tuple[Accumulator, np.ndarray, np.ndarray]:
    """Return the folded ciphertexts, the sum of the secrets and the sum of the values."""
    accumulator, secrets, total = Accumulator(layout), [], np.zeros(layout.length, np.int64)
    for who in parties:
        ciphertext, secret = encrypted(layout, who)
        accumulator.add(ciphertext)
        secrets.append(secret.reveal())
        total += values_of(layout, who)
    return accumulator, shamir.add_shares(layout.params, secrets), total
