"""The reader returns what the contract holds, as records, and says when there is nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fl_core.errors import LocalProtocolError
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.errors import ForkDetected, RecordMissing, WrongChain
from ledger.reader import Cursor, LedgerReader
from ledger.records import (
    EMPTY_ADDRESS,
    DataBudget,
    Keys,
    Member,
    Model,
    Pledge,
    Role,
    Round,
    RoundState,
    Run,
    RunState,
)
from ledger.typed_data import Domain, model_id
from tests.unit.ledger.embedded_world import CHAIN_ID, account
from tests.unit.ledger.ledger_world import (
    DATASET,
    ESCROW,
    EVERYTHING,
    NODES,
    ROOT,
    TERMS,
    LedgerWorld,
    ledger_on,
    word,
)


@pytest.fixture(scope="module", params=NODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerWorld]:
    """A run after one round, with the second one open."""
    with ledger_on(request.param, tmp_path_factory.mktemp("ledger")) as made:
        made.begin()
        model = made.play(1, made.root)
        made.writer.open_round(made.run, 2, model, word(102), intent="open 2")
        yield made


@pytest.fixture
def reader(world: LedgerWorld) -> LedgerReader:
    return world.reader


def test_the_reader_knows_its_ledger(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.chain_id == CHAIN_ID
    assert reader.address == world.address
    assert reader.domain() == Domain(chain_id=CHAIN_ID, contract=world.address)
    reader.check_code()
    for wrong in (world.token, EMPTY_ADDRESS):
        with pytest.raises(WrongChain, match="not this version"):
            LedgerReader(world.connection, wrong).check_code()


def test_blocks_are_found_by_height(world: LedgerWorld, reader: LedgerReader) -> None:
    head = reader.head()
    assert head.hash == reader.block_hash(head.number)
    if world.node is None:
        newest = world.chain.head()
        assert (head.number, head.hash, head.timestamp) == (
            newest.block_number,
            newest.hash,
            newest.timestamp,
        )
    else:
        newest = world.node.ask("eth_getBlockByNumber", "latest", False)
        assert newest["hash"] == "0x" + head.hash.hex()
        assert (newest["number"], newest["timestamp"]) == (hex(head.number), hex(head.timestamp))
    with pytest.raises(RecordMissing, match="no block"):
        reader.block_hash(head.number + 1)


def test_members_and_strangers(world: LedgerWorld, reader: LedgerReader) -> None:
    first, holder = world.accounts[:2]
    assert reader.member(first) == Member(address=first, roles=EVERYTHING, epoch=1, since=1)
    assert reader.member(holder).roles is Role.HOLDER
    stranger = account(9).address
    assert reader.member(stranger) == Member(address=stranger, roles=Role(0), epoch=0, since=0)


def test_keys_now_and_then(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path, holders=1)
    holder = world.accounts[1]
    none = Keys(epoch=0, signer=EMPTY_ADDRESS, encryption=bytes(32), block=0)
    assert world.reader.keys(holder) == none
    blocks = [world.set_keys(1, account(n), n).block_number for n in (1, 2)]
    old, new = (
        Keys(epoch=n, signer=account(n).address, encryption=word(n), block=blocks[n - 1]) for n in (1, 2)
    )
    assert world.reader.keys(holder) == new
    assert world.reader.keys_at(holder, 1) == old
    for epoch in (0, 3):
        with pytest.raises(RecordMissing, match=f"no key set {epoch}"):
            world.reader.keys_at(holder, epoch)
    for n in (1, 2):
        assert world.reader.member_of_signer(account(n).address) == holder
    assert world.reader.member_of_signer(account(3).address) is None


def test_a_run(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.run(world.run) == Run(
        id=world.run,
        sponsor=world.accounts[0],
        coordinator=world.accounts[0],
        token=world.token,
        terms=TERMS,
        state=RunState.OPEN,
        min_clients=2,
        max_rounds=100,
        opened=2,
        finalised=1,
        accepted=4,
        closing_delay=10,
        closes_at=0,
        budget=50,
        spent=5,
        escrow=ESCROW,
        allocated=0,
        claimed=0,
    )
    with pytest.raises(RecordMissing, match="no run"):
        reader.run(bytes(32))


def test_consent(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.consent(world.run, world.accounts[2]) == TERMS
    assert reader.consent(world.run, account(9).address) == bytes(32)


def test_the_privacy_budget_of_a_data_set(world: LedgerWorld, reader: LedgerReader) -> None:
    holder = world.accounts[2]
    budget = DataBudget(holder=holder, dataset=DATASET, granted=60, reserved=50, spent=0)
    assert reader.data_budget(holder, DATASET) == budget
    assert budget.free == 10
    assert reader.pledge(world.run, holder) == Pledge(run=world.run, holder=holder, dataset=DATASET, since=0)
    assert reader.data_budget(holder, word(1)).granted == 0
    assert reader.pledge(world.run, account(9).address).dataset == bytes(32)


def test_rounds_in_each_state(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.round(world.run, 1) == Round(
        run=world.run,
        number=1,
        state=RoundState.FINALISED,
        parent=world.root,
        header=word(101),
        root=word(201),
        count=3,
        included=word(301),
        included_count=2,
        exclusions=word(9),
        rewards=bytes(32),
        model=model_id(world.run, 1, word(401)),
        cost=5,
    )
    second = reader.round(world.run, 2)
    assert (second.state, second.header, second.root) == (RoundState.OPEN, word(102), bytes(32))
    assert reader.round(world.run, 3).state is RoundState.NONE


def test_models(world: LedgerWorld, reader: LedgerReader) -> None:
    model = model_id(world.run, 1, word(401))
    assert reader.model(model) == Model(
        id=model,
        run=world.run,
        round=1,
        parent=world.root,
        artifact=word(401),
        metrics=word(8),
        aggregate_key=word(7),
    )
    assert reader.model(world.root).artifact == ROOT
    with pytest.raises(RecordMissing, match="no model"):
        reader.model(bytes(32))


def test_a_lineage_goes_back_to_the_root(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.lineage(model_id(world.run, 1, word(401))) == (world.root,)
    assert reader.lineage(world.root) == ()
    with pytest.raises(RecordMissing):
        reader.lineage(bytes(32))


@pytest.mark.parametrize("length", [63, 64, 65, 128, 130])
def test_a_long_lineage_is_read_page_by_page(world: LedgerWorld, length: int) -> None:
    class Pages:
        """Serves a lineage as the contract does: at most 64 ancestors at once."""

        chain_id = CHAIN_ID

        def call(
            self, address: bytes, function: object, model: bytes, block: object = None
        ) -> tuple[object, ...]:
            if getattr(function, "name", "") == "models":
                return ((word(1), 0, word(0), word(2), word(3), word(4)),)
            start = int.from_bytes(model)
            return ([word(n) for n in range(start + 1, min(start + 64, length) + 1)],)

    reader = LedgerReader(Pages(), world.address)  # type: ignore[arg-type]
    assert reader.lineage(word(0)) == tuple(word(n) for n in range(1, length + 1))


def test_tokens(world: LedgerWorld, reader: LedgerReader) -> None:
    assert reader.token_balance(world.token, world.address) == ESCROW
    assert reader.token_balance(world.token, account(9).address) == 0
    assert reader.claimed(world.run, world.accounts[1]) == 0
    with pytest.raises(WrongChain, match="no contract"):
        reader.token_balance(account(9).address, world.address)


def test_governance(reader: LedgerReader) -> None:
    assert reader.paused() is False
    assert reader.threshold() == 2
    assert reader.proposal_id(1, b"\x01" * 20, 1, bytes(32)) != reader.proposal_id(
        2, b"\x01" * 20, 1, bytes(32)
    )


def test_events_are_decoded_and_in_order(world: LedgerWorld, reader: LedgerReader) -> None:
    consents = reader.events("Consent")
    assert [event.values["holder"] for event in consents] == world.accounts
    assert [event.values["accepted"] for event in consents] == [1, 2, 3, 4]
    assert consents[0].values["given"] is True
    opened = reader.events("RoundOpened")
    assert [(e.values["round"], e.values["header"]) for e in opened] == [(1, word(101)), (2, word(102))]
    assert opened[0].block_hash == reader.block_hash(opened[0].block_number)
    assert reader.events("RoundOpened", opened[1].block_number) == opened[1:]
    assert reader.events("RoundOpened", 0, opened[1].block_number - 1) == opened[:1]
    assert reader.events("Claimed") == ()
    with pytest.raises(LocalProtocolError, match="no event"):
        reader.events("Nothing")


def test_following_gives_each_event_once(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.begin()
    seen: list[int] = []
    cursor: Cursor | None = None
    parent = world.root
    for number in (1, 2, 3):
        parent = world.play(number, parent)
        for _ in range(2):
            events, cursor = world.reader.follow("RoundFinalised", cursor)
            seen.extend(event.values["round"] for event in events)
    assert seen == [1, 2, 3]
    assert cursor == Cursor(number=world.reader.head().number, hash=world.reader.head().hash)


def test_events_wait_until_they_are_deep_enough(world: LedgerWorld, reader: LedgerReader) -> None:
    careful = LedgerReader(world.connection, world.address, confirmations=2)
    assert [e.values["round"] for e in careful.events("RoundOpened")] == [1]
    assert len(reader.events("RoundOpened")) == 2
    events, cursor = LedgerReader(world.connection, world.address, confirmations=1000).follow("Consent", None)
    assert events == ()
    assert cursor.number == 0


def test_following_notices_that_the_past_has_changed(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.chain.copy_to(tmp_path / "other.sqlite")
    world.begin()
    _, cursor = world.reader.follow("Consent", None)
    with open_embedded(tmp_path / "other.sqlite", chain_id=CHAIN_ID) as fork:
        other = LedgerReader(Web3Connection(fork), world.address)
        with pytest.raises(ForkDetected) as caught:
            other.follow("Consent", cursor)
        assert (caught.value.number, caught.value.expected, caught.value.found) == (
            cursor.number, cursor.hash, None)  # fmt: skip
        early = Cursor(number=1, hash=world.reader.block_hash(1))
        assert other.follow("Consent", early)[0] == ()
        with pytest.raises(ForkDetected, match="Block 1 was"):
            other.follow("Consent", Cursor(number=1, hash=bytes(32)))


def test_a_reader_works_on_a_sealed_copy(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.begin()
    world.chain.copy_to(tmp_path / "copy.sqlite")
    shutil.copy(tmp_path / "copy.sqlite", tmp_path / "sealed.sqlite")
    with open_embedded(tmp_path / "sealed.sqlite", chain_id=CHAIN_ID, read_only=True) as chain:
        reader = LedgerReader(Web3Connection(chain), world.address)
        assert reader.run(world.run) == world.reader.run(world.run)
        reader.check_code()


def test_addresses_come_back_as_bytes(world: LedgerWorld, reader: LedgerReader) -> None:
    values: Sequence[object] = [reader.run(world.run).token, *reader.events("KeysSet")[0].values.values()]
    assert all(not isinstance(value, str) for value in values)
