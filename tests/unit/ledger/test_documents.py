"""Metrics and rewards documents: an auditor makes the same bytes from the same numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_core.errors import DecodeError
from ledger.documents import MAX_DOCUMENT, decode_rewards, encode_metrics, encode_rewards, metrics_salt
from tests.simulators.dry_round import DryRound

RUN, SALT = b"\x0a" * 32, b"\x05" * 32
ACCOUNTS = st.binary(min_size=20, max_size=20)


@pytest.fixture(scope="module")
def opened():
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    return dry.header, dry.open(dry.key(0, 1, 2))


def test_metrics_say_what_was_summed_and_nothing_of_a_single_holder(opened):
    header, aggregate = opened
    assert json.loads(encode_metrics(header, aggregate, SALT)) == {
        "format": "suture-metrics-v1",
        "round": 1,
        "contributions": 4,
        "weight_units": aggregate.weight_units,
        "counters": {"right": 6},
        "aggregate": aggregate.digest.hex(),
        "failed_elements": [],
        "salt": SALT.hex(),
    }


def test_metrics_are_canonical_and_their_salt_can_be_taken_out_to_make_them_again(opened):
    document = encode_metrics(*opened, SALT)
    assert metrics_salt(document) == SALT
    assert encode_metrics(*opened, metrics_salt(document)) == document
    assert encode_metrics(*opened, bytes(32)) != document
    assert encode_metrics(opened[0], replace(opened[1], weight_units=5), SALT) != document


@pytest.mark.parametrize(
    "document", [b"", b"null", b"[]", b"{}", b'{"salt":5}', b'{"salt":"xy"}', b'{"salt":null}', b"\xff"]
)
def test_metrics_without_a_salt_are_rejected(document):
    with pytest.raises(DecodeError):
        metrics_salt(document)


@given(st.dictionaries(ACCOUNTS, st.integers(0, 2**256 - 1), max_size=5))
def test_rewards_are_read_as_they_were_written(cumulative):
    document = encode_rewards(RUN, cumulative)
    assert decode_rewards(document) == cumulative
    assert encode_rewards(RUN, dict(reversed(cumulative.items()))) == document


def rewards(**changes):
    values = {"format": "suture-rewards-v1", "run": RUN.hex(), "earned": {"aa" * 20: "5"}, **changes}
    return json.dumps(
        {k: v for k, v in values.items() if v is not ...}, sort_keys=True, separators=(",", ":")
    ).encode()


def test_the_form_of_rewards_is_this_one():
    assert rewards() == encode_rewards(RUN, {b"\xaa" * 20: 5})


@pytest.mark.parametrize(
    "document",
    [
        rewards(format="other"), rewards(run=...), rewards(run=5), rewards(run="xy"), rewards(earned=...), rewards(earned=[]),
        rewards(earned={"aa": 5}), rewards(earned={"zz": "5"}), rewards(earned={"aa": "5.0"}), rewards(earned={"aa": " 5"}),
        rewards(earned={"aa": "+5"}), rewards(earned={"aa": "05"}), rewards(earned={"AA": "5"}), rewards(earned={"a a": "5"}),
        rewards(surprise=1), rewards() + b" ", rewards().replace(b":", b": "), b"null", b"[]", b"", b"\xff",
        rewards(earned={"aa": "9" * 5000}), rewards(earned={"aa" * 20: float("inf")}), rewards(earned={"aa" * 20: 5}),
        rewards(earned={"aa" * 20: "5"}).replace(b'"5"', b"1e999"),
    ],
)  # fmt: skip
def test_rewards_in_any_other_form_are_rejected(document):
    with pytest.raises(DecodeError):
        decode_rewards(document)


@pytest.mark.parametrize("read", [decode_rewards, metrics_salt])
def test_an_over_long_document_is_rejected_before_it_is_read(read):
    with pytest.raises(DecodeError, match=f"at most {MAX_DOCUMENT} bytes"):
        read(b" " * (MAX_DOCUMENT + 1))


@pytest.mark.parametrize("earned", [{"aa" * 20: "-5"}, {"aa": "5"}])
def test_rewards_are_not_negative_and_belong_to_accounts(earned):
    with pytest.raises(DecodeError):
        decode_rewards(rewards(earned=earned))
