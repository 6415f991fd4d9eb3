"""``setKeys``: a key belongs to one member, provably, once and for ever."""

import pytest
from eth_keys.datatypes import Signature

from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act
from ledger.typed_data import KeyPossession
from tests.contracts.harness import account, refused, word
from tests.contracts.world import World

NOT_PROVEN = "possession of the key is not proven"


def test_the_first_keys_have_epoch_one(world: World) -> None:
    world.set_keys("ada", key="key")
    assert world.view("member", account("ada"))["epoch"] == 1
    keys = world.view("keysAt", account("ada"), 1)
    assert (keys["signer"], keys["encryption"]) == (account("key"), word("bundle"))
    assert keys["block"] > 0
    assert world.view("signerOf", account("key")) == account("ada")


def test_new_keys_are_logged(world: World) -> None:
    world.set_keys("ada", key="key")
    assert world.event().values == {
        "member": account("ada"),
        "signer": account("key"),
        "epoch": 1,
        "encryption": word("bundle"),
    }


def test_replaced_keys_stay_readable(world: World) -> None:
    world.set_keys("ada", key="old")
    world.set_keys("ada", key="new")
    assert world.view("keysAt", account("ada"), 1)["signer"] == account("old")
    assert world.view("keysAt", account("ada"), 2)["signer"] == account("new")
    assert world.view("keys", account("ada"))["signer"] == account("new")


def test_a_member_may_sign_with_its_own_account(world: World) -> None:
    world.set_keys("ada", key="ada")
    assert world.view("signerOf", account("ada")) == account("ada")


def test_keys_can_be_replaced_while_the_ledger_is_paused(world: World) -> None:
    world.call("odo", "pause")
    world.set_keys("ada")


def test_only_members_have_keys(world: World) -> None:
    with refused("caller is not a member"):
        world.set_keys("eve")


def test_a_removed_member_cannot_set_keys(world: World) -> None:
    world.vote(Act.REMOVE, subject=account("cleo"))
    with refused("caller is not a member"):
        world.set_keys("cleo")


def test_another_members_account_is_no_key(world: World) -> None:
    with refused("key is another member's account"):
        world.set_keys("ada", key="ben")


def test_an_empty_bundle_is_refused(world: World) -> None:
    proof = world.possession("ada", 1, key="key", encryption=EMPTY_WORD)
    with refused("encryption key is empty"):
        world.call("ada", "setKeys", account("key"), EMPTY_WORD, proof)


@pytest.mark.parametrize(
    ("member", "epoch", "bundle"),
    [("ben", 1, word("bundle")), ("ada", 2, word("bundle")), ("ada", 1, word("other"))],
)
def test_possession_is_proven_for_member_epoch_and_bundle(
    world: World, member: str, epoch: int, bundle: bytes
) -> None:
    proof = world.possession(member, epoch, key="key", encryption=bundle)
    with refused(NOT_PROVEN):
        world.call("ada", "setKeys", account("key"), word("bundle"), proof)


def test_possession_is_proven_by_the_key_itself(world: World) -> None:
    with refused(NOT_PROVEN):
        world.call("ada", "setKeys", account("key"), word("bundle"), world.possession("ada", 1, key="ada"))


@pytest.mark.parametrize("length", [0, 64])
def test_a_signature_has_65_bytes(world: World, length: int) -> None:
    proof = world.possession("ada", 1, key="key")[:length]
    with refused(NOT_PROVEN):
        world.call("ada", "setKeys", account("key"), word("bundle"), proof)


def test_the_largest_s_that_is_not_malleable_is_accepted(world: World) -> None:
    """s of half the order is the last one that has no smaller twin. Any r and s are a signature of somebody."""
    half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    statement = KeyPossession(member=account("ada"), epoch=1, encryption=word("bundle"))
    r = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798  # x of the generator
    for s, accepted in ((half + 1, False), (half, True)):
        signature = Signature(vrs=(0, r, s))
        key = signature.recover_public_key_from_msg_hash(statement.digest(world.domain))
        proof = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27])
        arguments = ("ada", "setKeys", key.to_canonical_address(), word("bundle"), proof)
        if accepted:
            world.call(*arguments)
        else:
            with refused(NOT_PROVEN):
                world.call(*arguments)


def test_the_zero_address_is_no_key(world: World) -> None:
    # ecrecover gives the zero address for a signature that belongs to no key
    proof = bytes(31) + b"\x05" + bytes(31) + b"\x01" + bytes([27])
    for candidate in (proof, bytes(64) + bytes([27])):
        with refused(NOT_PROVEN):
            world.call("ada", "setKeys", EMPTY_ADDRESS, word("bundle"), candidate)
