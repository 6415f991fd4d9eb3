"""The chain's file: who may open it, what is left of it, and what it refuses."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fl_core.errors import InputError, LocalProtocolError
from ledger.chain.embedded import open_embedded
from ledger.chain.embedded.store import Store
from ledger.errors import ChainBusy, LedgerError, StoreCorrupt, WrongChain
from tests.simulators.endless_database import endless_database
from tests.unit.ledger.embedded_world import CHAIN_ID, World, history


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def files(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_closed_chain_is_one_file(path: Path) -> None:
    world = history(path, 3)
    assert files(path.parent) == {
        "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite.lock"
    }  # fmt: skip
    world.chain.close()
    assert files(path.parent) == {"ledger.sqlite"}
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as again:
        assert again.head().block_number == 3


def test_a_second_writer_is_told_who_holds_the_chain_and_what_to_do(path: Path) -> None:
    world = World(path)
    with pytest.raises(ChainBusy, match=f"process {os.getpid()}.*again when that process is done"):
        open_embedded(path, chain_id=CHAIN_ID)
    world.chain.close()
    open_embedded(path, chain_id=CHAIN_ID).close()


def test_closing_twice_is_allowed_and_using_a_closed_chain_is_not(path: Path) -> None:
    world = World(path)
    world.chain.close()
    world.chain.close()
    with pytest.raises(LocalProtocolError, match="after it was closed"):
        world.chain.head()


def test_a_reader_sees_each_block_as_soon_as_it_is_acknowledged(path: Path) -> None:
    world = history(path, 2)
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as reader:
        for height in range(3, 8):
            world.emit(height)
            assert reader.head().block_number == height
            assert reader.head().hash == world.chain.head().hash
            assert len(reader.logs(0, height, [], [], 100)) == height - 1


def test_a_reader_survives_the_writer_closing_and_opening_again(path: Path) -> None:
    history(path, 2).chain.close()
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as reader:
        assert reader.head().block_number == 2
        for height in (3, 4):
            world = World(path)
            world.contract = bytes.fromhex("00" * 20)
            world.emit(height)
            assert reader.head().block_number == height
            world.chain.close()
            assert reader.head().block_number == height


def test_a_reader_refuses_transactions(path: Path) -> None:
    world = history(path, 2)
    raw = world.sign(world.contract, bytes(31) + b"\x01")
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as reader:
        with pytest.raises(LocalProtocolError, match="reading only"):
            reader.submit(raw)
        assert "reading only" in str(reader.request("eth_sendRawTransaction", ["0x" + raw.hex()])["error"])
    assert world.chain.head().block_number == 2


def test_reading_a_sealed_chain_leaves_its_folder_as_it_is(path: Path) -> None:
    history(path, 2).chain.close()
    before = path.read_bytes()
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as reader:
        assert reader.head().block_number == 2
        assert files(path.parent) == {"ledger.sqlite"}
    assert files(path.parent) == {"ledger.sqlite"}
    assert path.read_bytes() == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder outside pytest's private ones, so that another user can reach it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for directory, _, _ in os.walk(folder):
        Path(directory).chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(action: Callable[[], None]) -> int:
    """Run ``action`` in a child that file permissions apply to (they do not to the superuser)."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            action()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a forked child must not return into the runner
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child starts no thread and ends at once
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_sealed_chain_in_a_read_only_folder_can_be_read(open_folder: Path, mode: str) -> None:
    path = open_folder / "ledger.sqlite"
    history(path, 2).chain.close()
    with sqlite3.connect(path) as connection:  # WAL: as after a writer that could not seal the file
        connection.execute(f"PRAGMA journal_mode={mode}")
    connection.close()
    path.chmod(0o444)
    open_folder.chmod(0o555)

    def read() -> None:
        assert not os.access(open_folder, os.W_OK)
        with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as reader:
            assert reader.head().block_number == 2
        assert files(open_folder) == {"ledger.sqlite"}

    assert as_nobody(read) == 0


def test_a_chain_of_another_id_is_refused(path: Path) -> None:
    World(path).chain.close()
    for read_only in (False, True):
        with pytest.raises(WrongChain, match="has id 4242, asked for was 1"):
            open_embedded(path, chain_id=1, read_only=read_only)
    open_embedded(path, chain_id=CHAIN_ID).close()  # and the refusal left no lock behind


def test_a_chain_that_began_at_another_time_is_refused(path: Path) -> None:
    open_embedded(path, chain_id=CHAIN_ID, genesis_time=5).close()
    with pytest.raises(WrongChain, match="began at 5, asked for was 6"):
        open_embedded(path, chain_id=CHAIN_ID, genesis_time=6)
    open_embedded(path, chain_id=CHAIN_ID, genesis_time=5).close()


