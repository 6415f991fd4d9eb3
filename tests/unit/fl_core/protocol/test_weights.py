"""The messages that open weights, their frozen vectors, and every check on them at its bound."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.header import MAX_COHORT
from fl_core.protocol.member import Committed
from fl_core.protocol.setup import quantiser_of
from fl_core.protocol.weights import (
    MAX_WEIGHT_OPENING,
    MAX_WEIGHT_REQUEST,
    WeightOpening,
    WeightRequest,
    check_weight_request,
    commit_weight,
    verify_weight_opening,
    verify_weight_sum,
)
from tests.simulators.dry_round import DryRound
from tests.vectors.weights import generate, verify

VECTOR = verify.load()
HEADER, SALT = b"\x01" * 32, b"\x02" * 32
ACCOUNTS = (b"\x03" * 20, b"\x04" * 20, b"\x05" * 20)
REQUEST = WeightRequest(header=HEADER, included=tuple((account, b"\x06" * 32) for account in ACCOUNTS))
OPENING = WeightOpening(header=HEADER, member=ACCOUNTS[0], units=7, salt=SALT)
READERS = {"spoilt_requests": WeightRequest.decode, "spoilt_openings": WeightOpening.decode}


# ---------------------------------------------------------------- what a message may hold


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_request_takes_no_header_of_another_length(size):
    with pytest.raises(ValueError, match="header's digest has 32 bytes"):
        replace(REQUEST, header=bytes(size))


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_request_takes_no_contribution_of_another_length(at, size):
    included = list(REQUEST.included)
    included[at] = (ACCOUNTS[at], bytes(size))
    with pytest.raises(ValueError, match="contribution's digest has 32 bytes"):
        replace(REQUEST, included=tuple(included))


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("size", [19, 21])
def test_a_request_takes_no_account_of_another_length(at, size):
    included = list(REQUEST.included)
    included[at] = ((ACCOUNTS[at] + b"\0")[:size], b"\x06" * 32)
    with pytest.raises(ValueError, match="wrong length"):
        replace(REQUEST, included=tuple(included))


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 0, 1), (0, 1, 1)])
def test_the_included_are_ascending_without_repetition(order):
    with pytest.raises(ValueError, match="ascending order"):
        replace(REQUEST, included=tuple(REQUEST.included[i] for i in order))


@pytest.mark.parametrize(
    ("field", "size"),
    [("header", 31), ("header", 33), ("member", 19), ("member", 21), ("salt", 31), ("salt", 33)],
)
def test_an_opening_takes_no_field_of_another_length(field, size):
    with pytest.raises(ValueError, match="32 bytes, an account 20, a salt 32"):
        replace(OPENING, **{field: bytes(size)})


@pytest.mark.parametrize("units", [-1, 0, 2**32])
def test_an_opening_takes_no_weight_out_of_range(units):
    with pytest.raises(ValueError, match="a weight is at least 1"):
        replace(OPENING, units=units)


@pytest.mark.parametrize("units", [1, 2**32 - 1])
def test_an_opening_takes_the_ends_of_the_range(units):
    opening = replace(OPENING, units=units)
    assert WeightOpening.decode(opening.encode()) == opening


def test_an_openings_text_shows_neither_weight_nor_salt():
    assert repr(OPENING) == f"WeightOpening(member={ACCOUNTS[0].hex()})"


# ---------------------------------------------------------------- decoders


@pytest.mark.parametrize("message", [REQUEST, OPENING], ids=["request", "opening"])
def test_a_message_is_read_as_it_was_written_and_cut_nowhere(message):
    data = message.encode()
    assert type(message).decode(data) == message
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            type(message).decode(data[:size])
    with pytest.raises(DecodeError, match="1 bytes"):
        type(message).decode(data + b"\0")


@pytest.mark.parametrize("message", [REQUEST, OPENING], ids=["request", "opening"])
@pytest.mark.parametrize("version", [0, 2, 2**16 - 1])
def test_another_version_is_refused(message, version):
    with pytest.raises(DecodeError, match=f"the message has version {version}"):
        type(message).decode(version.to_bytes(2, "big") + message.encode()[2:])


@pytest.mark.parametrize(
    ("kind", "limit"), [(WeightRequest, MAX_WEIGHT_REQUEST), (WeightOpening, MAX_WEIGHT_OPENING)]
)
def test_a_message_beyond_its_limit_is_not_read(kind, limit):
    with pytest.raises(DecodeError, match=f"at most {limit} bytes are accepted, {limit + 1} came"):
        kind.decode(bytes(limit + 1))


def test_a_request_for_the_largest_cohort_fits():
    pairs = tuple((i.to_bytes(20, "big"), bytes(32)) for i in range(MAX_COHORT))
    largest = WeightRequest(header=HEADER, included=pairs)
    assert len(largest.encode()) <= MAX_WEIGHT_REQUEST
    assert WeightRequest.decode(largest.encode()) == largest


# ---------------------------------------------------------------- vectors


def test_the_independent_verifier_accepts_the_vectors():
    verify.verify(VECTOR)


def test_the_independent_verifier_imports_nothing_of_ours():
    tree = ast.parse(Path(verify.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {n.module if isinstance(n, ast.ImportFrom) else a.name for n in imports for a in n.names}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("field", ["member", "units", "salt", "commitment", "opening"])
def test_the_independent_verifier_refuses_a_changed_record(field):
    vector = verify.load()
    first, second = vector["openings"][:2]
    first[field] = second[field]
    with pytest.raises(AssertionError):
        verify.verify(vector)


@pytest.mark.parametrize("kind", READERS)
def test_the_independent_verifier_refuses_a_good_message_that_is_said_to_be_spoilt(kind):
    vector = verify.load()
    good = vector["request"] if kind == "spoilt_requests" else vector["openings"][0]["opening"]
    vector[kind][0]["message"] = good
    with pytest.raises(AssertionError, match="a byte is added"):
        verify.verify(vector)


def test_the_vectors_are_generated_byte_for_byte():
    assert generate.encoded() == verify.FILE.read_text("utf-8")


def test_our_code_writes_and_reads_the_vectors():
    included = tuple((bytes.fromhex(member), bytes.fromhex(value)) for member, value in VECTOR["included"])
    request = WeightRequest(header=bytes.fromhex(VECTOR["header"]), included=included)
    assert request.encode().hex() == VECTOR["request"]
    assert WeightRequest.decode(bytes.fromhex(VECTOR["request"])) == request
    for entry in VECTOR["openings"]:
        opening = WeightOpening.decode(bytes.fromhex(entry["opening"]))
        assert (opening.member.hex(), opening.units, opening.salt.hex()) == (
            entry["member"],
            entry["units"],
            entry["salt"],
        )
        made = commit_weight(opening.header, opening.member, opening.salt, opening.units)
        assert made.hex() == entry["commitment"]


@pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind in READERS for case in VECTOR[kind]],
    ids=lambda v: v["name"] if isinstance(v, dict) else v,
)
def test_our_code_reads_no_spoilt_message(kind, case):
    with pytest.raises(DecodeError):
        READERS[kind](bytes.fromhex(case["message"]))


@pytest.mark.parametrize("case", VECTOR["false_openings"], ids=lambda case: case["name"])
def test_our_code_finds_another_commitment_for_a_false_opening(case):
    opening = WeightOpening.decode(bytes.fromhex(case["opening"]))
    made = commit_weight(opening.header, opening.member, opening.salt, opening.units)
    assert made.hex() != case["commitment"]


# ---------------------------------------------------------------- the checks of a client


@pytest.fixture(scope="module")
def dry():
    dry = DryRound(4)
    for position in range(4):
        dry.prepared = [*getattr(dry, "prepared", []), dry.prepare(position)]
        dry.deliver(dry.prepared[position].frame)
    return dry


class Asked:
    """A client's view of an honest question; ``check`` takes what is different."""

    def __init__(self, dry):
        self.dry, self.me = dry, dry.parties[1].address
        self.request = WeightRequest(header=dry.header.digest, included=dry.pairs)

    def committed(self, pairs):
        root = self.dry.notary.root(pairs)
        return Committed(
            accepted_root=root,
            accepted_count=len(pairs),
            included_root=root,
            included_count=len(pairs),
            signers=self.dry.signers,
        )

    def check(self, **changes):
        arguments = {
            "request": self.request,
            "me": self.me,
            "contribution": dict(self.dry.pairs)[self.me],
            "committed": self.committed(self.dry.pairs),
            "notary": self.dry.notary,
            **changes,
        }
        check_weight_request(arguments.pop("header", self.dry.header), arguments.pop("request"), **arguments)


