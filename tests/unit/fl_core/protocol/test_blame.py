"""The blame opening: where a sum failed, what a member answers to, and who is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.blame_messages import Place
from fl_core.protocol.check_messages import encode_values
from fl_core.protocol.messages import boxes_digest
from fl_core.protocol.setup import box_context
from fl_core.secagg import boxes, shamir
from fl_core.secagg.place import failing_coefficient
from tests.simulators.spoilt_round import NOISE, OVERFLOW, PARAMETERS, SpoiltRound

WORD = b"\x11" * 32
Q = P2048.modulus
PLACE = Place(element=3, coefficient=100)
WEIGHT = PARAMETERS % 4096  # the weight and the counter are in the last element, in slot 0


@pytest.fixture(scope="module")
def spoilt():
    """The client at position 2 adds noise in one coefficient and more in a later one."""
    return SpoiltRound({2: {(3, 100): NOISE, (3, 700): NOISE}})


def refused(check, number, call, *arguments, **options):
    with pytest.raises(VerificationError, match=rf"blame {check} \({number}\)") as caught:
        call(*arguments, **options)
    return caught.value


# ---------------------------------------------------------------------- the place


def test_the_place_is_the_first_coefficient_of_the_first_element_that_failed(spoilt):
    assert spoilt.aggregate.failed == (3,)
    assert spoilt.place == PLACE
    assert spoilt.find((4,)) is None
    assert spoilt.find((4, 3)) == PLACE


def test_a_sum_that_did_not_fail_has_no_place():
    honest = SpoiltRound({})
    assert honest.aggregate.failed == ()
    assert honest.find((2, 3)) is None


@pytest.mark.parametrize("by", [NOISE, -NOISE, OVERFLOW], ids=["noise", "negative noise", "slot"])
def test_noise_and_a_slot_that_is_too_large_are_found_and_their_author_is_named(by):
    spoilt = SpoiltRound({1: {(2, 0): by}})
    assert spoilt.place == Place(element=2, coefficient=0)
    assert spoilt.names(spoilt.answer(position) for position in range(4)) == (spoilt.account(1),)


def test_an_element_failed_if_and_only_if_a_coefficient_of_it_did():
    """The search for a place and the opening of the sum agree on what honest clients cause."""
    spoilt = SpoiltRound({0: {(2, 5): NOISE}, 3: {(3, 2047): OVERFLOW}})
    rows, arguments = spoilt.dry.collector.sums, (spoilt.count, spoilt.key)
    found = {
        element: failing_coefficient(
            spoilt.layout, spoilt.header.digest, element, rows[element], *arguments, spoilt.layout.length
        )
        for element in (2, 3, 4)
    }
    assert found == {2: 5, 3: 2047, 4: None}
    assert spoilt.aggregate.failed == (2, 3)


@pytest.mark.parametrize("coefficient", [WEIGHT, WEIGHT + 1])
def test_a_coefficient_with_the_weight_or_a_counter_is_never_opened(spoilt, coefficient):
    honest = spoilt.dry.collector.sums
    row = honest[4].copy()
    row[coefficient] = (int(row[coefficient]) + NOISE) % spoilt.layout.max_wire

    def place(protected):
        return failing_coefficient(
            spoilt.layout, spoilt.header.digest, 4, row, spoilt.count, spoilt.key, protected
        )

    assert place(PARAMETERS) is None
    assert place(PARAMETERS + 2) == coefficient
    row[1500] = (int(row[1500]) + NOISE) % spoilt.layout.max_wire
    assert place(PARAMETERS) == 1500


# ---------------------------------------------------------------------- the member's obligations


def test_a_member_answers_with_one_value_for_each_included_client(spoilt):
    answer = spoilt.answer(0)
    assert len(set(answer.values)) == len(answer.values) == 4
    assert answer.statement.place == PLACE.digest
    assert spoilt.answer(0).values == answer.values
    spoilt.verify(answer)


def with_first(spoilt, change_sealed=lambda sealed: sealed, **changes):
    """A request whose first contribution is changed, and what the ledger would hold for it."""
    request, dry = spoilt.request(0), spoilt.dry
    first = replace(request.included[0], **changes)
    first = replace(first, sealed=change_sealed(first.sealed))
    request = replace(request, included=(first, *request.included[1:]))
    pairs = [
        (s.sealed.leaf.statement.member, dry.notary.digest(s.sealed.leaf.statement)) for s in request.included
    ]
    return {"request": request, "committed": replace(dry.committed(), included_root=dry.notary.root(pairs))}


def resigned(spoilt, sealed, **changes):
    """A sealed contribution with another statement that its client signed."""
    position = [p.address for p in spoilt.dry.parties].index(sealed.leaf.statement.member)
    return replace(sealed, leaf=spoilt.dry.sign(position, replace(sealed.leaf.statement, **changes)))


def test_1_a_request_for_another_header(spoilt):
    refused("check", 1, spoilt.answer, 0, request=replace(spoilt.request(0), header=WORD))


def test_2_another_set_than_the_included_one_on_the_ledger(spoilt):
    request, committed = spoilt.request(0), spoilt.dry.committed()
    for included in ((), request.included[1:], request.included[:-1]):
        refused("check", 2, spoilt.answer, 0, request=replace(request, included=included))
    for other in (replace(committed, included_root=WORD), replace(committed, included_count=3)):
        refused("check", 2, spoilt.answer, 0, committed=other)


def test_2_an_included_set_on_the_ledger_that_is_smaller_than_n_min(spoilt):
    request = spoilt.request(0)
    two = replace(request, included=request.included[:2])
    committed = spoilt.dry.committed([s.sealed.leaf.statement.member for s in two.included])
    assert committed.included_count == 2 < spoilt.header.n_min
    refused("check", 2, spoilt.answer, 0, request=two, committed=committed)


@pytest.mark.parametrize("changes", [{"round": 2}, {"run": WORD}, {"header": WORD}])
def test_3_a_leaf_of_another_round(spoilt, changes):
    refused("check", 3, spoilt.answer, 0, **with_first(spoilt, lambda s: resigned(spoilt, s, **changes)))


def test_3_a_leaf_that_its_client_did_not_sign(spoilt):
    forged = with_first(spoilt, lambda s: replace(s, leaf=replace(s.leaf, signature=bytes(65))))
    refused("check", 3, spoilt.answer, 0, **forged)


def test_3_a_client_outside_of_the_cohort(spoilt):
    committed = spoilt.dry.committed()
    signers = {a: s for a, s in committed.signers.items() if a != spoilt.account(1)}
    refused("check", 3, spoilt.answer, 0, committed=replace(committed, signers=signers))


def test_4_a_box_that_the_client_did_not_sign_for_this_member(spoilt):
    other = spoilt.request(1).included[0].sealed
    refused("check", 4, spoilt.answer, 0, **with_first(spoilt, lambda s: replace(s, box=other.box)))
    refused("check", 4, spoilt.answer, 0, request=spoilt.request(1))


def test_4_a_box_that_opens_to_a_share_which_its_client_did_not_sign(spoilt):
    """A client seals another share for the blame opening only, to clear itself: members open what was signed before."""
    dry = spoilt.dry
    context = box_context(dry.header, dry.parties[0].address, dry.header.committee[0])
    share = shamir.encode_vector(P2048, np.zeros(P2048.degree, np.uint64))
    other = boxes.seal(dry.parties[0].transport.public, context, share)
    refused("check", 4, spoilt.answer, 0, **with_first(spoilt, lambda s: replace(s, box=other)))


def test_4_a_signed_box_that_does_not_open_to_a_share(spoilt):
    def closed(sealed):
        box = bytes(len(sealed.box))
        digests = (digest(Label.BOX, box), *sealed.box_digests[1:])
        others = tuple(spoilt.dry.sent[sealed.leaf.statement.member].boxes[1:])
        changed = replace(sealed, box=box, box_digests=digests)
        return resigned(spoilt, changed, boxes=boxes_digest((box, *others)))

    refused("check", 4, spoilt.answer, 0, **with_first(spoilt, closed))


def test_5_rows_or_proofs_that_are_not_those_of_the_signed_ciphertext(spoilt):
    shown = spoilt.request(0).included[0]
    row = bytes([shown.rows[2][0] ^ 1]) + shown.rows[2][1:]
    for changes in (
        {"rows": (*shown.rows[:2], row)},
        {"rows": (shown.rows[1], shown.rows[0], shown.rows[2])},
        {"rows": (*shown.rows[:2], b"")},
        {"proofs": (*shown.proofs[:2], ())},
        {"proofs": (*shown.proofs[:2], shown.proofs[0])},
    ):
        refused("check", 5, spoilt.answer, 0, **with_first(spoilt, **changes))


def test_6_a_key_that_does_not_open_the_sum(spoilt):
    request, other = spoilt.request(0), spoilt.key.copy()
    other[0] = (int(other[0]) + 1) % Q
    for key in (shamir.encode_vector(P2048, other), request.key[:-1], b""):
        refused("check", 6, spoilt.answer, 0, request=replace(request, key=key))


@pytest.mark.parametrize(
    "place",
    [
        Place(element=3, coefficient=700),  # it failed there too, but not first
        Place(element=3, coefficient=99),
        Place(element=3, coefficient=101),
        Place(element=2, coefficient=100),  # this element did not fail
        Place(element=4, coefficient=WEIGHT),
    ],
    ids=lambda place: f"{place.element}-{place.coefficient}",
)
def test_7_a_place_where_the_sum_did_not_fail_first(spoilt, place):
    refused("check", 7, spoilt.answer, 0, request=spoilt.request(0, place))


@pytest.mark.parametrize("element", [0, 1, 5, 2**63])
def test_7_a_place_outside_of_the_payload(spoilt, element):
    request = spoilt.request(0)
    outside = replace(request, place=Place(element=element, coefficient=0))
    refused("check", 7, spoilt.answer, 0, request=outside)


@pytest.mark.parametrize("coefficient", [2048, 2**32 - 1])
def test_7_a_coefficient_that_does_not_exist(spoilt, coefficient):
    request = spoilt.request(0)
    beyond = replace(request, place=Place(element=3, coefficient=coefficient))
    refused("check", 7, spoilt.answer, 0, request=beyond)


def test_nobody_answers_about_an_honest_sum():
    honest = SpoiltRound({})
    for place in (PLACE, Place(element=2, coefficient=0)):
        refused("check", 7, honest.answer, 0, request=honest.request(0, place))


# ---------------------------------------------------------------------- the answer


def test_1_an_answer_of_somebody_without_a_seat(spoilt):
    answer = spoilt.answer(0)
    stranger = replace(answer, statement=replace(answer.statement, member=bytes(20)))
    refused("answer", 1, spoilt.verify, stranger)


@pytest.mark.parametrize(
    "changes", [{"run": WORD}, {"round": 2}, {"header": WORD}, {"included": WORD}, {"place": WORD}]
)
def test_2_an_answer_for_another_round_set_or_place(spoilt, changes):
    answer = spoilt.answer(0)
    statement = replace(answer.statement, **changes)
    signed = replace(answer, statement=statement, signature=spoilt.dry.parties[0].sign(statement))
    refused("answer", 2, spoilt.verify, signed)


def test_3_values_that_are_not_signed_too_few_or_no_residues(spoilt):
    answer = spoilt.answer(0)
    unsigned = replace(answer, values=(answer.values[0] ^ 1, *answer.values[1:]))
    refused("answer", 3, spoilt.verify, unsigned)
    for values in (answer.values[1:], (*answer.values, 0), (Q, *answer.values[1:]), (2**64 - 1,) * 4):
        error = refused("answer", 3, spoilt.verify, spoilt.say(0, values))
        assert error.party == spoilt.account(0).hex()
    spoilt.verify(spoilt.say(0, (Q - 1, 0, 1, 2)))


def test_4_an_answer_that_another_key_signed(spoilt):
    answer, signature = spoilt.answer(0), spoilt.answer(1).signature
    for forged in (signature, bytes(65)):
        refused("answer", 4, spoilt.verify, replace(answer, signature=forged))
    assert answer.statement.values == digest(Label.BLAME_VALUES, encode_values(answer.values))


# ---------------------------------------------------------------------- who is named


def test_honest_members_name_the_spoiler_and_nobody_else(spoilt):
    assert spoilt.names(spoilt.answer(p) for p in range(4)) == (spoilt.account(2),)


def test_two_spoilers_of_one_coefficient_are_both_named():
    spoilt = SpoiltRound({0: {(3, 100): NOISE}, 3: {(3, 100): OVERFLOW}})
    assert spoilt.names(spoilt.answer(p) for p in range(4)) == (spoilt.account(0), spoilt.account(3))


def test_who_spoils_a_later_coefficient_only_is_not_named_for_only_one_is_opened():
    spoilt = SpoiltRound({0: {(3, 100): NOISE}, 3: {(3, 101): NOISE}})
    assert spoilt.names(spoilt.answer(p) for p in range(4)) == (spoilt.account(0),)


@pytest.mark.parametrize("liar", range(4))
def test_with_one_lying_member_of_four_the_spoiler_is_named_and_nobody_honest(spoilt, liar):
    """Also if the member that lies is the spoiler, and whatever it says, of everybody at once."""
    honest = {spoilt.account(p): spoilt.answer(p).values for p in range(4)}
    rng = np.random.default_rng(liar)
    lies = [
        tuple(int(v) for v in rng.integers(0, Q, 4)),
        tuple((v + 1) % Q for v in honest[spoilt.account(liar)]),
        (0, 0, 0, 0),
    ]
    for lie in lies:
        assert spoilt.names_from({**honest, spoilt.account(liar): lie}) == (spoilt.account(2),)


@pytest.mark.parametrize("answering", [(0, 1, 2), (0, 1, 3), (1, 2, 3)])
def test_just_t_answers_name_nobody_for_a_lie_among_them_would_not_be_noticed(spoilt, answering):
    truth = [spoilt.answer(p) for p in answering]
    lie = spoilt.say(answering[0], tuple((v + (1 << 40)) % Q for v in truth[0].values))
    assert spoilt.names(truth) == spoilt.names([lie, *truth[1:]]) == ()


def test_fewer_than_t_answers_name_nobody(spoilt):
    with pytest.raises(LocalProtocolError, match="3 members must answer, 2 did"):
        spoilt.names([spoilt.answer(0), spoilt.answer(1)])
