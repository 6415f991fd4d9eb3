"""Attacks with forged, replayed, copied and garbled messages. One test for each row of README.md."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from clients.errors import PolicyRefusal
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import P2048, PACK15
from fl_core.protocol.check_messages import NO_VALUE, CheckRequest
from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusion, Reason
from fl_core.protocol.messages import Frame
from fl_core.protocol.opening import fold, open_aggregate
from fl_core.protocol.setup import layout_of
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.functional import CHALLENGE_BITS, challenge
from fl_core.secagg.noise import MAX_DEVIATIONS, key_noise_bound, noise_bound, noise_variance
from ledger.notary import LedgerNotary
from tests.simulators.cheating import (
    bad_shares,
    closed_boxes,
    copied,
    false_sum,
    false_values,
    framing_values,
    noisy_checks,
    passing_off,
    wrong_key,
)
from tests.simulators.consortium import Consortium
from tests.simulators.dry_round import DryRound
from tests.simulators.spoilt_round import NOISE, OVERFLOW, SpoiltRound


@pytest.fixture
def dry():
    return DryRound(4)


def refused_frame(dry, frame, number):
    with pytest.raises(VerificationError, match=rf"check \({number}\)"):
        dry.collector.accept(frame)


def test_replay_across_rounds(dry):
    """A frame of round 1 in round 2; whether its leaf is kept or signed again, no box of it opens there."""
    old = dry.prepare(0).frame
    later = DryRound(4, round=2)
    refused_frame(later, old, 2)
    moved = later.resign(0, old, round=2, header=later.header.digest)
    later.deliver(moved)
    later.send(1, 2, 3)
    assert all(later.check_answer(position).values[0] == NO_VALUE for position in range(4))
    left_out_of(later, 0, Reason.WRONG_KEY)


def test_replay_of_another_sender(dry):
    """Client 1 sends client 0's frame, as it is or under its own name."""
    stolen = dry.prepare(0).frame
    dry.collector.accept(stolen)
    refused_frame(dry, stolen, 1)
    claimed = replace(
        stolen,
        leaf=replace(stolen.leaf, statement=replace(stolen.leaf.statement, member=dry.parties[1].address)),
    )
    refused_frame(dry, claimed, 3)


def test_replay_across_chains(tmp_path):
    """A frame for one chain or contract is not signed for another, and its header is another header."""
    one = Consortium(tmp_path)
    header = one.open_round()
    one.begin(0, header)
    frame = Frame.decode(one.protect(0, header), ciphertext_bytes=layout_of(header).ciphertext_bytes)
    statement, account = frame.leaf.statement, one.holders[0].account
    one.notary.verify(statement, frame.leaf.signature, account)
    for chain_id, contract in ((1, one.facts.address), (one.facts.chain_id, b"\x01" * 20)):
        with pytest.raises(VerificationError):
            LedgerNotary(chain_id, contract).verify(statement, frame.leaf.signature, account)
        assert replace(header, chain_id=chain_id, contract=contract).digest != header.digest
        with pytest.raises(VerificationError, match=r"header check \(1\)"):
            one.begin(1, one.open_round(2, chain_id=chain_id, contract=contract))
    one.close()


def test_replay_of_an_answer_for_another_round_or_set(dry):
    dry.send(0, 1, 2, 3)
    answer = dry.reveal(0)
    later = DryRound(4, round=2)
    later.send(0, 1, 2, 3)
    for target, included in ((later, None), (dry, [p.address for p in dry.parties[1:]])):
        with pytest.raises(VerificationError, match=r"check \(2\)"):
            target.check(answer, included)


