"""The round header: what can be one, and that its digest binds every field."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from fl_core.codec import Writer
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.protocol.header import MAX_HEADER, RoundHeader, Seat
from fl_core.quantise import Block
from tests.simulators.dry_round import DryRound

HEADER = DryRound(4).header
OTHER = Seat(address=b"\xff" * 20, transport_key=bytes(32))

CHANGES = {
    "chain_id": 2,
    "contract": b"\x01" * 20,
    "run": b"\x01" * 32,
    "round": 2,
    "parent": b"\x01" * 32,
    "artifact": b"\x01" * 32,
    "parameter_set": "P4096",
    "packing": "PACK",
    "blocks": (Block("a", 3, 1.0), Block("b", 2, 0.25)),
    "counters": ("wrong",),
    "weight_cap": 1001,
    "cohort": HEADER.cohort[1:],
    "committee": (*HEADER.committee[:-1], replace(HEADER.committee[-1], transport_key=bytes(32))),
    "threshold": 2,
    "n_min": 4,
    "deadline": 1,
    "beacon_number": 1,
    "beacon": b"\x01" * 32,
}


def test_the_digest_changes_with_every_field():
    assert set(CHANGES) == {field.name for field in fields(RoundHeader)}
    digests = {replace(HEADER, **{name: value}).digest for name, value in CHANGES.items()}
    assert len(digests | {HEADER.digest}) == len(CHANGES) + 1


def test_equal_headers_have_equal_digests():
    assert replace(HEADER).digest == RoundHeader.decode(HEADER.encode()).digest == HEADER.digest


def test_a_header_knows_the_size_of_its_vector():
    assert (HEADER.parameters, HEADER.length) == (5, 5 + 1 + 1)


def test_members_hold_their_shares_at_points_from_one_in_the_order_of_their_addresses():
    assert [HEADER.point_of(seat.address) for seat in HEADER.committee] == [1, 2, 3, 4]
    with pytest.raises(ValueError):
        HEADER.point_of(OTHER.address)


BAD = {
    "a short contract": {"contract": bytes(19)},
    "a short run": {"run": bytes(31)},
    "a long parent": {"parent": bytes(33)},
    "a short artifact": {"artifact": b""},
    "a short beacon": {"beacon": bytes(31)},
    "round zero": {"round": 0},
    "a round beyond four bytes": {"round": 1 << 32},
    "no block": {"blocks": ()},
    "a block twice": {"blocks": (Block("a", 1, 1.0), Block("a", 2, 1.0))},
    "a counter twice": {"counters": ("x", "x")},
    "no weight cap": {"weight_cap": 0},
    "a client twice": {"cohort": (HEADER.cohort[0], HEADER.cohort[0])},
    "clients out of order": {"cohort": HEADER.cohort[::-1]},
    "a client of another length": {"cohort": (bytes(19), *HEADER.cohort)},
    "a seat twice": {"committee": (HEADER.committee[0], *HEADER.committee)},
    "seats out of order": {"committee": HEADER.committee[::-1]},
    "no committee": {"committee": ()},
    "a threshold of zero": {"threshold": 0},
    "a threshold above the committee": {"threshold": 5},
    "n_min of zero": {"n_min": 0},
    "n_min above the cohort": {"n_min": 5},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_a_header_that_breaks_a_rule_cannot_be_made(changes):
    with pytest.raises(ValueError):
        replace(HEADER, **changes)


@pytest.mark.parametrize("address, key", [(bytes(19), bytes(32)), (bytes(20), bytes(31))])
def test_a_seat_is_an_address_and_a_digest(address, key):
    with pytest.raises(ValueError):
        Seat(address=address, transport_key=key)


def wire(**changes: object) -> bytes:
    """Encode a header with fields that no header can have."""
    changed = object.__new__(RoundHeader)
    for field in fields(RoundHeader):
        object.__setattr__(changed, field.name, changes.get(field.name, getattr(HEADER, field.name)))
    return RoundHeader.encode(changed)


@pytest.mark.parametrize(
    "name",
    [n for n in BAD if "short" not in n and "long" not in n and "beyond" not in n and "length" not in n],
)
def test_the_wire_form_of_a_header_that_breaks_a_rule_is_rejected(name):
    with pytest.raises(DecodeError):
        RoundHeader.decode(wire(**BAD[name]))
    assert RoundHeader.decode(wire()) == HEADER


def test_a_block_that_breaks_a_rule_is_rejected_on_the_wire():
    start = HEADER.encode().index(b"\x00\x00\x00\x01a") + 5
    for size, clip in ((0, 1.0), (3, 0.0), (3, 2.0**61)):
        w = Writer()
        w.uint(size, 8)
        w.float64(clip)
        data = HEADER.encode()
        with pytest.raises(DecodeError):
            RoundHeader.decode(data[:start] + w.bytes() + data[start + 16 :])


def test_an_over_long_header_is_rejected_before_it_is_read():
    with pytest.raises(DecodeError, match=f"at most {MAX_HEADER} bytes"):
        RoundHeader.decode(bytes(MAX_HEADER + 1))


@pytest.mark.parametrize("changes", [{"deadline": -1}, {"packing": "x" * 257}, {"chain_id": 1 << 64}])
def test_a_header_that_does_not_fit_the_wire_has_no_digest(changes):
    with pytest.raises(LocalProtocolError):
        replace(HEADER, **changes).digest  # noqa: B018 - the access is the test
