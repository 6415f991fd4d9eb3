"""A coordinator writes its chain anew, honestly executed and sealed well: nodes refuse it, and so does the audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.node.ledger_access import LedgerAccess, follow_embedded
from ledger.address import LedgerAddress
from ledger.board import FolderBoard
from ledger.chain.embedded import open_embedded, replay
from ledger.chain.embedded.block import WireBlock
from ledger.chain.embedded.reading import ChainReading
from ledger.chain.embedded.source import FileSource
from ledger.checkpoints import SignedCheckpoint
from ledger.errors import HistoryRewritten, HistoryRolledBack, NotFinal
from ledger.misconduct import EvidenceFolder
from ledger.reader import LedgerReader
from ledger.typed_data import Checkpoint
from tests.simulators.public_folder import CHAIN_ID, HOLDERS, PublicRun, insecure_key
from tests.simulators.tampering import failures, flip

ROUNDS, CHECKPOINTS = 5, 13


def rewrite(run: PublicRun, scratch: Path, *, cut: int = 0, later: int = 0) -> int:
    """Write the chain anew from the last opening of a round on, and seal; every other block stays.

    Args:
        run: Whose chain.
        scratch: An empty folder.
        cut: How many of the newest blocks to leave out.
        later: By how many seconds the blocks after the last opening are later than they were.

    Returns:
        Height of the first block that differs.
    """
    blocks = [WireBlock.decode(block) for block in FileSource(run.public.chain).blocks(0, 200)]
    with open_embedded(run.public.chain, chain_id=CHAIN_ID, read_only=True) as chain:
        opened = LedgerReader(ChainReading(chain), run.contract).events("RoundOpened")[-1].block_number
    times = [int(block.parsed().timestamp) for block in blocks]
    moment = times[0]
    new = scratch / "new.sqlite"
    with open_embedded(new, chain_id=CHAIN_ID, clock=lambda: moment) as chain:
        for number, block in list(enumerate(blocks))[1 : len(blocks) - cut]:
            moment = times[number] + (later if number > opened else 0)
            chain.submit(block.transaction)
    new.replace(run.public.chain)
    run.seal()
    return opened + 1 if later else len(blocks) - cut


@pytest.mark.parametrize(
    ("change", "also"),
    [
        ({"later": 100}, set()),
        ({"cut": 1}, {ROUNDS}),
    ],  # the newest block finalised a round, whose papers are there
)
def test_another_history_that_replays_fails_the_check_of_the_checkpoints(
    copied: PublicRun, honest: PublicRun, tmp_path: Path, change: dict[str, int], also: set[int]
) -> None:
    rewrite(copied, tmp_path, **change)
    replay(copied.public.chain, chain_id=CHAIN_ID)  # it is a chain like any other
    found = failures(copied, honest)
    assert found.keys() == {CHECKPOINTS} | also
    problems = [fault.problem for fault in found[CHECKPOINTS]]
    assert len(problems) == len(HOLDERS) + 1
    words = "it was rewritten" if "later" in change else "it was cut off"
    assert all(words in problem for problem in problems[:-1])
    assert "is co-signed by 0 of 4 members, 3 are needed" in problems[-1]


def test_the_same_history_written_again_is_the_same(
    copied: PublicRun, honest: PublicRun, tmp_path: Path
) -> None:
    rewrite(copied, tmp_path)
    assert failures(copied, honest) == {}


def test_a_node_that_followed_refuses_another_history_and_keeps_the_evidence(
    copied: PublicRun, tmp_path: Path
) -> None:
    node = tmp_path / "node"
    follow(copied, node).close()
    height = rewrite(copied, tmp_path, later=100)
    with pytest.raises(HistoryRewritten) as caught:
        follow(copied, node)
    assert caught.value.number == height
    (paper,) = EvidenceFolder(node / "evidence").papers()
    assert (paper.kind, paper.number) == ("rewrite", height)


def test_a_node_that_followed_refuses_a_history_that_was_cut_off(copied: PublicRun, tmp_path: Path) -> None:
    node = tmp_path / "node"
    follow(copied, node).close()
    rewrite(copied, tmp_path, cut=2)
    with pytest.raises(HistoryRolledBack):
        follow(copied, node)


def test_a_node_that_saw_nothing_before_does_not_act_on_another_history(
    copied: PublicRun, tmp_path: Path
) -> None:
    follow(copied, tmp_path / "before").settle()
    rewrite(copied, tmp_path, later=100)
    with pytest.raises(NotFinal, match="co-signed by 0 of the 3"):
        follow(copied, tmp_path / "after").settle()


def follow(run: PublicRun, folder: Path) -> LedgerAccess:
    """Follow a public folder without a key."""
    address = LedgerAddress(
        chain=f"embedded:{run.public.chain}", chain_id=CHAIN_ID, contract=run.contract.hex()
    )
    return follow_embedded(address, folder, None, clock=lambda: 0, patience_s=0.05)


# ------------------------------------------------------------------------------------------- the checkpoints' files


def sign(run: PublicRun, name: str) -> None:
    """Have somebody sign the newest block and leave the checkpoint in the folder."""
    with open_embedded(run.public.chain, chain_id=CHAIN_ID, read_only=True) as chain:
        reading = ChainReading(chain)
        head, genesis = reading.head(), reading.block_hash(0)
        domain = LedgerReader(reading, run.contract).domain()
    key = insecure_key(name)
    statement = Checkpoint(member=key.address, genesis=genesis or b"", number=head.number, hash=head.hash)
    signed = SignedCheckpoint(
        member=key.address,
        genesis=statement.genesis,
        number=head.number,
        hash=head.hash,
        signature=key.sign_digest(statement.digest(domain)),
    )
    FolderBoard(run.public.checkpoints).publish(signed.encode())


def files(run: PublicRun) -> list[Path]:
    return sorted(run.public.checkpoints.iterdir())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda run: [path.unlink() for path in files(run)[:2]],
            "is co-signed by 2 of 4 members, 3 are needed",
        ),
        (lambda run: flip(files(run)[0], -20), "it is no checkpoint of this chain"),
        (lambda run: files(run)[0].write_bytes(b"x"), "it is no checkpoint of this chain"),
        (lambda run: sign(run, "somebody"), "not signed by its member"),
        (lambda run: sign(run, "sponsor"), "not signed by its member"),  # a member without a key
    ],
)
def test_checkpoints_that_are_missing_or_worthless_fail_the_check(
    copied: PublicRun, honest: PublicRun, change: Callable[[PublicRun], object], problem: str
) -> None:
    change(copied)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {CHECKPOINTS}
    assert problem in found[CHECKPOINTS][0].problem


def test_one_hospital_that_was_away_does_not_fail_the_check(copied: PublicRun, honest: PublicRun) -> None:
    files(copied)[0].unlink()
    sign(copied, "coordinator")  # the author may sign too, it does not count
    copied.seal()
    assert failures(copied, honest) == {}