def left_out_of(dry, cheater, reason, disputed_by=()):
    """The share check names the cheater; the round completes without it; the sum is that of the others."""
    address = [party.address for party in dry.parties]
    found = dry.pass_check(0, 1, 2, 3)
    assert found.excluded == (
        Exclusion(client=address[cheater], reason=reason, disputed_by=tuple(address[m] for m in disputed_by)),
    )
    others = [position for position in range(4) if position != cheater]
    sums, count = fold(dry.header, (dry.sent[address[p]].ciphertext for p in others))
    assert np.array_equal(dry.collector.sums, sums)
    recovered = dry.recover(0, 1, 2, 3)
    opened = open_aggregate(dry.header, sums, count, recovered.key)
    assert (opened.count, opened.counters, recovered.liars) == (3, (sum(others),), ())


def test_copied_ciphertext_and_boxes_of_another_client(dry):
    """A copy under the copier's own signature is accepted, but no member opens a box of it: it is named and left out."""
    dry.send(0, 2, 3)
    dry.deliver(copied(dry, 1, dry.sent[dry.parties[0].address]))
    assert all(dry.check_answer(position).values[1] == NO_VALUE for position in range(4))
    left_out_of(dry, 1, Reason.WRONG_KEY)


@pytest.mark.parametrize("seat", range(4))
def test_inconsistent_shares(dry, seat):
    """One share off the polynomial, or a box that does not open: the client is named, with the member that it cheated."""
    dry.send(1, 2, 3)
    dry.deliver(bad_shares(dry, 0, seat) if seat % 2 else closed_boxes(dry, 0, seat))
    left_out_of(dry, 0, Reason.BAD_SHARES, disputed_by=[seat])


def test_wrong_key(dry):
    """Consistent shares of a secret that the ciphertext is not under: no value fits the check elements."""
    dry.send(1, 2, 3)
    dry.deliver(wrong_key(dry, 0))
    left_out_of(dry, 0, Reason.WRONG_KEY)


@pytest.mark.parametrize("liar", range(4))
def test_lying_member(dry, liar):
    """A member signs a false sum: the others' answers make the key, and it is named. Its lie is signed evidence."""
    dry.send(0, 1, 2, 3)
    dry.pass_check(0, 1, 2, 3)
    lie = false_sum(dry, liar)
    shares = {dry.parties[p].address: dry.check(lie if p == liar else dry.reveal(p)) for p in range(4)}
    recovered = dry.recover_from(shares)
    assert recovered.liars == (dry.parties[liar].address,)
    assert dry.open(recovered.key).count == 4
    with pytest.raises(
        VerificationError, match=r"check \(3\)"
    ):  # nor can it put the lie under another signature
        dry.check(replace(dry.reveal(liar), shares=lie.shares))


@pytest.mark.parametrize("liar", range(4))
def test_framing_an_honest_client(dry, liar):
    """A false value about one honest client has it left out. Who of the two cheats cannot be told: both names stand there."""
    dry.send(0, 1, 2, 3)
    victim = (liar + 1) % 4
    said = [false_values(dry, p, {victim}) if p == liar else dry.check_answer(p) for p in range(4)]
    dry.leave_out(dry.judge(said))
    [exclusion] = dry.exclusions.excluded
    assert (exclusion.client, exclusion.reason) == (dry.parties[victim].address, Reason.BAD_SHARES)
    assert exclusion.disputed_by == (dry.parties[liar].address,)
    assert dry.open(dry.key(0, 1, 2, 3)).count == 3


def test_false_values_about_so_many_clients_that_too_few_are_left(dry):
    """A member that disputes more than may be left out is not believed: the round has everybody in it."""
    dry.send(0, 1, 2, 3)
    for victims in ({0, 1}, {1, 2, 3}, {0, 1, 2, 3}):
        said = [false_values(dry, 3, victims), *(dry.check_answer(p) for p in range(3))]
        found = dry.judge(said)
        assert (found.clients, found.unreliable) == ((), (dry.parties[3].address,))
    dry.leave_out(found)
    assert dry.open(dry.key(0, 1, 2, 3)).count == 4


