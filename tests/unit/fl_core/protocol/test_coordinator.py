"""The coordinator's steps: a frame is folded when every numbered check passes, and not at all otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.protocol.coordinator import MemorySpool
from fl_core.protocol.setup import layout_of
from fl_core.secagg.commitment import ciphertext_root
from tests.simulators.dry_round import DryRound

WORD = b"\x11" * 32


@pytest.fixture
def dry():
    dry = DryRound(4)
    dry.send(0)
    return dry


@pytest.fixture
def frame(dry):
    return dry.prepare(1).frame


def refused(dry, frame, number, *, party=1):
    before = dry.collector.sums.copy(), dry.collector.accepted
    with pytest.raises(VerificationError, match=rf"check \({number}\)") as caught:
        dry.collector.accept(frame)
    assert caught.value.party == dry.parties[party].address.hex()
    assert np.array_equal(dry.collector.sums, before[0])
    assert dry.collector.accepted == before[1]


def test_a_good_frame_is_folded_and_kept_without_its_ciphertext(dry, frame):
    before = dry.collector.sums.copy()
    accepted = dry.collector.accept(frame)
    assert not np.array_equal(dry.collector.sums, before)
    assert accepted.digest == dry.notary.digest(frame.leaf.statement)
    assert [a.leaf.statement.member for a in dry.collector.accepted] == sorted(
        p.address for p in dry.parties[:2]
    )
    assert not hasattr(accepted, "ciphertext")


def test_1_a_sender_outside_of_the_cohort(dry, frame):
    stranger = DryRound(4, seed="others").parties[0]
    statement = replace(frame.leaf.statement, member=stranger.address)
    with pytest.raises(VerificationError, match=r"check \(1\): the sender is not in the cohort"):
        dry.collector.accept(replace(frame, leaf=dry.sign(1, statement)))


def test_1_a_second_contribution(dry, frame):
    dry.collector.accept(frame)
    refused(dry, frame, 1)
    refused(dry, dry.prepare(1).frame, 1)


@pytest.mark.parametrize("changes", [{"run": WORD}, {"round": 2}, {"header": WORD}, {"parent": WORD}])
def test_2_a_leaf_of_another_round(dry, frame, changes):
    refused(dry, dry.resign(1, frame, **changes), 2)


def test_3_a_leaf_signed_by_somebody_else(dry, frame):
    refused(dry, replace(frame, leaf=dry.sign(2, frame.leaf.statement)), 3)


def test_3_a_leaf_changed_after_it_was_signed(dry, frame):
    changed = replace(frame.leaf, statement=replace(frame.leaf.statement, dataset=WORD))
    refused(dry, replace(frame, leaf=changed), 3)


def test_4_another_ciphertext_than_the_signed_one(dry, frame):
    flipped = bytes([frame.ciphertext[0] ^ 1]) + frame.ciphertext[1:]
    refused(dry, replace(frame, ciphertext=flipped), 4)


def test_4_other_boxes_than_the_signed_ones(dry, frame):
    refused(dry, replace(frame, boxes=frame.boxes[::-1]), 4)
    refused(dry, replace(frame, boxes=(*frame.boxes[:-1], b"")), 4)


@pytest.mark.parametrize("boxes", [(), "fewer", "more"])
def test_4_not_one_box_for_every_seat_even_if_signed(dry, frame, boxes):
    from fl_core.protocol.messages import boxes_digest

    boxes = {"fewer": frame.boxes[:-1], "more": (*frame.boxes, b"")}.get(boxes, ())
    refused(dry, dry.resign(1, replace(frame, boxes=boxes), boxes=boxes_digest(boxes)), 4)


def test_5_a_coefficient_that_no_encryption_gives(dry, frame):
    wild = b"\xff" * len(frame.ciphertext)
    root = ciphertext_root(layout_of(dry.header), wild)
    refused(dry, dry.resign(1, replace(frame, ciphertext=wild), ciphertext=root), 5)


def test_a_ciphertext_of_another_size_is_no_frame_of_this_round(dry, frame):
    with pytest.raises(DecodeError):
        dry.collector.decode(replace(frame, ciphertext=frame.ciphertext[:-1]).encode())


# ---------------------------------------------------------------------- exclusion


def test_an_excluded_ciphertext_leaves_the_sum_as_if_it_never_came(dry, frame):
    before = dry.collector.sums.copy()
    dry.collector.accept(frame)
    dry.collector.exclude(dry.parties[1].address, frame.ciphertext)
    assert np.array_equal(dry.collector.sums, before)
    assert len(dry.collector.accepted) == 2  # it stays in V


def test_a_ciphertext_is_excluded_once(dry, frame):
    dry.collector.accept(frame)
    dry.collector.exclude(dry.parties[1].address, frame.ciphertext)
    with pytest.raises(LocalProtocolError, match="not in the sum any more"):
        dry.collector.exclude(dry.parties[1].address, frame.ciphertext)


def test_only_the_accepted_ciphertext_of_that_client_is_excluded(dry, frame):
    dry.collector.accept(frame)
    first = dry.sent[dry.parties[0].address].ciphertext
    for member, ciphertext in ((dry.parties[2].address, frame.ciphertext), (dry.parties[1].address, first)):
        with pytest.raises(LocalProtocolError, match="only an accepted ciphertext"):
            dry.collector.exclude(member, ciphertext)


def test_a_spool_that_fails_leaves_the_sum_and_the_accepted_set_as_they_were():
    class FullDisk(MemorySpool):
        def put(self, client, boxes):
            raise OSError(28, "No space left on device")

    dry = DryRound(4)
    dry.send(0, 1)
    before, frame = dry.collector.sums.copy(), dry.prepare(2).frame
    working, dry.collector._spool = dry.collector._spool, FullDisk()
    with pytest.raises(OSError, match="No space left"):
        dry.collector.accept(frame)
    assert np.array_equal(dry.collector.sums, before)
    assert len(dry.collector.accepted) == 2
    dry.collector._spool = working
    dry.collector.accept(frame)
    assert len(dry.collector.accepted) == 3


# ---------------------------------------------------------------------- answers


@pytest.fixture
def full():
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    return dry


def refused_reveal(dry, reveal, number):
    with pytest.raises(VerificationError, match=rf"check \({number}\)"):
        dry.check(reveal)


def test_a_good_answer_gives_its_shares(full):
    assert full.check(full.reveal(2)).shape == (2048,)


def test_1_an_answer_without_a_seat(full):
    reveal = full.reveal(2)
    refused_reveal(full, replace(reveal, statement=replace(reveal.statement, member=b"\x01" * 20)), 1)


@pytest.mark.parametrize("changes", [{"run": WORD}, {"round": 9}, {"header": WORD}, {"included": WORD}])
def test_2_an_answer_for_another_round_or_set(full, changes):
    reveal = full.reveal(2)
    statement = replace(reveal.statement, **changes)
    signed = replace(reveal, statement=statement, signature=full.parties[2].sign(statement))
    refused_reveal(full, signed, 2)


def test_3_an_answer_that_signs_other_shares(full):
    reveal = full.reveal(2)
    refused_reveal(full, replace(reveal, shares=bytes(len(reveal.shares))), 3)


def test_4_an_answer_signed_by_somebody_else(full):
    reveal = full.reveal(2)
    refused_reveal(full, replace(reveal, signature=full.parties[1].sign(reveal.statement)), 4)


@pytest.mark.parametrize("shares", [b"", b"\xff" * (7 * 2048), bytes(7 * 2048 + 1)])
def test_5_an_answer_whose_signed_shares_are_no_residues_names_its_member(full, shares):
    reveal = full.reveal(2)
    statement = replace(reveal.statement, shares=digest(Label.SHARES, shares))
    answer = replace(reveal, statement=statement, shares=shares, signature=full.parties[2].sign(statement))
    with pytest.raises(VerificationError, match=r"check \(5\)") as caught:
        full.check(answer)
    assert caught.value.party == full.parties[2].address.hex()
    refused_reveal(full, replace(answer, signature=bytes(65)), 4)  # whose fault it is, a signature says


def test_fewer_answers_than_the_threshold_open_nothing(full):
    shares = {full.parties[p].address: full.check(full.reveal(p)) for p in range(4)}
    assert full.header.threshold == 3
    for count in range(3):
        with pytest.raises(LocalProtocolError, match=f"3 answers open the aggregate key, {count} came"):
            full.recover_from(dict(list(shares.items())[:count]))
    assert full.recover_from(dict(list(shares.items())[:3])).liars == ()


def test_any_members_beyond_the_threshold_open_the_same_key(full):
    assert np.array_equal(full.key(0, 1, 2), full.key(1, 2, 3))
    assert np.array_equal(full.key(0, 1, 2), full.key(0, 1, 2, 3))
