"""A transaction happens once on a real node too: processes are killed, blocks are taken back, the node goes away.

Children are forked, not started: they have everything imported, so a kill lands in the work and not in the start.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from ledger.chain.connection import Web3Connection
from ledger.errors import ChainUnreachable, ForkDetected, NonceConflict
from ledger.outbox import Outbox
from ledger.reader import Cursor
from ledger.signer import KeySigner
from tests.simulators.anvil import Anvil
from tests.simulators.process_tree import becomes
from tests.unit.ledger.embedded_world import CHAIN_ID, INIT, account
from tests.unit.ledger.ledger_world import LedgerWorld

pytestmark = [
    pytest.mark.anvil,
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the children start no thread
]
WORDS = [number.to_bytes(32, "big") for number in range(200)]
FOREVER_S = 600.0


class Box:
    """A contract that logs what it is sent, and the outbox of the account that sends."""

    def __init__(self, node: Anvil, folder: Path) -> None:
        self.node = node
        self.path = folder / "outbox.sqlite"
        self.signer = account(0)
        made = self.open().submit("deploy", None, INIT, "Contract").contract
        assert made is not None
        self.contract = made

    def open(self, **options: float) -> Outbox:
        """Open the outbox over a new connection."""
        return Outbox(self.path, Web3Connection(self.node.url), self.signer, **options)  # type: ignore[arg-type]

    def store(self, outbox: Outbox, number: int):
        """Send one number."""
        return outbox.submit(f"store {number}", self.contract, WORDS[number], "store")

    def effects(self) -> list[int]:
        """Return every number that the contract logged, in order."""
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x" + self.contract.hex()}
        return [int(log["data"], 16) for log in self.node.ask("eth_getLogs", query)]

    def raw(self, number: int) -> bytes:
        """Return the signed bytes of an intent."""
        database = sqlite3.connect(self.path)
        (raw,) = database.execute("SELECT raw FROM entry WHERE intent=?", (f"store {number}",)).fetchone()
        database.close()
        return bytes(raw)


@pytest.fixture
def box(anvil: Anvil, tmp_path: Path) -> Box:
    return Box(anvil, tmp_path)


def child(work: Callable[[Callable[[], None]], None]) -> tuple[int, int]:
    """Fork a process that does ``work``, which gets a function to call where it waits for its end; return pid and pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        os.close(reading)

        def here() -> None:
            os.write(writing, b"!")
            time.sleep(FOREVER_S)

        try:
            work(here)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a forked child must not return into the runner
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    return pid, reading


