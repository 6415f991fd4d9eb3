"""Opened weights as the coordinator's machine and real nodes see them; under equal pay nothing of a weight leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.door import Method
from clients.errors import PolicyRefusal
from clients.node.sealed import SealedFolder
from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.weights import WeightOpening, WeightRequest
from ledger.records import RoundState
from tests.simulators.consortium import POLICY, TERMS, Consortium

BY_EXAMPLES = replace(TERMS, reward_policy="by-examples")
EXAMPLES = (100, 200, 300, 1500)
UNITS = (3277, 6553, 9830, 32766)
"""Of those numbers of examples under a cap of 1000."""


class Round:
    """A round whose sum is open; holder i trained on ``EXAMPLES[i]`` examples."""

    def __init__(self, folder, terms=BY_EXAMPLES, *, number=1):
        self.consortium = c = Consortium(folder, terms=terms)
        self.header = c.open_round(number)
        self.machine = m = c.machine(self.header)
        for position, examples in enumerate(EXAMPLES):
            c.begin(position, self.header)
            c.deliver(m, c.protect(position, self.header, examples=examples))
        c.commit(m)
        for position in range(3):
            m.add_reveal(c.reveal(position, c.request(m, position)))
        self.weights = m.weights(m.open())

    def ask(self, position, request=None):
        asked = self.weights.request() if request is None else request
        return self.consortium.holders[position].node.call(Method.WEIGHT, asked.encode())

    def sealed(self, position):
        return [item.name for item in SealedFolder(self.consortium.holders[position].folder).list()]


@pytest.fixture
def opened(tmp_path):
    one = Round(tmp_path)
    yield one
    one.consortium.close()


def test_weights_that_all_opened_are_those_of_the_sum(opened):
    for position in range(4):
        opened.weights.add(opened.ask(position))
    assert tuple(opened.weights.weights.values()) == UNITS
    assert opened.weights.fit()


def test_a_missing_weight_leaves_the_others_as_they_are(opened):
    for position in range(3):
        opened.weights.add(opened.ask(position))
    assert tuple(opened.weights.weights.values()) == UNITS[:3]
    assert opened.weights.fit()


def test_a_node_that_was_restarted_gives_the_same_bytes(opened):
    first = opened.ask(1)
    opened.consortium.restart(1)
    assert opened.ask(1) == first
    opened.weights.add(first)
    opened.weights.add(first)


def test_a_weight_may_leave_only_once_it_was_asked_for(opened):
    assert "weight" not in opened.sealed(1)
    opened.ask(1)
    assert opened.sealed(1).count("weight") == 1


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (lambda mine, other: replace(mine, units=mine.units + 1), r"\(4\)"),
        (lambda mine, other: replace(mine, salt=bytes(32)), r"\(4\)"),
        (lambda mine, other: replace(other, member=mine.member), r"\(4\)"),
        (lambda mine, other: replace(mine, units=40_000), r"\(3\)"),
        (lambda mine, other: replace(mine, header=bytes(32)), r"\(1\)"),
        (lambda mine, other: replace(mine, member=bytes(20)), "nobody"),
    ],
    ids=["more examples", "another salt", "another's", "too many", "another round", "a stranger"],
)
def test_a_false_opening_is_refused_and_the_true_one_is_not(opened, lie, check):
    mine, other = (WeightOpening.decode(opened.ask(position)) for position in (1, 3))
    with pytest.raises(VerificationError, match=check):
        opened.weights.add(lie(mine, other).encode())
    assert not opened.weights.openings
    opened.weights.add(mine.encode())


def test_an_opening_with_a_trailing_byte_is_refused(opened):
    with pytest.raises(DecodeError):
        opened.weights.add(opened.ask(0) + b"\0")


def test_a_node_opens_for_no_other_set_than_the_ledgers(opened):
    request = opened.weights.request()
    with pytest.raises(VerificationError, match=r"\(2\)"):
        opened.ask(0, replace(request, included=request.included[:3]))
    me = opened.consortium.holders[0].account
    alien = tuple((m, bytes(32) if m == me else d) for m, d in request.included)
    with pytest.raises(VerificationError, match=r"\(2\)"):
        opened.ask(0, replace(request, included=alien))
    opened.weights.add(opened.ask(0))


def test_a_node_opens_nothing_before_the_included_set_is_on_the_ledger(tmp_path):
    c = Consortium(tmp_path, terms=BY_EXAMPLES)
    header = c.open_round()
    machine = c.contributed(header)
    pairs = tuple((a.leaf.statement.member, a.digest) for a in machine.accepted)
    request = WeightRequest(header=header.digest, included=pairs)
    with pytest.raises(VerificationError, match="no included set"):
        c.holders[0].node.call(Method.WEIGHT, request.encode())
    c.close()


def test_a_node_opens_nothing_of_a_round_that_is_over(opened):
    c = opened.consortium
    later = c.open_round(2)
    c.begin(0, later)
    with pytest.raises((PolicyRefusal, VerificationError)):
        opened.ask(0)


def test_under_equal_pay_nothing_of_the_weight_is_kept_open_or_sent(tmp_path):
    one = Round(tmp_path, TERMS)
    for position in range(4):
        with pytest.raises(PolicyRefusal, match="do not pay by examples"):
            one.ask(position)
        register = one.consortium.holders[position].node.register
        assert register._db.execute("SELECT COUNT(*) FROM weights").fetchone() == (0,)
        assert "weight" not in one.sealed(position)
    leaves = [accepted.leaf.encode() for accepted in one.machine.accepted]
    assert len(set(map(len, leaves))) == 1, "a leaf has the same size whatever the weight"
    one.consortium.close()


def test_a_policy_can_refuse_runs_that_pay_by_examples(tmp_path):
    c = Consortium(tmp_path, terms=BY_EXAMPLES, policy=replace(POLICY, allow_weight_opening=False))
    with pytest.raises(PolicyRefusal, match="pay by them"):
        c.begin(0, c.open_round())
    c.close()


def test_weights_are_asked_for_only_after_the_sum_is_open(tmp_path):
    c = Consortium(tmp_path, terms=BY_EXAMPLES)
    machine = c.included()
    assert machine.phase.value == RoundState.INCLUDED.name.lower()
    with pytest.raises(Exception, match="after the sum"):
        machine.weights(None)
    c.close()