@pytest.fixture
def asked(dry):
    return Asked(dry)


def test_an_honest_question_passes(asked):
    asked.check()


def test_a_question_for_another_header_is_refused(asked):
    with pytest.raises(VerificationError, match=r"check \(1\)"):
        asked.check(request=replace(asked.request, header=HEADER))


def test_a_question_about_another_set_than_the_ledgers_is_refused(asked):
    fewer = asked.dry.pairs[:3]
    with pytest.raises(VerificationError, match=r"check \(2\)"):
        asked.check(request=replace(asked.request, included=fewer))
    for changes in ({"included_root": bytes(32)}, {"included_count": 3}, {"included_count": 5}):
        with pytest.raises(VerificationError, match=r"check \(2\)"):
            asked.check(committed=replace(asked.committed(asked.dry.pairs), **changes))


def test_an_included_set_may_be_as_small_as_n_min_and_no_smaller(asked):
    header = replace(asked.dry.header, n_min=4)
    asked.check(header=header, request=replace(asked.request, header=header.digest))
    smaller = asked.dry.pairs[:3]
    with pytest.raises(VerificationError, match=r"check \(2\)"):
        asked.check(
            header=header,
            request=WeightRequest(header=header.digest, included=smaller),
            committed=asked.committed(smaller),
        )


