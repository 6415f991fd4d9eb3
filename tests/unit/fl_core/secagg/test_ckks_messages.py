"""Messages and ceremony of the CKKS mode: one encoding each, limits, and what a package is bound to."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from fl_core.codec import Writer
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.ceremony import box_info, check_package, deal, take
from fl_core.secagg.ckks.messages import EncryptedSum, Report, Upload
from fl_core.secagg.ckks.parameters import MAX_HOLDERS
from fl_core.secagg.ckks.steps import CkksBeginCall, CkksStep, Place, TakeCall, decode_step, encode_step
from fl_core.secret import Secret

TRANSPORT = [TransportPrivateKey.from_seed(Secret(bytes([i]) * 32)) for i in range(1, 5)]
COHORT = tuple(bytes([i]) * 20 for i in range(1, 5))
PLAN = Plan(
    chain_id=1,
    contract=b"\xc0" * 20,
    run=b"\x11" * 32,
    epoch=1,
    cohort=COHORT,
    transport_keys=tuple(t.public for t in TRANSPORT),
)
PLACE = Place(run=b"\x11" * 32, round=7, parent=b"\x22" * 32)
PACKAGE = KeyPackage(
    plan=PLAN.digest, context=b"c" * 90, commitment=bytes(32), boxes=(b"x" * 9, b"y"), signature=b"s" * 65
)
UPLOAD = Upload(
    package=b"\x01" * 32,
    round=3,
    parent=b"\x02" * 32,
    member=COHORT[0],
    chunks=(b"abc", b"de"),
    signature=b"s" * 65,
)
SUM = EncryptedSum(package=b"\x01" * 32, round=3, parent=b"\x02" * 32, chunks=(b"abc",), signature=b"s" * 65)
REPORT = Report(
    package=b"\x01" * 32,
    round=3,
    total=b"\x03" * 32,
    model=b"\x02" * 32,
    count=4,
    counters=(1, 2**40),
    member=COHORT[1],
    signature=b"s" * 65,
)
TAKE = TakeCall(plan=PLAN.encode(), package=PACKAGE.encode())
MESSAGES = [PLAN, PACKAGE, UPLOAD, SUM, REPORT, PLACE, TAKE]


def insecure_sign(digest):
    return hashlib.sha512(digest).digest() + b"!"


def verify(digest, signature):
    if signature != insecure_sign(digest):
        raise VerificationError("not signed")


@pytest.fixture(scope="module")
def dealt():
    return deal(PLAN, me=COHORT[0], sign=insecure_sign)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_decodes_to_itself_and_refuses_cut_and_trailed_bytes(message):
    data = message.encode()
    assert type(message).decode(data) == message
    for cut in range(0, len(data), max(1, len(data) // 97)):
        with pytest.raises(DecodeError):
            type(message).decode(data[:cut])
    with pytest.raises(DecodeError):
        type(message).decode(data + b"\x00")


@pytest.mark.parametrize("kind", [Upload, EncryptedSum])
def test_a_vector_that_claims_too_many_or_too_long_chunks_is_refused_before_it_is_read(kind):
    head = {Upload: UPLOAD, EncryptedSum: SUM}[kind]
    prefix = replace(head, chunks=()).encode()[:-4]
    for claimed in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xff\xff\xff\xff"):
        with pytest.raises(DecodeError, match="claims"):
            kind.decode(prefix + claimed)


def test_large_payloads_are_not_printed():
    for message in (PACKAGE, UPLOAD, SUM, CkksBeginCall(place=PLACE, model=b"weights")):
        assert "abc" not in repr(message) and "weights" not in repr(message) and "xxxx" not in repr(message)


def test_a_plan_is_a_small_ascending_cohort_and_has_one_epoch():
    for changes in (
        {"cohort": COHORT[:2], "transport_keys": PLAN.transport_keys[:2]},
        {"cohort": (COHORT[1], COHORT[0], *COHORT[2:])},
        {"cohort": (COHORT[0], COHORT[0], *COHORT[2:])},
        {"transport_keys": PLAN.transport_keys[:3]},
        {"epoch": 2},
        {"epoch": 0},
    ):
        with pytest.raises(ValueError):
            replace(PLAN, **changes)
    w = Writer()
    w.uint(MAX_HOLDERS + 1, 4)
    data = PLAN.encode()
    with pytest.raises(DecodeError):
        Plan.decode(data[:88] + w.bytes() + data[92:])


def test_every_field_of_a_signed_message_is_under_its_signature():
    for message, changes in (
        (PACKAGE, {"plan": bytes(32), "context": b"", "commitment": b"\x01" * 32, "boxes": (b"x" * 10, b"")}),
        (
            UPLOAD,
            {
                "package": bytes(32),
                "round": 4,
                "parent": bytes(32),
                "member": COHORT[1],
                "chunks": (b"ab", b"cde"),
            },
        ),
        (SUM, {"package": bytes(32), "round": 4, "parent": bytes(32), "chunks": (b"a", b"bc")}),
        (
            REPORT,
            {
                "package": bytes(32),
                "round": 4,
                "total": bytes(32),
                "model": bytes(32),
                "count": 3,
                "counters": (1, 2),
                "member": COHORT[0],
            },
        ),
    ):
        for name, value in changes.items():
            assert replace(message, **{name: value}).signed != message.signed, name
        assert replace(message, signature=bytes(65)).signed == message.signed


def test_steps_are_one_byte_and_unknown_ones_are_refused():
    for step in CkksStep:
        assert decode_step(encode_step(step, b"x")) == (step, b"x")
    for bad in (b"", b"\x00", b"\x07x", b"\xff"):
        with pytest.raises(DecodeError):
            decode_step(bad)


# ---------------------------------------------------------------------- ceremony


def test_every_holder_takes_the_key_that_the_first_one_made(dealt):
    key, package = dealt
    for me, transport in zip(COHORT[1:], TRANSPORT[1:], strict=True):
        taken = take(PLAN, package, me=me, transport=transport, verify=verify)
        assert taken.secret() == key.secret()


def test_only_the_first_holder_deals_and_only_the_others_take(dealt):
    with pytest.raises(LocalProtocolError):
        deal(PLAN, me=COHORT[1], sign=insecure_sign)
    for stranger in (COHORT[0], b"\x09" * 20):
        with pytest.raises(VerificationError, match="no box"):
            take(PLAN, dealt[1], me=stranger, transport=TRANSPORT[0], verify=verify)


def test_a_package_that_was_changed_anywhere_is_refused(dealt):
    _, package = dealt
    changed = {
        "plan": bytes(32),
        "context": package.context[:-1] + b"\x00",
        "commitment": bytes(32),
        "boxes": (package.boxes[1], package.boxes[0], package.boxes[2]),
        "signature": bytes(65),
    }
    for name, value in changed.items():
        with pytest.raises(VerificationError):
            check_package(PLAN, replace(package, **{name: value}), verify=verify)
    assert check_package(PLAN, package, verify=verify).digest


def test_a_dealer_that_signs_a_context_with_a_key_is_refused(dealt):
    key, package = dealt
    # Too long for the wire form, and refused where it gets past it.
    leaking = replace(package, context=key.secret().reveal())
    leaking = replace(leaking, signature=insecure_sign(leaking.signed))
    with pytest.raises(LocalProtocolError):
        leaking.encode()
    with pytest.raises(DecodeError, match="a key stays with the holders"):
        check_package(PLAN, leaking, verify=verify)


def test_the_info_of_a_box_binds_everything_about_its_place():
    base = box_info(PLAN, 1, b"context", bytes(32))
    others = [
        box_info(replace(PLAN, run=bytes(32)), 1, b"context", bytes(32)),
        box_info(replace(PLAN, chain_id=2), 1, b"context", bytes(32)),
        box_info(replace(PLAN, cohort=(bytes(20), *COHORT[1:])), 1, b"context", bytes(32)),
        box_info(PLAN, 2, b"context", bytes(32)),
        box_info(PLAN, 1, b"contexu", bytes(32)),
        box_info(PLAN, 1, b"context", b"\x01" * 32),
    ]
    assert len({base, *others}) == 1 + len(others)
