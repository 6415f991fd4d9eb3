"""The client's step: what it signs is what it sends, and nothing of it is guessable or used twice."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.digests import Label, digest
from fl_core.errors import InputError, LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.anchor import NO_LOGBOOK, hide_metrics, verify_anchor
from fl_core.protocol.messages import boxes_digest
from fl_core.protocol.setup import box_context, layout_of
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from tests.simulators.dry_round import DryRound


@pytest.fixture
def dry():
    return DryRound(4)


def test_the_leaf_speaks_of_this_round_and_of_what_is_sent(dry):
    frame = dry.prepare(1).frame
    statement, header = frame.leaf.statement, dry.header
    assert (statement.run, statement.round, statement.header) == (header.run, header.round, header.digest)
    assert (statement.parent, statement.member) == (header.parent, dry.parties[1].address)
    assert statement.ciphertext == ciphertext_root(layout_of(header), frame.ciphertext)
    assert statement.boxes == boxes_digest(frame.boxes)
    dry.notary.verify(statement, frame.leaf.signature, dry.parties[1].address)


def test_every_seat_gets_a_box_that_only_it_can_open(dry):
    frame, sender = dry.prepare(1).frame, dry.parties[1].address
    assert len(frame.boxes) == len(dry.header.committee)
    for seat, party, box in zip(dry.header.committee, dry.parties, frame.boxes, strict=True):
        opened = party.transport.open(box_context(dry.header, sender, seat), box)
        assert shamir.decode_vector(P2048, opened.reveal()).shape == (2048,)


def test_the_leaf_binds_the_head_of_the_clients_logbook_and_no_other(dry):
    prepared = dry.prepare(1, log_head=b"\x07" * 32)
    metrics = prepared.frame.leaf.statement.metrics
    verify_anchor(metrics, prepared.hidden, b"\x07" * 32)
    for hidden, head in ((prepared.hidden, NO_LOGBOOK), (bytes(32), b"\x07" * 32)):
        with pytest.raises(VerificationError, match="another head"):
            verify_anchor(metrics, hidden, head)


def test_weight_and_metrics_are_committed_to_with_salts_that_stay(dry):
    prepared = dry.prepare(1, examples=500, counters=(9,))
    units = round(32766 * 500 / 1000)
    statement = prepared.frame.leaf.statement
    assert prepared.units == units
    assert statement.weight == digest(
        Label.WEIGHT,
        prepared.weight_salt.reveal(),
        statement.header,
        statement.member,
        units.to_bytes(4, "big"),
    )
    hidden = hide_metrics(prepared.metrics_salt.reveal(), (9,))
    assert (
        prepared.hidden == hidden == digest(Label.METRICS, prepared.metrics_salt.reveal(), bytes(3) + b"\x09")
    )
    verify_anchor(statement.metrics, hidden, NO_LOGBOOK)
    assert prepared.weight_salt != prepared.metrics_salt
    assert "redacted" in repr(prepared)


def test_the_same_update_twice_shares_no_ciphertext_box_or_commitment(dry):
    one, other = dry.prepare(1).frame, dry.prepare(1).frame
    assert one.ciphertext != other.ciphertext
    assert not set(one.boxes) & set(other.boxes)
    first, second = one.leaf.statement, other.leaf.statement
    assert first.weight != second.weight and first.metrics != second.metrics


def test_a_frame_depends_on_the_random_source_only(dry):
    again = DryRound(4)
    assert (
        dry.prepare(1).frame.ciphertext == again.prepare(1).frame.ciphertext
    )  # HPKE draws by itself: boxes differ
    assert DryRound(4, seed=1).prepare(1).frame.ciphertext != dry.prepare(1).frame.ciphertext


def test_one_seed_and_two_salts_are_drawn(dry):
    drawn = dry.random.drawn
    dry.prepare(0)
    assert dry.random.drawn - drawn == 3


def test_clipped_values_are_counted(dry):
    update = np.array([2, 0.5, -3, 0.5, 0.51], np.float32)  # clips: 1, 1, 1, 0.5, 0.5
    assert dry.prepare(0, update=update).clipped == 3


@pytest.mark.parametrize("changes", [{"examples": 0}, {"counters": ()}, {"counters": (1 << 15,)}, {"counters": (-1,)},
                                     {"update": np.zeros(4, np.float32)}, {"update": np.zeros(5)}])  # fmt: skip
def test_arguments_out_of_range_are_our_own_error(dry, changes):
    with pytest.raises(LocalProtocolError):
        dry.prepare(0, **changes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_refused_with_a_remedy(dry, value):
    with pytest.raises(InputError, match="lower the learning rate"):
        dry.prepare(0, update=np.array([0, 0, value, 0, 0], np.float32))


def test_a_key_too_few_or_too_many_is_refused(dry):
    keys = tuple(p.transport.public for p in dry.parties)
    for wrong in (keys[:3], (*keys, keys[0])):
        with pytest.raises(ValueError):
            dry.prepare(0, transport_keys=wrong)
