"""A transaction happens once, whatever crashes between its simulation and its receipt."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ledger.chain.connection import Call, Fees, Mined, Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.errors import (
    ChainUnreachable,
    IntentConflict,
    NonceConflict,
    ReceiptPending,
    Reverted,
    StoreCorrupt,
)
from ledger.outbox import Outbox
from ledger.records import Head
from ledger.signer import KeySigner
from tests.unit.ledger.embedded_world import CHAIN_ID, INIT, World, account, history

WORDS = [number.to_bytes(32, "big") for number in range(100)]


class Crash(BaseException):
    """The process stops here."""


class Passing:
    """Passes everything on to a connection; subclasses crash or lie at one place."""

    def __init__(self, connection: Web3Connection) -> None:
        self._connection = connection
        self.sent: list[bytes] = []

    @property
    def chain_id(self) -> int:
        return self._connection.chain_id

    def head(self) -> Head:
        return self._connection.head()

    def block_hash(self, number: int) -> bytes | None:
        return self._connection.block_hash(number)

    def estimate_gas(self, call: Call) -> int:
        return self._connection.estimate_gas(call)

    def revert_reason(self, call: Call, block: int) -> str:
        return self._connection.revert_reason(call, block)

    def nonce(self, address: bytes) -> int:
        return self._connection.nonce(address)

    def fees(self) -> Fees:
        return self._connection.fees()

    def send_raw(self, raw: bytes) -> None:
        self.sent.append(raw)
        self._connection.send_raw(raw)

    def receipt(self, tx_hash: bytes) -> Mined | None:
        return self._connection.receipt(tx_hash)


class CrashingSigner:
    """Crashes instead of signing a transaction."""

    def __init__(self, signer: KeySigner) -> None:
        self.address = signer.address
        self.sign_digest = signer.sign_digest

    def sign_transaction(self, transaction: Mapping[str, object]) -> bytes:
        raise Crash


class CrashBeforeSending(Passing):
    def send_raw(self, raw: bytes) -> None:
        raise Crash


class CrashAfterSending(Passing):
    def send_raw(self, raw: bytes) -> None:
        super().send_raw(raw)
        raise Crash


class CrashAtTheReceipt(Passing):
    def receipt(self, tx_hash: bytes) -> Mined | None:
        if super().receipt(tx_hash) is not None:
            raise Crash
        return None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return history(tmp_path / "ledger.sqlite", 2)


@pytest.fixture
def connection(world: World) -> Passing:
    return Passing(Web3Connection(world.chain))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


def stored(world: World) -> int:
    return int(world.ask("eth_getStorageAt", "0x" + world.contract.hex(), "0x0", "latest"), 16)


def test_an_intent_becomes_one_transaction_and_one_receipt(
    world: World, connection: Passing, path: Path
) -> None:
    outbox = Outbox(path, connection, world.signer)
    receipt = outbox.submit("first", world.contract, WORDS[9], "store")
    assert stored(world) == 9
    assert receipt.block_number == 3
    assert receipt.block_hash == connection.block_hash(3)
    assert outbox.submit("first", world.contract, WORDS[9], "store") == receipt
    assert (
        Outbox(path, connection, world.signer).submit("first", world.contract, WORDS[9], "store") == receipt
    )
    assert len(connection.sent) == 1
    assert outbox.pending() == ()
    outbox.submit("second", world.contract, WORDS[8], "store")
    assert connection.head().number == 4


def test_a_new_contract_has_its_address_in_the_receipt(world: World, connection: Passing, path: Path) -> None:
    receipt = Outbox(path, connection, world.signer).submit("deploy", None, INIT, "Contract")
    assert receipt.contract is not None
    assert world.ask("eth_getCode", "0x" + receipt.contract.hex(), "latest") != "0x"


STAGES: dict[str, tuple[Callable[[World, Passing], tuple[object, object]], int]] = {
    "before signing": (lambda w, c: (c, CrashingSigner(w.signer)), 0),
    "after signing": (lambda w, c: (CrashBeforeSending(Web3Connection(w.chain)), w.signer), 1),
    "after sending": (lambda w, c: (CrashAfterSending(Web3Connection(w.chain)), w.signer), 1),
    "at the receipt": (lambda w, c: (CrashAtTheReceipt(Web3Connection(w.chain)), w.signer), 1),
}


@pytest.mark.parametrize(("make", "pending"), STAGES.values(), ids=STAGES.keys())
@pytest.mark.parametrize(
    "way", ["the intent is submitted again", "the outbox recovers", "another intent comes first"]
)
def test_after_a_crash_the_effect_happens_exactly_once(
    world: World,
    connection: Passing,
    path: Path,
    make: Callable[[World, Passing], tuple[object, object]],
    pending: int,
    way: str,
) -> None:
    crashing, signer = make(world, connection)
    with pytest.raises(Crash):
        Outbox(path, crashing, signer).submit("store", world.contract, WORDS[7], "store")  # type: ignore[arg-type]
    outbox = Outbox(path, connection, world.signer)
    assert len(outbox.pending()) == pending
    if way == "the outbox recovers":
        recovered = outbox.recover()
        assert [item.intent for item in recovered] == ["store"] * pending
    elif way == "another intent comes first":
        outbox.submit("other", world.contract, WORDS[5], "store")
    receipt = outbox.submit("store", world.contract, WORDS[7], "store")
    assert outbox.pending() == ()
    logs = world.ask("eth_getLogs", {"fromBlock": "0x3", "toBlock": "latest"})
    effects = [int(log["data"], 16) for log in logs]
    assert effects.count(7) == 1
    assert receipt.block_number == 3 + effects.index(7)


def test_after_a_crash_the_same_bytes_go_out_again(world: World, connection: Passing, path: Path) -> None:
    with pytest.raises(Crash):
        Outbox(path, CrashBeforeSending(Web3Connection(world.chain)), world.signer).submit(
            "store", world.contract, WORDS[7], "store"
        )
    (raw,) = sqlite3.connect(path).execute("SELECT raw FROM entry").fetchone()
    Outbox(path, connection, world.signer).submit("store", world.contract, WORDS[7], "store")
    assert connection.sent == [raw]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child starts no thread and ends at once
@pytest.mark.parametrize("stage", ["sign", "send", "sent"])
def test_a_killed_process_is_no_different(world: World, connection: Passing, path: Path, stage: str) -> None:
    """The child shares the chain's file through a copy of this process and dies without any cleaning up."""
    world.chain.close()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        chain = open_embedded(world.path, chain_id=CHAIN_ID)
        if stage == "sign":
            KeySigner.sign_transaction = lambda *_: os._exit(9)  # type: ignore[method-assign]
        forked = Passing(Web3Connection(chain))
        if stage == "send":
            forked.send_raw = lambda raw: os._exit(9)  # type: ignore[method-assign]
        if stage == "sent":
            forked.head = lambda: os._exit(9)  # type: ignore[method-assign]
        Outbox(path, forked, account(0)).submit("store", world.contract, WORDS[7], "store")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    again = World(world.path)
    assert again.chain.head().block_number == (3 if stage == "sent" else 2)
    outbox = Outbox(path, Web3Connection(again.chain), world.signer)
    assert outbox.submit("store", world.contract, WORDS[7], "store").block_number == 3
    assert again.chain.head().block_number == 3
    again.chain.close()


