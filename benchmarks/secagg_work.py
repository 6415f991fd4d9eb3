"""One piece of work of the secure aggregation, in a process of its own; prints what it cost as JSON.

``python -m benchmarks.secagg_work client 11000000 8 1`` and so on; :data:`WORK` lists the pieces. Each is done once to warm
up and then a few times, and the least time counts: what is measured is the work, not the machine's other business. Two kinds of
work that are compared closely are done in turn, many times, and their medians count (:mod:`benchmarks.repeats`).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.repeats import in_turn, least
from benchmarks.secagg_inputs import contribution, round_of, update
from fl_core.lattice.parameters import P4096, PACK15, PACKINGS
from fl_core.protocol.client import contribute
from fl_core.randomness import SEED_SIZE, SystemRandomSource
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secagg.threads import spread

HEADER = hashlib.sha256(b"benchmark").digest()
CKKS_DEGREE, CKKS_MODULI, CKKS_SCALE = 8192, [60, 40, 40], 2.0**40
"""The field's default: that of NVFLARE and of TenSEAL's own tutorials."""
_LINE = 64  # bytes of a cache line
_BEFORE = 238_861  # bytes of a frame before its ciphertext, for eight members


def client(length: int, count: int, threads: int) -> dict[str, Any]:
    """Everything that a client does with a trained update: quantise, encrypt, share, seal, hash, sign."""
    header, parties = round_of(length, count)
    asked = contribution(parties, 0, update(length))

    def work() -> bytes:
        prepared = contribute(header, **asked, threads=threads)
        sizes["frame"] = len(prepared.frame.encode())
        sizes["ciphertext"] = len(prepared.frame.ciphertext)
        return prepared.frame.leaf.signature

    sizes: dict[str, int] = {}
    wall, processor = least(work)
    return {"wall_s": wall, "cpu_s": processor, **sizes}


def plain_client(length: int) -> dict[str, Any]:
    """What a client does with a trained update where nothing is encrypted: copy it into a message and hash that."""
    values = update(length)
    wall, processor = least(lambda: hashlib.sha256(values.tobytes()).digest())
    return {"wall_s": wall, "cpu_s": processor, "bytes": values.nbytes}


def ckks_client(length: int) -> dict[str, Any]:
    """The same under CKKS with the field's defaults: encrypt and serialise. One run: it takes long enough."""
    import tenseal

    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, CKKS_DEGREE, coeff_mod_bit_sizes=CKKS_MODULI, n_threads=1
    )
    context.global_scale = CKKS_SCALE
    values = update(length).astype(np.float64).tolist()
    started, used = time.perf_counter(), time.process_time()
    encrypted = tenseal.ckks_vector(context, values).serialize()
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - used,
        "bytes": len(encrypted),
    }


def ckks_tuned(length: int, holders: int) -> dict[str, Any]:
    """The same under CKKS with this project's parameters: encrypt and serialise."""
    from fl_core.secagg.ckks.keys import HolderKey
    from fl_core.secagg.ckks.parameters import CKKS2048

    key, values = HolderKey.generate(CKKS2048, holders), update(length).astype(np.float64)
    started, used = time.perf_counter(), time.process_time()
    encrypted = key.encrypt(values)
    figures = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - used}
    return {**figures, "bytes": sum(map(len, encrypted)), "holders": holders}


def fold(length: int, threads: int) -> dict[str, Any]:
    """Add a ciphertext to the running sum, and a float32 vector to another, in turn, by as many threads each.

    The ciphertext lies in its frame, behind leaf and shares and at an odd address; the vector is the bytes of a message. Both
    sums begin with a cache line.
    """
    layout = Layout(params=P4096, packing=PACK15, length=length)
    ciphertext = memoryview(bytes(_BEFORE) + _encrypted(layout)[0].tobytes())[_BEFORE:]
    message = update(length).tobytes()
    accumulator, total = Accumulator(layout), _zeros(length)

    def plain() -> None:
        values = np.frombuffer(message, np.float32)
        spread(lambda a, b: np.add(total[a:b], values[a:b], out=total[a:b]), length, threads)

    return in_turn({"ours": lambda: accumulator.add(ciphertext, threads=threads), "plain": plain})


def _zeros(length: int) -> npt.NDArray[np.float32]:
    words = np.zeros(length + _LINE // 4, np.float32)
    start = -words.ctypes.data % _LINE // 4
    return words[start : start + length]


def opening(length: int, threads: int) -> dict[str, Any]:
    """Open a sum with the aggregate key."""
    layout = Layout(params=P4096, packing=PACK15, length=length)
    ciphertext, secret = _encrypted(layout)
    accumulator = Accumulator(layout)
    accumulator.add(ciphertext)
    key = secret.reveal().copy()
    wall, processor = least(lambda: decrypt(layout, HEADER, accumulator.sums, 1, key, threads=threads))
    return {"wall_s": wall, "cpu_s": processor}


def size(length: int, packing: str) -> dict[str, Any]:
    """How long a ciphertext is."""
    layout = Layout(params=P4096, packing=PACKINGS[packing], length=length)
    ciphertext, _ = _encrypted(layout)
    return {"bytes": len(ciphertext)}


def first_use() -> dict[str, Any]:
    """A fresh process until its first ciphertext, with the kernels compiled before: started by the caller's clock."""
    _encrypted(Layout(params=P4096, packing=PACK15, length=1000))
    return {}


def _encrypted(layout: Layout) -> tuple[npt.NDArray[np.uint8], Any]:
    values = np.full(layout.length, layout.packing.max_value // 2, layout.value_dtype)
    return encrypt(layout, HEADER, values, SystemRandomSource().secret(SEED_SIZE))


WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "client": client,
    "plain-client": plain_client,
    "ckks-client": ckks_client,
    "ckks-tuned": ckks_tuned,
    "fold": fold,
    "open": opening,
    "size": size,
    "first-use": first_use,
}


def _arguments(texts: list[str]) -> Iterator[int | str]:
    for text in texts:
        yield int(text) if text.isdecimal() else text


if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]](*_arguments(sys.argv[2:]))))
