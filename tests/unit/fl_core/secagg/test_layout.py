"""Lengths and places in a ciphertext."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.lattice.parameters import P2048, P4096, PACK15
from fl_core.secagg.layout import MAX_LENGTH, Layout
from tests.unit.fl_core.secagg.parties import layout_of


@pytest.mark.parametrize(
    ("params", "length", "payload"),
    [
        (P4096, 1, 1),
        (P4096, 8192, 1),
        (P4096, 8193, 2),
        (P2048, 4096, 1),
        (P2048, 4097, 2),
        (P4096, 11_000_000, 1343),
    ],
)
def test_a_ciphertext_is_two_check_elements_and_the_payload(params, length, payload):
    layout = layout_of(length, params)
    assert layout.payload_elements == payload
    assert layout.elements == payload + 2
    assert layout.element_bytes == 6 * params.degree
    assert layout.ciphertext_bytes == (payload + 2) * 6 * params.degree


def test_a_large_model_costs_three_bytes_per_parameter():
    assert layout_of(11_000_000, P4096).ciphertext_bytes / 11_000_000 == pytest.approx(3.005, abs=0.001)


@pytest.mark.parametrize("length", [0, -1, MAX_LENGTH + 1])
def test_a_length_out_of_range_is_refused(length):
    with pytest.raises(LocalProtocolError, match="values"):
        layout_of(length)


def test_a_packing_whose_sum_exceeds_the_plain_modulus_is_refused():
    wide = dataclasses.replace(PACK15, slots=3)
    with pytest.raises(LocalProtocolError, match="plain modulus"):
        Layout(params=P4096, packing=wide, length=1)


def test_a_packing_whose_noise_exceeds_half_of_delta_is_refused():
    crowd = dataclasses.replace(PACK15, value_bits=8, max_parties=128)
    with pytest.raises(LocalProtocolError, match="noise"):
        Layout(params=P4096, packing=crowd, length=1)


def test_rows_are_a_read_only_view_of_the_very_bytes():
    layout = layout_of(17)
    buffer = bytearray(layout.ciphertext_bytes)
    for form in (buffer, memoryview(buffer), np.frombuffer(buffer, np.uint8)):
        rows = layout.rows(form)
        buffer[layout.element_bytes] ^= 1
        assert rows.shape == (3, layout.element_bytes)
        assert rows[1, 0] == buffer[layout.element_bytes]
        assert not rows.flags.writeable
    assert np.shares_memory(layout.rows(bytes(buffer)), layout.rows(buffer)) is False


@pytest.mark.parametrize("off", [-1, 1])
def test_a_ciphertext_of_another_size_is_refused(off):
    layout = layout_of(17)
    with pytest.raises(DecodeError, match=str(layout.ciphertext_bytes)):
        layout.rows(bytes(layout.ciphertext_bytes + off))


def test_a_buffer_with_gaps_is_refused():
    layout = layout_of(17)
    gaps = np.zeros(2 * layout.ciphertext_bytes, np.uint8)[::2]
    with pytest.raises(DecodeError):
        layout.rows(gaps)
