"""Streams are AES-256-CTR keystreams, one for each seed and label, and fill exactly what they are given."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError
from fl_core.randomness import SEED_SIZE, Stream, SystemRandomSource
from fl_core.secret import Secret

SEED = bytes(range(SEED_SIZE))
STREAMS = [label for label in Label if label.value.startswith("suture/v1/stream/")]


def first(seed: bytes | Secret, label: Label, size: int) -> bytes:
    out = np.empty(size, np.uint8)
    Stream(seed, label).fill(out)
    return out.tobytes()


def test_a_stream_is_aes_256_in_counter_mode_from_zero_under_a_derived_key():
    key = digest(Label.STREAM, Label.ERRORS.value.encode(), SEED)
    expected = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(100))
    assert first(SEED, Label.ERRORS, 100) == expected


def test_a_secret_seed_and_a_public_seed_give_the_same_stream():
    assert first(Secret(SEED), Label.ERRORS, 64) == first(SEED, Label.ERRORS, 64)


def test_every_label_and_every_seed_has_a_stream_of_its_own():
    streams = [first(seed, label, 64) for label in STREAMS for seed in (SEED, bytes(SEED_SIZE))]
    assert len(STREAMS) >= 4
    assert all(one != other for one, other in combinations(streams, 2))


@pytest.mark.parametrize("size", [0, SEED_SIZE - 1, SEED_SIZE + 1])
def test_a_seed_has_exactly_32_bytes(size):
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        Stream(bytes(size), Label.SECRET)


@given(st.lists(st.integers(0, 90), max_size=8))
def test_pieces_of_a_stream_are_consecutive_whatever_their_sizes(sizes):
    whole = first(SEED, Label.SHARING, sum(sizes))
    stream, pieces = Stream(SEED, Label.SHARING), []
    for size in sizes:
        out = np.full(size, 0xAA, np.uint8)
        stream.fill(out)
        pieces.append(out.tobytes())
    assert b"".join(pieces) == whole


def test_more_than_one_buffer_of_zeros_is_filled_to_the_end():
    size = (1 << 20) + 17
    out = first(SEED, Label.SHARING, size)
    assert out[:64] == first(SEED, Label.SHARING, 64)
    assert len(set(out[-17:])) > 1
    assert out[1 << 20 :] != out[:17]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_words_of_every_width_are_filled_in_rows(dtype):
    out = np.zeros((3, 5), dtype)
    Stream(SEED, Label.ERRORS).fill(out)
    assert out.tobytes() == first(SEED, Label.ERRORS, out.nbytes)


def test_an_array_that_cannot_be_written_is_refused():
    out = np.zeros(4, np.uint8)
    out.flags.writeable = False
    with pytest.raises((TypeError, ValueError, BufferError)):
        Stream(SEED, Label.ERRORS).fill(out)


def test_an_array_with_gaps_is_refused_or_filled():
    out = np.zeros((4, 8), np.uint8)[:, ::2]
    try:
        Stream(SEED, Label.ERRORS).fill(out)
    except LocalProtocolError:
        return
    assert out.any()


def test_a_stream_does_not_show_its_key():
    assert repr(Stream(SEED, Label.ERRORS)) == "Stream(<redacted>)"


def test_the_operating_system_gives_fresh_secrets_of_the_asked_size():
    source = SystemRandomSource()
    one, other = source.secret(32), source.secret(32)
    assert len(one) == len(other) == 32
    assert one != other


def test_nothing_in_the_core_but_this_module_reaches_a_generator():
    pattern = re.compile(r"urandom|import secrets|import random\b|np\.random|default_rng|getrandbits")
    core = Path(__file__).resolve().parents[3] / "fl_core"
    assert [path.name for path in core.rglob("*.py") if pattern.search(path.read_text())] == ["randomness.py"]