def test_a_call_that_would_revert_is_never_signed(world: World, connection: Passing, path: Path) -> None:
    outbox = Outbox(path, connection, world.signer)
    with pytest.raises(Reverted, match="store was refused"):
        outbox.submit("bad", world.contract, WORDS[0], "store")
    assert connection.sent == []
    assert outbox.pending() == ()
    outbox.submit("bad", world.contract, WORDS[1], "store")  # the intent is still free


def test_a_transaction_that_reverts_in_its_block_raises_then_and_ever_after(world: World, path: Path) -> None:
    class Blind(Passing):
        def estimate_gas(self, call: Call) -> int:
            return 1_000_000

        def revert_reason(self, call: Call, block: int) -> str:
            assert block == 2
            return "training_ledger: too late" if super().revert_reason(call, block) == "" else "?"

    outbox = Outbox(path, Blind(Web3Connection(world.chain)), world.signer)
    for _ in range(2):
        with pytest.raises(Reverted) as caught:
            outbox.submit("bad", world.contract, WORDS[0], "store")
        assert caught.value.reason == "training_ledger: too late"
    assert outbox.pending() == ()
    assert world.chain.head().block_number == 3


def test_an_intent_stands_for_one_call(world: World, connection: Passing, path: Path) -> None:
    outbox = Outbox(path, connection, world.signer)
    outbox.submit("store", world.contract, WORDS[1], "store")
    for to, payload in ((world.contract, WORDS[2]), (bytes(20), WORDS[1]), (None, WORDS[1])):
        with pytest.raises(IntentConflict, match="other arguments"):
            outbox.submit("store", to, payload, "store")
    for intent in ("", "x" * 501):
        with pytest.raises(IntentConflict, match="characters"):
            outbox.submit(intent, world.contract, WORDS[1], "store")
    assert len(connection.sent) == 1


