"""A transaction that offers too little is replaced by one that pays more, and has its effect once, whatever crashes."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.chain.connection import Web3Connection
from ledger.chain.ports import Fees
from ledger.errors import ReceiptPending
from ledger.fees import offer_of
from ledger.outbox import Outbox
from tests.integration.ledger.test_outbox_on_anvil import WORDS, child, kill
from tests.simulators.anvil import Anvil
from tests.unit.ledger.embedded_world import INIT, account

pytestmark = [
    pytest.mark.anvil,
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the children start no thread
]
GWEI = 10**9
HIGH = 40 * GWEI
"""A base fee that no earlier offer reaches."""


class Market:
    """A node with a base fee that makes blocks when it is told to, and an account with money.

    Args:
        node: The node.
        folder: For the outbox.
    """

    def __init__(self, node: Anvil, folder: Path) -> None:
        self.node = node
        self.path = folder / "outbox.sqlite"
        self.signer = account(0)
        node.ask("anvil_setBalance", "0x" + self.signer.address.hex(), hex(10**20))
        made = self.open().submit("deploy", None, INIT, "Contract").contract
        assert made is not None
        self.contract = made
        node.automine(False)

    def open(self, **options: object) -> Outbox:
        """Open the outbox over a new connection."""
        return Outbox(self.path, Web3Connection(self.node.url), self.signer, **options)  # type: ignore[arg-type]

    def block(self, base_fee: int) -> None:
        """Make a block with a base fee."""
        self.node.ask("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        self.node.mine()

    def store(self, outbox: Outbox, number: int = 7):
        """Send one number."""
        return outbox.submit(f"store {number}", self.contract, WORDS[number], "store")

    def effects(self) -> list[int]:
        """Return every number that the contract logged, in order."""
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x" + self.contract.hex()}
        return [int(log["data"], 16) for log in self.node.ask("eth_getLogs", query)]

    def versions(self) -> list[Fees]:
        """Return what each of the signed versions of the newest intent pays, by what it pays at most."""
        database = sqlite3.connect(self.path)
        rows = database.execute(
            "SELECT raw FROM entry WHERE intent='store 7' UNION SELECT raw FROM cheaper WHERE intent='store 7'"
        ).fetchall()
        database.close()
        return sorted((offer_of(raw).fees for (raw,) in rows), key=lambda fees: fees.max_fee)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with Anvil(base_fee=None) as node:
        yield Market(node, tmp_path)


def rising(market: Market, blocks: int = 50) -> Callable[[float], None]:
    """Return a pause in which a block with a high base fee is made."""
    made: list[int] = []

    def pause(seconds: float) -> None:
        assert len(made) < blocks, "it is never taken"
        made.append(0)
        market.block(HIGH)

    return pause


def test_a_fee_is_raised_when_blocks_go_by_without_the_transaction(market: Market) -> None:
    receipt = market.store(market.open(pause=rising(market), stuck_blocks=2))
    low, high = market.versions()
    assert low.max_fee < HIGH <= high.max_fee
    assert high.tip * 10 >= low.tip * 11
    assert market.effects() == [7]
    assert market.store(market.open()) == receipt
    assert market.open().pending() == ()
    nonce = market.node.ask("eth_getTransactionCount", "0x" + market.signer.address.hex(), "latest")
    assert int(nonce, 16) == 2  # one for the contract, one for both versions


def test_no_fee_is_raised_as_long_as_there_are_no_blocks(market: Market) -> None:
    outbox = market.open(timeout_s=0.3, stuck_blocks=1)
    for _ in range(2):
        with pytest.raises(ReceiptPending):
            market.store(outbox)
    assert len(market.versions()) == 1
    market.block(GWEI)
    market.store(outbox)
    assert market.effects() == [7]


def test_a_node_that_does_not_even_take_the_transaction_is_offered_more_at_once(market: Market) -> None:
    """The base fee rises between signing and sending; anvil refuses what is below it, as Besu does."""
    outbox = market.open(stuck_blocks=10**6, pause=lambda seconds: market.node.mine())
    connection = outbox._connection
    honest = connection.fees
    asked: list[Fees] = []

    def fees() -> Fees:
        asked.append(Fees(max_fee=1, tip=1) if not asked else honest())
        return asked[-1]

    connection.fees = fees  # type: ignore[method-assign]
    market.store(outbox)
    assert market.effects() == [7]
    assert market.versions()[0] == Fees(max_fee=1, tip=1)


def test_no_fee_goes_above_the_limit_and_the_error_says_so(market: Market) -> None:
    limit = 20 * GWEI
    for _ in range(3):
        outbox = market.open(
            pause=rising(market, 10**6), stuck_blocks=1, timeout_s=1.0, most_wei_per_gas=limit
        )
        with pytest.raises(ReceiptPending, match=f"SUTURE_MAX_WEI_PER_GAS allows {limit}"):
            market.store(outbox)
    assert max(fees.max_fee for fees in market.versions()) <= limit
    assert market.effects() == []
    market.store(market.open(pause=rising(market), stuck_blocks=1))  # with a higher limit it goes on
    assert market.effects() == [7]


def test_a_cheaper_version_that_gets_into_a_block_after_all_is_the_effect(market: Market) -> None:
    killed(market, "after it was written, before it is sent")
    assert len(market.versions()) == 2
    database = sqlite3.connect(market.path)
    ((raw,),) = database.execute("SELECT raw FROM cheaper").fetchall()
    database.close()
    market.block(GWEI)
    market.node.ask("eth_sendRawTransaction", "0x" + raw.hex())  # as some other node still has it
    market.block(GWEI)
    assert market.effects() == [7]
    receipt = market.store(market.open())
    assert market.effects() == [7]
    paid = market.node.ask("eth_getTransactionByHash", "0x" + receipt.tx_hash.hex())
    assert int(paid["maxFeePerGas"], 16) == market.versions()[0].max_fee


def killed(market: Market, stage: str) -> None:
    """Submit in a process that raises the fee and is killed at a stage."""

    def work(here: Callable[[], None]) -> None:
        outbox = market.open(pause=rising(market), stuck_blocks=2)
        connection, sent = outbox._connection, []
        send, sign = connection.send_raw, outbox._sign

        def sending(raw: bytes) -> None:
            again = bool(sent) and raw != sent[0]
            if again and stage == "after it was written, before it is sent":
                here()
            send(raw)
            sent.append(raw)
            if again and stage == "after it was sent":
                here()

        def signing(*arguments: object) -> bytes:
            if sent and stage == "before it is signed":
                here()
            raw = sign(*arguments)  # type: ignore[arg-type]
            if sent and stage == "after it was signed, before it is written":
                here()
            return raw

        connection.send_raw = sending  # type: ignore[method-assign]
        outbox._sign = signing  # type: ignore[method-assign]
        market.store(outbox)

    pid, pipe = child(work)
    assert os.read(pipe, 1) == b"!"
    assert kill(pid) == -signal.SIGKILL
    os.close(pipe)


STAGES = {
    "before it is signed": 1,
    "after it was signed, before it is written": 1,
    "after it was written, before it is sent": 2,
    "after it was sent": 2,
}


@pytest.mark.parametrize(("stage", "versions"), STAGES.items(), ids=STAGES.keys())
@pytest.mark.parametrize("way", ["submits again", "recovers"])
def test_a_process_that_is_killed_while_it_raises_a_fee_has_its_effect_once(
    market: Market, stage: str, versions: int, way: str
) -> None:
    killed(market, stage)
    assert len(market.versions()) == versions
    outbox = market.open(pause=rising(market), stuck_blocks=2)
    if way == "recovers":
        assert [item.intent for item in outbox.recover()] == ["store 7"]
    market.store(outbox)
    assert market.effects() == [7]
    assert market.open().pending() == ()
    market.node.mine(3)  # whatever the node still holds
    assert market.effects() == [7]


def test_a_fork_that_takes_the_raised_transaction_back_changes_nothing(market: Market) -> None:
    first = market.store(market.open(pause=rising(market), stuck_blocks=2))
    market.node.reorg(1)
    assert market.effects() == []
    second = market.store(market.open(pause=rising(market), stuck_blocks=2))
    assert market.effects() == [7] and second.block_hash != first.block_hash


def test_free_gas_is_never_raised(anvil: Anvil, tmp_path: Path) -> None:
    outbox = Outbox(
        tmp_path / "free.sqlite", Web3Connection(anvil.url), account(0), timeout_s=0.5, stuck_blocks=1
    )
    made = outbox.submit("deploy", None, INIT, "Contract").contract
    anvil.automine(False)
    outbox._connection.send_raw = lambda raw: anvil.mine()  # type: ignore[method-assign]  # it never arrives
    with pytest.raises(ReceiptPending) as caught:
        outbox.submit("store", made, WORDS[1], "store")
    assert "wei" not in str(caught.value)
    database = sqlite3.connect(tmp_path / "free.sqlite")
    assert database.execute("SELECT COUNT(*) FROM cheaper").fetchone() == (0,)
    database.close()