def test_reading_what_does_not_exist_is_an_input_error_and_makes_nothing(path: Path) -> None:
    with pytest.raises(InputError, match="no chain at"):
        open_embedded(path, chain_id=CHAIN_ID, read_only=True)
    assert files(path.parent) == set()


def test_a_file_without_genesis_is_completed_by_a_writer_and_refused_to_a_reader(path: Path) -> None:
    Store.open_writer(path).close()  # as after a crash before the first transaction
    path.touch()
    with pytest.raises(InputError, match="no block yet"):
        open_embedded(path, chain_id=CHAIN_ID, read_only=True)
    with open_embedded(path, chain_id=CHAIN_ID) as chain:
        assert chain.head().block_number == 0


def test_a_database_of_another_program_is_refused_and_not_touched(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(WrongChain, match="not a chain of this version"):
            open_embedded(path, chain_id=CHAIN_ID, read_only=read_only)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look at. " * 100)
    for read_only in (False, True):
        with pytest.raises(StoreCorrupt, match="not a database"):
            open_embedded(path, chain_id=CHAIN_ID, read_only=read_only)


@pytest.mark.parametrize(
    "addition",
    [
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log; END",
        "CREATE VIEW v AS SELECT * FROM kv",
        "CREATE TABLE more (x)",
        "DROP INDEX log_by_event",
    ],
)
def test_a_schema_that_was_altered_is_refused(path: Path, addition: str) -> None:
    World(path).chain.close()
    with sqlite3.connect(path) as connection:
        connection.execute(addition)
    connection.close()
    with pytest.raises(StoreCorrupt, match="were altered"):
        open_embedded(path, chain_id=CHAIN_ID)


def test_a_copy_is_sealed_complete_and_never_overwrites(path: Path) -> None:
    world = history(path, 4)
    target = path.parent / "copy" / "ledger.sqlite"
    target.parent.mkdir()
    world.chain.copy_to(target)
    with pytest.raises(InputError, match="exists already"):
        world.chain.copy_to(target)
    world.emit(9)
    with open_embedded(target, chain_id=CHAIN_ID, read_only=True) as copy:
        assert copy.head().block_number == 4
        assert copy.head().hash == world.chain.header(4).hash
    assert files(target.parent) == {"ledger.sqlite"}


def test_a_block_that_cannot_be_written_changes_nothing(path: Path) -> None:
    world = history(path, 2)
    before = world.chain.head().hash
    with sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")
        world.chain._store._connection.execute("PRAGMA busy_timeout=0")
        with pytest.raises(ChainBusy):
            world.emit(5)
        other.execute("ROLLBACK")
    other.close()
    assert world.chain.head().hash == before
    world.emit(5)
    assert world.chain.head().block_number == 3


def test_opening_reads_a_handful_of_rows_however_long_the_chain_is(path: Path) -> None:
    history(path, 40).chain.close()
    statements: list[str] = []
    connect = sqlite3.connect

    class Counting(sqlite3.Connection):
        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:  # type: ignore[override]
            statements.append(sql)
            return super().execute(sql, *rest)  # type: ignore[arg-type]

    sqlite3.connect = lambda *a, **k: connect(*a, factory=Counting, **k)  # type: ignore[assignment]
    try:
        with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as chain:
            chain.head()
    finally:
        sqlite3.connect = connect
    selects = [sql for sql in statements if sql.startswith("SELECT")]
    assert 3 <= len(selects) <= 8
    assert all("WHERE" in sql or "sqlite_master" in sql or "genesis" in sql for sql in selects)


def test_every_block_is_brought_to_the_disk_before_it_is_acknowledged(path: Path) -> None:
    connection = World(path).chain._store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_lock_file_can_be_read_by_its_owner_only(path: Path) -> None:
    world = World(path)
    mode = path.with_name("ledger.sqlite.lock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    world.chain.close()


def test_a_file_whose_list_of_tables_has_no_end_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    endless_database(path)
    assert path.stat().st_size < 20_000
    for opened in (Store.open_reader, Store.open_writer):
        with pytest.raises(LedgerError, match="interrupted"):
            opened(path)


def test_an_error_of_the_driver_without_a_name_of_sqlites_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    history(path, 2).chain.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE kv SET v=CAST(x'ff' AS TEXT) WHERE k=CAST('v1:chain_gaps' AS BLOB)")
    connection.commit()
    connection.close()
    store = Store.open_reader(path)
    try:
        with pytest.raises(StoreCorrupt, match="is damaged"):
            store.get(b"v1:chain_gaps")
    finally:
        store.close()