def test_a_nonce_that_somebody_else_used_is_a_conflict(world: World, connection: Passing, path: Path) -> None:
    with pytest.raises(Crash):
        Outbox(path, CrashBeforeSending(Web3Connection(world.chain)), world.signer).submit(
            "store", world.contract, WORDS[7], "store"
        )
    world.emit(3)
    outbox = Outbox(path, connection, world.signer, settling_s=0.05)
    for _ in range(2):
        with pytest.raises(NonceConflict, match="nonce 2, meant for store") as caught:
            outbox.submit("store", world.contract, WORDS[7], "store")
        assert caught.value.nonce == 2
    assert stored(world) == 3
    assert outbox.submit("store again", world.contract, WORDS[7], "store").block_number == 4


def test_recovering_tells_what_became_of_each_intent(world: World, connection: Passing, path: Path) -> None:
    crashing = Outbox(path, CrashBeforeSending(Web3Connection(world.chain)), world.signer)
    with pytest.raises(Crash):
        crashing.submit("lost", world.contract, WORDS[7], "store")
    world.emit(3)
    outbox = Outbox(path, connection, world.signer, settling_s=0.05)
    (recovered,) = outbox.recover()
    assert recovered.intent == "lost"
    assert isinstance(recovered.outcome, NonceConflict)
    assert outbox.recover() == ()


def test_accounts_and_chains_share_a_file_without_meeting(tmp_path: Path, path: Path) -> None:
    first = history(tmp_path / "a.sqlite", 2)
    chain = open_embedded(tmp_path / "b.sqlite", chain_id=CHAIN_ID, genesis_time=5)  # same id, another chain
    Outbox(path, Web3Connection(first.chain), account(0)).submit("x", first.contract, WORDS[1], "store")
    Outbox(path, Web3Connection(first.chain), account(1)).submit("x", first.contract, WORDS[2], "store")
    receipt = Outbox(path, Web3Connection(chain), account(0)).submit("x", None, INIT, "Contract")
    assert receipt.block_number == 1
    assert first.chain.head().block_number == 4
    chain.close()


def test_a_receipt_counts_when_it_is_deep_enough(world: World, connection: Passing, path: Path) -> None:
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            world.signer = account(1)
            world.emit(1)

    outbox = Outbox(path, connection, world.signer, confirmations=2, pause=pause)
    receipt = outbox.submit("store", world.contract, WORDS[4], "store")
    assert receipt.block_number == 3
    assert connection.head().number == 4
    assert len(waited) == 3
    assert all(0 < seconds <= 1 for seconds in waited)


