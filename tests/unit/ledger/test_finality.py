"""Who is a witness, how many of them make a head final, and which checkpoints count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.secret import Secret
from ledger.chain.embedded.reading import ChainReading
from ledger.checkpoints import SignedCheckpoint
from ledger.finality import Tally, Verdict, signatures_needed
from ledger.records import Act
from ledger.signer import KeySigner
from ledger.typed_data import Checkpoint
from tests.unit.ledger.ledger_world import LedgerWorld, word


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LedgerWorld:
    """Four holders with keys besides member 0, who is a coordinator."""
    made = LedgerWorld(tmp_path_factory.mktemp("world"), holders=4)
    made.begin()
    return made


@pytest.fixture
def tally(world: LedgerWorld) -> Tally:
    return Tally(ChainReading(world.chain), world.address)


def checkpoint(world: LedgerWorld, by: int, number: int | None = None, **changes: object) -> bytes:
    """Return a member's checkpoint; ``changes`` are made before it signs."""
    height = world.connection.head().number if number is None else number
    found, genesis = world.connection.block_hash(height), world.connection.block_hash(0)
    fields = {
        "member": world.accounts[by],
        "genesis": genesis,
        "number": height,
        "hash": found or word(0),
    }
    fields |= changes
    statement = Checkpoint(**fields)  # type: ignore[arg-type]
    signature = world.signers[by].sign_digest(statement.digest(world.reader.domain()))
    return SignedCheckpoint(**fields, signature=signature).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("witnesses", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (9, 7), (100, 67)]
)
def test_more_than_two_thirds_are_needed(witnesses: int, needed: int) -> None:
    assert signatures_needed(witnesses) == needed
    assert 3 * needed > 2 * witnesses
    liars = (witnesses - 1) // 3
    assert 2 * needed > witnesses + liars  # two final heads would take more double signers than that


def test_a_policy_may_ask_for_more_and_never_for_less_than_a_majority() -> None:
    assert [signatures_needed(4, wanted) for wanted in (1, 2, 3, 4, 5)] == [3, 3, 3, 4, 5]
    assert signatures_needed(9, 1) == 5


def test_members_with_keys_but_for_coordinators_are_witnesses(world: LedgerWorld, tally: Tally) -> None:
    members = tally.membership.at(world.connection.head().number)
    assert set(members) == set(world.accounts)
    assert [members[account].witness for account in world.accounts] == [False, True, True, True, True]
    assert tally.support(world.connection.head().number) == (0, 3, 4)


def test_members_are_those_of_the_height_in_question(world: LedgerWorld, tally: Tally) -> None:
    for account in world.accounts:
        registered = world.reader.keys(account).block
        assert account not in tally.membership.at(registered - 1)
        assert account in tally.membership.at(registered)
    assert tally.membership.at(0) == {}


def test_a_head_is_final_with_enough_witnesses_and_not_with_fewer(world: LedgerWorld, tally: Tally) -> None:
    head = world.connection.head().number
    for member in (0, 1, 2):  # member 0 is the author: its word adds nothing
        assert tally.judge(checkpoint(world, member))[0] is Verdict.VOUCHES
        assert tally.final() == -1
    tally.judge(checkpoint(world, 4))
    assert tally.final() == head
    assert tally.support(head) == (3, 3, 4)


def test_a_checkpoint_vouches_for_all_blocks_below_it(world: LedgerWorld, tally: Tally) -> None:
    head = world.connection.head().number
    for member, number in ((1, head), (2, head - 2), (3, head - 1), (4, head - 3)):
        tally.judge(checkpoint(world, member, number))
    assert tally.final() == head - 2


def test_one_member_counts_once_with_its_highest_checkpoint(world: LedgerWorld, tally: Tally) -> None:
    head = world.connection.head().number
    for number in (head, head - 1, head - 2):
        tally.judge(checkpoint(world, 1, number))
    assert tally.support(head - 2)[0] == 1
    assert tally.vouched[world.accounts[1]].number == head


def test_a_disgraced_member_does_not_count(world: LedgerWorld, tally: Tally) -> None:
    for member in (1, 2, 3):
        tally.judge(checkpoint(world, member))
    tally.disgraced.add(world.accounts[2])
    assert tally.final() == -1


def forged(world: LedgerWorld, **changes: object) -> bytes:
    return replace(SignedCheckpoint.decode(checkpoint(world, 1)), **changes).encode()  # type: ignore[arg-type]


def test_checkpoints_that_are_worth_nothing_are_told_apart(world: LedgerWorld, tally: Tally) -> None:
    stranger = KeySigner(Secret(b"\x77" * 32))
    worthless = {
        "no checkpoint": b"x",
        "trailing byte": checkpoint(world, 1) + b"\0",
        "another chain": checkpoint(world, 1, genesis=word(1)),
        "no member": checkpoint(world, 1, member=stranger.address),
        "another member's key": checkpoint(world, 1, member=world.accounts[2]),
        "another height than signed": forged(world, number=3),
        "before it had a key": checkpoint(world, 1, world.reader.keys(world.accounts[1]).block - 1),
        "changed signature": forged(world, signature=bytes(65)),
    }
    for what, data in worthless.items():
        assert tally.judge(data)[0] is Verdict.WORTHLESS, what
    assert tally.vouched == {}
    head = world.connection.head().number
    assert tally.judge(checkpoint(world, 1, head + 1))[0] is Verdict.AHEAD
    assert tally.judge(checkpoint(world, 1, 2**64 - 1))[0] is Verdict.AHEAD
    assert tally.judge(checkpoint(world, 1, hash=word(5)))[0] is Verdict.CONTRADICTS
    assert tally.vouched == {}


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[LedgerWorld]:
    made = LedgerWorld(tmp_path, holders=4)
    made.begin()
    yield made
    made.chain.close()


def test_a_member_that_was_removed_counts_no_more_and_fewer_are_needed(changing: LedgerWorld) -> None:
    tally = Tally(ChainReading(changing.chain), changing.address)
    for member in (1, 2, 3):
        tally.judge(checkpoint(changing, member))
    before = changing.connection.head().number
    for voter in (0, 1):
        changing.writers[voter].vote(Act.REMOVE, changing.accounts[3], intent="remove")
    assert changing.accounts[3] not in tally.membership.at(changing.connection.head().number)
    assert tally.final() == before
    for member in (1, 2, 3):
        verdict, _ = tally.judge(checkpoint(changing, member))
        assert verdict is (Verdict.WORTHLESS if member == 3 else Verdict.VOUCHES)
    assert tally.final() == before
    assert tally.support(changing.connection.head().number) == (2, 3, 3)


def test_after_a_key_change_only_the_new_key_counts(changing: LedgerWorld) -> None:
    tally = Tally(ChainReading(changing.chain), changing.address)
    before = changing.connection.head().number
    changing.set_keys(1, KeySigner(Secret(b"\x55" * 32)), 2)
    assert tally.judge(checkpoint(changing, 1))[0] is Verdict.WORTHLESS  # signed with the old key
    assert tally.judge(checkpoint(changing, 1, before))[0] is Verdict.VOUCHES  # which was its key then
