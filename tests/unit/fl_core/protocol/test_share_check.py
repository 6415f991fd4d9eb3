"""The share check: what a member answers to, what its answer must be, and who is left out."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.check_messages import NO_VALUE, encode_values
from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusion, Exclusions, Reason
from fl_core.protocol.messages import boxes_digest
from tests.simulators.cheating import (
    bad_shares,
    closed_boxes,
    copied,
    false_values,
    framing_values,
    wrong_key,
)
from tests.simulators.dry_round import DryRound

WORD = b"\x11" * 32
WRONG_KEY, BAD_SHARES = Reason.WRONG_KEY, Reason.BAD_SHARES


@pytest.fixture(scope="module")
def dry():
    dry = DryRound(4)  # n_min 3, threshold 3
    dry.send(0, 1, 2, 3)
    return dry


def refused(number, call, *arguments, **options):
    with pytest.raises(VerificationError, match=rf"share check \({number}\)"):
        call(*arguments, **options)


# ---------------------------------------------------------------------- the member's obligations


def test_a_member_answers_for_the_accepted_set_with_one_value_for_each_client(dry):
    answer = dry.check_answer(1)
    assert answer.statement.accepted == dry.on_ledger.root
    assert answer.statement.values == digest(Label.CHECK_VALUES, encode_values(answer.values))
    assert len(set(answer.values)) == len(answer.values) == 4
    assert dry.check_answer(1).values == answer.values


def test_a_member_answers_although_it_did_not_contribute():
    dry = DryRound(4)
    dry.send(0, 1, 2)
    assert len(dry.check_answer(3).values) == 3


def test_1_a_request_for_another_header(dry):
    refused(1, dry.check_answer, 0, request=replace(dry.check_request(0), header=WORD))


def test_2_another_accepted_set_than_the_ledgers(dry):
    request, ledger = dry.check_request(0), dry.on_ledger
    for accepted in ((), request.accepted[1:], request.accepted[:-1]):
        refused(2, dry.check_answer, 0, request=replace(request, accepted=accepted))
    for committed in (replace(ledger, root=WORD), replace(ledger, count=3)):
        refused(2, dry.check_answer, 0, committed=committed)


def with_leaf(dry, leaf, **changes):
    """A request whose first contribution is replaced, and what the ledger would hold for it."""
    request = dry.check_request(0)
    first = replace(request.accepted[0], leaf=leaf, **changes)
    request = replace(request, accepted=(first, *request.accepted[1:]))
    pairs = [(s.leaf.statement.member, dry.notary.digest(s.leaf.statement)) for s in request.accepted]
    return {"request": request, "committed": replace(dry.on_ledger, root=dry.notary.root(pairs))}


@pytest.mark.parametrize("changes", [{"run": WORD}, {"round": 2}, {"header": WORD}])
def test_3_a_leaf_of_another_round(dry, changes):
    leaf = dry.check_request(0).accepted[0].leaf
    refused(3, dry.check_answer, 0, **with_leaf(dry, dry.sign(0, replace(leaf.statement, **changes))))


def test_3_a_leaf_that_its_client_did_not_sign(dry):
    leaf = dry.check_request(0).accepted[0].leaf
    for forged in (dry.sign(1, leaf.statement), replace(leaf, signature=bytes(65))):
        refused(3, dry.check_answer, 0, **with_leaf(dry, forged))


def test_3_a_leaf_of_a_stranger(dry):
    leaf = dry.check_request(0).accepted[0].leaf
    stranger = replace(leaf.statement, member=bytes(20))
    refused(3, dry.check_answer, 0, **with_leaf(dry, dry.sign(0, stranger)))


def test_4_a_box_that_its_client_did_not_sign(dry):
    first, second, *rest = dry.check_request(0).accepted
    for changed in (
        replace(first, box=second.box),
        replace(first, box_digests=first.box_digests[::-1]),
        replace(first, box_digests=first.box_digests[:-1]),
        replace(first, box_digests=(digest(Label.BOX, b""), *first.box_digests[1:]), box=b""),
    ):
        request = replace(dry.check_request(0), accepted=(changed, second, *rest))
        refused(4, dry.check_answer, 0, request=request)


def test_4_the_boxes_of_another_member(dry):
    refused(4, dry.check_answer, 0, request=dry.check_request(1))


def test_a_signed_box_that_does_not_open_gets_no_value_and_the_others_do(dry):
    first = dry.check_request(0).accepted[0]
    sealed = (bytes(2000), *dry.sent[dry.parties[0].address].boxes[1:])
    leaf = dry.sign(0, replace(first.leaf.statement, boxes=boxes_digest(sealed)))
    digests = tuple(digest(Label.BOX, box) for box in sealed)
    answer = dry.check_answer(0, **with_leaf(dry, leaf, box=sealed[0], box_digests=digests))
    assert answer.values[0] == NO_VALUE
    assert all(value < P2048.modulus for value in answer.values[1:])


# ---------------------------------------------------------------------- the answer's obligations


def refused_answer(dry, answer, number):
    with pytest.raises(VerificationError, match=rf"check answer \({number}\)") as caught:
        dry.verify_answer(answer)
    assert caught.value.party == answer.statement.member.hex()


def signed(dry, position, **changes):
    answer = dry.check_answer(position)
    statement = replace(answer.statement, **changes)
    return replace(answer, statement=statement, signature=dry.parties[position].sign(statement))


def test_a_good_answer_is_accepted(dry):
    dry.verify_answer(dry.check_answer(2))


def test_1_an_answer_without_a_seat(dry):
    answer = dry.check_answer(2)
    refused_answer(dry, replace(answer, statement=replace(answer.statement, member=b"\x01" * 20)), 1)


@pytest.mark.parametrize("changes", [{"run": WORD}, {"round": 9}, {"header": WORD}, {"accepted": WORD}])
def test_2_an_answer_for_another_round_or_set(dry, changes):
    refused_answer(dry, signed(dry, 2, **changes), 2)


def test_3_an_answer_that_signs_other_values(dry):
    answer = dry.check_answer(2)
    refused_answer(dry, replace(answer, values=(*answer.values[:-1], 0)), 3)


def test_3_an_answer_with_too_few_or_too_many_values_even_if_signed(dry):
    values = dry.check_answer(2).values
    for wrong in ((), values[:-1], (*values, 0)):
        refused_answer(dry, dry.say(2, wrong), 3)


@pytest.mark.parametrize("value", [P2048.modulus, NO_VALUE - 1, 1 << 63])
def test_3_a_value_that_is_no_residue_even_if_signed(dry, value):
    values = dry.check_answer(2).values
    refused_answer(dry, dry.say(2, (value, *values[1:])), 3)


@pytest.mark.parametrize("value", [0, P2048.modulus - 1, NO_VALUE])
def test_any_residue_and_no_value_may_be_said(dry, value):
    dry.verify_answer(dry.say(2, (value, *dry.check_answer(2).values[1:])))


def test_4_an_answer_signed_by_somebody_else(dry):
    answer = dry.check_answer(2)
    refused_answer(dry, replace(answer, signature=dry.parties[1].sign(answer.statement)), 4)


# ---------------------------------------------------------------------- verdicts


def full(count=4, cheat=None, position=0, *, seed=0):
    """A round of ``count`` in which the client at ``position`` cheats, if it does."""
    dry = DryRound(count, seed=seed)
    for sender in range(count):
        frame = cheat(dry, sender) if cheat and sender == position else dry.prepare(sender).frame
        dry.deliver(frame)
    return dry


def answers(dry, *positions):
    return [dry.check_answer(p) for p in positions or range(len(dry.parties))]


def left_out(dry, *entries, unreliable=()):
    """The exclusions of these (client, reason, disputing members), by position."""
    address = [party.address for party in dry.parties]
    return Exclusions(
        excluded=tuple(
            Exclusion(client=address[c], reason=reason, disputed_by=tuple(address[m] for m in members))
            for c, reason, members in entries
        ),
        unreliable=tuple(address[m] for m in unreliable),
    )


@pytest.mark.parametrize("members", [(0, 1, 2), (1, 2, 3), (0, 1, 2, 3)])
def test_nobody_is_left_out_of_an_honest_round_whoever_answers(dry, members):
    assert dry.judge(answers(dry, *members)) == NO_EXCLUSIONS


@pytest.mark.parametrize("members", [(0, 1, 2), (0, 1, 2, 3)])
def test_a_wrong_key_is_named_and_disputed_by_nobody(members):
    dry = full(cheat=wrong_key, position=2)
    assert dry.judge(answers(dry, *members)) == left_out(dry, (2, WRONG_KEY, ()))


def test_copied_boxes_are_a_wrong_key():
    dry = DryRound(4)
    dry.send(0, 2, 3)
    dry.deliver(copied(dry, 1, dry.sent[dry.parties[0].address]))
    assert all(answer.values[1] == NO_VALUE for answer in answers(dry))
    assert dry.judge(answers(dry)) == left_out(dry, (1, WRONG_KEY, ()))


@pytest.mark.parametrize("cheat", [bad_shares, closed_boxes])
@pytest.mark.parametrize("victim", range(4))
def test_shares_that_do_not_fit_for_one_member_are_named_with_that_member(cheat, victim):
    dry = full(cheat=lambda dry, p: cheat(dry, p, victim), position=1)
    assert dry.judge(answers(dry)) == left_out(dry, (1, BAD_SHARES, (victim,)))


def test_shares_that_are_bad_for_a_member_that_is_away_are_not_seen_and_do_no_harm():
    dry = full(cheat=lambda dry, p: bad_shares(dry, p, 3), position=1)
    assert dry.pass_check(0, 1, 2) == NO_EXCLUSIONS
    assert dry.open(dry.key(0, 1, 2)).count == 4


def test_shares_that_leave_fewer_than_t_good_ones_are_a_wrong_key():
    dry = full(cheat=lambda dry, p: closed_boxes(dry, p, 0, 3), position=1)
    assert dry.judge(answers(dry)) == left_out(dry, (1, WRONG_KEY, ()))


def test_two_bad_shares_of_seven_are_named_beyond_unique_decoding():
    dry = full(7, cheat=lambda dry, p: bad_shares(dry, p, 1, 5), position=3)
    assert dry.judge(answers(dry)) == left_out(dry, (3, BAD_SHARES, (1, 5)))


def test_two_cheats_are_told_apart():
    dry = DryRound(7)  # n_min 5
    dry.send(0, 2, 3, 5, 6)
    dry.deliver(wrong_key(dry, 1))
    dry.deliver(bad_shares(dry, 4, 6))
    assert dry.judge(answers(dry)) == left_out(dry, (1, WRONG_KEY, ()), (4, BAD_SHARES, (6,)))


def test_a_member_that_lies_about_one_client_has_it_left_out_and_stands_beside_it(dry):
    said = [false_values(dry, 0, {2}), *answers(dry, 1, 2, 3)]
    assert dry.judge(said) == left_out(dry, (2, BAD_SHARES, (0,)))


@pytest.mark.parametrize("lies", [(0, 1), (1, 2, 3), (0, 1, 2, 3)])
def test_a_member_that_lies_about_more_than_may_be_left_out_is_not_believed(dry, lies):
    said = [false_values(dry, 3, lies), *answers(dry, 0, 1, 2)]
    assert dry.judge(said) == left_out(dry, unreliable=(3,))


def test_a_member_whose_word_does_not_count_does_not_hide_who_really_cheats():
    dry = full(cheat=wrong_key, position=2)
    said = [false_values(dry, 3, {0, 1, 3}), *answers(dry, 0, 1, 2)]
    assert dry.judge(said) == left_out(dry, (2, WRONG_KEY, ()), unreliable=(3,))


def test_without_anybody_to_spare_a_disputed_contribution_stays_and_the_members_word_does_not_count():
    dry = DryRound(4)
    dry.send(0, 1)
    dry.deliver(bad_shares(dry, 2, 3))
    assert dry.pass_check(0, 1, 2, 3) == left_out(dry, unreliable=(3,))
    recovered = dry.recover(0, 1, 2, 3)
    assert recovered.liars == (dry.parties[3].address,)
    assert dry.open(recovered.key).count == 3


# A member with its own value and the challenges can make a wrong secret fit together with t - 1 honest values.


def test_a_member_that_frames_another_one_is_named_beside_it(dry):
    """Four members, t = 3: no redundancy to decide who of the two lies."""
    said = [framing_values(dry, 0, victim=3, clients={1}, among=range(4)), *answers(dry, 1, 2, 3)]
    assert dry.judge(said) == left_out(dry, (1, BAD_SHARES, (0, 3)))


def test_framing_a_different_member_with_every_client_does_not_leave_too_few(dry):
    honest = dry.check_answer(0).values
    lies = [
        framing_values(dry, 0, victim=victim, clients={client}, among=range(4)).values[client]
        for client, victim in enumerate((1, 2, 3))
    ]
    said = [dry.say(0, (*lies, honest[3])), *answers(dry, 1, 2, 3)]
    assert dry.judge(said) == left_out(dry, unreliable=(0,))


def test_within_unique_decoding_a_member_that_frames_another_one_is_named_alone():
    dry = full(7)  # t = 5: one wrong value of seven is found
    said = [framing_values(dry, 0, victim=6, clients={1}, among=range(5)), *answers(dry, *range(1, 7))]
    assert dry.judge(said) == left_out(dry, (1, BAD_SHARES, (0,)))


def test_within_unique_decoding_a_member_does_not_pass_a_wrong_key_as_right():
    """The member knows the client's secret, so it knows which value makes the wrong key fit with t - 1 honest values."""
    dry = full(7, cheat=wrong_key, position=1)
    honest = answers(dry)
    assert dry.judge(honest) == left_out(dry, (1, WRONG_KEY, ()))
    for by in (1, P2048.modulus // 2):
        said = [false_values(dry, 0, {1}, by), *honest[1:]]
        assert dry.judge(said) == left_out(dry, (1, WRONG_KEY, ()))


def test_every_order_of_answers_has_the_same_outcome():
    dry = full(5, cheat=lambda dry, p: bad_shares(dry, p, 2), position=4)  # t = 4, n_min 4
    said = [false_values(dry, 0, {1}), *answers(dry, 1, 2, 3, 4)]
    outcomes = {dry.judge(order).encode() for order in list(permutations(said))[::7]}
    assert len(outcomes) == 1


@pytest.mark.parametrize("count", range(3))
def test_fewer_answers_than_the_threshold_judge_nobody(dry, count):
    with pytest.raises(LocalProtocolError, match=f"3 members must answer, {count} did"):
        dry.judge(answers(dry)[:count])


def test_with_just_t_answers_one_lie_cannot_be_told_from_a_wrong_key(dry):
    """Stated, not wanted: nothing is left to compare with. No sum opens that should not."""
    said = [false_values(dry, 0, {1}), *answers(dry, 1, 2)]
    assert dry.judge(said) == left_out(dry, (1, WRONG_KEY, ()))


def test_an_excluded_client_is_not_in_the_sum_and_all_others_are():
    dry = full(cheat=wrong_key, position=2)
    dry.pass_check(0, 1, 2, 3)
    honest = DryRound(4)
    honest.send(0, 1, 3)
    one, other = dry.open(dry.key(0, 1, 3)), honest.open(honest.key(0, 1, 3))
    assert (one.count, one.counters, one.weight_units) == (3, other.counters, other.weight_units)
    assert np.abs(one.sums - other.sums).max() <= 3  # each client rounds with coins of its own
