"""The one door to randomness.

Everything that needs entropy takes a :class:`RandomSource`; only :class:`SystemRandomSource` reaches the operating
system. Long streams are AES-256-CTR keystreams under keys derived by label (:class:`Stream`); numpy's and the standard
library's generators are never used for anything that matters.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError
from fl_core.secret import Secret

SEED_SIZE = 32
"""Bytes of every seed."""

BLOCK_SIZE = 16
"""Bytes of one block of a keystream."""

_ZEROS = np.zeros(1 << 20, dtype=np.uint8)
_ZEROS.flags.writeable = False


class RandomSource(Protocol):
    """Gives uniformly random bytes."""

    def secret(self, size: int) -> Secret:
        """Return ``size`` fresh random bytes as a secret."""
        ...


class SystemRandomSource:
    """The operating system's generator (``getrandom`` through :func:`os.urandom`)."""

    def secret(self, size: int) -> Secret:
        """Return ``size`` bytes from the operating system."""
        return Secret(os.urandom(size))


class Stream:
    """A keystream: AES-256-CTR under a key derived from a seed and a label.

    The counter counts blocks of 16 bytes from zero, and the key is used for one label and one seed only, so no keystream
    block repeats before 2^64 bytes. Readers of one stream at different positions give pieces of the same bytes.

    Args:
        seed: Secret or public seed of :data:`SEED_SIZE` bytes. Public seeds give public streams.
        label: What the stream is for.
        position: Byte to begin at, a multiple of :data:`BLOCK_SIZE` in [0, 2^64).

    Raises:
        LocalProtocolError: The seed or the position is not as described.
    """

    def __init__(self, seed: Secret | bytes, label: Label, position: int = 0) -> None:
        raw = seed.reveal() if isinstance(seed, Secret) else seed
        if len(raw) != SEED_SIZE:
            raise LocalProtocolError(f"a stream's seed has {SEED_SIZE} bytes, not {len(raw)}")
        if position % BLOCK_SIZE or not 0 <= position < 1 << 64:
            raise LocalProtocolError(f"a stream is entered at a multiple of {BLOCK_SIZE} bytes below 2^64")
        key = digest(Label.STREAM, label.value.encode(), raw)
        counter = (position // BLOCK_SIZE).to_bytes(BLOCK_SIZE, "big")
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()

    def fill(self, out: npt.NDArray[Any]) -> None:
        """Overwrite ``out``, a C-contiguous writable array of integers, with the next bytes of the stream."""
        if not out.flags.c_contiguous:
            raise LocalProtocolError(
                "a stream fills C-contiguous arrays only: of others it would fill a copy"
            )
        flat = out.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, _ZEROS.size):
            piece = flat[start : start + _ZEROS.size]
            self._encryptor.update_into(_ZEROS[: piece.size].data, piece.data)

    def __repr__(self) -> str:
        return "Stream(<redacted>)"
