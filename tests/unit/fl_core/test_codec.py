"""The wire form field by field: what is written is what is read, and only that."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_core.codec import Reader, Writer, construct
from fl_core.errors import DecodeError, LocalProtocolError


def reader(data: bytes, limit: int = 1 << 20) -> Reader:
    return Reader(data, limit=limit, what="test message")


def written(method: str, *arguments: object) -> bytes:
    w = Writer()
    getattr(w, method)(*arguments)
    return w.bytes()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("uint", 0x0102, 2), "0102"),
        (("uint", 0, 8), "0000000000000000"),
        (("fixed", b"ab", 2), "6162"),
        (("opaque", b"ab", 9), "000000026162"),
        (("opaque", b"", 0), "00000000"),
        (("text", "é", 2), "00000002c3a9"),
        (("float64", 1.0), "3ff0000000000000"),
        (("count", 3, 3), "00000003"),
    ],
)
def test_a_field_has_the_documented_bytes(call, expected):
    assert written(*call).hex() == expected


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 256**n - 1))))
def test_an_integer_is_read_as_it_was_written(size_and_value):
    size, value = size_and_value
    assert reader(written("uint", value, size)).uint(size) == value


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: math.copysign(1, x) > 0 or x != 0))
def test_a_finite_number_is_read_as_it_was_written(value):
    assert reader(written("float64", value)).float64() == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_read_as_it_was_written(value):
    assert reader(written("text", value, 1 << 10)).text(1 << 10) == value


@pytest.mark.parametrize("bits", [0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0x7FF0000000000001, 1 << 63])
def test_infinities_not_a_number_and_minus_zero_are_neither_written_nor_read(bits):
    data = bits.to_bytes(8, "big")
    (value,) = struct.unpack(">d", data)
    with pytest.raises(LocalProtocolError):
        written("float64", value)
    with pytest.raises(DecodeError, match="not finite or is minus zero"):
        reader(data).float64()


def test_plus_zero_is_written_and_read():
    assert reader(written("float64", 0.0)).float64() == 0.0


@pytest.mark.parametrize(
    "call",
    [
        ("uint", 256, 1),
        ("uint", -1, 4),
        ("fixed", b"abc", 2),
        ("opaque", b"abc", 2),
        ("text", "é", 1),
        ("text", "\ud800", 9),
        ("count", 4, 3),
        ("count", -1, 3),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_our_own_error(call):
    with pytest.raises(LocalProtocolError):
        written(*call)


def test_a_length_is_checked_against_its_limit_before_the_bytes_are_looked_for():
    with pytest.raises(DecodeError, match="a field of at most 5 bytes claims 4294967295"):
        reader(b"\xff\xff\xff\xff").opaque(5)
    with pytest.raises(DecodeError, match="a list of at most 5 entries claims 6"):
        reader(b"\x00\x00\x00\x06").count(5)


def test_a_length_within_its_limit_is_checked_against_what_is_there():
    with pytest.raises(DecodeError, match="cut off at byte 4"):
        reader(b"\x00\x00\x00\x05abcd").opaque(5)
    assert reader(b"\x00\x00\x00\x05abcde").opaque(5) == b"abcde"


def test_a_message_is_measured_before_it_is_read():
    with pytest.raises(DecodeError, match="at most 2 bytes are accepted, 3 came"):
        reader(b"abc", limit=2)
    assert reader(b"ab", limit=2).fixed(2) == b"ab"


def test_text_that_is_not_utf_8_is_rejected():
    for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"):  # no start, over-long slash, lone surrogate
        with pytest.raises(DecodeError, match="not UTF-8"):
            reader(written("opaque", bad, 9)).text(9)


def test_trailing_bytes_are_rejected_and_counted():
    r = reader(b"abc")
    r.fixed(1)
    with pytest.raises(DecodeError, match="2 bytes trail"):
        r.end()
    r.fixed(2)
    r.end()


def test_a_field_that_was_cut_off_takes_nothing():
    r = reader(b"ab")
    with pytest.raises(DecodeError):
        r.fixed(3)
    assert r.fixed(2) == b"ab"


def test_a_reader_does_not_alias_what_it_was_given():
    data = bytearray(b"abcd")
    taken = reader(data).fixed(4)  # type: ignore[arg-type]
    data[0] = 0
    assert taken == b"abcd"


def test_a_broken_rule_of_a_message_becomes_a_decode_error_that_names_it():
    def build() -> None:
        raise ValueError("rule")

    with pytest.raises(DecodeError, match="thing: rule"):
        construct("thing", build)
    assert construct("thing", lambda: 5) == 5


def test_a_bug_in_a_constructor_is_not_blamed_on_the_peer():
    with pytest.raises(ZeroDivisionError):
        construct("thing", lambda: 1 // 0)
