"""Replay accepts a chain that was executed honestly and names the place in every other."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rlp
from eth_utils.crypto import keccak

from fl_core.errors import InputError, VerificationError
from ledger.chain.embedded import evm, open_embedded, replay
from ledger.chain.embedded.replay import MAX_VALUE
from ledger.chain.ports import Sent
from ledger.errors import ForeignTransaction, ReplayMismatch, WrongChain
from tests.unit.ledger.embedded_world import CHAIN_ID, INIT, START, account, history

BLOCKS = 8
Tamper = Callable[[sqlite3.Connection], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "ledger.sqlite"
    history(path, BLOCKS).chain.close()
    return path


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "ledger.sqlite"))


def tampered(path: Path, tamper: Tamper) -> Path:
    connection = sqlite3.connect(path)
    tamper(connection)
    connection.commit()
    connection.close()
    return path


def value(connection: sqlite3.Connection, key: bytes) -> bytes:
    found: bytes = connection.execute("SELECT v FROM kv WHERE k=?", (key,)).fetchone()[0]
    return found


def block_hash(connection: sqlite3.Connection, number: int) -> bytes:
    return bytes(rlp.decode(value(connection, b"block-number-to-hash:%d" % number)))


def set_value(key: bytes, new: bytes) -> Tamper:
    return lambda connection: (
        connection.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, new)) and None
    )


def test_an_honest_chain_replays(original: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = replay(original, chain_id=CHAIN_ID, genesis_time=START, progress=lambda *at: seen.append(at))
    with open_embedded(original, chain_id=CHAIN_ID, read_only=True) as chain:
        assert report.head_hash == chain.head().hash
        assert report.genesis_hash == chain.header(0).hash
    assert (report.head_number, report.logs) == (BLOCKS, BLOCKS - 1)
    assert seen == [(number, BLOCKS) for number in range(1, BLOCKS + 1)]
    replay(original, chain_id=CHAIN_ID, genesis_hash=report.genesis_hash)


def test_replay_works_beside_a_writer(tmp_path: Path) -> None:
    world = history(tmp_path / "ledger.sqlite", 3)
    report = replay(world.path, chain_id=CHAIN_ID, progress=lambda *_: world.emit(9) and None)
    assert report.head_number == 3
    assert replay(world.path, chain_id=CHAIN_ID).head_number == 6


def test_the_parameters_must_be_those_given(original: Path) -> None:
    for wrong, field in (
        ({"chain_id": 1}, "chain id"),
        ({"chain_id": CHAIN_ID, "genesis_time": 1}, "genesis time"),
        ({"chain_id": CHAIN_ID, "genesis_hash": bytes(32)}, "genesis hash"),
    ):
        with pytest.raises(ReplayMismatch, match=field) as caught:
            replay(original, **wrong)  # type: ignore[arg-type]
        assert caught.value.number == 0


def rewrite_header(number: int, **changes: object) -> Tamper:
    """Change header fields and hang the new header in the old one's place, under its own new hash."""

    def tamper(connection: sqlite3.Connection) -> None:
        from eth.db.header import HeaderDB

        from ledger.chain.embedded.database import ReadFace

        def get(key: bytes) -> bytes | None:
            row = connection.execute("SELECT v FROM kv WHERE k=?", (key,)).fetchone()
            return None if row is None else row[0]

        header = HeaderDB(ReadFace(get)).get_canonical_block_header_by_number(number).copy(**changes)
        for key, new in (
            (bytes(header.hash), rlp.encode(header)),
            (b"block-number-to-hash:%d" % number, rlp.encode(header.hash)),
        ):
            set_value(key, new)(connection)
        if number == BLOCKS:
            set_value(evm.HEAD_KEY, header.hash)(connection)

    return tamper


@pytest.mark.parametrize(
    ("changes", "number", "field"),
    [
        ({"state_root": b"\x01" * 32}, 4, "state_root"),
        ({"receipt_root": b"\x01" * 32}, 4, "receipt_root"),
        ({"gas_used": 21_001}, 4, "gas_used"),
        ({"bloom": 1}, 4, "bloom"),
        ({"coinbase": b"\x01" * 20}, 4, "coinbase"),
        ({"extra_data": b"else"}, 4, "extra_data"),
        ({"gas_limit": 99_999_999}, 4, "gas_limit"),
        ({"base_fee_per_gas": 1}, 4, "base_fee_per_gas"),
        ({"parent_hash": b"\x01" * 32}, 4, "parent_hash"),
        ({"block_number": 5}, 4, "block_number"),
        ({"nonce": b"\x01" * 8}, 4, "hash"),
        ({"mix_hash": b"\x01" * 32}, 4, "hash"),
        ({"transaction_root": b"\x01" * 32}, 4, "transactions"),
        ({"timestamp": START + 4 + 10}, 4, "parent_hash|transaction "),  # then block 5 no longer follows
        ({"timestamp": START}, 4, "transaction .*strictly later"),
        ({"gas_used": 21_001}, BLOCKS, "gas_used"),
        ({"timestamp": START + 1}, 0, "genesis block"),
    ],
)
def test_a_header_that_was_altered_is_found(
    copy: Path, changes: dict[str, object], number: int, field: str
) -> None:
    with pytest.raises(ReplayMismatch, match=field) as caught:
        replay(tampered(copy, rewrite_header(number, **changes)), chain_id=CHAIN_ID)
    assert caught.value.number in (number, number + 1)


