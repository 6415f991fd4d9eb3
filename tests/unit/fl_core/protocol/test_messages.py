"""What a message may hold, and the order that a set must have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.protocol.messages import (
    MAX_BOX,
    Frame,
    Leaf,
    Reveal,
    RevealRequest,
    boxes_digest,
    boxes_digest_of,
)
from tests.simulators.dry_round import DryRound


@pytest.fixture(scope="module")
def round_():
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    return dry


@pytest.fixture(scope="module")
def request_(round_):
    return round_.request(0)


@pytest.fixture(scope="module")
def frame(round_):
    return next(iter(round_.sent.values()))


@pytest.mark.parametrize("field", ["accepted", "included"])
def test_a_set_is_ascending_without_repetition(request_, field):
    entries = getattr(request_, field)
    for broken in (entries[::-1], (entries[0], *entries), (entries[1], entries[0], *entries[2:])):
        with pytest.raises(ValueError, match="ascending order"):
            replace(request_, **{field: broken})
    assert replace(request_, **{field: entries[1:]})


@pytest.mark.parametrize("field", ["accepted", "included"])
def test_a_set_out_of_order_is_rejected_on_the_wire(request_, field):
    entries = getattr(request_, field)
    broken = object.__new__(RevealRequest)
    for name in ("header", "accepted", "included", "receipt"):
        object.__setattr__(broken, name, entries[::-1] if name == field else getattr(request_, name))
    with pytest.raises(DecodeError, match="ascending order"):
        RevealRequest.decode(RevealRequest.encode(broken))
    assert RevealRequest.decode(request_.encode()) == request_


def test_a_receipt_is_a_signature_or_nothing(request_):
    assert replace(request_, receipt=bytes(65))
    for size in (1, 64, 66):
        with pytest.raises(ValueError):
            replace(request_, receipt=bytes(size))


def test_digests_and_signatures_have_their_sizes(round_, request_, frame):
    with pytest.raises(ValueError):
        replace(request_, header=bytes(31))
    with pytest.raises(ValueError):
        replace(request_, accepted=((request_.accepted[0][0], bytes(31)),))
    with pytest.raises(ValueError):
        replace(request_.included[0], box_digests=(bytes(31),))
    with pytest.raises(ValueError):
        replace(frame.leaf, signature=bytes(64))
    with pytest.raises(ValueError):
        replace(round_.reveal(0), signature=bytes(64))


@pytest.mark.parametrize(
    "changes", [{"round": 0}, {"round": 1 << 32}, {"member": bytes(32)}, {"header": bytes(20)}]
)
def test_a_statement_is_made_of_a_round_an_address_and_digests(frame, changes):
    with pytest.raises(ValueError):
        replace(frame.leaf.statement, **changes)


def test_a_leaf_of_round_zero_is_rejected_on_the_wire(frame):
    data = frame.leaf.encode()
    with pytest.raises(DecodeError, match="a number of a round"):
        Leaf.decode(data[:34] + bytes(4) + data[38:])
    assert Leaf.decode(data) == frame.leaf


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_frame_holds_a_ciphertext_of_exactly_the_size_of_its_round(frame, difference):
    size = len(frame.ciphertext)
    assert Frame.decode(frame.encode(), ciphertext_bytes=size) == frame
    with pytest.raises(DecodeError):
        Frame.decode(frame.encode(), ciphertext_bytes=size + difference)


def test_a_decoded_ciphertext_is_a_view_that_nobody_can_write_through(frame):
    data, size = frame.encode(), len(frame.ciphertext)
    view = Frame.decode(data, ciphertext_bytes=size).ciphertext
    assert isinstance(view, memoryview) and view.obj is data and view.readonly
    with pytest.raises(TypeError):
        view[0] = 0
    changing = bytearray(data)
    decoded = Frame.decode(changing, ciphertext_bytes=size)
    changing[-1] ^= 1
    assert decoded == frame  # what was read is what is checked and folded


def test_a_box_beyond_its_limit_is_neither_written_nor_read(frame):
    size = len(frame.ciphertext)
    largest = replace(frame, boxes=(bytes(MAX_BOX),))
    assert Frame.decode(largest.encode(), ciphertext_bytes=size) == largest
    with pytest.raises(LocalProtocolError):
        replace(frame, boxes=(bytes(MAX_BOX + 1),)).encode()
    announced = largest.encode().replace(MAX_BOX.to_bytes(4, "big"), (MAX_BOX + 1).to_bytes(4, "big"), 1)
    with pytest.raises(DecodeError, match=f"at most {MAX_BOX} bytes claims {MAX_BOX + 1}"):
        Frame.decode(announced, ciphertext_bytes=size)


def test_the_digest_over_boxes_follows_from_the_digests_of_the_boxes(frame):
    digests = tuple(digest(Label.BOX, box) for box in frame.boxes)
    assert boxes_digest(frame.boxes) == boxes_digest_of(digests) == frame.leaf.statement.boxes
    assert boxes_digest(frame.boxes[::-1]) != frame.leaf.statement.boxes


def test_big_messages_print_their_sizes_instead_of_their_contents(round_, request_, frame):
    for message in (frame, request_.included[0], round_.reveal(0)):
        assert len(repr(message)) < 150
        assert "bytes>" in repr(message)


def test_a_reveal_is_read_as_it_was_written(round_):
    reveal = round_.reveal(1)
    assert Reveal.decode(reveal.encode()) == reveal
