"""Encryption is a function of layout, header, values and seed; its stream form is the same function."""

from __future__ import annotations

import copy
import hashlib
import pickle

import numpy as np
import pytest

from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import P2048, P4096
from fl_core.secagg.encrypt import ElementEncryptor, encrypt, encrypt_into
from fl_core.secagg.public_elements import PublicElements, block_elements
from fl_core.secagg.round_secret import RoundSecret
from fl_core.secret import Secret
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, known, layout_of, values_of
from tests.vectors.secagg import verify

SEED = Secret(known("seed"))


@pytest.mark.parametrize(("params", "length"), [(P2048, 17), (P2048, 4097), (P4096, 8193)])
def test_a_ciphertext_is_that_of_schoolbook_arithmetic(params, length):
    layout = layout_of(length, params)
    values = values_of(layout, "anybody")
    ciphertext, secret = encrypt(layout, HEADER, values, SEED)
    public = verify.public_elements(params.name, HEADER, layout.elements)
    wire = verify.encrypt(params.name, public, values.tolist(), SEED.reveal())
    assert ciphertext.tobytes() == b"".join(map(verify.wire_bytes, wire))
    assert secret.reveal().tolist() == verify.secret_of(params.name, SEED.reveal())


def test_the_same_inputs_give_the_same_bytes_and_any_other_input_gives_others():
    layout = layout_of(17)
    values = values_of(layout, 0)
    other_values = values.copy()
    other_values[16] ^= 1
    base = encrypt(layout, HEADER, values, SEED)[0].tobytes()
    assert encrypt(layout, HEADER, values.copy(), Secret(SEED.reveal()))[0].tobytes() == base
    assert encrypt(layout, HEADER, other_values, SEED)[0].tobytes() != base
    assert encrypt(layout, known("another header"), values, SEED)[0].tobytes() != base
    assert encrypt(layout, HEADER, values, Secret(known("another seed")))[0].tobytes() != base


def test_encrypt_into_writes_the_same_ciphertext_into_the_callers_buffer():
    layout = layout_of(5000)
    values = values_of(layout, 0)
    out = np.full(layout.ciphertext_bytes, 0xAA, np.uint8)
    secret = encrypt_into(layout, HEADER, values, SEED, out)
    expected, expected_secret = encrypt(layout, HEADER, values, SEED)
    assert np.array_equal(out, expected)
    assert np.array_equal(secret.reveal(), expected_secret.reveal())


@pytest.mark.parametrize("step", [1, 3, 8])
def test_the_stream_form_gives_the_same_bytes_whatever_the_block(step):
    layout = layout_of(5 * 4096 + 1)
    values = values_of(layout, 0)
    encryptor = ElementEncryptor(layout, HEADER, SEED)
    rows = np.empty((2, layout.element_bytes), np.uint8)
    encryptor.encrypt_checks(rows)
    hasher = hashlib.sha256(rows.data)
    for first in range(0, layout.payload_elements, step):
        n = min(step, layout.payload_elements - first)
        rows = np.empty((n, layout.element_bytes), np.uint8)
        encryptor.encrypt(values[first * 4096 : (first + n) * 4096], rows)
        hasher.update(rows.data)
    assert hasher.digest() == hashlib.sha256(encrypt(layout, HEADER, values, SEED)[0].data).digest()


def test_values_out_of_range_or_of_another_type_or_number_are_refused():
    layout = layout_of(17)
    good = values_of(layout, 0)
    too_large = good.copy()
    too_large[3] = 1 << 15
    for bad in (
        too_large,
        good[:-1],
        np.append(good, good[0]),
        good.astype(np.int64),
        good.astype(np.float32),
    ):
        with pytest.raises(LocalProtocolError):
            encrypt(layout, HEADER, bad, SEED)
    too_large[3] -= 1
    encrypt(layout, HEADER, too_large, SEED)


def test_a_digest_a_seed_or_a_buffer_of_the_wrong_kind_is_refused():
    layout = layout_of(17)
    values = values_of(layout, 0)
    size = layout.ciphertext_bytes
    with pytest.raises(LocalProtocolError, match="digest"):
        encrypt(layout, HEADER[:31], values, SEED)
    with pytest.raises(LocalProtocolError, match="seed"):
        encrypt(layout, HEADER, values, Secret(bytes(31)))
    read_only = np.zeros(size, np.uint8)
    read_only.flags.writeable = False
    buffers = [
        np.zeros(size + 1, np.uint8),
        np.zeros(size, np.int8),
        np.zeros(2 * size, np.uint8)[::2],
        np.zeros(size + 1, np.uint8)[1:],
        read_only,
    ]
    for out in buffers:
        with pytest.raises(LocalProtocolError):
            encrypt_into(layout, HEADER, values, SEED, out)


def test_ring_elements_are_encrypted_in_order_and_not_twice():
    layout = layout_of(17)
    values = values_of(layout, 0)
    rows = np.empty((1, layout.element_bytes), np.uint8)
    checks = np.empty((2, layout.element_bytes), np.uint8)
    encryptor = ElementEncryptor(layout, HEADER, SEED)
    with pytest.raises(LocalProtocolError, match="in order"):
        encryptor.encrypt(values, rows)
    with pytest.raises(LocalProtocolError, match="come first"):
        encryptor.encrypt_checks(rows)
    encryptor.encrypt_checks(checks)
    with pytest.raises(LocalProtocolError, match="once"):
        encryptor.encrypt_checks(checks)
    encryptor.encrypt(values, rows)
    with pytest.raises(LocalProtocolError, match="nothing beyond"):
        encryptor.encrypt(values, rows)


def test_a_block_larger_than_the_scratch_memory_is_refused():
    step = block_elements(P2048)
    layout = layout_of((step + 1) * 4096)
    encryptor = ElementEncryptor(layout, HEADER, SEED)
    encryptor.encrypt_checks(np.empty((2, layout.element_bytes), np.uint8))
    with pytest.raises(LocalProtocolError, match="a block at a time"):
        encryptor.encrypt(values_of(layout, 0), np.empty((step + 1, layout.element_bytes), np.uint8))


def test_secrets_are_not_shown_compared_or_pickled():
    layout = layout_of(17)
    _, secret = encrypted(layout, 0)
    holders = [secret, ElementEncryptor(layout, HEADER, SEED), PublicElements(P2048, HEADER, secret.reveal())]
    for holder in holders:
        assert "redacted" in repr(holder)
        assert str(secret.reveal()[0]) not in repr(holder)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError, match="compared"):
        assert secret == encrypted(layout, 0)[1]
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError):
            duplicate(secret)
    with pytest.raises(ValueError, match="read-only"):
        secret.reveal()[0] = 0


def test_a_round_secret_is_a_vector_of_residues():
    RoundSecret(P2048, np.full(2048, P2048.modulus - 1, np.uint64))
    for bad in (np.full(2048, P2048.modulus, np.uint64), np.zeros(2047, np.uint64), np.zeros(2048, np.int64)):
        with pytest.raises(LocalProtocolError):
            RoundSecret(P2048, bad)
