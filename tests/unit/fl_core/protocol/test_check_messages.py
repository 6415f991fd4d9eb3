"""The share check's two messages: what they may hold, and their limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_core.errors import DecodeError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.check_messages import (
    MAX_CHECK_ANSWER,
    NO_VALUE,
    VALUE_BYTES,
    CheckAnswer,
    CheckRequest,
    decode_values,
    encode_values,
)
from fl_core.protocol.header import MAX_COHORT
from fl_core.protocol.messages import MAX_REQUEST
from tests.simulators.dry_round import DryRound


@pytest.fixture(scope="module")
def dry():
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    return dry


@pytest.fixture(scope="module")
def request_(dry):
    return dry.check_request(0)


@pytest.fixture(scope="module")
def answer(dry):
    return dry.check_answer(0)


def test_a_request_and_an_answer_are_read_as_they_were_written(request_, answer):
    assert CheckRequest.decode(request_.encode()) == request_
    assert CheckAnswer.decode(answer.encode()) == answer


def test_bytes_after_the_end_and_a_cut_are_refused(request_, answer):
    for message in (request_, answer):
        for broken in (message.encode() + b"\0", message.encode()[:-1]):
            with pytest.raises(DecodeError):
                type(message).decode(broken)


def test_the_accepted_set_is_ascending_without_repetition(request_):
    first, second, *rest = request_.accepted
    for broken in ((second, first, *rest), (first, first, second)):
        with pytest.raises(ValueError, match="ascending order"):
            replace(request_, accepted=broken)


def test_an_accepted_set_out_of_order_is_rejected_on_the_wire(request_):
    broken = object.__new__(CheckRequest)
    for name in ("header", "accepted", "receipt"):
        value = getattr(request_, name)
        object.__setattr__(broken, name, value[::-1] if name == "accepted" else value)
    with pytest.raises(DecodeError, match="ascending order"):
        CheckRequest.decode(CheckRequest.encode(broken))


def test_digests_receipts_and_signatures_have_their_sizes(request_, answer):
    for call in (
        lambda: replace(request_, header=bytes(31)),
        lambda: replace(request_, receipt=bytes(64)),
        lambda: replace(answer, signature=bytes(64)),
        lambda: replace(answer.statement, accepted=bytes(31)),
        lambda: replace(answer.statement, values=bytes(33)),
        lambda: replace(answer.statement, round=0),
    ):
        with pytest.raises(ValueError, match=r"bytes|length|round"):
            call()
    assert replace(request_, receipt=bytes(65))


def test_no_value_has_an_encoding_and_lies_above_every_modulus(answer):
    assert all(params.modulus <= NO_VALUE for params in PARAMETER_SETS.values())
    silent = replace(answer, values=(0, NO_VALUE, 1))
    assert CheckAnswer.decode(silent.encode()).values == (0, NO_VALUE, 1)


@pytest.mark.parametrize("values", [(), (0,), (1 << 40, NO_VALUE, 5)])
def test_values_are_little_endian_words(values):
    encoded = encode_values(values)
    assert len(encoded) == VALUE_BYTES * len(values)
    assert decode_values(encoded) == values
    assert encode_values((258,)) == b"\x02\x01" + bytes(6)


def test_a_part_of_a_value_is_refused(answer):
    for size in (9, 8 * (MAX_COHORT + 1)):
        with pytest.raises(DecodeError, match="8 bytes"):
            decode_values(bytes(size))
    assert len(decode_values(bytes(8 * MAX_COHORT))) == MAX_COHORT
    whole = encode_values(answer.values)
    encoded = answer.encode()
    cut = encoded.replace(
        len(whole).to_bytes(4, "big") + whole, (len(whole) - 1).to_bytes(4, "big") + whole[:-1]
    )
    with pytest.raises(DecodeError, match="values: at most"):
        CheckAnswer.decode(cut)


def test_an_answer_for_the_largest_cohort_fits_and_a_larger_one_is_not_read(answer):
    largest = replace(answer, values=(NO_VALUE,) * MAX_COHORT)
    assert len(largest.encode()) <= MAX_CHECK_ANSWER
    assert CheckAnswer.decode(largest.encode()) == largest
    with pytest.raises(DecodeError, match=f"{MAX_CHECK_ANSWER}"):
        CheckAnswer.decode(bytes(MAX_CHECK_ANSWER + 1))


def test_a_request_beyond_its_limit_is_not_read():
    class Long(bytes):
        def __len__(self):
            return MAX_REQUEST + 1

    with pytest.raises(DecodeError, match=f"{MAX_REQUEST}"):
        CheckRequest.decode(Long())