def test_waiting_ends_with_an_error_that_says_how_to_go_on(
    world: World, connection: Passing, path: Path
) -> None:
    now = iter(range(0, 1000, 20))
    outbox = Outbox(
        path,
        connection,
        world.signer,
        confirmations=2,
        timeout_s=50,
        pause=lambda _: None,
        monotonic=lambda: next(now),
    )
    with pytest.raises(ReceiptPending, match=r"2 deep.*same intent") as caught:
        outbox.submit("store", world.contract, WORDS[4], "store")
    assert connection.receipt(caught.value.tx_hash) is not None
    assert outbox.pending() == ("store",)
    world.signer = account(1)
    world.emit(1)
    assert outbox.submit("store", world.contract, WORDS[4], "store").block_number == 3


def test_whoever_waits_for_a_block_for_long_is_told_what_for(
    world: World, connection: Passing, path: Path
) -> None:
    now, told = iter(range(0, 1000, 5)), []
    outbox = Outbox(
        path, connection, world.signer, confirmations=2, timeout_s=30, pause=lambda _: None,
        monotonic=lambda: next(now), waiting=lambda what, seconds: told.append((what, seconds)),
    )  # fmt: skip
    with pytest.raises(ReceiptPending):
        outbox.submit("store", world.contract, WORDS[4], "store")
    assert told == [("store is not in a block 2 deep", seconds) for seconds in (20, 25, 30)]


def test_a_chain_that_is_down_loses_nothing(world: World, connection: Passing, path: Path) -> None:
    class Down(Passing):
        def send_raw(self, raw: bytes) -> None:
            raise ChainUnreachable("down")

    outbox = Outbox(path, Down(Web3Connection(world.chain)), world.signer)
    for _ in range(3):
        with pytest.raises(ChainUnreachable):
            outbox.submit("store", world.contract, WORDS[4], "store")
    assert outbox.pending() == ("store",)
    Outbox(path, connection, world.signer).submit("store", world.contract, WORDS[4], "store")
    assert stored(world) == 4


def test_a_transaction_that_a_fork_took_back_is_sent_again(
    world: World, connection: Passing, path: Path
) -> None:
    """The chain is put back by one block behind the outbox's back."""
    world.chain.copy_to(world.path.with_name("before.sqlite"))
    outbox = Outbox(path, connection, world.signer)
    first = outbox.submit("store", world.contract, WORDS[4], "store")
    world.chain.close()
    shutil.copy(world.path.with_name("before.sqlite"), world.path)
    forked = World(world.path)
    forked.now += 500
    assert forked.chain.head().block_number == 2
    second = Outbox(path, Web3Connection(forked.chain), world.signer).submit(
        "store", world.contract, WORDS[4], "store"
    )
    assert second.tx_hash == first.tx_hash
    assert second.block_hash != first.block_hash
    forked.chain.close()


def test_an_outbox_of_the_first_version_goes_on_where_it_was(
    world: World, connection: Passing, path: Path
) -> None:
    crashing = CrashBeforeSending(Web3Connection(world.chain))
    with pytest.raises(Crash):
        Outbox(path, crashing, world.signer).submit("first", world.contract, WORDS[9], "store")
    database = sqlite3.connect(path, isolation_level=None)
    for statement in ("DROP TABLE cheaper", "ALTER TABLE entry DROP COLUMN height", "PRAGMA user_version=1"):
        database.execute(statement)
    database.close()
    outbox = Outbox(path, connection, world.signer)
    assert outbox.pending() == ("first",)
    assert [item.intent for item in outbox.recover()] == ["first"]
    assert stored(world) == 9


def test_a_file_that_is_no_outbox_is_refused(world: World, connection: Passing, path: Path) -> None:
    with pytest.raises(StoreCorrupt, match="not an outbox"):
        Outbox(Path(_other_database(path)), connection, world.signer)
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreCorrupt, match="damaged"):
        Outbox(path, connection, world.signer)


def _other_database(path: Path) -> str:
    other = path.with_name("other.sqlite")
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE theirs (x)")
    database.commit()
    database.close()
    return str(other)