def transactions(connection: sqlite3.Connection, number: int) -> bytes:
    """Return the only transaction of a block, raw."""
    root = rlp.decode(value(connection, block_hash(connection, number)))[4]
    (_, raw) = rlp.decode(value(connection, bytes(root)))
    return bytes(raw)


def hang_trie(number: int, root: Callable[[sqlite3.Connection], bytes]) -> Tamper:
    """Give a block another trie of transactions."""

    def tamper(connection: sqlite3.Connection) -> None:
        rewrite_header(number, transaction_root=root(connection))(connection)

    return tamper


def endless_trie(connection: sqlite3.Connection) -> bytes:
    """Twenty rows in which every index of a transaction exists."""
    raw = transactions(connection, 4)

    def store(node: list[object]) -> bytes:
        encoded = rlp.encode(node)
        set_value(keccak(encoded), encoded)(connection)
        return keccak(encoded)

    root = store([b""] * 16 + [raw])
    for _ in range(16):
        root = store([root] * 16 + [raw])
    return root


def circular_trie(connection: sqlite3.Connection) -> bytes:
    """A node that leads to itself without using up any of the key; its hash is not the one it is stored under."""
    root = b"\x77" * 32
    set_value(root, rlp.encode([b"\x00", root]))(connection)
    return root


@pytest.mark.parametrize("trie", [endless_trie, circular_trie])
def test_a_trie_of_transactions_without_an_end_is_found_at_once(
    copy: Path, trie: Callable[[sqlite3.Connection], bytes]
) -> None:
    start = time.monotonic()
    with pytest.raises(ReplayMismatch, match="transactions") as caught:
        replay(tampered(copy, hang_trie(4, trie)), chain_id=CHAIN_ID)
    assert caught.value.number == 4
    assert time.monotonic() - start < 5


def test_a_header_under_another_hash_is_found_before_it_is_followed(copy: Path) -> None:
    def tamper(connection: sqlite3.Connection) -> None:
        set_value(block_hash(connection, 3), value(connection, block_hash(connection, 4)))(connection)

    with pytest.raises(ReplayMismatch, match=r"Block 3 .*: hash differs"):
        replay(tampered(copy, tamper), chain_id=CHAIN_ID)


def test_a_value_longer_than_any_block_writes_is_found_before_it_is_read(copy: Path) -> None:
    for statement in (
        f"UPDATE kv SET v=zeroblob({MAX_VALUE + 1}) WHERE k=CAST('v1:chain_gaps' AS BLOB)",
        f"UPDATE log SET data=zeroblob({MAX_VALUE + 1}) WHERE block=3",
    ):
        with pytest.raises(ReplayMismatch, match="longer than any block writes"):
            replay(tampered(copy, lambda c, s=statement: c.execute(s) and None), chain_id=CHAIN_ID)


def test_a_transaction_that_is_not_admitted_is_not_executed(original: Path) -> None:
    seen: list[Sent] = []

    def admit(sent: Sent) -> None:
        seen.append(sent)
        if sent.nonce == 2:
            raise VerificationError("not this one")

    with pytest.raises(ForeignTransaction, match=r"Block 3 holds .*: not this one") as caught:
        replay(original, chain_id=CHAIN_ID, admit=admit)
    assert caught.value.number == 3
    assert [sent.to is None for sent in seen] == [True, False, False]
    assert {sent.sender for sent in seen} == {account(0).address}
    assert seen[0].data == INIT
    assert seen[1].data == (1).to_bytes(32, "big")