def test_a_client_that_is_not_included_or_with_another_contribution_refuses(asked):
    for changes in ({"contribution": bytes(32)}, {"me": bytes(20)}):
        with pytest.raises(VerificationError, match=r"check \(3\)"):
            asked.check(**changes)


# ---------------------------------------------------------------- the checks of everyone


@pytest.fixture
def opening(dry):
    prepared = dry.prepared[1]
    return WeightOpening(
        header=dry.header.digest,
        member=dry.parties[1].address,
        units=prepared.units,
        salt=prepared.weight_salt.reveal(),
    )


def test_an_honest_opening_passes(dry, opening):
    verify_weight_opening(dry.header, opening, dry.prepared[1].frame.leaf)


def test_an_opening_of_another_round_is_refused_whichever_of_the_three_differs(dry, opening):
    leaf = dry.prepared[1].frame.leaf
    other = replace(dry.header, round=dry.header.round + 1)
    strange = replace(leaf, statement=replace(leaf.statement, header=HEADER))
    for header, said, signed in (
        (dry.header, replace(opening, header=HEADER), leaf),
        (other, opening, leaf),
        (dry.header, opening, strange),
    ):
        with pytest.raises(VerificationError, match=r"check \(1\)") as refused:
            verify_weight_opening(header, said, signed)
        assert refused.value.party == opening.member.hex()


def test_an_opening_of_another_client_is_refused(dry, opening):
    with pytest.raises(VerificationError, match=r"check \(2\)"):
        verify_weight_opening(dry.header, opening, dry.prepared[0].frame.leaf)


def committing(dry, opening, units):
    """An opening of ``units`` and a leaf that commits to just that."""
    leaf = dry.prepared[1].frame.leaf
    made = commit_weight(dry.header.digest, opening.member, opening.salt, units)
    return replace(opening, units=units), replace(leaf, statement=replace(leaf.statement, weight=made))


def test_the_largest_weight_passes_and_one_more_is_refused_though_the_leaf_commits_to_it(dry, opening):
    top = quantiser_of(dry.header).law.top
    verify_weight_opening(dry.header, *committing(dry, opening, top))
    with pytest.raises(VerificationError, match=r"check \(3\)"):
        verify_weight_opening(dry.header, *committing(dry, opening, top + 1))


@pytest.mark.parametrize("lie", [{"salt": SALT}, {"units": 1}])
def test_an_opening_of_another_weight_or_salt_is_refused(dry, opening, lie):
    with pytest.raises(VerificationError, match=r"check \(4\)"):
        verify_weight_opening(dry.header, replace(opening, **lie), dry.prepared[1].frame.leaf)


@pytest.mark.parametrize(
    ("opened", "total", "problem"),
    [
        ((5, 6, 7), 18, None),
        ((5, 6, 7), 17, r"\(2\)"),
        ((5, 6, 7), 19, r"\(2\)"),
        ((5, 6), 12, None),
        ((5, 6), 11, r"\(2\)"),
        ((5, 6), 11 + 32766, None),
        ((5, 6), 11 + 32767, r"\(2\)"),
        ((5,), 5 + 2, None),
        ((5,), 5 + 1, r"\(2\)"),
        ((5,), 5 + 2 * 32766, None),
        ((), 3, None),
        ((), 2, r"\(2\)"),
        ((1, 1, 1, 1), 4, r"\(1\)"),
    ],
)
def test_weights_fit_the_sum_only_if_the_missing_can_have_the_rest(dry, opened, total, problem):
    assert quantiser_of(dry.header).law.top == 32766
    weights = {bytes([i]) * 20: units for i, units in enumerate(opened)}
    if problem is None:
        verify_weight_sum(dry.header, weights, included_count=3, weight_units=total)
        return
    with pytest.raises(VerificationError, match=problem):
        verify_weight_sum(dry.header, weights, included_count=3, weight_units=total)
