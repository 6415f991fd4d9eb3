"""The dry run is the protocol: its aggregate is the weighted mean, for every pattern of drop-outs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.protocol.dry_parties import DryNotary, make_header, make_parties
from fl_core.protocol.dry_run import run_round
from fl_core.protocol.rules import committee_of, threshold_of
from fl_core.protocol.statements import Acceptance
from fl_core.quantise import Block
from fl_core.secagg.layout import valid_layouts
from tests.simulators.insecure_random import InsecureRandomSource

BLOCKS = (Block("a", 3, 1.0), Block("b", 2, 0.5))
CLIPS = np.repeat([1.0, 0.5], [3, 2])
CAP, TOP = 1000, 32766


def run(count, clients, members, *, examples=None, seed=0, updates=None, parameter_set="P2048", counters=()):
    random, notary = InsecureRandomSource(seed), DryNotary()
    parties = make_parties(count, random, notary)
    header = make_header(parties, BLOCKS, counters=counters, parameter_set=parameter_set)
    updates = updates or {i: np.zeros(5, np.float32) for i in clients}
    return run_round(
        header,
        parties,
        {parties[i].address: updates[i] for i in clients},
        examples={parties[i].address: (examples or {}).get(i, 100) for i in clients},
        answering=[parties[i].address for i in members],
        notary=notary,
        random=random,
    )


@st.composite
def patterns(draw):
    """Who contributes (at least n_min) and who answers (at least the threshold), with updates and examples."""
    count = draw(st.integers(3, 9))
    least, threshold = max(3, -(-2 * count // 3)), 2 * count // 3 + 1
    who = st.integers(0, count - 1)
    clients = draw(st.sets(who, min_size=least))
    members = draw(st.sets(who, min_size=threshold))
    values = st.floats(-1.5, 1.5, width=32)
    updates = {i: np.array(draw(st.lists(values, min_size=5, max_size=5)), np.float32) for i in clients}
    examples = {i: draw(st.sampled_from([1, 2, 499, 1000, 1001, 10**9])) for i in clients}
    return count, clients, members, updates, examples, draw(st.integers(0, 2**32))


@settings(max_examples=25, deadline=None)
@given(patterns())
def test_the_aggregate_is_the_weighted_mean_of_whoever_contributed_whoever_answers(pattern):
    count, clients, members, updates, examples, seed = pattern
    aggregate = run(count, clients, members, updates=updates, examples=examples, seed=seed)
    units = {i: max(1, int(TOP * min(examples[i], CAP) / CAP + 0.5)) for i in clients}
    total = sum(units.values())
    mean = sum(units[i] * np.clip(updates[i].astype(np.float64), -CLIPS, CLIPS) for i in clients) / total
    # Each client's rounding is off by less than one step of C/half, and the sum is divided by total/top.
    bound = len(clients) * (CLIPS / (TOP // 2)) * TOP / total
    assert (np.abs(aggregate.update - mean) <= bound * 1.0001 + 1e-7).all()
    assert (aggregate.count, aggregate.weight_units, aggregate.failed) == (len(clients), total, ())


def test_the_default_parameter_set_gives_the_same_sum():
    updates = {i: np.full(5, i / 10, np.float32) for i in range(4)}
    sums = [
        run(4, range(4), range(3), updates=updates, parameter_set=name).weight_units
        for name in ("P2048", "P4096")
    ]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("layout", valid_layouts(1), ids=lambda c: f"{c.packing.name}-{c.params.name}")
def test_every_packing_under_every_parameter_set_carries_a_round(layout):
    """Four parties, as many as a round of tests can afford; as many as each can sum: ``test_combinations.py``."""
    random, notary = InsecureRandomSource(layout.packing.name), DryNotary()
    parties = make_parties(4, random, notary)
    header = make_header(parties, BLOCKS, counters=("x",), parameter_set=layout.params.name)
    header = replace(header, packing=layout.packing.name)
    values = np.array([-1.0, 0.25, 1.0, 0.5, -0.125], np.float32)
    aggregate = run_round(
        header,
        parties,
        {
            party.address: values * np.float32(sign)
            for party, sign in zip(parties, (1, 1, 1, -1), strict=True)
        },
        examples={party.address: 1000 for party in parties},
        answering=[party.address for party in parties[1:]],
        notary=notary,
        random=random,
    )
    assert aggregate.count == 4 and aggregate.failed == ()
    step = CLIPS / ((1 << layout.packing.value_bits) // 2 - 1)
    assert (np.abs(aggregate.update - values / 2) <= step * 1.01).all()


@pytest.mark.parametrize(
    ("count", "seats"), [(17, 16), (50, 16), pytest.param(51, 51, marks=pytest.mark.slow)]
)
def test_a_committee_that_the_beacon_drew_from_a_larger_cohort_carries_a_round_without_a_third_of_its_seats(
    count, seats
):
    random, notary = InsecureRandomSource(count), DryNotary()
    parties = make_parties(count, random, notary)
    everybody = make_header(parties, BLOCKS, parameter_set="P2048")
    drawn = committee_of(everybody.cohort, run=everybody.run, round_number=1, beacon=everybody.beacon)
    committee = tuple(seat for seat in everybody.committee if seat.address in drawn)
    header = replace(everybody, committee=committee, threshold=threshold_of(len(committee)))
    assert (len(committee), len(header.cohort)) == (seats, count)
    values = {party.address: np.full(5, 0.25, np.float32) for party in parties[: header.n_min]}
    arguments = {"examples": dict.fromkeys(values, 500), "notary": notary, "random": random}
    aggregate = run_round(header, parties, values, answering=drawn[-header.threshold :], **arguments)
    assert aggregate.count == header.n_min
    assert np.allclose(aggregate.update, 0.25, atol=1e-3)
    with pytest.raises(LocalProtocolError, match=f"{header.threshold} members must answer"):
        run_round(header, parties, values, answering=drawn[: header.threshold - 1], **arguments)


def test_zero_updates_stay_exactly_zero():
    assert not run(4, range(4), range(4)).update.any()


def test_the_smallest_weight_still_counts_and_a_client_without_examples_cannot_contribute():
    everybody = {0: 1, 1: 1, 2: 1, 3: 1}
    assert run(4, range(4), range(4), examples=everybody).weight_units == 4 * round(TOP / CAP)
    with pytest.raises(LocalProtocolError, match="at least one example, not 0"):
        run(4, range(4), range(4), examples={**everybody, 2: 0})


def test_counters_are_summed_exactly():
    assert run(4, range(4), range(4), counters=("x", "y")).counters == (0, 0)


@pytest.mark.parametrize("clients", [1, 2, 3])
def test_fewer_contributions_than_n_min_open_nothing(clients):
    with pytest.raises(VerificationError, match=r"reveal check \(3\): fewer than 4 contributions"):
        run(6, range(clients), range(6))


@pytest.mark.parametrize("members", range(5))
def test_fewer_answers_than_the_threshold_open_nothing(members):
    with pytest.raises(LocalProtocolError, match=f"5 members must answer, {members} did"):
        run(6, range(6), range(members))


def test_all_clients_may_go_once_they_have_sent_while_others_answer():
    updates = {i: np.full(5, 0.25, np.float32) for i in (0, 1, 2, 3)}
    aggregate = run(6, range(4), [1, 2, 3, 4, 5], updates=updates)
    assert np.allclose(aggregate.update, 0.25, atol=1e-3)


def test_the_dry_notary_refuses_a_signature_by_another_key_and_a_stranger():
    notary = DryNotary()
    one, other = make_parties(2, InsecureRandomSource(), notary)
    statement = Acceptance(run=bytes(32), round=1, member=one.address, contribution=bytes(32))
    notary.verify(statement, one.sign(statement), one.address)
    for signature, signer in (
        (one.sign(statement), other.address),
        (bytes(65), one.address),
        (one.sign(statement), bytes(20)),
        (one.sign(statement)[:64] + b"\x1d", one.address),
        (one.sign(statement) + b"\x00", one.address),
    ):
        with pytest.raises(VerificationError):
            notary.verify(statement, signature, signer)
