"""What the CKKS mode costs beside the parameters that other frameworks start from: ``python -m benchmarks.ckks_parameters``.

Prints one JSON object: bytes per value, CPU seconds of one thread (the best of three) and the largest error, for
:data:`VALUES` values in [-1, 1]. Encryption includes serialisation, addition and decryption include parsing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from fl_core.secagg.ckks.keys import HolderKey
from fl_core.secagg.ckks.library import tenseal
from fl_core.secagg.ckks.parameters import CKKS2048
from fl_core.secagg.ckks.running import RunningSum

VALUES = 1_000_000
HOLDERS = 4
REPEATS = 3
DEFAULT_DEGREE, DEFAULT_PRIMES, DEFAULT_SCALE = 8192, [60, 40, 40], 2.0**40

T = TypeVar("T")


def best(work: Callable[[], T]) -> tuple[float, T]:
    """Return the least CPU seconds of a few repetitions, and the result."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        result = work()
        seconds.append(time.process_time() - started)
    return min(seconds), result


def tuned(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
    """Measure the parameter set of this project."""
    key = HolderKey.generate(CKKS2048, HOLDERS)
    public = key.public()

    def summed(times: int) -> RunningSum:
        total = RunningSum(public, values.size)
        for _ in range(times):
            total.add(chunks)
        return total

    encrypt, chunks = best(lambda: key.encrypt(values))
    once, _ = best(lambda: summed(1))
    twice, _ = best(lambda: summed(2))
    decrypt, opened = best(lambda: key.decrypt(chunks, values.size))
    size, error = sum(map(len, chunks)), float(np.abs(opened - values).max())
    return _row(size, encrypt, twice - once, decrypt, error)


def default(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
    """Measure the common parameters: asymmetric, one level that is never used."""
    ts = tenseal()
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEFAULT_DEGREE, coeff_mod_bit_sizes=DEFAULT_PRIMES, n_threads=1)
    context.global_scale = DEFAULT_SCALE
    encrypt, data = best(lambda: ts.ckks_vector(context, values.tolist()).serialize())
    total = ts.ckks_vector_from(context, data)
    add, _ = best(lambda: total.add_(ts.ckks_vector_from(context, data)))
    decrypt, opened = best(lambda: ts.ckks_vector_from(context, data).decrypt())
    return _row(len(data), encrypt, add, decrypt, float(np.abs(np.array(opened) - values).max()))


def _row(size: int, encrypt: float, add: float, decrypt: float, error: float) -> dict[str, float]:
    return {
        "bytes_per_value": round(size / VALUES, 2),
        "encrypt_s": round(encrypt, 3),
        "add_s": round(add, 3),
        "decrypt_s": round(decrypt, 3),
        "largest_error": error,
    }


def main() -> None:
    """Measure both and print."""
    values = np.random.Generator(np.random.SFC64(5)).uniform(-1, 1, VALUES)
    print(json.dumps({"values": VALUES, "tuned": tuned(values), "default": default(values)}))


if __name__ == "__main__":
    main()
