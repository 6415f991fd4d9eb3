"""Attacks with forged, replayed, copied and garbled messages. One test for each row of README.md."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.coordinator import combine
from fl_core.protocol.messages import Frame, boxes_digest
from fl_core.protocol.opening import open_aggregate
from fl_core.protocol.setup import box_context, layout_of
from fl_core.protocol.statements import RevealStatement
from fl_core.secagg import boxes, shamir
from fl_core.secagg.commitment import ciphertext_root
from ledger.notary import LedgerNotary
from tests.simulators.consortium import Consortium
from tests.simulators.dry_round import DryRound


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
    later.collector.accept(moved)
    later.send(1, 2, 3)
    with pytest.raises(
        VerificationError, match=rf"\(6\): the box of {dry.parties[0].address.hex()} does not open"
    ):
        later.reveal(1)


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


def test_copied_ciphertext_and_boxes_of_another_client(dry):
    """A copy under the copier's own signature is accepted, but no member opens a box of it, and its author is named."""
    dry.send(0, 2, 3)
    original = dry.sent[dry.parties[0].address].frame
    copy = dry.resign(1, original, member=dry.parties[1].address)
    dry.collector.accept(copy)
    for position in range(4):
        with pytest.raises(VerificationError, match="does not open to a share") as caught:
            dry.reveal(position)
        assert caught.value.party == dry.parties[1].address.hex()


def cheating_frame(dry, position, change):
    """A frame in which the client shares another secret than it encrypted under; all else is in order."""
    sender, frame = dry.parties[position], dry.prepare(position).frame
    sealed = []
    for number, (seat, box) in enumerate(zip(dry.header.committee, frame.boxes, strict=True)):
        context = box_context(dry.header, sender.address, seat)
        share = shamir.decode_vector(P2048, dry.parties[number].transport.open(context, box).reveal())
        changed = shamir.encode_vector(P2048, change(number, share.copy()) % np.uint64(P2048.modulus))
        sealed.append(boxes.seal(dry.parties[number].transport.public, context, changed))
    return dry.resign(position, replace(frame, boxes=tuple(sealed)), boxes=boxes_digest(tuple(sealed)))


def test_inconsistent_shares_are_detected(dry):
    """One share off the polynomial: t answers give a wrong key, more answers contradict each other. Nobody is named yet."""
    dry.send(1, 2, 3)
    dry.collector.accept(cheating_frame(dry, 0, lambda number, share: share + np.uint64(number == 0)))
    with pytest.raises(VerificationError, match="do not lie on one polynomial"):
        dry.key(0, 1, 2, 3)
    with pytest.raises(VerificationError, match="does not open the check elements"):
        dry.open(dry.key(0, 1, 2))
    # The members whose shares are right still open it: the lie costs the liar's seat, not the round.
    assert dry.open(dry.key(1, 2, 3)).count == 4


def test_wrong_key_is_detected(dry):
    """Consistent shares of a secret that the ciphertext is not under: the check elements refuse every combination."""
    dry.send(1, 2, 3)
    dry.collector.accept(cheating_frame(dry, 0, lambda number, share: share + np.uint64(1)))
    for members in ((0, 1, 2), (1, 2, 3), (0, 1, 2, 3)):
        with pytest.raises(VerificationError, match="does not open the check elements"):
            dry.open(dry.key(*members))


def test_lying_member_is_detected(dry):
    """A member signs a false sum: with a spare answer it contradicts the others; without one the key does not open."""
    dry.send(0, 1, 2, 3)
    honest = dry.reveal(0)
    lie = bytes([honest.shares[0] ^ 1]) + honest.shares[1:]
    statement = replace(honest.statement, shares=digest(Label.SHARES, lie))
    assert isinstance(statement, RevealStatement)
    signed = replace(honest, shares=lie, statement=statement, signature=dry.parties[0].sign(statement))
    shares = {dry.parties[p].address: dry.check(dry.reveal(p)) for p in (1, 2)} | {
        dry.parties[0].address: dry.check(signed)
    }
    with pytest.raises(VerificationError, match="does not open the check elements"):
        dry.open(combine(dry.header, shares))
    shares[dry.parties[3].address] = dry.check(dry.reveal(3))
    with pytest.raises(VerificationError, match="do not lie on one polynomial"):
        combine(dry.header, shares)
    with pytest.raises(
        VerificationError, match=r"check \(3\)"
    ):  # it cannot put its lie under another's signature
        dry.check(replace(honest, shares=lie))


def test_garbage_in_a_ring_element_is_visible(dry):
    """A client sends noise in its payload element: the sum is reported as failed, never as a number. Not named yet."""
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
    key, first = dry.key(0, 1, 2), dry.sent[dry.parties[0].address].frame.ciphertext
    dry.collector.exclude(dry.parties[0].address, first)
    for count in (3, 4):
        with pytest.raises(VerificationError):
            open_aggregate(dry.header, dry.collector.sums, count, key)
