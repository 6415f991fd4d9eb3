"""``verifyContribution``: who signed what, and whether a round counts it."""

from dataclasses import replace
from typing import Any

import pytest

from ledger.merkle import MerkleTree, contribution_leaf
from ledger.records import EMPTY_ADDRESS
from tests.contracts.harness import account, sign, word
from tests.contracts.world import HOLDERS, World

FIELDS = ("ciphertext", "boxes", "dataset", "weight", "metrics")
U = HOLDERS[:3]


def verify(
    world: World, run: bytes, member: str = "ada", *, included: bool = True, key: str = "", **changes: Any
) -> bool:
    statement = world.contribution(run, 1, member)
    digest = statement.digest(world.domain)
    tree = world.tree(run, 1, U if included else HOLDERS)
    leaf = contribution_leaf(account(member), digest)
    values: dict[str, Any] = {
        "who": account(member),
        **{name: getattr(statement, name) for name in FIELDS},
        "signature": sign(key or f"{member}/1", digest),
        "proof": tree.proof(leaf) if leaf in tree else (),
        "included": included,
    }
    return bool(world.view("verifyContribution", run, 1, *{**values, **changes}.values()))


@pytest.fixture
def played(world: World, run: bytes) -> bytes:
    """A run whose round 1 accepted all four holders and included three."""
    world.play(run, 1)
    return run


@pytest.mark.parametrize("included", [True, False])
def test_a_signed_and_counted_contribution_is_confirmed(world: World, played: bytes, included: bool) -> None:
    assert verify(world, played, included=included) is True


def test_who_was_accepted_and_not_included_is_told_apart(world: World, played: bytes) -> None:
    assert verify(world, played, "dan", included=False) is True
    assert verify(world, played, "dan", included=True) is False


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(world: World, played: bytes, field: str) -> None:
    changes: dict[str, Any] = {field: word("other")}
    assert verify(world, played, **changes) is False


def test_the_signature_must_be_the_members(world: World, played: bytes) -> None:
    assert verify(world, played, key="ben/1") is False
    assert verify(world, played, key="anyone") is False


@pytest.mark.parametrize("signature", [b"", bytes(65), bytes(64) + b"\x1b"])
def test_a_malformed_signature_is_no_signature(world: World, played: bytes, signature: bytes) -> None:
    assert verify(world, played, signature=signature) is False
    assert verify(world, played, signature=signature, who=EMPTY_ADDRESS) is False


def test_nobody_contributes_without_a_signature(world: World, run: bytes) -> None:
    """The account 0 has no key, and an unreadable signature has no signer: the two are not the same."""
    statement = replace(world.contribution(run, 1, "ada"), member=EMPTY_ADDRESS)
    tree = MerkleTree([contribution_leaf(EMPTY_ADDRESS, statement.digest(world.domain))])
    world.open(run, 1)
    world.call("kim", "commitRound", run, 1, tree.root, len(HOLDERS))
    fields = [getattr(statement, name) for name in FIELDS]
    assert world.view("verifyContribution", run, 1, EMPTY_ADDRESS, *fields, b"", (), False) is False


def test_a_replaced_key_still_stands_for_what_it_signed(world: World, played: bytes) -> None:
    world.set_keys("ada")
    assert verify(world, played) is True


def test_a_proof_of_another_leaf_is_refused(world: World, played: bytes) -> None:
    other = contribution_leaf(account("ben"), world.contribution(played, 1, "ben").digest(world.domain))
    assert verify(world, played, proof=world.tree(played, 1, U).proof(other)) is False


def test_nothing_is_counted_before_it_is_committed(world: World, run: bytes) -> None:
    world.open(run, 1)
    assert verify(world, run, included=False) is False
    world.commit(run, 1)
    assert verify(world, run, included=False) is True
    assert verify(world, run, included=True) is False
    world.include(run, 1)
    assert verify(world, run, included=True) is True


def test_an_aborted_round_counts_nothing(world: World, run: bytes) -> None:
    world.play(run, 1, "included")
    world.call("kim", "abortRound", run, 1)
    assert verify(world, run) is False
    assert verify(world, run, included=False) is False
