"""What a node reads of the ledger, and what it refuses to read."""

from __future__ import annotations

import pytest

from clients.node.view import NotThereYet, accepted_set, caught_up, committed_sets, ledger_view
from fl_core.errors import VerificationError
from ledger.errors import RecordMissing
from ledger.records import Role, RoundState


def test_the_view_holds_what_the_ledger_says(consortium):
    header, facts = consortium.open_round(), consortium.facts
    view = ledger_view(facts, header)
    assert (view.chain_id, view.contract) == (facts.chain_id, facts.address)
    assert (view.header, view.parent) == (header.digest, consortium.parent)
    assert view.artifact == facts.model(consortium.parent).artifact
    assert view.terms == consortium.terms.digest
    assert view.beacon == facts.block_hash(header.beacon_number)
    assert set(view.members) == set(header.cohort)
    for account, member in view.members.items():
        keys = facts.keys(account)
        assert member.registered_at == keys.block
        assert member.consented == consortium.terms.digest


def test_the_view_says_what_the_ledger_says_even_if_the_header_says_otherwise(consortium):
    header = consortium.open_round()
    lie = consortium.plan(parent=b"\x01" * 32, artifact=b"\x02" * 32, beacon_number=3, beacon=b"\x03" * 32)
    assert ledger_view(consortium.facts, lie).parent == header.parent
    assert ledger_view(consortium.facts, lie).beacon == consortium.facts.block_hash(3)


@pytest.mark.parametrize(
    "state", [RoundState.FINALISED, RoundState.ABORTED, RoundState.COMMITTED, RoundState.INCLUDED]
)
def test_a_round_that_is_not_open_is_refused(consortium, state):
    header = consortium.open_round()
    consortium.facts.end(consortium.run, 1, state)
    with pytest.raises(VerificationError, match="round 1 is not open"):
        ledger_view(consortium.facts, header)


def test_a_round_or_run_that_the_ledger_does_not_know_is_refused(consortium):
    with pytest.raises(VerificationError, match="not open"):
        ledger_view(consortium.facts, consortium.plan())
    with pytest.raises(RecordMissing):
        ledger_view(consortium.facts, consortium.plan(run=bytes(32)))


def test_a_beacon_that_is_not_older_than_the_head_is_refused(consortium):
    head = consortium.facts.head()
    header = consortium.plan(beacon_number=head.number + 1)
    consortium.facts.open_round(consortium.run, 1, header.parent, header.digest)
    with pytest.raises(VerificationError, match="beacon is not older"):
        ledger_view(consortium.facts, header)
    consortium.facts.mine()
    assert ledger_view(consortium.facts, header)


def test_whoever_is_no_member_any_more_or_has_no_keys_is_left_out(consortium):
    header, gone = consortium.open_round(), consortium.holders[2].account
    consortium.facts.remove(gone)
    assert set(ledger_view(consortium.facts, header).members) == set(header.cohort) - {gone}
    consortium.facts.admit(b"\x01" * 20, Role.HOLDER)  # admitted, but without keys
    cohort = tuple(sorted({*header.cohort, b"\x01" * 20}))
    plan = consortium.plan(2, cohort=cohort)
    consortium.facts.open_round(consortium.run, 2, header.parent, plan.digest)
    view = ledger_view(consortium.facts, plan)
    assert b"\x01" * 20 not in view.members


def test_the_committed_sets_are_those_of_the_ledger(consortium):
    machine = consortium.included()
    record = consortium.facts.round(consortium.run, 1)
    committed = committed_sets(consortium.facts, machine.header)
    assert (committed.accepted_root, committed.accepted_count) == (record.root, 4)
    assert (committed.included_root, committed.included_count) == (record.included, 4)
    assert committed.signers == {holder.account: holder.account for holder in consortium.holders}


@pytest.mark.parametrize(
    "state", [RoundState.OPEN, RoundState.COMMITTED, RoundState.FINALISED, RoundState.ABORTED]
)
def test_before_the_included_set_is_on_the_ledger_and_after_the_round_there_is_no_set(consortium, state):
    machine = consortium.included()
    consortium.facts.end(consortium.run, 1, state)
    with pytest.raises(VerificationError, match="no included set on the ledger or is over"):
        committed_sets(consortium.facts, machine.header)


