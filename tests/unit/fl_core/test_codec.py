"""The wire form field by field: what is written is what is read, and only that."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_core.codec import MAX_JSON_DEPTH, Reader, Writer, construct, read_json
from fl_core.errors import DecodeError, LocalProtocolError

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.parametrize(
    "bits", [0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0x7FF0000000000001, 1 << 63]
)
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


# ---------------------------------------------------------------------- JSON


def json_of(data: bytes, limit: int = 1 << 20) -> object:
    return read_json(data, limit=limit, what="test document")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda children: (
            st.lists(children) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children)
        ),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_json_is_read_as_it_was_written_whatever_its_strings_hold(value, ascii_only):
    assert json_of(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"]]]]":', b'["\\"]",'])
def test_nesting_is_bounded_before_the_document_is_parsed(opening):
    with pytest.raises(DecodeError, match=f"deeper than {MAX_JSON_DEPTH} levels"):
        json_of(opening * (MAX_JSON_DEPTH + 1))
    with pytest.raises(DecodeError, match="not JSON"):
        json_of(opening * MAX_JSON_DEPTH)  # as deep as allowed, but never closed


def test_lists_and_objects_are_counted_where_a_form_says_how_many_there_are():
    document = b'{"a[{": [1, 2], "b": {"c": "[]{}"}}'
    assert read_json(document, limit=100, what="test document", containers=3) == json.loads(document)
    with pytest.raises(DecodeError, match="more than 2 lists and objects"):
        read_json(document, limit=100, what="test document", containers=2)


def test_the_deepest_allowed_document_is_read_and_brackets_in_strings_do_not_count():
    value = json_of(b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH)
    for _ in range(MAX_JSON_DEPTH - 1):
        (value,) = value
    assert value == []
    assert json_of(b'["' + b"[" * 100 + b'"]') == ["[" * 100]
    assert json_of(b'["\\"' + b"[" * 100 + b'"]') == ['"' + "[" * 100]
    assert json_of(b"[" + b"[],{}," * 100 + b"0]")[-1] == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b'"',
        b'"\\',
        b"nul",
        b"\xff",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32-le"),
        b"1" * 5000,
    ],
)
def test_what_is_not_json_in_utf_8_is_rejected(data):
    with pytest.raises(DecodeError, match="not JSON in UTF-8"):
        json_of(data)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_python_adds_to_json_is_not_read(constant):
    with pytest.raises(DecodeError, match="not JSON"):
        json_of(b'{"a":[' + constant + b"]}")


def test_an_over_long_document_is_rejected_before_it_is_looked_at():
    with pytest.raises(DecodeError, match="at most 3 bytes are accepted, 4 came"):
        json_of(b"\xff\xff\xff\xff", limit=3)
    assert json_of(b"[1]", limit=3) == [1]


def test_a_long_hostile_document_costs_no_more_than_its_length():
    started = time.monotonic()
    for hostile in (
        b'"' + b'\\"' * 500_000,
        b'"' * 1_000_001,
        b"[" * 1_000_000,
        b"[]" * 300_000,
        b"\\" * 1_000_000,
    ):
        with pytest.raises(DecodeError):
            json_of(hostile, limit=1 << 21)
    assert time.monotonic() - started < 10


def test_brackets_do_not_end_a_process_whose_recursion_limit_a_library_has_raised():
    """Some libraries of the ledger set the limit to 100,000; the parser's own guard is then beyond the C stack."""
    program = (
        "import sys; sys.setrecursionlimit(100_000)\n"
        "from fl_core.codec import read_json\nfrom fl_core.errors import DecodeError\n"
        "try: read_json(b'[' * 1_000_000, limit=1 << 24, what='it')\nexcept DecodeError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"it: nested deeper than {MAX_JSON_DEPTH} levels")
