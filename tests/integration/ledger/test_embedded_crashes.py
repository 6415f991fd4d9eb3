"""The embedded chain loses no acknowledged block, whenever its process is killed and wherever its log is torn.

Children are forked, not started: they have everything imported, so a kill lands in the work and not in the start.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.chain.embedded import open_embedded, replay
from tests.unit.ledger.embedded_world import CHAIN_ID, World, history

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the children start no thread

Ack = tuple[int, bytes]


class Child:
    """A forked process and a pipe from it."""

    def __init__(self, action: Callable[[Callable[[str], None]], None]) -> None:
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:  # pragma: no cover - another process
            os.close(self._reading)
            try:
                action(lambda line: os.write(writing, f"{line}\n".encode()) and None)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a forked child must not return into the runner
                traceback.print_exc(file=sys.__stderr__)
                os._exit(1)
        os.close(writing)
        self._pipe = os.fdopen(self._reading)

    def line(self) -> str:
        """Wait for the next line; empty when the child is gone."""
        return self._pipe.readline().strip()

    def kill(self) -> list[str]:
        """Kill with the signal that cannot be caught; return the lines that were already written."""
        os.kill(self.pid, signal.SIGKILL)
        rest = self._pipe.read().split("\n")
        self.wait()
        return [line for line in rest if line]

    def wait(self) -> int:
        """Wait for the end."""
        self._pipe.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def appender(path: Path, contract: bytes) -> Callable[[Callable[[str], None]], None]:
    """Append blocks for ever and acknowledge each one after it was sealed."""

    def append(acknowledge: Callable[[str], None]) -> None:
        world = World(path)
        world.contract = contract
        acknowledge("open")
        while True:
            world.emit(world.nonce())
            head = world.chain.head()
            acknowledge(f"{head.block_number} {head.hash.hex()}")

    return append


def run_and_kill(path: Path, contract: bytes, rng: random.Random) -> list[Ack]:
    """Let a child append some blocks and kill it at a moment between two acknowledgements."""
    child = Child(appender(path, contract))
    lines = [child.line() for _ in range(1 + rng.randrange(5))]
    time.sleep(rng.uniform(0, 0.02))
    lines += child.kill()
    assert lines[0] == "open"
    return [(int(number), bytes.fromhex(digest)) for number, digest in (line.split() for line in lines[1:])]


def check_acknowledged(path: Path, acknowledged: list[Ack], *, read_only: bool) -> int:
    """Check that every acknowledged block is there; return the height."""
    with open_embedded(path, chain_id=CHAIN_ID, read_only=read_only) as chain:
        for number, digest in acknowledged:
            header = chain.header(number)
            assert header is not None
            assert header.hash == digest
        height = int(chain.head().block_number)
    if acknowledged:
        assert acknowledged[-1][0] <= height <= acknowledged[-1][0] + 1  # at most one block was not reported
    return height


def kill_many_times(path: Path, kills: int, seed: int) -> None:
    world = history(path, 1)
    world.chain.close()
    rng = random.Random(seed)
    everything: list[Ack] = []
    for attempt in range(kills):
        acknowledged = run_and_kill(path, world.contract, rng)
        everything += acknowledged
        check_acknowledged(path, acknowledged, read_only=bool(attempt % 2))
    height = check_acknowledged(path, [], read_only=False)
    assert replay(path, chain_id=CHAIN_ID).head_number == height
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as chain:
        for number, digest in everything:
            assert chain.header(number).hash == digest
    assert [number for number, _ in everything] == sorted({number for number, _ in everything})
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}


def test_25_kills_lose_no_acknowledged_block(tmp_path: Path) -> None:
    kill_many_times(tmp_path / "ledger.sqlite", 25, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_100_kills_lose_no_acknowledged_block(tmp_path: Path, seed: int) -> None:
    kill_many_times(tmp_path / "ledger.sqlite", 100, seed=seed)


def test_a_kill_while_the_chain_is_made_leaves_something_that_opens(tmp_path: Path) -> None:
    rng = random.Random(5)
    for attempt in range(20):
        path = tmp_path / str(attempt) / "ledger.sqlite"
        child = Child(appender(path, bytes(20)))
        time.sleep(rng.uniform(0, 0.02))
        child.kill()
        with open_embedded(path, chain_id=CHAIN_ID) as chain:
            height = chain.head().block_number
        assert replay(path, chain_id=CHAIN_ID).head_number == height


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A chain of ten blocks, the last eight of which are in the write-ahead log only; and its contract."""
    folder = tmp_path_factory.mktemp("torn")
    path = folder / "ledger.sqlite"
    world = history(path, 2)
    world.chain.close()
    child = Child(appender(path, world.contract))
    assert any(line.startswith("10 ") for line in iter(child.line, "")), "it ended before"
    os.kill(child.pid, signal.SIGSTOP)
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        shutil.copy(folder / name, folder / f"torn-{name}")
    child.kill()
    return folder, world.contract


