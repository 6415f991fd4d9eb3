"""The watching reader asks once for what does not change, and again as soon as it may have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.errors import RecordMissing
from ledger.records import RoundState
from ledger.watching_reader import WatchingReader
from tests.unit.ledger.embedded_world import CHAIN_ID, account
from tests.unit.ledger.ledger_world import LedgerWorld, word


class Counting:
    """A connection that counts what is asked of the contract, and can be led to another chain."""

    def __init__(self, inner: Web3Connection) -> None:
        self.inner, self.asked = inner, 0

    def call(self, *arguments, **options):
        self.asked += 1
        return self.inner.call(*arguments, **options)

    def __getattr__(self, name: str):
        return getattr(self.inner, name)


class Watched:
    """A ledger after one round, its watching reader, and how often the contract was asked."""

    def __init__(self, folder: Path) -> None:
        self.world = LedgerWorld(folder)
        self.world.begin()
        self.model = self.world.play(1, self.world.root)
        self.connection = Counting(self.world.connection)
        self.reader = WatchingReader(self.connection, self.world.address)

    def asked(self, question) -> int:
        before = self.connection.asked
        question(self.reader)
        return self.connection.asked - before

    @property
    def questions(self):
        run, member = self.world.run, self.world.accounts[1]
        return {
            "origin": lambda r: r.origin(run),
            "model": lambda r: r.model(self.model),
            "finished round": lambda r: r.round(run, 1),
            "member": lambda r: r.member(member),
            "keys": lambda r: r.keys(member),
            "consent": lambda r: r.consent(run, member),
        }


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


NAMES = ("origin", "model", "finished round", "member", "keys", "consent")
EVERY_FACT = pytest.mark.parametrize("name", NAMES)


@EVERY_FACT
def test_a_fact_is_asked_for_once_and_is_what_the_ledger_says(watched: Watched, name: str) -> None:
    question = watched.questions[name]
    assert watched.asked(question) >= 1
    assert watched.asked(question) == 0
    assert question(watched.reader) == question(watched.world.reader)


@EVERY_FACT
def test_a_block_without_a_change_leaves_it_remembered(watched: Watched, name: str) -> None:
    question = watched.questions[name]
    question(watched.reader)
    watched.world.writer.open_round(watched.world.run, 2, watched.model, word(102), intent="open 2")
    assert watched.asked(question) == 0


@EVERY_FACT
def test_a_change_makes_it_forgotten(watched: Watched, name: str) -> None:
    question = watched.questions[name]
    question(watched.reader)
    watched.world.set_keys(1, account(7), 2)
    assert watched.asked(question) >= 1
    assert question(watched.reader) == question(watched.world.reader)
    assert watched.reader.keys(watched.world.accounts[1]).epoch == 2


@EVERY_FACT
def test_another_chain_makes_it_forgotten(watched: Watched, tmp_path: Path, name: str) -> None:
    """The other chain is a copy on which other blocks came: as many of them, without a change."""
    question, world = watched.questions[name], watched.world
    world.chain.copy_to(tmp_path / "other.sqlite")
    world.writer.open_round(world.run, 2, watched.model, word(102), intent="open 2")
    question(watched.reader)
    with open_embedded(tmp_path / "other.sqlite", chain_id=CHAIN_ID) as fork:
        watched.connection.inner = Web3Connection(fork)
        assert watched.reader.head().number < world.reader.head().number
        assert watched.asked(question) >= 1
        assert watched.asked(question) == 0


def test_a_round_that_is_not_over_is_asked_for_again_until_it_is(watched: Watched) -> None:
    world, reader = watched.world, watched.reader
    run, writer = world.run, world.writer

    def state() -> RoundState:
        return reader.round(run, 2).state

    def twice_asked() -> bool:
        question = lambda r: r.round(run, 2)
        return watched.asked(question) == watched.asked(question) == 1

    assert twice_asked()
    writer.open_round(run, 2, watched.model, word(102), intent="open 2")
    assert twice_asked()
    assert state() is RoundState.OPEN
    writer.commit_round(run, 2, word(202), 3, intent="commit 2")
    assert state() is RoundState.COMMITTED
    writer.commit_included(run, 2, word(302), 2, word(9), intent="include 2")
    assert state() is RoundState.INCLUDED
    assert twice_asked()
    writer.abort_round(run, 2, intent="abort 2")
    assert state() is RoundState.ABORTED
    assert watched.asked(lambda r: r.round(run, 2)) == 0


def test_what_is_not_there_yet_is_not_remembered(watched: Watched) -> None:
    with pytest.raises(RecordMissing):
        watched.reader.model(word(1))
    with pytest.raises(RecordMissing):
        watched.reader.origin(word(2))
    assert watched.reader.origin(watched.world.run).coordinator == watched.world.accounts[0]
