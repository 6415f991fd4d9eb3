"""A follower that is killed at any moment has whole blocks only, goes on where it was, and never signs two histories."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_core.secret import Secret
from ledger.chain.embedded import replay
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.source import FileSource
from ledger.cosigner import Cosigner
from ledger.errors import CheckpointRefused
from ledger.signer import KeySigner
from ledger.typed_data import Domain
from tests.integration.ledger.test_embedded_crashes import Child
from tests.unit.ledger.embedded_world import CHAIN_ID, history

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the children start no thread

BLOCKS = 40
KEY = KeySigner(Secret(b"\x21" * 32))
DOMAIN = Domain(chain_id=CHAIN_ID, contract=bytes(20))


def follow_and_sign(chain: Path, folder: Path) -> Callable[[Callable[[str], None]], None]:
    """Take block after block, sign every one, and acknowledge each after its signature would have left."""

    def follow(acknowledge: Callable[[str], None]) -> None:
        source = FileSource(chain)
        follower = Follower(folder / "copy.sqlite", chain_id=CHAIN_ID)
        cosigner = Cosigner(folder / "signed.sqlite", member=KEY.address, domain=DOMAIN, signer=KEY)
        acknowledge("open")
        while True:
            first = 0 if follower.chain is None else int(follower.chain.head().block_number) + 1
            for data in source.blocks(first, 1):
                follower.take(data)
            assert follower.chain is not None
            head = follower.chain.head()
            signed = cosigner.sign(bytes(32), int(head.block_number), bytes(head.hash))
            acknowledge(f"{signed.number} {signed.hash.hex()}")
            if first > BLOCKS:
                time.sleep(0.005)  # all is there: the same head is signed again

    return follow


def kill_many_times(chain: Path, folder: Path, kills: int, seed: int) -> int:
    """Kill as often as that, starting anew when the copy is complete; return how often it was."""
    rng, complete, copies = random.Random(seed), 0, 0
    target = folder / "0"
    for _ in range(kills):
        target.mkdir(exist_ok=True)
        child = Child(follow_and_sign(chain, target))
        lines = [child.line() for _ in range(1 + rng.randrange(5))]
        time.sleep(rng.uniform(0, 0.02))
        lines += child.kill()
        assert lines[0] == "open"
        height = check(chain, target, [line.split() for line in lines[1:]])
        if height == BLOCKS:
            complete, copies = complete + 1, copies + 1
            target = folder / str(copies)
    if target.is_dir() and (target / "copy.sqlite").is_file():
        check(chain, target, [])
    return complete


def check(chain: Path, folder: Path, acknowledged: list[list[str]]) -> int:
    """Check copy and signatures after a kill; return the copy's height."""
    follower = Follower(folder / "copy.sqlite", chain_id=CHAIN_ID)
    cosigner = Cosigner(folder / "signed.sqlite", member=KEY.address, domain=DOMAIN, signer=KEY)
    copy, last = follower.chain, cosigner.last
    height = -1 if copy is None else int(copy.head().block_number)
    for number, digest in acknowledged:
        assert copy is not None
        assert copy.header(int(number)).hash.hex() == digest
        assert last is not None
        with pytest.raises(CheckpointRefused):  # nothing else at a signed height, whatever was lost
            cosigner.sign(bytes(32), int(number), b"\x66" * 32)
    if acknowledged:
        assert last is not None
        assert last.number >= int(acknowledged[-1][0])
    assert last is None or last.number <= height  # a block is on disk before it is signed
    source = FileSource(chain)
    assert (
        height < 0 or follower.catch_up(LimitedTo(source, height)) == 0
    )  # it is the author's chain, up to here
    source.close()
    follower.close()
    cosigner.close()
    if height == BLOCKS or not acknowledged:  # now and then, for it takes longer than all the rest
        assert copy is None or replay(folder / "copy.sqlite", chain_id=CHAIN_ID).head_number == height
    return height


class LimitedTo:
    """A source that ends at a height."""

    def __init__(self, source: FileSource, height: int) -> None:
        self._source, self._height = source, height

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0):
        return self._source.blocks(first, min(limit, self._height - first + 1))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("author") / "ledger.sqlite"
    history(path, BLOCKS).chain.close()
    return path


def test_20_kills_of_a_follower_leave_whole_blocks_and_no_second_history(chain: Path, tmp_path: Path) -> None:
    kill_many_times(chain, tmp_path, 20, seed=1)


@pytest.mark.slow
def test_100_kills_of_a_follower_leave_whole_blocks_and_no_second_history(
    chain: Path, tmp_path: Path
) -> None:
    assert kill_many_times(chain, tmp_path, 100, seed=2) > 1


def test_a_kill_while_the_copy_is_made_leaves_something_that_goes_on(chain: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        child = Child(follow_and_sign(chain, folder))
        time.sleep(rng.uniform(0, 0.03))
        child.kill()
        follower = Follower(folder / "copy.sqlite", chain_id=CHAIN_ID)
        height = -1 if follower.chain is None else int(follower.chain.head().block_number)
        assert follower.catch_up(LimitedTo(FileSource(chain), height + 2)) == 2
        follower.close()
        assert replay(folder / "copy.sqlite", chain_id=CHAIN_ID).head_number == height + 2
