"""The node: how it answers the committee's questions, whom it refuses, and that it never answers two of a kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clients.errors import PolicyRefusal
from fl_core.errors import VerificationError
from fl_core.protocol.check_messages import NO_VALUE, CheckAnswer, CheckRequest
from fl_core.protocol.messages import RevealRequest
from fl_core.protocol.phases import MemberStep
from ledger.records import RoundState

# ---------------------------------------------------------------------- share check


@pytest.fixture
def committed(consortium):
    """A machine whose accepted set is on the ledger."""
    machine = consortium.contributed(consortium.open_round())
    consortium.commit_accepted(machine)
    return machine


def test_a_member_gives_one_value_for_each_accepted_contribution(consortium, committed):
    answer = CheckAnswer.decode(consortium.check(1, consortium.check_request(committed, 1)))
    assert answer.statement.member == consortium.holders[1].account
    assert len(answer.values) == 4
    assert NO_VALUE not in answer.values
    assert committed.add_check(answer.encode()) == answer


def test_a_repeated_check_gets_the_same_bytes_even_after_a_restart(consortium, committed):
    request = consortium.check_request(committed, 0)
    first = consortium.check(0, request)
    assert consortium.check(0, request) == first
    node = consortium.restart(0)
    assert consortium.check(0, request) == first
    assert node.random.drawn == 0


def test_the_values_are_on_disk_before_they_are_sent(consortium, committed):
    """What the node gives out is what its register holds, also if it is asked in another way about the same set."""
    request = consortium.check_request(committed, 0)
    sent = consortium.check(0, request)
    node, header = consortium.holders[0].node, committed.header
    root = consortium.facts.round(consortium.run, 1).root
    assert node.register.answer(MemberStep.CHECK, header.digest, root) == sent
    broken = CheckRequest.decode(request)
    assert consortium.check(0, replace(broken, accepted=broken.accepted[1:]).encode()) == sent


def test_after_a_fork_of_the_ledger_no_second_accepted_set_is_checked(consortium, committed):
    request = CheckRequest.decode(consortium.check_request(committed, 0))
    consortium.check(0, request.encode())
    smaller = replace(request, accepted=request.accepted[1:])
    pairs = [(s.leaf.statement.member, consortium.notary.digest(s.leaf.statement)) for s in smaller.accepted]
    consortium.facts.commit_round(consortium.run, 1, consortium.notary.root(pairs), 3)
    for _ in range(2):
        with pytest.raises(PolicyRefusal, match="answered the share check for another set"):
            consortium.check(0, smaller.encode())
        consortium.restart(0)


def test_no_values_before_the_accepted_set_is_on_the_ledger(consortium):
    machine = consortium.contributed(consortium.open_round())
    machine.commit()
    with pytest.raises(VerificationError, match="no accepted set on the ledger"):
        consortium.check(0, consortium.check_request(machine, 0))


@pytest.mark.parametrize("state", [RoundState.INCLUDED, RoundState.ABORTED, RoundState.FINALISED])
def test_no_values_after_the_share_check_is_over(consortium, committed, state):
    request = consortium.check_request(committed, 0)
    consortium.facts.end(consortium.run, 1, state)
    with pytest.raises(VerificationError, match="its share check is over"):
        consortium.check(0, request)


def test_no_values_without_the_coordinators_receipt_for_the_own_contribution(consortium, committed):
    request = CheckRequest.decode(consortium.check_request(committed, 0))
    for receipt in (b"", bytes(65), consortium.receipt_of(committed, 1)):
        with pytest.raises(VerificationError):
            consortium.check(0, replace(request, receipt=receipt).encode())
    assert consortium.check(0, request.encode())


def test_no_values_for_a_set_that_is_not_the_ledgers_and_nothing_is_recorded(consortium, committed):
    request = CheckRequest.decode(consortium.check_request(committed, 0))
    for accepted in (request.accepted[1:], ()):
        with pytest.raises(VerificationError, match=r"share check \(2\)"):
            consortium.check(0, replace(request, accepted=accepted).encode())
    assert consortium.check(0, request.encode())


def test_a_node_that_did_not_begin_a_round_checks_nothing(consortium):
    machine = consortium.contributed(consortium.open_round(), positions=(0, 1, 2))
    consortium.commit_accepted(machine)
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.check(3, consortium.check_request(machine, 3))


# ---------------------------------------------------------------------- reveal


def test_members_answer_for_the_committed_set_and_the_aggregate_opens(consortium):
    machine = consortium.included()
    for position in range(3):
        machine.add_reveal(consortium.reveal(position, consortium.request(machine, position)))
    opened = machine.open()
    assert opened.aggregate.count == 4
    assert np.allclose(opened.aggregate.update, 0.25, atol=1e-3)
    assert opened.aggregate.counters == (28,)


def test_a_repeated_request_gets_the_same_bytes_even_after_a_restart(consortium):
    machine = consortium.included()
    request = consortium.request(machine, 0)
    first = consortium.reveal(0, request)
    assert consortium.reveal(0, request) == first
    consortium.restart(0)
    assert consortium.reveal(0, request) == first


def test_no_answer_before_the_included_set_is_on_the_ledger(consortium):
    machine = consortium.contributed(consortium.open_round())
    consortium.commit_accepted(machine)
    consortium.check_all(machine)
    machine.include(consortium.ciphertexts.__getitem__)
    with pytest.raises(VerificationError, match="no included set on the ledger"):
        consortium.reveal(0, consortium.request(machine, 0))


@pytest.mark.parametrize("state", [RoundState.ABORTED, RoundState.FINALISED])
def test_no_answer_after_the_round_is_over(consortium, state):
    machine = consortium.included()
    request = consortium.request(machine, 0)
    consortium.facts.end(consortium.run, 1, state)
    with pytest.raises(VerificationError, match="is over"):
        consortium.reveal(0, request)


def test_no_answer_without_the_coordinators_receipt_for_the_own_contribution(consortium):
    machine = consortium.included()
    request = RevealRequest.decode(consortium.request(machine, 0))
    account, digest = consortium.holders[0].account, machine.accepted[0].digest
    others = consortium.holders[1].account
    for receipt in (
        b"",
        bytes(65),
        consortium.receipt(machine.header, others, digest),
        consortium.receipt(machine.header, account, machine.accepted[1].digest),
    ):
        with pytest.raises(VerificationError):
            consortium.reveal(0, replace(request, receipt=receipt).encode())
    assert consortium.reveal(0, request.encode())


def test_a_member_that_did_not_contribute_answers_without_a_receipt(consortium):
    header = consortium.open_round()
    consortium.begin(3, header)  # it begins, trains too long, and still holds shares of the others
    machine = consortium.contributed(header, positions=(0, 1, 2))
    consortium.commit(machine)
    assert machine.add_reveal(consortium.reveal(3, consortium.request(machine, 3)))


def test_a_node_that_did_not_begin_a_round_answers_nothing(consortium):
    machine = consortium.included(positions=(0, 1, 2))
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.reveal(3, consortium.request(machine, 3))


def test_nothing_is_recorded_for_a_request_that_fails_a_check(consortium):
    machine = consortium.included()
    request = RevealRequest.decode(consortium.request(machine, 0))
    fewer = replace(request, included=request.included[1:])
    with pytest.raises(VerificationError, match=r"reveal check \(4\)"):
        consortium.reveal(0, fewer.encode())
    assert consortium.reveal(0, request.encode())