def lay_out(torn: Path, folder: Path) -> tuple[Path, Path]:
    """Copy file and log, as they are found after a power failure: without shared memory and lock."""
    path = folder / "ledger.sqlite"
    wal = folder / "ledger.sqlite-wal"
    shutil.copy(torn / "torn-ledger.sqlite", path)
    shutil.copy(torn / "torn-ledger.sqlite-wal", wal)
    return path, wal


def check_prefix(path: Path, contract: bytes) -> int:
    """Check that the chain is some first part of itself and can go on."""
    world = World(path)
    height = int(world.chain.head().block_number)
    assert 2 <= height <= 11
    assert replay(path, chain_id=CHAIN_ID).head_number == height
    world.contract = contract
    world.emit(77)
    world.chain.close()
    assert replay(path, chain_id=CHAIN_ID).head_number == height + 1
    return height


@pytest.mark.parametrize("seed", range(12))
def test_a_log_cut_off_anywhere_leaves_a_valid_first_part(
    torn: tuple[Path, bytes], tmp_path: Path, seed: int
) -> None:
    path, wal = lay_out(torn[0], tmp_path)
    size = wal.stat().st_size
    assert size > 100_000
    os.truncate(
        wal, [0, 1, 31, 32, size - 1, size][seed] if seed < 6 else random.Random(seed).randrange(size)
    )
    height = check_prefix(path, torn[1])
    if seed < 4:
        assert height == 2
    if seed == 5:
        assert height >= 10


@pytest.mark.parametrize("seed", range(8))
def test_a_log_with_a_flipped_byte_leaves_a_valid_first_part(
    torn: tuple[Path, bytes], tmp_path: Path, seed: int
) -> None:
    path, wal = lay_out(torn[0], tmp_path)
    content = bytearray(wal.read_bytes())
    content[random.Random(seed).randrange(len(content))] ^= 0x10
    wal.write_bytes(content)
    check_prefix(path, torn[1])


def test_a_reader_in_another_process_always_sees_whole_blocks(tmp_path: Path) -> None:
    world = history(tmp_path / "ledger.sqlite", 2)

    def read(report: Callable[[str], None]) -> None:
        with open_embedded(world.path, chain_id=CHAIN_ID, read_only=True) as chain:
            report("open")
            seen = 0
            while seen < 40:
                head = chain.head()
                assert head.block_number >= seen
                seen = head.block_number
                (transaction,) = chain.transactions(head)
                found = chain.find(transaction.hash)
                assert found is not None
                assert found[0].hash == head.hash
                assert len(chain.logs(seen, seen, [], [], 10)) == 1
                assert chain.header(seen - 1).hash == head.parent_hash
                report(str(seen))

    child = Child(read)
    assert child.line() == "open"
    for number in range(38):
        world.emit(number + 1)
    heights = [line for line in iter(child.line, "")]
    assert heights[-1] == "40"
    assert len(set(heights)) > 5
    assert child.wait() == 0
    world.chain.close()
