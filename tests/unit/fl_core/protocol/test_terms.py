"""Terms: one document for one digest, and types are not guessed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.models import TensorSpec
from fl_core.protocol.terms import MAX_PURPOSE, MAX_TERMS, MAX_TITLE, Terms
from tests.simulators.consortium import TERMS


def document(**changes: object) -> bytes:
    """The canonical form of TERMS with raw JSON values changed, or removed by ``...``."""
    values = {**json.loads(TERMS.encode()), **changes}
    kept = {name: value for name, value in values.items() if value is not ...}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def test_the_digest_is_over_the_canonical_document():
    assert TERMS.digest == digest(Label.TERMS, TERMS.encode())
    assert TERMS.encode() == document()
    assert Terms.decode(document()) == TERMS


REFUSED = {
    "another format": {"format": "suture-terms-v2"},
    "a missing field": {"purpose": ...},
    "an unknown field": {"surprise": 1},
    "a whole number as a fraction": {"rounds": 3.0},
    "a truth value as a number": {"rounds": True},
    "a number as a text": {"rounds": "3"},
    "a fraction of a client": {"n_min": 2.5},
    "no rounds": {"rounds": 0},
    "too many rounds": {"rounds": 1 << 32},
    "no weight cap": {"weight_cap": 0},
    "a title that is a list": {"title": ["x"]},
    "a title without UTF-8": {"title": "\ud800"},
    "a title of two lines": {"title": "Heart study\nAllowed."},
    "a title that hides what follows": {"title": "Heart study\x1b[8m"},
    "a title that turns its letters round": {"title": "Heart \u202eyduts"},
    "a title that is too long": {"title": "x" * (MAX_TITLE + 1)},
    "a purpose of two lines": {"purpose": "Research.\nAllowed."},
    "a purpose that is too long": {"purpose": "x" * (MAX_PURPOSE + 1)},
    "a task with a line break": {"task": "heart\n"},
    "a counter with an escape code": {"counters": ["right\x1b[8m"]},
    "a setting whose name has a line break": {"task_settings": {"x\r": 1}},
    "a setting with a line break": {"task_settings": {"x": "a\nb"}},
    "a setting without UTF-8": {"task_settings": {"x": "\udfff"}},
    "a setting that is a list": {"task_settings": {"x": [1]}},
    "a setting that is a truth value": {"task_settings": {"x": True}},
    "a setting that is not a number": {"task_settings": {"x": float("nan")}},
    "a setting that is infinite": {"task_settings": {"x": float("inf")}},
    "settings that are a list": {"task_settings": []},
    "a clip that is a whole number": {"initial_clip": 1},
    "a clip that is zero": {"clip_floor": 0.0},
    "a clip that is negative": {"clip_factor": -1.0},
    "a clip that is infinite": {"initial_clip": float("inf")},
    "a clip beyond every float": {"initial_clip": 10**400},
    "a reward as a number": {"reward_per_round": 5},
    "a negative reward": {"reward_per_round": "-5"},
    "a reward with a space": {"reward_per_round": " 5"},
    "a reward in other digits": {"reward_per_round": "\u0665"},
    "no tensors": {"tensors": []},
    "tensors out of order": {"tensors": [["w", [2]], ["b", []]]},
    "a tensor twice": {"tensors": [["w", [2]], ["w", [2]]]},
    "a tensor with a bad name": {"tensors": [["../w", [2]]]},
    "more values than a vector has room for": {"tensors": [["w", [1 << 28]]]},
    "more values than a vector has room for, in several tensors": {
        "tensors": [["a", [1 << 27]], ["b", [1 << 27]]]
    },
    "a shape that is not of integers": {"tensors": [["w", [2.0]]]},
    "a shape that is a truth value": {"tensors": [["w", [True]]]},
    "counters that are a text": {"counters": "abc"},
    "a counter that is a number": {"counters": [1]},
}


def test_a_title_and_a_purpose_of_the_greatest_length_are_read():
    longest = document(title="ü" * MAX_TITLE, purpose="x" * MAX_PURPOSE)
    assert len(Terms.decode(longest).title) == MAX_TITLE


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_document_that_breaks_a_rule_is_rejected(changes):
    with pytest.raises(DecodeError):
        Terms.decode(document(**changes))


SAID = {
    "another format": "its format is not 'suture-terms-v1'",
    "a missing field": "it lacks purpose",
    "an unknown field": "nobody knows its field 'surprise'",
    "a number as a text": "rounds is a whole number",
    "a title that is a list": "title is a text",
    "a title without UTF-8": "a text, the title for instance, has characters that are not printed",
    "a title of two lines": "a text, the title for instance, has characters that are not printed",
    "a title that is too long": f"a title has at most {MAX_TITLE} characters",
    "a setting that is infinite": "a number that JSON does not have",
    "a clip that is a whole number": "initial_clip is a number with a decimal point",
    "a negative reward": "reward_per_round is a whole number, at least 0, in quotes",
    "a tensor with a bad name": "a tensor's name has 1 to 256 characters",
    "a shape that is not of integers": "tensors are pairs of a name and a list of whole numbers",
    "counters that are a text": "counters are a list of names",
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_wrong_with_a_document_is_said(what):
    with pytest.raises(DecodeError) as refused:
        Terms.decode(document(**REFUSED[what]))
    assert refused.value.message.startswith("terms: ") and SAID[what] in refused.value.message


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_no_refused_document_is_told_by_the_name_of_an_exception_only(changes):
    with pytest.raises(DecodeError) as refused:
        Terms.decode(document(**changes))
    assert "Error)" not in refused.value.message


def test_a_field_that_nobody_knows_is_quoted_in_short_and_writes_nothing_into_a_terminal():
    with pytest.raises(DecodeError) as refused:
        Terms.decode(document(**{"\x1b[8m" + "\u202ex" * 5000: 1}))
    assert len(refused.value.message) < 400 and refused.value.message.isprintable()


def test_a_document_that_is_no_json_is_told_with_the_place():
    with pytest.raises(DecodeError, match=r"not JSON in UTF-8 \(line 2, column 9: Expecting value\)"):
        Terms.decode(b'{"a":\n        ,"b"}')
    with pytest.raises(DecodeError, match=r"\(byte 3\)"):
        Terms.decode(b"{ \xff")


def test_a_setting_beyond_every_float_is_no_setting():
    with pytest.raises(DecodeError, match="settings are finite numbers and strings"):
        Terms.decode(document(task_settings={"x": 1.5}).replace(b"1.5", b"1e400"))


@pytest.mark.parametrize("data", [b"[]", b"1", b'"suture-terms-v1"', b"null", b"{}"])
def test_json_that_is_no_object_is_no_terms_document(data):
    with pytest.raises(DecodeError, match="its format is not"):
        Terms.decode(data)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text + b"\n",
        lambda text: text.replace(b'":', b'": ', 1),
        lambda text: text.replace(b'"rounds":3', b'"rounds":3,"rounds":3'),
        lambda text: text.replace(b'"rounds":3', b'"rounds":\\u0033'),
        lambda text: text.replace(b"A test", b"\\u0041 test"),
        lambda text: text.decode().encode("utf-16"),
    ],
)
def test_another_spelling_of_the_same_terms_is_rejected(spelling):
    with pytest.raises(DecodeError):
        Terms.decode(spelling(document()))


@pytest.mark.parametrize("depth", [100, 300, 450, 900, 100_000])
def test_deep_nesting_is_rejected_at_every_depth(depth):
    nested = document(task_settings={"x": "HERE"}).replace(b'"HERE"', b"[" * depth + b"]" * depth)
    with pytest.raises(DecodeError):
        Terms.decode(nested)


def test_an_over_long_document_is_rejected_before_it_is_read():
    with pytest.raises(DecodeError, match=f"at most {MAX_TERMS} bytes"):
        Terms.decode(b" " * (MAX_TERMS + 1))


def test_the_same_rules_hold_for_terms_that_are_made_here():
    for changes in ({"rounds": 3.0}, {"tensors": ()}, {"task_settings": {"x": None}}, {"counters": (1,)}):
        with pytest.raises(ValueError):
            replace(TERMS, **changes)
    assert replace(TERMS, tensors=(TensorSpec("only", ()),)).encode()
