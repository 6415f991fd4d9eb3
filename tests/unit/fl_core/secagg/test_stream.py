"""Streaming gives the same ciphertext as encrypting at once, in constant memory."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import InputError, LocalProtocolError
from fl_core.lattice.parameters import P2048, P4096, PACK15, PACKINGS, P4096g
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import Stream
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.stream import encrypt_stream
from fl_core.secret import Secret
from tests.unit.fl_core.secagg.parties import HEADER, known, layout_of, values_of

SEED = Secret(known("seed"))
LAYOUTS = [
    layout_of(1, P2048, PACK15),
    layout_of(8 * 4096, P2048, PACK15),
    layout_of(17 * 4096 + 5, P2048, PACK15),
    layout_of(50_000, P4096, PACKINGS["PACK12x16"]),
    layout_of(50_000, P4096g, PACKINGS["PACK20x16g"]),
]


@pytest.mark.parametrize("size", [1000, 4096, 32768, 10**6])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda c: f"{c.packing.name}-{c.length}")
def test_the_stream_is_the_ciphertext_whatever_the_chunks(layout, size):
    values, sink = values_of(layout, 0), io.BytesIO()
    chunks = (values[start : start + size] for start in range(0, layout.length, size))
    streamed = encrypt_stream(layout, HEADER, chunks, SEED, sink)
    expected, secret = encrypt(layout, HEADER, values, SEED)
    assert sink.getvalue() == expected.tobytes()
    assert np.array_equal(streamed.secret.reveal(), secret.reveal())
    assert streamed.root == ciphertext_root(layout, expected)
    assert (streamed.ciphertext_bytes, streamed.elements) == (layout.ciphertext_bytes, layout.elements)
    assert "redacted" in repr(streamed)


def test_missing_further_or_other_values_are_refused():
    layout = layout_of(5000)
    values = values_of(layout, 0)
    for chunks in (
        [values[:-1]],
        [values, values[:1]],
        [],
        [values.astype(np.uint32)],
        [values.reshape(50, 100)],
    ):
        with pytest.raises(LocalProtocolError, match=r"values|vectors"):
            encrypt_stream(layout, HEADER, chunks, SEED, io.BytesIO())
    values[4999] = 1 << 15
    with pytest.raises(LocalProtocolError, match="below 2"):
        encrypt_stream(layout, HEADER, [values], SEED, io.BytesIO())


def test_from_a_mapped_file_to_a_file_the_bytes_are_those_of_the_whole(tmp_path):
    size = 100_000
    quantiser = Quantiser((Block("a", 40_000, 0.5), Block("b", 60_000, 0.1)), ("correct",), 10)
    np.linspace(-0.6, 0.6, size, dtype=np.float32).tofile(tmp_path / "update")
    mapped = np.memmap(tmp_path / "update", np.float32, "r")
    layout = layout_of(quantiser.length)
    values, clipped = quantiser.quantise(np.array(mapped), 77, (5,), Stream(SEED, Label.ROUNDING))
    chunks = quantiser.quantise_chunks(mapped, 77, (5,), Stream(SEED, Label.ROUNDING))
    seen = []

    def counted():
        for chunk in chunks:
            seen.append(chunk.clipped)
            yield chunk.values

    with open(tmp_path / "ciphertext", "wb") as sink:
        encrypt_stream(layout, HEADER, counted(), SEED, sink)
    assert (tmp_path / "ciphertext").read_bytes() == encrypt(layout, HEADER, values, SEED)[0].tobytes()
    assert sum(seen) == clipped > 0


def test_a_broken_update_ends_the_stream_with_the_name_of_the_block():
    quantiser = Quantiser((Block("good", 40_000, 0.5), Block("bad", 40_000, 0.5)), (), 10)
    update = np.zeros(80_000, np.float32)
    update[[50_000, 79_999]] = np.nan
    with pytest.raises(InputError, match="block 'bad' holds 2 values of 40000"):
        for _ in quantiser.quantise_chunks(update, 1, (), Stream(SEED, Label.ROUNDING)):
            pass
    with pytest.raises(LocalProtocolError):  # arguments are checked at once, not at the first chunk
        quantiser.quantise_chunks(update[1:], 1, (), Stream(SEED, Label.ROUNDING))


class Nowhere:
    """A sink that counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: memoryview) -> None:
        self.bytes += data.nbytes


@pytest.mark.slow
def test_memory_does_not_grow_with_the_vector(tmp_path):
    def peak(size: int) -> int:
        np.zeros(size, np.float32).tofile(tmp_path / "update")
        mapped, sink = np.memmap(tmp_path / "update", np.float32, "r"), Nowhere()
        quantiser = Quantiser((Block("w", size, 1.0),), (), 10)
        chunks = quantiser.quantise_chunks(mapped, 7, (), Stream(SEED, Label.ROUNDING))
        layout = layout_of(quantiser.length, P4096)
        tracemalloc.start()
        encrypt_stream(layout, HEADER, (chunk.values for chunk in chunks), SEED, sink)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sink.bytes == layout.ciphertext_bytes
        return used

    peak(100_000)  # what is made once per process
    small, large = peak(1_000_000), peak(20_000_000)
    assert large < small + 50_000
    assert large < 4 << 20