def test_framing_an_honest_member(dry):
    """A value that makes a wrong secret fit with t - 1 honest ones: with no redundancy both members are named."""
    dry.send(0, 1, 2, 3)
    said = [framing_values(dry, 0, 3, {1}, range(4)), *(dry.check_answer(p) for p in (1, 2, 3))]
    [exclusion] = dry.judge(said).excluded
    assert exclusion.disputed_by == (dry.parties[0].address, dry.parties[3].address)
    larger = DryRound(7)  # one lie of seven answers is within unique decoding
    larger.send(*range(7))
    said = [framing_values(larger, 0, 6, {1}, range(5)), *(larger.check_answer(p) for p in range(1, 7))]
    [exclusion] = larger.judge(said).excluded
    assert exclusion.disputed_by == (larger.parties[0].address,)


def test_a_wrong_key_and_lies_of_one_holder_void_a_round_of_four(dry):
    """Open where nothing is spare: as client it shares a wrong key, as member it makes it look right and others wrong.

    Nothing is revealed that should not be: the key that comes out opens no sum. From seven members on it is refused.
    """
    dry.send(1, 2, 3)
    dry.deliver(wrong_key(dry, 0))
    accomplice = passing_off(dry, 0, client=0, victim=3)
    lies = framing_values(dry, 0, 3, {1}, range(4)).values
    said = [dry.say(0, (accomplice, *lies[1:])), *(dry.check_answer(p) for p in (1, 2, 3))]
    dry.leave_out(dry.judge(said))
    assert dry.parties[0].address not in dry.exclusions.clients
    with pytest.raises(VerificationError, match="of 4 answers no 3 combine to the aggregate key"):
        dry.recover(0, 1, 2, 3)

    larger = DryRound(7)
    larger.send(*range(1, 7))
    larger.deliver(wrong_key(larger, 0))
    honest = [larger.check_answer(p) for p in range(7)]
    accomplice = passing_off(larger, 0, client=0, victim=6)
    said = [larger.say(0, (accomplice, *honest[0].values[1:])), *honest[1:]]
    larger.leave_out(larger.judge(said))
    assert larger.exclusions.clients == (larger.parties[0].address,)
    assert larger.open(larger.key(*range(7))).count == 6


def test_replay_of_a_check_answer_for_another_round_or_set(dry):
    """Header and accepted set are in the answer's signature."""
    dry.send(0, 1, 2)
    old = dry.check_answer(0)
    later = DryRound(4, round=2)
    later.send(0, 1, 2)
    dry.send(3)  # another accepted set of the same round
    for target in (later, dry):
        with pytest.raises(VerificationError, match=r"check answer \(2\)"):
            target.verify_answer(old)


def test_share_check_of_a_set_that_is_not_on_the_ledger(tmp_path):
    """The coordinator wants values for several sets, to combine a client's noise: members answer for the ledger's only."""
    one = Consortium(tmp_path)
    machine = one.contributed(one.open_round())
    one.commit_accepted(machine)
    committed = one.facts.round(one.run, 1)
    request = CheckRequest.decode(one.check_request(machine, 0))
    smaller = replace(request, accepted=request.accepted[1:])
    with pytest.raises(VerificationError, match=r"share check \(2\)"):
        one.check(0, smaller.encode())
    first = one.check(0, request.encode())
    pairs = [(s.leaf.statement.member, one.notary.digest(s.leaf.statement)) for s in smaller.accepted]
    one.facts.commit_round(one.run, 1, one.notary.root(pairs), len(pairs))  # a ledger that was made to lie
    with pytest.raises(PolicyRefusal, match="the share check for another set"):
        one.check(0, smaller.encode())
    one.facts.commit_round(one.run, 1, committed.root, committed.count)
    assert one.check(0, request.encode()) == first
    one.close()


