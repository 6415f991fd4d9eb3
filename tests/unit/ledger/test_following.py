"""Members follow one author: heads become final, two histories are refused, and the evidence is kept and convicts.

Longer than other files: all histories branch off one chain, which is made once for this file.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.errors import DecodeError, VerificationError
from ledger.board import FolderBoard
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.chain.embedded.block import WireBlock
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.source import FileSource
from ledger.checkpoints import SignedCheckpoint
from ledger.errors import (
    BlockRefused,
    ChainUnreachable,
    Equivocation,
    HistoryRewritten,
    HistoryRolledBack,
    NotFinal,
    StoreCorrupt,
)
from ledger.following import Following
from ledger.misconduct import MAX_FILES, Conviction, EvidenceFolder, Kind, check_evidence, read_evidence
from ledger.outbox import Outbox
from ledger.papers import EvidencePaper
from ledger.reader import LedgerReader
from ledger.standing import read_standing
from ledger.typed_data import Checkpoint
from ledger.writer import LedgerWriter
from tests.unit.ledger.embedded_world import CHAIN_ID, START
from tests.unit.ledger.ledger_world import LedgerWorld, word

PATIENCE_S = 0.05


class Exchangeable:
    """A source that can be exchanged for another history, or unplugged."""

    def __init__(self, path: Path) -> None:
        self.to(path)

    def to(self, path: Path | None) -> None:
        self.inner = None if path is None else FileSource(path)

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        if self.inner is None:
            raise ChainUnreachable("unplugged")
        yield from self.inner.blocks(first, limit, wait_s=wait_s)


class Party:
    """One member with its own folder."""

    def __init__(self, world: LedgerWorld, folder: Path, member: int, board: FolderBoard) -> None:
        self.world, self.folder, self.member, self.board = world, folder / f"member-{member}", member, board
        self.source = Exchangeable(world.folder / "ledger.sqlite")
        self.open()

    def open(self) -> None:
        self.following = Following(
            self.folder,
            chain_id=CHAIN_ID,
            contract=self.world.address,
            source=self.source,
            board=self.board,
            member=(self.world.accounts[self.member], self.world.signers[self.member]),
            clock=lambda: 1_700_000_123,
            patience_s=PATIENCE_S,
        )
        self.reader = LedgerReader(self.following.reading, self.world.address)

    def reopen(self) -> None:
        self.following.close()
        self.open()

    def evidence(self) -> list[EvidencePaper]:
        return EvidenceFolder(self.folder / "evidence").papers()


class Continued(LedgerWorld):
    """A copied chain that goes on without its original."""

    def __init__(self, world: LedgerWorld, folder: Path) -> None:
        folder.mkdir()
        world.chain.copy_to(folder / "ledger.sqlite")
        self.__dict__.update(world.__dict__)
        self.folder, self.now = folder, START
        self.chain = open_embedded(folder / "ledger.sqlite", chain_id=CHAIN_ID, clock=lambda: self.now)
        self.connection = Web3Connection(self.chain)
        self.reader = LedgerReader(self.connection, world.address)
        self.writers = [
            LedgerWriter(self.connection, world.address, signer, self.outbox(n))
            for n, signer in enumerate(self.signers)
        ]
        self.writer = self.writers[0]


class Members:
    """A ledger with four holders, and their parties."""

    def __init__(self, folder: Path, founded: LedgerWorld) -> None:
        self.folder = folder
        self.world = Continued(founded, folder / "author")
        self.board = FolderBoard(folder / "board")
        self.parties: dict[int, Party] = {}

    def join(self, *members: int) -> list[Party]:
        for member in members:
            folder = self.folder / f"member-{member}"
            folder.mkdir()
            shutil.copy(self.world.begun / "copy.sqlite", folder / "ledger.sqlite")
            self.parties[member] = Party(self.world, self.folder, member, self.board)
        return [self.parties[member] for member in members]

    def fork(self) -> LedgerWorld:
        """Return an author with the same past and another future."""
        return Continued(self.world, self.folder / "fork")

    def sign(self, member: int, number: int, digest: bytes) -> SignedCheckpoint:
        """Have a member sign whatever it is told to."""
        genesis = self.world.connection.block_hash(0)
        statement = Checkpoint(
            member=self.world.accounts[member], genesis=genesis or b"", number=number, hash=digest
        )
        signature = self.world.signers[member].sign_digest(statement.digest(self.world.reader.domain()))
        return SignedCheckpoint(
            member=statement.member,
            genesis=statement.genesis,
            number=number,
            hash=digest,
            signature=signature,
        )

    def head(self) -> int:
        return self.world.connection.head().number


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerWorld]:
    world = LedgerWorld(tmp_path_factory.mktemp("founded"), holders=4)
    world.begin()
    world.begun = world.folder  # type: ignore[attr-defined]
    follower = Follower(world.folder / "copy.sqlite", chain_id=CHAIN_ID)
    follower.catch_up(FileSource(world.folder / "ledger.sqlite"))
    follower.close()
    yield world
    world.chain.close()


@pytest.fixture
def members(tmp_path: Path, founded: LedgerWorld) -> Iterator[Members]:
    made = Members(tmp_path, founded)
    yield made
    for party in made.parties.values():
        party.following.close()
    made.world.chain.close()


def settle(*parties: Party) -> None:
    """All bring their copies up to date and sign; then each finds the newest block final."""
    for party in parties:
        party.following.advance()
    for party in parties:
        party.following.settle()


# ------------------------------------------------------------------------------------------------ what is final


def test_a_node_reads_its_own_copy_and_only_what_enough_members_signed(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    before = members.head()
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")
    one.following.advance()
    assert one.following.everything.head().number == before + 1
    assert one.reader.head().number == before
    assert one.reader.run(members.world.run).opened == 0
    with pytest.raises(NotFinal, match="co-signed by 1 of the 3 members needed"):
        one.following.settle()
    settle(one, two, three)
    assert one.reader.head().number == before + 1
    assert one.reader.run(members.world.run).opened == 1
    assert one.following.reading.block_hash(before + 1) == members.world.connection.block_hash(before + 1)


def test_what_is_not_final_does_not_exist_for_a_reader(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    receipt = members.world.writer.open_round(
        members.world.run, 1, members.world.root, word(1), intent="open"
    )
    one.following.advance()
    assert one.following.everything.transaction(receipt.tx_hash) is not None
    assert one.following.reading.transaction(receipt.tx_hash) is None
    assert one.following.reading.block_hash(receipt.block_number) is None
    assert one.reader.events("RoundOpened") == ()
    assert len(LedgerReader(one.following.everything, members.world.address).events("RoundOpened")) == 1


def test_two_of_four_members_make_nothing_final(members: Members) -> None:
    one, two = members.join(1, 2)
    for party in (one, two):
        with pytest.raises(NotFinal):
            party.following.settle()


def test_members_that_follow_in_the_background_make_heads_final_for_each_other(members: Members) -> None:
    parties = members.join(1, 2, 3, 4)
    for party in parties:
        party.following.start()
    one = parties[0]
    one.following._patience_s = 30
    for number in range(3):
        members.world.writer.open_round(
            members.world.run, number + 1, members.world.root, word(number + 1), intent=f"open {number}"
        )
        one.following.settle()
        assert one.reader.head().number == members.head()
        members.world.writer.abort_round(members.world.run, number + 1, intent=f"abort {number}")


def test_a_copy_goes_on_after_a_restart_without_asking_anybody(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    standing = one.following.standing()
    assert (
        read_standing(one.folder, chain_id=CHAIN_ID, contract=members.world.address, board=members.board)
        == standing
    )  # beside the node that runs
    one.source.to(None)
    one.reopen()
    assert one.following.standing() == standing
    assert standing.final == standing.signed == standing.head.number == members.head()
    with pytest.raises(ChainUnreachable):
        one.following.settle()


def test_a_folder_that_was_restored_from_a_backup_signs_nothing(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    one.following.close()
    backup = members.folder / "backup"
    shutil.copytree(one.folder, backup)
    one.open()
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")
    settle(one, two, three)
    one.following.close()
    shutil.rmtree(one.folder)
    shutil.copytree(backup, one.folder)
    before = list(members.board.checkpoints())
    with pytest.raises(StoreCorrupt, match="restored from a backup"):
        one.open()
    assert list(members.board.checkpoints()) == before  # what convicts it is still there


def test_who_has_no_key_follows_and_signs_nothing(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    looker = Following(
        members.folder / "looker",
        chain_id=CHAIN_ID,
        contract=members.world.address,
        source=one.source,
        board=members.board,
        member=None,
        clock=lambda: 0,
    )
    looker.settle()
    assert looker.standing().signed == -1
    assert looker.standing().final == members.head()
    looker.close()


# ---------------------------------------------------------------------------------------------- two histories


def rewritten(members: Members) -> tuple[LedgerWorld, int]:
    """Let the author go on in two ways; members know the first. Return the second, and the height where they part."""
    fork, height = members.fork(), members.head() + 1
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")
    fork.now += 1000
    fork.writer.open_round(fork.run, 1, fork.root, word(2), intent="open")
    fork.writer.abort_round(fork.run, 1, intent="abort")
    return fork, height


def test_a_rewritten_history_is_refused_and_both_blocks_are_kept(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    fork, height = rewritten(members)
    settle(one, two, three)
    one.source.to(fork.folder / "ledger.sqlite")
    for _ in range(2):
        with pytest.raises(HistoryRewritten):
            one.following.settle()
    with pytest.raises(HistoryRewritten):
        one.reopen()
    assert (
        read_standing(
            one.folder, chain_id=CHAIN_ID, contract=members.world.address, board=members.board
        ).evidence
        == 1
    )
    (paper,) = one.evidence()  # one case, however often it is seen
    assert (paper.kind, paper.number, paper.found_at) == ("rewrite", height, 1_700_000_123)
    ours, theirs = (WireBlock.decode(bytes.fromhex(block)) for block in (paper.ours, paper.theirs))
    assert ours.hash == members.world.connection.block_hash(height)
    assert theirs.hash == fork.connection.block_hash(height)
    assert check_evidence(paper) == Conviction(kind=Kind.REWRITE, number=height, signer=None)
    one.source.to(members.world.folder / "ledger.sqlite")
    one.open()
    settle(one, two, three)
    assert one.following.standing().evidence == 1


def test_a_node_that_never_saw_the_first_history_finds_too_few_signatures_under_the_second(
    members: Members,
) -> None:
    one, two, three = members.join(1, 2, 3)
    fork, _ = rewritten(members)
    settle(one, two, three)
    four = Party(members.world, members.folder, 4, FolderBoard(members.folder / "nothing yet"))
    members.parties[4] = four
    four.following.close()
    four.folder = members.folder / "four"
    four.source.to(fork.folder / "ledger.sqlite")
    four.board = members.board
    four.open()
    with pytest.raises(NotFinal, match="co-signed by 1 of the 3"):
        four.following.settle()
    assert {paper.kind for paper in four.evidence()} == {"contradiction"}
    assert len(four.evidence()) == 3


def test_a_source_that_was_rolled_back_below_what_was_signed_is_refused(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    old = members.folder / "old.sqlite"
    members.world.chain.copy_to(old)
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")
    settle(one, two, three)
    one.source.to(old)
    with pytest.raises(HistoryRolledBack):
        one.following.settle()
    (paper,) = one.evidence()
    assert (paper.kind, paper.number, paper.theirs) == ("rollback", members.head(), "")
    (signed,) = paper.checkpoints
    assert SignedCheckpoint.decode(bytes.fromhex(signed)).number == members.head()
    assert check_evidence(paper).signer is None


def test_a_copy_that_lost_what_was_signed_signs_nothing_else(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    fork, _ = rewritten(members)
    settle(one, two, three)
    one.following.close()
    (one.folder / "ledger.sqlite").unlink()
    one.source.to(fork.folder / "ledger.sqlite")
    with pytest.raises(StoreCorrupt, match="which this node signed"):
        one.open()
    one.source.to(members.world.folder / "ledger.sqlite")
    (one.folder / "ledger.sqlite").unlink()
    one.open()
    settle(one, two, three)


def test_a_member_that_signs_two_hashes_at_one_height_is_convicted_and_counts_no_more(
    members: Members,
) -> None:
    one, two, three, four = members.join(1, 2, 3, 4)
    settle(one, two, three, four)
    head = members.head()
    members.board.publish(members.sign(2, head, word(66)).encode())
    one.following.settle()  # three others are enough
    (paper,) = one.evidence()
    assert paper.party == members.world.accounts[2].hex()
    conviction = check_evidence(paper)
    assert conviction == Conviction(
        kind=Kind.EQUIVOCATION, number=head, signer=members.world.signers[2].address
    )
    four.following.close()  # now the liar would be needed
    members.parties.pop(4)
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")
    for party in (two, three):
        party.following.advance()
    for _ in range(2):
        with pytest.raises(NotFinal, match="co-signed by 2 of the 3"):
            one.following.settle()
        one.reopen()  # it is remembered


def test_an_author_that_signs_two_histories_is_believed_no_more(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    head = members.head()
    true = members.world.connection.block_hash(head)
    assert true is not None
    members.board.publish(members.sign(0, head, true).encode())
    settle(one, two, three)
    members.board.publish(members.sign(0, head, word(66)).encode())
    for _ in range(2):
        with pytest.raises(Equivocation):
            one.following.settle()
        members.board.publish(members.sign(0, head, true).encode())
        one.reopen()
    (paper,) = one.evidence()
    assert check_evidence(paper).signer == members.world.signers[0].address


def test_a_checkpoint_against_the_copy_alone_is_kept_as_a_contradiction(members: Members) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    members.board.publish(members.sign(4, members.head(), word(66)).encode())
    one.following.settle()
    (paper,) = one.evidence()
    assert paper.kind == "contradiction"
    assert check_evidence(paper).signer is None


def test_blocks_with_foreign_transactions_are_refused(members: Members) -> None:
    (one,) = members.join(1)
    world = members.world
    outbox = Outbox(world.folder / "foreign.sqlite", world.connection, world.signers[1])
    outbox.submit("x", b"\x05".rjust(20, b"\0"), b"", "x")
    with pytest.raises(BlockRefused, match="none of this version's contracts"):
        one.following.advance()


# -------------------------------------------------------------------------------------------- files of evidence


def altered(paper: EvidencePaper, **changes: object) -> EvidencePaper:
    return replace(paper, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: altered(p, kind="gossip"),
        lambda p: altered(p, theirs=p.ours),
        lambda p: altered(p, theirs=""),
        lambda p: altered(p, number=p.number + 1),
        lambda p: altered(p, ours="zz"),
        lambda p: altered(p, ours=p.ours[:-2]),
        lambda p: altered(p, genesis="00" * 32),
        lambda p: altered(p, contract="00"),
        lambda p: altered(p, kind="equivocation"),
    ],
)
def test_evidence_that_does_not_hold_what_it_says_is_refused(
    members: Members, change: Callable[[EvidencePaper], EvidencePaper]
) -> None:
    (one,) = members.join(1)
    fork, _ = rewritten(members)
    one.following.advance()
    one.source.to(fork.folder / "ledger.sqlite")
    with pytest.raises(HistoryRewritten):
        one.following.advance()
    (paper,) = one.evidence()
    check_evidence(paper)
    with pytest.raises(VerificationError):
        check_evidence(change(paper))


def test_nobody_fills_a_disk_with_evidence(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence")
    paper = EvidencePaper(
        kind="rollback", chain_id=1, contract="00" * 20, genesis="", party="", number=0, ours="", theirs="",
        checkpoints=[], found_at=0,
    )  # fmt: skip
    kept = [folder.keep(altered(paper, number=number)) for number in range(MAX_FILES + 3)]
    assert kept[-3:] == [None] * 3
    assert len(folder.files()) == MAX_FILES
    assert folder.keep(altered(paper, found_at=99)) == kept[0]
    (tmp_path / "evidence" / "00000000-broken.json").write_bytes(b"{}")
    with pytest.raises(DecodeError):
        read_evidence(tmp_path / "evidence" / "00000000-broken.json")
    assert len(folder.papers()) == MAX_FILES


def test_a_board_shows_each_members_newest_and_nothing_that_cannot_be_one(
    members: Members, tmp_path: Path
) -> None:
    board = members.board
    board.publish(members.sign(1, 3, word(1)).encode())
    board.publish(members.sign(1, 4, word(1)).encode())
    assert [SignedCheckpoint.decode(data).number for data in board.checkpoints()] == [4]
    folder = tmp_path / "board"
    (folder / ("a" * 40)).write_bytes(bytes(1000))
    (folder / ("b" * 40)).symlink_to("/dev/zero")
    (folder / "other").write_bytes(b"x")
    assert len(board.checkpoints()) == 1
    time.sleep(0.01)
    board.publish(members.sign(1, 9, word(1)).encode())
    assert [SignedCheckpoint.decode(data).number for data in board.checkpoints()] == [9]
    with pytest.raises(DecodeError):
        board.publish(b"x")


def test_a_board_that_cannot_be_reached_delays_a_decision_and_the_checkpoint_is_published_later(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = members.join(1, 2, 3)
    settle(one, two, three)
    members.world.writer.open_round(members.world.run, 1, members.world.root, word(1), intent="open")

    def unplugged(checkpoint: bytes) -> None:
        raise OSError("unplugged")

    with monkeypatch.context() as patch:
        patch.setattr(members.board, "publish", unplugged)
        with pytest.raises(ChainUnreachable, match="cannot be published now"):
            one.following.settle()
    settle(one, two, three)
    assert one.following.standing().final == members.head()
