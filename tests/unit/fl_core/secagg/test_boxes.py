"""Boxes open for the right key, info and bytes only, and never say why not."""

from __future__ import annotations

import pickle

import pytest

from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.secagg import boxes
from fl_core.secagg.boxes import BOX_OVERHEAD, PUBLIC_KEY_BYTES, TransportPrivateKey
from fl_core.secret import Secret
from tests.unit.fl_core.secagg.parties import known
from tests.vectors.secagg import verify

SEED = Secret(known("transport"))
PRIVATE = TransportPrivateKey.from_seed(SEED)
INFO, PLAINTEXT = b"round, sender, receiver", b"a share"


def test_a_box_opens_with_the_key_and_the_info_it_was_sealed_for():
    box = boxes.seal(PRIVATE.public, INFO, PLAINTEXT)
    assert len(box) == len(PLAINTEXT) + BOX_OVERHEAD
    assert boxes.open(PRIVATE, INFO, box) == Secret(PLAINTEXT)


def test_sealing_twice_gives_different_boxes():
    assert boxes.seal(PRIVATE.public, INFO, PLAINTEXT) != boxes.seal(PRIVATE.public, INFO, PLAINTEXT)


def test_a_box_opens_by_rfc_9180_written_out():
    box = boxes.seal(PRIVATE.public, INFO, PLAINTEXT)
    assert verify.open_box(SEED.reveal(), INFO, box) == PLAINTEXT
    assert verify.public_transport_key(SEED.reveal()) == PRIVATE.public


@pytest.mark.parametrize("size", [0, 1, 28672])
def test_boxes_of_any_allowed_size_open(size):
    box = boxes.seal(PRIVATE.public, INFO, bytes(size))
    assert boxes.open(PRIVATE, INFO, box).reveal() == bytes(size)


def test_every_failure_is_the_same_error():
    box = boxes.seal(PRIVATE.public, INFO, PLAINTEXT)
    other = TransportPrivateKey.from_seed(Secret(known("other")))
    texts = set()
    failures = [(other, INFO, box), (PRIVATE, b"another info", box), (PRIVATE, INFO, box + b"\0")]
    failures += [(PRIVATE, INFO, box[:cut]) for cut in (0, 1, 1088, 1120, BOX_OVERHEAD - 1, len(box) - 1)]
    failures += [(PRIVATE, INFO, box[:1088] + bytes(32) + box[1120:])]
    failures += [(PRIVATE, INFO, bytes(BOX_OVERHEAD + boxes.MAX_PLAINTEXT_BYTES + 1))]
    for at in (0, 1087, 1088, 1119, 1120, len(box) - 1):
        failures.append((PRIVATE, INFO, box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]))
    for arguments in failures:
        with pytest.raises(VerificationError) as caught:
            boxes.open(*arguments)
        assert caught.value.__cause__ is None
        texts.add(str(caught.value))
    assert texts == {"the box does not open"}


def test_a_key_pair_is_a_function_of_its_seed():
    again = TransportPrivateKey.from_seed(Secret(SEED.reveal()))
    assert again.public == PRIVATE.public
    assert len(PRIVATE.public) == PUBLIC_KEY_BYTES == 1216
    assert TransportPrivateKey.from_seed(Secret(known("other"))).public != PRIVATE.public
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        TransportPrivateKey.from_seed(Secret(bytes(31)))


def test_public_keys_that_cannot_be_sealed_to_are_refused():
    boxes.check_public_key(PRIVATE.public)
    mlkem, x25519 = PRIVATE.public[:1184], PRIVATE.public[1184:]
    bad_keys = [
        b"",
        PRIVATE.public[:-1],
        PRIVATE.public + b"\0",
        b"\xff" * 1184 + x25519,  # coefficients that are not reduced, [FIPS 203 §7.2]
        mlkem + bytes(32),  # points of small order
        mlkem + (1).to_bytes(32, "little"),
        mlkem + (2**255 - 20).to_bytes(32, "little"),
    ]
    for bad in bad_keys:
        with pytest.raises(DecodeError):
            boxes.check_public_key(bad)
        with pytest.raises(DecodeError):
            boxes.seal(bad, INFO, PLAINTEXT)


def test_too_much_for_one_box_is_refused():
    with pytest.raises(LocalProtocolError, match="at most"):
        boxes.seal(PRIVATE.public, INFO, bytes(boxes.MAX_PLAINTEXT_BYTES + 1))


def test_a_private_key_is_not_shown_or_pickled():
    assert repr(PRIVATE) == "TransportPrivateKey(<redacted>)"
    assert not hasattr(PRIVATE, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(PRIVATE)
