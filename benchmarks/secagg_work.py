"""One piece of work of the secure aggregation, in a process of its own; prints what it cost as JSON.

``python -m benchmarks.secagg_work client 11000000 8 1`` and so on; :data:`WORK` lists the pieces. Each is done once to warm
up and then a few times, and the least time counts: what is measured is the work, not the machine's other business. Peaks of
memory are of what only this process uses (``RssAnon``), looked at every few milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label
from fl_core.lattice.parameters import P4096, PACK15, PACKINGS
from fl_core.protocol.client import contribute
from fl_core.protocol.dry_parties import DryNotary, Party, make_header, make_parties
from fl_core.protocol.header import RoundHeader
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import SEED_SIZE, Stream, SystemRandomSource
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secagg.stream import encrypt_stream

REPEATS = 3
CLIP = 0.05
HEADER = hashlib.sha256(b"benchmark").digest()
CKKS_DEGREE, CKKS_MODULI, CKKS_SCALE = 8192, [60, 40, 40], 2.0**40
"""The field's default: that of NVFLARE and of TenSEAL's own tutorials."""


def least(work: Callable[[], object]) -> tuple[float, float]:
    """Return the least wall and processor seconds of a few runs after a first one."""
    work()
    walls, processors = [], []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def update(length: int) -> npt.NDArray[np.float32]:
    """Return an update with values of the size of real ones."""
    values = np.empty(length, np.uint16)
    Stream(hashlib.sha256(b"update").digest(), Label.ROUNDING).fill(values)
    return (values.astype(np.float32) - np.float32(32768)) / np.float32(32768 * 40)


def consortium(length: int, count: int) -> tuple[RoundHeader, tuple[Party, ...]]:
    """Return a round among ``count`` parties."""
    notary = DryNotary()
    parties = make_parties(count, SystemRandomSource(), notary)
    return make_header(parties, (Block("update", length, CLIP),)), parties


def client(length: int, count: int, threads: int) -> dict[str, Any]:
    """Everything that a client does with a trained update: quantise, encrypt, share, seal, hash, sign."""
    header, parties = consortium(length, count)
    values, keys = update(length), tuple(p.transport.public for p in parties)

    def work() -> bytes:
        prepared = contribute(
            header,
            me=parties[0].address,
            update=values,
            examples=500,
            counters=(),
            dataset=bytes(32),
            transport_keys=keys,
            signer=parties[0],
            random=SystemRandomSource(),
            threads=threads,
        )
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
    """Add one ciphertext to the running sum, beside adding one float32 vector to another."""
    layout = Layout(params=P4096, packing=PACK15, length=length)
    ciphertext, _ = _encrypted(layout)
    accumulator = Accumulator(layout)
    ours, _ = least(lambda: accumulator.add(ciphertext, threads=threads))
    total, values = np.zeros(length, np.float32), update(length)
    plain, _ = least(lambda: np.add(total, values, out=total))
    return {"fold_s": ours, "plain_s": plain}


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


def client_memory(length: int) -> dict[str, Any]:
    """The peak of a client that streams its update from one file into another, above what it needs for one value."""
    with TemporaryDirectory() as name:
        source, target = Path(name) / "update", Path(name) / "ciphertext"
        with source.open("wb") as file:
            chunk = update(1 << 20)
            for first in range(0, length, 1 << 20):
                file.write(chunk[: min(1 << 20, length - first)].tobytes())
        layout = Layout(params=P4096, packing=PACK15, length=length + 1)
        quantiser = Quantiser(blocks=(Block("update", length, CLIP),), counters=(), weight_cap=1000)
        seed = SystemRandomSource().secret(SEED_SIZE)
        encrypt_stream(Layout(params=P4096, packing=PACK15, length=1), HEADER, [_one()], seed, _Nowhere())
        del chunk
        before, started = own_memory(), time.perf_counter()
        with target.open("wb") as sink, Watch() as watch:
            values = np.memmap(source, np.float32, mode="r", shape=(length,))
            chunks = quantiser.quantise_chunks(values, 500, (), Stream(seed, Label.ROUNDING))
            encrypt_stream(layout, HEADER, (chunk.values for chunk in chunks), seed, sink)
        seconds = time.perf_counter() - started
    return {"above_bytes": watch.peak - before, "peak_bytes": watch.peak, "wall_s": seconds}


def coordinator_memory(length: int, count: int) -> dict[str, Any]:
    """The peak of a coordinator that takes ``count`` contributions, asks its committee and opens the sum.

    The contributions are made before; everybody is a member.
    """
    from benchmarks.secagg_round import coordinate, prepare

    with TemporaryDirectory() as name:
        prepared = prepare(Path(name), length, count)
        before = own_memory()
        with Watch() as watch:
            coordinate(prepared)
    return {"above_bytes": watch.peak - before, "peak_bytes": watch.peak}


def own_memory() -> int:
    """Return the bytes that only this process uses; pages of mapped files, which the system takes back, do not count."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))


class Watch:
    """Looks at :func:`own_memory` every few milliseconds."""

    def __init__(self) -> None:
        self.peak = own_memory()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.003):
            self.peak = max(self.peak, own_memory())


def _one() -> npt.NDArray[np.uint16]:
    return np.ones(1, np.uint16)


class _Nowhere:
    def write(self, data: memoryview, /) -> object:
        return len(data)


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
    "client-memory": client_memory,
    "coordinator-memory": coordinator_memory,
}


def _arguments(texts: list[str]) -> Iterator[int | str]:
    for text in texts:
        yield int(text) if text.isdecimal() else text


if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]](*_arguments(sys.argv[2:]))))