def delete_head(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM kv WHERE k=?", (evm.HEAD_KEY,))


def cut_head(connection: sqlite3.Connection) -> None:
    set_value(evm.HEAD_KEY, block_hash(connection, BLOCKS - 1))(connection)


def swap_blocks(connection: sqlite3.Connection) -> None:
    set_value(b"block-number-to-hash:3", rlp.encode(block_hash(connection, 4)))(connection)


def alter_a_node(connection: sqlite3.Connection) -> None:
    """Change a trie node that no later transaction reads."""
    used = {block_hash(connection, n) for n in range(BLOCKS + 1)}
    rows = connection.execute("SELECT k, v FROM kv WHERE length(k)=32 ORDER BY k").fetchall()
    key, old = next((k, v) for k, v in rows if k not in used)
    set_value(key, old[:-1] + bytes([old[-1] ^ 1]))(connection)


ALTERATIONS: dict[str, tuple[Tamper | str, str]] = {
    "the head is gone": (delete_head, "newest block"),
    "the head is an older block": (cut_head, "that no block wrote"),
    "two blocks are swapped": (swap_blocks, "parent_hash|transaction"),
    "a trie node is altered": (alter_a_node, "the entry 0x|unreadable"),
    "a block beyond the head is canonical": (
        set_value(b"block-number-to-hash:99", rlp.encode(bytes(32))), "block-number-to-hash:99"),
    "a transaction is said to be in a block": (
        set_value(f"transaction-hash-to-block:{bytes(32)!r}".encode(), b"\xc2\x01\x80"), "transaction-hash-to-block"),
    "an entry that nobody wrote": (set_value(b"x", b"y"), "the entry x"),
    "an entry under a text key": ("INSERT INTO kv VALUES ('text', x'00')", "the entry 'text'"),
    "an entry with a text value": ("UPDATE kv SET v='text' WHERE k=CAST('v1:chain_gaps' AS BLOB)", "the entry|bytes"),
    "a log is altered": ("UPDATE log SET data=x'00' WHERE block=3", "log 0"),
    "a log has another address": ("UPDATE log SET address=x'00' WHERE block=3", "log 0"),
    "a log has another topic": ("UPDATE log SET topic0=NULL WHERE block=3", "log 0"),
    "a log has another transaction": ("UPDATE log SET tx=x'00' WHERE block=3", "log 0"),
    "a log is missing": ("DELETE FROM log WHERE block=3", "log 0"),
    "a log is added": (("INSERT INTO log SELECT block, 1, tx, address, topic0, topic1, topic2, topic3, data "
                       "FROM log WHERE block=8"), "no block wrote"),
    "the genesis time is altered": ("UPDATE genesis SET timestamp=timestamp+1", "genesis block"),
    "the genesis time is no time": ("UPDATE genesis SET timestamp=-1", "genesis time"),
    "the genesis time is text": ("UPDATE genesis SET timestamp='soon'", "which chain"),
    "the chain id is altered": ("UPDATE genesis SET chain_id=1", "chain id"),
    "there are two chains": ("INSERT INTO genesis VALUES (2, 1, 1)", "which chain"),
    "there is no chain": ("DELETE FROM genesis", "which chain"),
    "a table is added": ("CREATE TABLE more (x)", "were altered"),
    "a trigger is added": ("CREATE TRIGGER t AFTER INSERT ON kv BEGIN SELECT 1; END", "were altered"),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "message"), ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_replay_fails_when(copy: Path, tamper: Tamper | str, message: str) -> None:
    change = (lambda c: c.execute(tamper) and None) if isinstance(tamper, str) else tamper
    with pytest.raises(ReplayMismatch, match=message):
        replay(tampered(copy, change), chain_id=CHAIN_ID)


def contents(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_every_entry_of_the_database_matters(original: Path, tmp_path: Path) -> None:
    """Flips one bit in each value, and deletes each key: replay finds every single one."""
    connection = sqlite3.connect(original)
    keys = [row[0] for row in connection.execute("SELECT k FROM kv")]
    connection.close()
    rng = random.Random(7)
    for key in rng.sample(keys, 24):
        for delete in (False, True):
            path = Path(shutil.copy(original, tmp_path / "copy.sqlite"))

            def change(connection: sqlite3.Connection, key: bytes = key, delete: bool = delete) -> None:
                old = bytearray(value(connection, key))
                if delete or not old:
                    connection.execute("DELETE FROM kv WHERE k=?", (key,))
                else:
                    old[rng.randrange(len(old))] ^= 1 << rng.randrange(8)
                    set_value(key, bytes(old))(connection)

            with pytest.raises(ReplayMismatch):
                replay(tampered(path, change), chain_id=CHAIN_ID)


@pytest.mark.parametrize("seed", range(40))
def test_a_byte_of_the_file_that_was_flipped_is_found_or_means_nothing(
    original: Path, tmp_path: Path, seed: int
) -> None:
    """sqlite has free space and counters in its pages; whatever a reader could see is protected."""
    rng = random.Random(seed)
    content = bytearray(original.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    try:
        replay(path, chain_id=CHAIN_ID)
    except (ReplayMismatch, WrongChain):
        return
    assert contents(path) == contents(original)


def test_a_file_that_was_cut_off_is_a_mismatch(original: Path, tmp_path: Path) -> None:
    content = original.read_bytes()
    for length in (len(content) // 2, len(content) - 4096, 5000):
        path = tmp_path / "ledger.sqlite"
        path.write_bytes(content[:length])
        with pytest.raises(ReplayMismatch, match="the database file"):
            replay(path, chain_id=CHAIN_ID)


def test_what_is_not_there_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no chain"):
        replay(tmp_path / "nothing.sqlite", chain_id=CHAIN_ID)