def test_noise_in_a_check_element(dry):
    """Noise that no honest client has: the share check names its author, or lets it through where no value is in it."""
    dry.send(1, 2, 3)
    dry.deliver(noisy_checks(dry, 0, 60))
    assert 32 * 60 > noise_bound(PACK15, 4)  # beyond what four honest clients cause together
    assert dry.pass_check(0, 1, 2, 3) == NO_EXCLUSIONS
    opened = dry.open(dry.key(0, 1, 2, 3))
    honest = DryRound(4)
    honest.send(0, 1, 2, 3)
    expected = honest.open(honest.key(0, 1, 2, 3))
    assert (opened.count, opened.failed) == (4, ())
    assert (opened.counters, opened.weight_units) == (expected.counters, expected.weight_units)
    louder = DryRound(4)
    louder.send(1, 2, 3)
    # of 1 << 12 three in a hundred pass, with a challenge that is small; of this, two in a hundred thousand
    louder.deliver(noisy_checks(louder, 0, 1 << 24))
    left_out_of(louder, 0, Reason.WRONG_KEY)


def test_noise_in_a_check_element_that_voids_a_round_is_named_in_most_rounds():
    """Open: noise beyond the key's bound passes the share check if its coefficient's challenge happens to be small."""
    r = challenge(P2048, bytes(32), bytes(32))
    bound = MAX_DEVIATIONS * math.sqrt(noise_variance(PACK15) * int((r * r).sum()))
    least = key_noise_bound(P2048)
    assert 1 / 400 < bound / least / (1 << CHALLENGE_BITS) < 1 / 200
    assert 1 / 400 < np.mean(r.astype(float) * least < bound) < 1 / 150


def test_garbage_in_a_ring_element_is_visible(dry):
    """A client garbles the element with the weights: the sum is reported as failed, never as a number, and nobody is named."""
    dry.send(1, 2, 3)
    frame, layout = dry.prepare(0).frame, layout_of(dry.header)
    garbage = bytearray(frame.ciphertext)
    start = 2 * layout.element_bytes
    garbage[start : start + 4 * 2048] = dry.random.secret(4 * 2048).reveal()
    dry.collector.accept(
        dry.resign(
            0, replace(frame, ciphertext=bytes(garbage)), ciphertext=ciphertext_root(layout, bytes(garbage))
        )
    )
    with pytest.raises(VerificationError, match="garbled: the round has no aggregate"):
        dry.open(dry.key(1, 2, 3))


@pytest.mark.parametrize("liar", [None, 0, 1, 2, 3])
def test_garbage_in_a_ring_element_is_named(liar):
    """One value of every update is opened where the sum failed: the spoiler is named, by honest members and with one liar."""
    spoilt = SpoiltRound({0: {(3, 5): NOISE, (2, 77): OVERFLOW}})
    assert spoilt.aggregate.failed == (2, 3)
    half = 4096
    assert not spoilt.aggregate.update[: 2 * half].any()  # both elements count as zero updates
    assert spoilt.aggregate.update[2 * half :].any()
    said = {spoilt.account(p): spoilt.answer(p).values for p in range(4)}
    if liar is not None:
        said[spoilt.account(liar)] = tuple((3 * v + 1) % P2048.modulus for v in said[spoilt.account(liar)])
    assert spoilt.names_from(said) == (spoilt.account(0),)


@pytest.mark.parametrize("delta", [1, 2, 1 << 20, (1 << 53) - 126975 - 1])
def test_false_aggregate_key_published(dry, delta):
    """S is unique: a key that differs in a single residue is refused by everybody who checks."""
    dry.send(0, 1, 2, 3)
    key = dry.key(0, 1, 2)
    false = key.copy()
    false[7] = (int(false[7]) + delta) % P2048.modulus
    with pytest.raises(VerificationError, match="does not open the check elements"):
        open_aggregate(dry.header, dry.collector.sums, 4, false)
    assert dry.open(key).count == 4


def test_false_sum_published(dry):
    """The coordinator leaves a ciphertext out of, or adds one to, the sum that it opens: the key does not fit."""
    dry.send(0, 1, 2, 3)
    key, first = dry.key(0, 1, 2), dry.sent[dry.parties[0].address].ciphertext
    dry.collector.exclude(dry.parties[0].address, first)
    for count in (3, 4):
        with pytest.raises(VerificationError):
            open_aggregate(dry.header, dry.collector.sums, count, key)
