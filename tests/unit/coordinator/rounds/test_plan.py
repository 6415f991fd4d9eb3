"""Planning a round: the header follows from the terms and the ledger, and a node's own checks accept it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.errors import RoundFailed
from coordinator.rounds.plan import Situation, first_blocks, plan_header
from fl_core.protocol.header_check import LedgerView, MemberView, check_header
from fl_core.protocol.rules import committee_of, least_n_min, threshold_of
from fl_core.quantise import Block
from tests.simulators.consortium import NOW, TERMS


def situation(count, **changes):
    return replace(
        Situation(
            chain_id=1,
            contract=b"\xc0" * 20,
            run=b"\x0a" * 32,
            round=4,
            parent=b"\x01" * 32,
            artifact=b"\x02" * 32,
            transport_keys={bytes([200 - i]) * 20: bytes([i]) * 32 for i in range(count)},
            blocks=first_blocks(TERMS),
            beacon_number=9,
            beacon=b"\x03" * 32,
            deadline=NOW + 60,
        ),
        **changes,
    )


def test_the_first_blocks_are_the_terms_tensors_with_the_initial_clip():
    assert first_blocks(TERMS) == (Block("a", 3, 1.0), Block("b", 2, 1.0))


def test_everybody_at_hand_is_client_and_member_in_ascending_order():
    planned = situation(5)
    header = plan_header(TERMS, planned)
    assert header.cohort == tuple(sorted(planned.transport_keys))
    assert {seat.address: seat.transport_key for seat in header.committee} == planned.transport_keys
    assert tuple(seat.address for seat in header.committee) == header.cohort


@pytest.mark.parametrize(
    "field",
    [
        "chain_id",
        "contract",
        "run",
        "round",
        "parent",
        "artifact",
        "blocks",
        "beacon_number",
        "beacon",
        "deadline",
    ],
)
def test_what_the_ledger_says_goes_into_the_header_as_it_is(field):
    planned = situation(4)
    assert getattr(plan_header(TERMS, planned), field) == getattr(planned, field)


@pytest.mark.parametrize("field", ["parameter_set", "packing", "counters", "weight_cap"])
def test_what_the_terms_say_goes_into_the_header_as_it_is(field):
    assert getattr(plan_header(TERMS, situation(4)), field) == getattr(TERMS, field)


@pytest.mark.parametrize("count", range(3, 17))
def test_every_planned_header_passes_a_nodes_own_checks(count):
    planned = situation(count)
    header = plan_header(TERMS, planned)
    members = {
        account: MemberView(registered_at=8, consented=TERMS.digest) for account in planned.transport_keys
    }
    view = LedgerView(
        chain_id=1, contract=planned.contract, header=header.digest, parent=planned.parent, artifact=planned.artifact,
        terms=TERMS.digest, beacon=planned.beacon, members=members,
    )  # fmt: skip
    check_header(header, view=view, terms=TERMS, model=planned.artifact, me=header.cohort[0], now=NOW)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_nodes_make_no_round(count):
    with pytest.raises(RoundFailed, match=f"a sum needs 3 contributions, {count} nodes are at hand"):
        plan_header(TERMS, situation(count))


def test_the_terms_may_demand_more():
    demanding = replace(TERMS, n_min=5)
    assert plan_header(demanding, situation(5)).n_min == 5
    with pytest.raises(RoundFailed, match="a sum needs 5 contributions, 4 nodes"):
        plan_header(demanding, situation(4))


def test_in_a_large_cohort_the_beacon_draws_the_committee():
    planned = situation(40)
    header = plan_header(TERMS, planned)
    drawn = committee_of(
        planned.transport_keys, run=planned.run, round_number=planned.round, beacon=planned.beacon
    )
    assert tuple(seat.address for seat in header.committee) == drawn
    assert (len(header.cohort), len(drawn), header.threshold) == (40, 16, threshold_of(16))
    assert header.n_min == least_n_min(40)


def test_the_order_in_which_nodes_are_named_does_not_matter():
    planned = situation(5)
    backwards = dict(reversed(planned.transport_keys.items()))
    assert plan_header(TERMS, replace(planned, transport_keys=backwards)) == plan_header(TERMS, planned)