def test_the_accepted_set_is_the_ledgers_while_there_is_no_included_set(consortium):
    machine = consortium.contributed(consortium.open_round(), positions=(0, 1, 3))
    consortium.commit_accepted(machine)
    record = consortium.facts.round(consortium.run, 1)
    accepted = accepted_set(consortium.facts, machine.header)
    assert (accepted.root, accepted.count) == (record.root, 3)
    assert accepted.signers == {holder.account: holder.account for holder in consortium.holders}


@pytest.mark.parametrize("state", [s for s in RoundState if s is not RoundState.COMMITTED])
def test_before_the_accepted_set_is_on_the_ledger_and_after_the_share_check_there_is_none(consortium, state):
    machine = consortium.contributed(consortium.open_round())
    consortium.commit_accepted(machine)
    consortium.facts.end(consortium.run, 1, state)
    with pytest.raises(VerificationError, match="no accepted set on the ledger, or its share check is over"):
        accepted_set(consortium.facts, machine.header)


def test_the_accepted_set_of_another_header_is_refused(consortium):
    consortium.commit_accepted(consortium.contributed(consortium.open_round()))
    with pytest.raises(VerificationError, match="recorded another header"):
        accepted_set(consortium.facts, consortium.plan(deadline=1))


def test_the_sets_of_another_header_are_refused(consortium):
    consortium.included()
    with pytest.raises(VerificationError, match="recorded another header"):
        committed_sets(consortium.facts, consortium.plan(deadline=1))


def test_keys_that_are_changed_during_a_round_do_not_count_for_it(consortium):
    """One member that changes its key after it contributed must not be able to void the round."""
    machine, account = consortium.included(), consortium.holders[1].account
    for number in (1, 2):
        consortium.facts.set_keys(account, bytes([number]) * 20, bytes([number]) * 32)
    assert committed_sets(consortium.facts, machine.header).signers[account] == account
    answered = consortium.reveal(0, consortium.request(machine, 0))
    assert machine.add_reveal(answered)


class Clock:
    """Time that passes while somebody sleeps; at each sleep something may happen."""

    def __init__(self, *happens):
        self.now, self.happens = 0.0, list(happens)

    def sleep(self, seconds):
        self.now += seconds
        if self.happens:
            self.happens.pop(0)()

    def read(self, what, patience_s):
        return caught_up(what, patience_s, clock=lambda: self.now, sleep=self.sleep)


def test_a_ledger_that_is_behind_is_read_again_until_it_has_the_round(consortium):
    opened = []
    clock = Clock(lambda: None, lambda: opened.append(consortium.open_round()))
    header = consortium.plan()
    view = clock.read(lambda: ledger_view(consortium.facts, opened[0] if opened else header), 15.0)
    assert view.header == opened[0].digest and clock.now == 0.5


def test_what_never_comes_is_refused_when_the_patience_is_over(consortium):
    clock = Clock()
    with pytest.raises(NotThereYet, match="round 1 is not open"):
        clock.read(lambda: ledger_view(consortium.facts, consortium.plan()), 2.0)
    assert clock.now == 2.0
    header = consortium.open_round()
    for sets in (accepted_set, committed_sets):
        with pytest.raises(NotThereYet):
            clock.read(lambda sets=sets: sets(consortium.facts, header), 0.0)
    assert clock.now == 2.0, "without patience it is read once"


@pytest.mark.parametrize("state", [RoundState.FINALISED, RoundState.ABORTED])
def test_a_round_that_is_over_is_not_waited_for(consortium, state):
    header, clock = consortium.open_round(), Clock()
    consortium.facts.end(consortium.run, 1, state)
    for sets in (ledger_view, accepted_set, committed_sets):
        with pytest.raises(VerificationError) as refused:
            clock.read(lambda sets=sets: sets(consortium.facts, header), 15.0)
        assert not isinstance(refused.value, NotThereYet)
    assert clock.now == 0.0
