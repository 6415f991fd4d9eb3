"""Prekeys: what is signed, what is refused when one is learnt, and what is refused before shares are sealed to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.header import Seat
from fl_core.protocol.prekeys import MAX_PREKEY, SignedPrekey, check_prekey, check_seats, sign_prekey
from fl_core.protocol.setup import transport_key_digest
from fl_core.secagg.boxes import PUBLIC_KEY_BYTES, TransportPrivateKey
from fl_core.secret import Secret
from tests.simulators.dry_round import DryRound

SMALL_ORDER = (0, 1, 2**255 - 19)
"""X25519 points with which every exchange gives zero: 0, 1 and another encoding of 0."""


@pytest.fixture(scope="module")
def dry():
    return DryRound(4)


def prekey_of(dry, position, epoch=1):
    party = dry.parties[position]
    return sign_prekey(party.address, epoch, party.transport.public, party)


def with_x25519(dry, position, point):
    """A prekey, signed by its member, whose X25519 half is ``point``."""
    party = dry.parties[position]
    public = party.transport.public[:-32] + point.to_bytes(32, "little")
    return sign_prekey(party.address, 1, public, party)


def refused(check, number, call, *arguments, **options):
    with pytest.raises(VerificationError, match=rf"{check} check \({number}\)") as caught:
        call(*arguments, **options)
    return caught.value


# ---------------------------------------------------------------------- the message


def test_a_prekey_is_read_back_as_it_was_signed(dry):
    prekey = prekey_of(dry, 0, epoch=2**32 - 1)
    assert SignedPrekey.decode(prekey.encode()) == prekey
    assert prekey.digest == transport_key_digest(dry.parties[0].transport.public)
    assert len(prekey.encode()) <= MAX_PREKEY


@pytest.mark.parametrize("epoch", [-1, 0, 2**32])
def test_an_epoch_is_a_number_from_1_of_four_bytes(dry, epoch):
    prekey = prekey_of(dry, 0)
    with pytest.raises(ValueError, match=r"a number of an? epoch"):
        replace(prekey, epoch=epoch)


@pytest.mark.parametrize("sizes", [{"member": 19}, {"public": 31}, {"public": 1217}, {"signature": 64}])
def test_a_prekey_with_a_part_of_another_size_does_not_exist(dry, sizes):
    prekey = prekey_of(dry, 0)
    assert len(prekey.public) == PUBLIC_KEY_BYTES
    with pytest.raises(ValueError, match=r"length|is a transport public key"):
        replace(prekey, **{name: bytes(size) for name, size in sizes.items()})


def test_epoch_0_is_not_read(dry):
    encoded = prekey_of(dry, 0).encode()
    with pytest.raises(DecodeError):
        SignedPrekey.decode(encoded[:22] + bytes(4) + encoded[26:])


def test_bytes_too_few_too_many_or_of_another_version_are_not_read(dry):
    encoded = prekey_of(dry, 0).encode()
    for data in (
        b"",
        encoded[:-1],
        encoded + b"\x00",
        encoded + bytes(MAX_PREKEY),
        b"\x00\x02" + encoded[2:],
    ):
        with pytest.raises(DecodeError):
            SignedPrekey.decode(data)


# ---------------------------------------------------------------------- when one is learnt


def test_a_prekey_that_its_member_signed_is_learnt(dry):
    check_prekey(prekey_of(dry, 0), signer=dry.parties[0].address, notary=dry.notary)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_1_a_prekey_with_a_point_of_small_order_is_refused_although_it_is_signed(dry, point):
    prekey, member = with_x25519(dry, 0, point), dry.parties[0].address
    error = refused("prekey", 1, check_prekey, prekey, signer=member, notary=dry.notary)
    assert error.party == member.hex()


def test_1_a_prekey_whose_mlkem_half_is_no_key_is_refused(dry):
    party = dry.parties[0]
    prekey = sign_prekey(party.address, 1, b"\xff" * PUBLIC_KEY_BYTES, party)
    refused("prekey", 1, check_prekey, prekey, signer=party.address, notary=dry.notary)


def test_2_a_prekey_that_another_key_signed_is_refused(dry):
    one, other = dry.parties[:2]
    forged = sign_prekey(one.address, 1, one.transport.public, other)
    error = refused("prekey", 2, check_prekey, forged, signer=one.address, notary=dry.notary)
    assert error.party == one.address.hex()
    refused("prekey", 2, check_prekey, prekey_of(dry, 0), signer=other.address, notary=dry.notary)


def test_2_a_signature_counts_for_its_member_its_epoch_and_its_key_only(dry):
    prekey, other = prekey_of(dry, 0), TransportPrivateKey.from_seed(Secret(bytes(32)))
    for changes in ({"epoch": 2}, {"public": other.public}, {"member": dry.parties[1].address}):
        changed = replace(prekey, **changes)
        refused("prekey", 2, check_prekey, changed, signer=dry.parties[0].address, notary=dry.notary)


# ---------------------------------------------------------------------- before shares are sealed


def check(dry, prekeys, header=None):
    check_seats(header or dry.header, prekeys, signers=dry.signers, notary=dry.notary)


def all_prekeys(dry):
    return [prekey_of(dry, position) for position in range(4)]


def test_the_prekeys_of_the_seats_in_their_order_are_sealed_to(dry):
    check(dry, all_prekeys(dry))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: [p[1], p[0], *p[2:]],
        lambda p: p[:-1],
        lambda p: [],
        lambda p: [*p, p[-1]],
        lambda p: [p[0], p[0], *p[2:]],
    ],
    ids=["another order", "one missing", "none", "one too many", "one twice"],
)
def test_1_prekeys_that_are_not_one_for_each_seat_in_order_are_refused(dry, change):
    assert refused("seat", 1, check, dry, change(all_prekeys(dry))).party == "coordinator"


def test_1_a_prekey_that_its_seat_does_not_name_is_refused_although_it_is_signed(dry):
    party, other = dry.parties[2], TransportPrivateKey.from_seed(Secret(bytes(32)))
    newer = sign_prekey(party.address, 2, other.public, party)
    prekeys = all_prekeys(dry)
    refused("seat", 1, check, dry, [*prekeys[:2], newer, prekeys[3]])


def seated(dry, position, prekey):
    """A header whose seat at ``position`` names ``prekey``, and the prekeys that go with it."""
    seats, prekeys = list(dry.header.committee), all_prekeys(dry)
    seats[position] = Seat(address=prekey.member, transport_key=prekey.digest)
    prekeys[position] = prekey
    return replace(dry.header, committee=tuple(seats)), prekeys


def test_2_a_key_of_the_coordinators_in_a_seat_is_refused_although_the_seat_names_it(dry):
    member, own = dry.parties[2].address, TransportPrivateKey.from_seed(Secret(bytes(32)))
    forged = sign_prekey(member, 1, own.public, dry.parties[0])
    header, prekeys = seated(dry, 2, forged)
    assert refused("seat", 2, check, dry, prekeys, header).party == member.hex()


def test_2_a_key_that_cannot_be_sealed_to_is_refused_although_its_member_signed_it(dry):
    header, prekeys = seated(dry, 1, with_x25519(dry, 1, 0))
    assert refused("seat", 2, check, dry, prekeys, header).party == dry.parties[1].address.hex()