def kill(pid: int) -> int:
    """Kill with the signal that cannot be caught; return how the process ended."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(box: Box, stage: str) -> None:
    """Submit "store 7" in a process that is killed at a stage."""

    def work(here: Callable[[], None]) -> None:
        outbox = box.open()
        connection = outbox._connection  # the stages lie between its calls
        send, receipt = connection.send_raw, connection.receipt
        if stage == "before it signs":
            KeySigner.sign_transaction = lambda *_: here()  # type: ignore[method-assign,assignment,return-value]
        if stage == "after it signed, before it sends":
            connection.send_raw = lambda raw: here()  # type: ignore[method-assign]
        if stage == "after it sent, before the receipt":
            connection.send_raw = lambda raw: (send(raw), here())[1]  # type: ignore[method-assign,func-returns-value]
        if stage == "after the receipt, before it is noted":
            connection.receipt = lambda h: receipt(h) and here()  # type: ignore[method-assign,func-returns-value]
        box.store(outbox, 7)

    pid, pipe = child(work)
    assert os.read(pipe, 1) == b"!"
    assert kill(pid) == -signal.SIGKILL
    os.close(pipe)


STAGES = {
    "before it signs": 0,
    "after it signed, before it sends": 1,
    "after it sent, before the receipt": 1,
    "after the receipt, before it is noted": 1,
}


@pytest.mark.parametrize(("stage", "pending"), STAGES.items(), ids=STAGES.keys())
@pytest.mark.parametrize("way", ["submits again", "recovers", "submits something else first"])
def test_whoever_comes_after_a_killed_process_has_the_effect_once(
    box: Box, stage: str, pending: int, way: str
) -> None:
    killed_at(box, stage)
    outbox = box.open()
    assert len(outbox.pending()) == pending
    raw = box.raw(7) if pending else b""
    if way == "recovers":
        assert [item.intent for item in outbox.recover()] == ["store 7"] * pending
    if way == "submits something else first":
        box.store(outbox, 5)
    receipt = box.store(outbox, 7)
    assert box.effects().count(7) == 1
    assert outbox.pending() == ()
    assert not raw or box.raw(7) == raw
    assert box.store(box.open(), 7) == receipt


@pytest.mark.slow
def test_forty_kills_at_any_time_lose_and_double_nothing(box: Box) -> None:
    """One process after the other sends the numbers from 1 on and dies somewhere; the node makes blocks as it likes."""
    pick, open_ends = random.Random(20_261_126), 0
    for _ in range(40):
        pid, pipe = child(lambda here: [box.store(box.open(), n) for n in range(1, 100)] and here())
        time.sleep(pick.uniform(0.0, 0.25))
        kill(pid)
        os.close(pipe)
        open_ends += len(box.open().pending())
    assert open_ends > 0, "the kills missed the work"
    outbox = box.open()
    outbox.recover()
    for number in range(1, 100):
        box.store(outbox, number)
    assert sorted(box.effects()) == list(range(1, 100))


# ---------------------------------------------------------------------- forks


def test_bytes_that_a_fork_took_back_are_sent_again(box: Box) -> None:
    first = box.store(box.open(), 4)
    box.node.reorg(1)
    assert box.effects() == []
    second = box.store(box.open(), 4)
    assert second.tx_hash == first.tx_hash
    assert second.block_hash != first.block_hash
    assert box.effects() == [4]


def test_a_fork_while_the_receipt_gets_deep_changes_nothing_but_the_block(box: Box) -> None:
    """Three blocks deep: the block is taken back when it is two deep, and the bytes go out again."""
    seen: list[int] = []

    def pause(seconds: float) -> None:
        seen.append(box.node.height())
        if len(seen) == 1:
            box.node.reorg(1)
        else:
            box.node.mine()

    outbox = Outbox(
        box.path, Web3Connection(box.node.url), box.signer, confirmations=3, pause=pause
    )  # fmt: skip
    receipt = box.store(outbox, 4)
    assert box.effects() == [4]
    assert box.node.height() - receipt.block_number >= 2
    assert box.node.ask("eth_getTransactionReceipt", "0x" + receipt.tx_hash.hex())["blockHash"] == (
        "0x" + receipt.block_hash.hex()
    )


def test_a_fork_with_another_transaction_of_the_account_is_a_conflict(box: Box) -> None:
    first = box.store(box.open(), 4)
    nonce = int(box.node.ask("eth_getTransactionCount", "0x" + box.signer.address.hex(), "latest"), 16) - 1
    rival = box.signer.sign_transaction(
        {"chainId": CHAIN_ID, "nonce": nonce, "gas": 100_000, "gasPrice": 0, "value": 0,
         "to": to_checksum_address(box.contract), "data": WORDS[9]}
    )  # fmt: skip
    box.node.ask("anvil_reorg", 1, [["0x" + rival.hex(), 0]])
    assert box.effects() == [9]
    for _ in range(2):
        with pytest.raises(NonceConflict, match=f"nonce {nonce}, meant for store"):
            box.store(box.open(settling_s=0.05), 4)
    assert box.effects() == [9]
    again = box.open().submit("store 4 again", box.contract, WORDS[4], "store")
    assert again.tx_hash != first.tx_hash
    assert box.effects() == [9, 4]


def test_a_reader_that_followed_events_notices_a_fork(anvil: Anvil, tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path, node=anvil)
    world.begin()
    events, cursor = world.reader.follow("Consent", None)
    assert len(events) == len(world.accounts)
    assert world.reader.follow("Consent", cursor) == ((), cursor)
    anvil.reorg(3)
    with pytest.raises(ForkDetected) as caught:
        world.reader.follow("Consent", cursor)
    assert (caught.value.number, caught.value.expected) == (cursor.number, cursor.hash)
    assert caught.value.found == world.reader.block_hash(cursor.number) != cursor.hash
    safe = cursor.number - 3
    early = Cursor(number=safe, hash=world.reader.block_hash(safe))
    assert world.reader.follow("Consent", early)[1].number == cursor.number


# ---------------------------------------------------------------------- the node is away


@pytest.fixture
def later() -> Iterator[Callable[[float, Callable[[], None]], None]]:
    """Runs something some seconds from now in a thread."""
    timers: list[threading.Timer] = []

    def start(seconds: float, action: Callable[[], None]) -> None:
        timers.append(threading.Timer(seconds, action))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


def test_a_node_that_hangs_for_a_while_is_waited_for(box: Box, later: Callable[..., None]) -> None:
    told: list[str] = []
    connection = Web3Connection(
        box.node.url, timeout_s=0.3, patience_s=30, waiting=lambda why, away: told.append(why)
    )
    outbox = Outbox(box.path, connection, box.signer)
    box.node.freeze()
    later(2.5, box.node.thaw)
    assert box.store(outbox, 3).block_number == box.node.height()
    assert box.effects() == [3]
    assert "ReadTimeout" in told


def test_a_node_that_is_started_again_is_waited_for(tmp_path: Path, later: Callable[..., None]) -> None:
    state = tmp_path / "state.json"
    with Anvil(state=state) as first:
        box = Box(first, tmp_path)
        connection = Web3Connection(first.url, patience_s=30)
        outbox = Outbox(box.path, connection, box.signer)
        box.store(outbox, 1)
        port = first.port
    again: list[Anvil] = []
    later(0.7, lambda: again.append(Anvil(state=state, port=port)))
    try:
        receipt = box.store(outbox, 2)
        assert becomes(lambda: again, 30.0), "it answers before we have it in hand"
        box.node = again[0]
        assert receipt.block_number == box.node.height() == 3
        assert box.effects()[-1] == 2
    finally:
        for node in again:
            node.stop()


def test_a_node_that_stays_away_loses_nothing(box: Box) -> None:
    """The bytes were signed and are kept; whoever comes later sends the same ones."""
    outbox = Outbox(box.path, Web3Connection(box.node.url, timeout_s=0.3, patience_s=0), box.signer)
    killed_at(box, "after it signed, before it sends")
    box.node.freeze()
    began = time.monotonic()
    with pytest.raises(ChainUnreachable):
        box.store(outbox, 7)
    assert time.monotonic() - began < 3
    assert outbox.pending() == ("store 7",)
    box.node.thaw()
    box.store(outbox, 7)
    assert box.effects() == [7]
