"""The member's step: it answers for the committed included set, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.member import check_request
from fl_core.protocol.messages import boxes_digest, boxes_digest_of
from fl_core.protocol.setup import box_context
from fl_core.secagg import boxes, shamir
from tests.simulators.dry_round import DryRound

WORD = b"\x11" * 32


@pytest.fixture(scope="module")
def dry():
    dry = DryRound(5)  # n_min 4, threshold 4
    dry.send(0, 1, 2, 3, 4)
    return dry


def check(dry, request, included=None, **committed):
    check_request(
        dry.header, request, committed=replace(dry.committed(included), **committed), notary=dry.notary
    )


def refused(number, call, *arguments, **options):
    with pytest.raises(VerificationError, match=rf"reveal check \({number}\)"):
        call(*arguments, **options)


def test_a_request_for_the_committed_set_is_answered_with_the_sum_of_the_shares(dry):
    reveal = dry.reveal(1)
    seat, own = dry.header.committee[1], dry.parties[1]
    shares = [
        shamir.decode_vector(
            P2048, own.transport.open(box_context(dry.header, sender, seat), frame.boxes[1]).reveal()
        )
        for sender, frame in sorted(dry.sent.items())
    ]
    assert np.array_equal(shamir.decode_vector(P2048, reveal.shares), shamir.add_shares(P2048, shares))
    assert reveal.statement.included == dry.committed().included_root
    assert reveal.statement.shares == digest(Label.SHARES, reveal.shares)


def test_a_proper_subset_is_answered_when_it_is_the_committed_one(dry):
    some = [p.address for p in dry.parties[1:]]
    assert dry.reveal(0, some).shares != dry.reveal(0).shares


def test_1_a_request_for_another_header(dry):
    refused(1, check, dry, replace(dry.request(0), header=WORD))


def test_2_another_accepted_set_than_the_committed_one(dry):
    request = dry.request(0)
    refused(2, check, dry, replace(request, accepted=request.accepted[1:]))
    swapped = ((request.accepted[0][0], WORD), *request.accepted[1:])
    refused(2, check, dry, replace(request, accepted=swapped))
    refused(2, check, dry, request, accepted_count=4)
    refused(2, check, dry, request, accepted_root=WORD)


def test_3_fewer_contributions_than_n_min(dry):
    few = [p.address for p in dry.parties[:3]]
    refused(3, check, dry, dry.request(0, few), few)


def test_4_another_included_set_than_the_committed_one(dry):
    some = [p.address for p in dry.parties[1:]]
    refused(4, check, dry, dry.request(0, some))
    refused(4, check, dry, dry.request(0), some)
    refused(4, check, dry, dry.request(0), included_count=4)
    as_many = [p.address for p in dry.parties[:-1]]
    check(dry, dry.request(0, as_many), as_many)
    refused(4, check, dry, dry.request(0, some), as_many)


def test_4_an_included_contribution_that_was_not_accepted(dry):
    request = dry.request(0)
    accepted = request.accepted[1:]
    root = dry.notary.root(accepted)
    refused(4, check, dry, replace(request, accepted=accepted), accepted_root=root, accepted_count=4)


def test_5_an_accepted_contribution_of_a_stranger(dry):
    """The coordinator puts an account of its own into V and U on the ledger: members look at the cohort."""
    stranger = b"\xfe" * 20
    leaf = dry.request(0).included[0].leaf
    statement = replace(leaf.statement, member=stranger)
    request = dry.request(0)
    sealed = replace(request.included[-1], leaf=dry.sign(0, statement))
    request = replace(
        request,
        accepted=(*request.accepted, (stranger, dry.notary.digest(statement))),
        included=(*request.included, sealed),
    )
    pairs = tuple((s.leaf.statement.member, dry.notary.digest(s.leaf.statement)) for s in request.included)
    root = dry.notary.root(pairs)
    refused(
        5, check, dry, request, accepted_root=root, accepted_count=6, included_root=root, included_count=6
    )


def with_leaf(dry, leaf, box=None):
    """A request in which the first contribution is replaced, and the commitment to it."""
    request = dry.request(0)
    first = replace(request.included[0], leaf=leaf, **({} if box is None else box))
    pairs = ((leaf.statement.member, dry.notary.digest(leaf.statement)), *request.accepted[1:])
    root = dry.notary.root(pairs)
    return replace(request, accepted=pairs, included=(first, *request.included[1:])), {
        "accepted_root": root,
        "included_root": root,
    }


@pytest.mark.parametrize("changes", [{"run": WORD}, {"round": 2}, {"header": WORD}])
def test_5_a_leaf_of_another_round(dry, changes):
    leaf = dry.request(0).included[0].leaf
    request, committed = with_leaf(dry, dry.sign(0, replace(leaf.statement, **changes)))
    refused(5, check, dry, request, **committed)


def test_5_a_leaf_that_its_client_did_not_sign(dry):
    leaf = dry.request(0).included[0].leaf
    request, committed = with_leaf(dry, dry.sign(1, leaf.statement))
    refused(5, check, dry, request, **committed)
    request, committed = with_leaf(dry, replace(leaf, signature=bytes(65)))
    refused(5, check, dry, request, **committed)


def test_6_a_box_that_its_client_did_not_sign(dry):
    request = dry.request(0)
    first = request.included[0]
    for changed in (
        replace(first, box=request.included[1].box),
        replace(first, box_digests=first.box_digests[::-1]),
        replace(first, box_digests=first.box_digests[:-1]),
        replace(first, box_digests=(digest(Label.BOX, b""), *first.box_digests[1:]), box=b""),
    ):
        refused(6, dry.reveal, 0, request=replace(request, included=(changed, *request.included[1:])))


@pytest.mark.parametrize("seats", [4, 6])
def test_6_a_client_that_signed_another_number_of_boxes_than_there_are_seats(dry, seats):
    """The coordinator must refuse such a contribution; where it does not, every member does, also in the last seat."""
    request = dry.request(0)
    first = request.included[0]
    digests = (*first.box_digests, WORD)[:seats]
    leaf = dry.sign(0, replace(first.leaf.statement, boxes=boxes_digest_of(digests)))
    request, committed = with_leaf(dry, leaf, {"box_digests": digests})
    last = dry.request(4).included
    for position, others in ((0, request.included[1:]), (4, last[1:])):
        mine = replace(request.included[0], box=dry.sent[dry.parties[0].address].boxes[position])
        asked = replace(request, included=(mine, *others))
        refused(6, dry.reveal, position, request=asked, committed=replace(dry.committed(), **committed))


def test_6_the_box_of_another_member(dry):
    request = dry.request(0)
    other = dry.request(1)
    swapped = replace(request, included=other.included)
    refused(6, dry.reveal, 0, request=swapped)


@pytest.mark.parametrize("plaintext", [b"", b"\xff" * (7 * 2048), bytes(7 * 2048 - 1), None])
def test_6_a_signed_box_that_holds_no_share_names_its_client_and_not_the_reason(dry, plaintext):
    """Client 0 seals nonsense to member 0, and signs it: the error must name client 0, whatever was wrong."""
    frame, seat = dry.sent[dry.parties[0].address], dry.header.committee[0]
    context = box_context(dry.header, dry.parties[0].address, seat)
    box = (
        b"\x00" * 2000
        if plaintext is None
        else boxes.seal(dry.parties[0].transport.public, context, plaintext)
    )
    sealed = (box, *frame.boxes[1:])
    digests = tuple(digest(Label.BOX, b) for b in sealed)
    leaf = dry.sign(0, replace(frame.leaf.statement, boxes=boxes_digest(sealed)))
    request, committed = with_leaf(dry, leaf, {"box": box, "box_digests": digests})
    with pytest.raises(VerificationError) as caught:
        dry.reveal(0, request=request, committed=replace(dry.committed(), **committed))
    sender = dry.parties[0].address.hex()
    assert str(caught.value) == f"reveal check (6): the box of {sender} does not open to a share"
    assert caught.value.party == sender


def test_a_member_answers_although_it_did_not_contribute():
    dry = DryRound(4)
    dry.send(0, 1, 2)
    assert dry.check(dry.reveal(3)).shape == (2048,)
