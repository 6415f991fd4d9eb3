"""One party's own copy of an embedded chain, kept up, co-signed, and read as far as enough members vouch for it.

::

    FOLDER/                    of the party, private
      ledger.sqlite            its copy, every block of which it executed
      signed.sqlite            the checkpoints that it signed; never restored from a backup
      seen/ACCOUNT             the newest checkpoint of each other member that vouched for the copy
      evidence/*.json          what shows that somebody showed two histories

:meth:`Following.settle` is what comes before a decision: it fetches, executes, signs and publishes, and returns when the newest
block is final. What is read through :attr:`Following.reading` ends at the newest final block.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import SutureError, VerificationError
from ledger.board import FolderBoard
from ledger.chain.embedded.block import WireBlock
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.reading import ChainReading
from ledger.chain.embedded.source import BlockSource, encode_block
from ledger.chain.ports import Sent
from ledger.checkpoints import CheckpointBoard, SignedCheckpoint
from ledger.cosigner import Cosigner
from ledger.creation import read_creation
from ledger.errors import (
    ChainUnreachable,
    Equivocation,
    HistoryRewritten,
    HistoryRolledBack,
    LedgerError,
    NotFinal,
    StoreCorrupt,
)
from ledger.finality import Tally, Verdict
from ledger.misconduct import EvidenceFolder, Kind, evidence
from ledger.seal import DigestSigner
from ledger.standing import COPY, EVIDENCE, SEEN, SIGNED, Standing
from ledger.typed_data import Domain

log = logging.getLogger("suture.ledger")

PATIENCE_S = 30.0
"""How long a decision waits for the other members' checkpoints."""
_PAUSE_S = 1.0
"""Pause of the background thread after something failed."""
_GRACE_S = 2.0
"""How long closing waits for the background thread; one that waits for a far source is left behind and does nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often source and board are asked; by default that of files on the same machine.

    Attributes:
        look_s: Pause in seconds between two looks while a decision waits.
        wait_s: How long the background thread waits for a block at a time, in seconds.
    """

    look_s: float = 0.005
    wait_s: float = 0.5


FILES = Pace()


class Following:
    """Follows one chain for one party. Safe for threads.

    Args:
        folder: Where the copy lives.
        chain_id: The chain.
        contract: The ledger's contract, 20 bytes.
        source: Where blocks come from.
        board: Where members' checkpoints are.
        member: The party's account and its signing key; None for a party that only looks.
        wanted: How many checkpoints make a head final; 0 for more than two thirds, see :mod:`ledger.finality`.
        clock: Unix time in seconds, for the evidence.
        patience_s: How long a decision waits, in seconds.
        close_source: Lets go of the source, and ends waiting for it.
        pace: How often source and board are asked.
        executed: Where results are shared with other followers in this process; by default with none.

    Raises:
        LedgerError: The copy cannot be opened, or the source's chain is refused.
    """

    def __init__(
        self,
        folder: Path,
        *,
        chain_id: int,
        contract: bytes,
        source: BlockSource,
        board: CheckpointBoard,
        member: tuple[bytes, DigestSigner] | None,
        clock: Callable[[], int],
        wanted: int = 0,
        patience_s: float = PATIENCE_S,
        close_source: Callable[[], None] = lambda: None,
        pace: Pace = FILES,
        executed: ExecutedBlocks | None = None,
    ) -> None:
        self._pace = pace
        self._domain = Domain(chain_id=chain_id, contract=contract)
        self._source, self._board, self._clock, self._patience_s = source, board, clock, patience_s
        self._close_source = close_source
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._final = -1
        self._judged: dict[bytes, Verdict] = {}
        self._halted: Equivocation | None = None
        self._evidence = EvidenceFolder(folder / EVIDENCE)
        self._seen = FolderBoard(folder / SEEN)
        self._calls: set[bytes] = set()
        self._compared = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._follower = Follower(folder / COPY, chain_id=chain_id, admit=self._admit, executed=executed)
        self._cosigner: Cosigner | None = None
        try:
            if member is not None:
                self._cosigner = Cosigner(
                    folder / SIGNED, member=member[0], domain=self._domain, signer=member[1]
                )
            if self._follower.chain is None:
                self._fetch()
            chain = self._follower.chain
            if chain is None:
                raise ChainUnreachable("The source has no block yet.", fix="Try again when it has.")
            self._chain = chain
            self.everything = ChainReading(chain)
            """Reads the whole copy, also blocks that are not final."""
            self.reading = ChainReading(chain, horizon=lambda: max(self._final, 0))
            """Reads the copy up to the newest final block."""
            self._tally = Tally(self.everything, contract, wanted=wanted)
            self._genesis = self._hash(0)
            self._remember()
            with suppress(
                ChainUnreachable
            ):  # a node starts also while nobody serves blocks; it decides nothing then
                self.advance()
        except BaseException:
            self.close()
            raise

    # ---------------------------------------------------------------- life
    def start(self) -> None:
        """Follow and co-sign in the background, so that others' decisions do not wait for this party's."""
        self._thread = threading.Thread(target=self._follow, name="suture-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have every decision that waits for blocks or checkpoints fail soon, so that nobody's end waits for them."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and close every file; but for what a thread still uses that waits for a far source."""
        self.stop()
        self._close_source()
        if self._thread is not None:
            self._thread.join(_GRACE_S)
            self._thread = None
        if not self._lock.acquire(timeout=_GRACE_S):
            log.warning("the ledger's source does not answer; its copy is left as it is")
            return
        try:
            self._follower.close()
            if self._cosigner is not None:
                self._cosigner.close()
        finally:
            self._lock.release()

    def _follow(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                if self._new_block() and not self._stop.is_set():
                    self.advance()
            except (SutureError, OSError) as error:
                if str(error) != said and not self._stop.is_set():
                    said = str(error)
                    log.warning("following the ledger: %s", error)
                self._stop.wait(_PAUSE_S)

    def _new_block(self) -> bool:
        """Wait a while for a block that the copy lacks; also true when the source is not what it was."""
        head = self._chain.head()
        found = list(self._source.blocks(int(head.block_number), 2, wait_s=self._pace.wait_s))
        return len(found) != 1 or WireBlock.decode(found[0]).hash != head.hash

    # ---------------------------------------------------------------- forward
    def advance(self) -> None:
        """Fetch and execute what is new, sign the newest block and publish the checkpoint.

        Raises:
            HistoryRewritten: The source has another block where the copy has one; the evidence is kept.
            HistoryRolledBack: The source ends below the copy; the evidence is kept.
            BlockRefused: A block does not continue the copy.
            ChainUnreachable: Source or board cannot be asked now.
        """
        with self._lock:
            self._fetch()
            self._sign()

    def settle(self) -> None:
        """Bring the copy up to the source's newest block and wait until that block is final.

        A source or board that cannot be asked now is asked again while there is time.

        Raises:
            NotFinal: Too few members signed it in time.
            Equivocation: A coordinator signed another history than the copy's; the evidence is kept.
            LedgerError: As for :meth:`advance`.
        """
        deadline = time.monotonic() + self._patience_s
        self._advance_by(deadline)
        target = int(self._chain.head().block_number)
        while not self._is_final(target):
            if time.monotonic() > deadline or self._stop.is_set():
                with self._lock:
                    count, needed, _ = self._tally.support(target)
                raise NotFinal(target, count, needed)
            self._stop.wait(self._pace.look_s)

    def _advance_by(self, deadline: float) -> None:
        while True:
            try:
                self.advance()
                return
            except ChainUnreachable:
                if time.monotonic() > deadline or self._stop.wait(self._pace.look_s):
                    raise

    def standing(self) -> Standing:
        """Tell where the copy stands."""
        with self._lock:
            last = None if self._cosigner is None else self._cosigner.last
            with suppress(Equivocation, ChainUnreachable):
                self._is_final(int(self._chain.head().block_number))
            return Standing(
                head=self.everything.head(),
                final=self._final,
                signed=-1 if last is None else last.number,
                evidence=len(self._evidence.files()),
            )

    # ---------------------------------------------------------------- parts of it
    def _admit(self, sent: Sent) -> None:
        """Admit a transaction that creates a contract of this version, or calls one that the copy holds.

        Every contract of the copy was created by a transaction that was admitted so; whatever has code is therefore ours.
        """
        if sent.to is None:
            read_creation(sent)
        elif sent.to not in self._calls:
            chain = self._follower.chain
            if chain is None or not chain.code(sent.to, chain.head()):
                raise VerificationError(
                    f"it calls 0x{sent.to.hex()}, which is none of this version's contracts"
                )
            self._calls.add(sent.to)

    def _fetch(self) -> None:
        try:
            self._follower.catch_up(self._source)
        except HistoryRewritten as error:
            self._keep(Kind.REWRITE, error.number, ours=error.ours, theirs=error.theirs)
            raise
        except HistoryRolledBack as error:
            self._keep(Kind.ROLLBACK, error.number, ours=error.ours)
            raise

    def _sign(self) -> None:
        """Sign the newest block, if the copy says that this party is a member with a key, and publish."""
        cosigner, number = self._cosigner, int(self._chain.head().block_number)
        if cosigner is None:
            return
        last = cosigner.last
        if last is not None and (last.number > number or self._hash(last.number) != last.hash):
            raise StoreCorrupt(
                f"The copy of the ledger does not hold block {last.number}, which this node signed.",
                fix="Fetch the ledger from a source that has it; keep signed.sqlite.",
            )
        if (keyed := self._tally.membership.at(number).get(cosigner.member)) is not None:
            if not self._compared:  # before what is published takes the place of what lies there
                cosigner.expect_newest(self._board.checkpoints(), self._genesis, keyed.signer)
                self._compared = True
            signed = cosigner.sign(self._genesis, number, self._hash(number))
            data = signed.encode()
            if self._judged.get(data) is None:
                try:
                    self._board.publish(data)
                except OSError as error:
                    raise ChainUnreachable(f"A checkpoint cannot be published now ({error}).") from error
                self._judged[data] = self._tally.judge(data)[0]

    def _is_final(self, target: int) -> bool:
        """Look at the board, and tell whether a block is final now."""
        found = self._board.checkpoints()
        with self._lock:
            for data in found:
                self._take(data)
            if self._halted is not None:
                raise self._halted
            self._final = max(self._final, self._tally.final())
            return self._final >= target

    def _take(self, data: bytes) -> None:
        """Judge a checkpoint, once; one that contradicts the copy leaves evidence."""
        verdict = self._judged.get(data)
        if verdict is None:
            verdict = self._tally.judge(data)[0]
            if verdict is Verdict.AHEAD:
                return
            if len(self._judged) > 10_000:
                self._judged.clear()
            self._judged[data] = verdict
            if verdict is Verdict.VOUCHES:
                self._seen.publish(data)
        if verdict is Verdict.CONTRADICTS:
            self._accuse(SignedCheckpoint.decode(data))

    def _accuse(self, checkpoint: SignedCheckpoint) -> None:
        """Keep the evidence against a member whose signature contradicts the copy, and count it no more."""
        party, number = checkpoint.member, checkpoint.number
        if party not in self._tally.disgraced:
            before = self._tally.vouched.pop(party, None)
            both = before is not None and before.number >= number
            header = self._chain.header(number)
            assert header is not None, "a checkpoint ahead of the copy contradicts nothing"
            self._keep(
                Kind.EQUIVOCATION if both else Kind.CONTRADICTION,
                number,
                party=party,
                ours=encode_block(self._chain, header),
                checkpoints=(before, checkpoint) if both else (checkpoint,),
            )
            self._tally.disgraced.add(party)
        self._halt_for(party, number)

    def _halt_for(self, party: bytes, number: int) -> None:
        """Decide nothing any more, if it is a coordinator that signed another history."""
        keyed = self._tally.membership.at(number).get(party)
        if keyed is not None and not keyed.witness:
            self._halted = Equivocation(party, number)

    def _keep(
        self,
        kind: Kind,
        number: int,
        *,
        ours: bytes,
        theirs: bytes = b"",
        party: bytes = bytes(20),
        checkpoints: tuple[SignedCheckpoint | None, ...] = (),
    ) -> None:
        last = None if self._cosigner is None else self._cosigner.last
        chain = self._follower.chain
        header = None if chain is None else chain.header(0)
        paper = evidence(
            kind,
            domain=self._domain,
            genesis=b"" if header is None else bytes(header.hash),
            number=number,
            now=self._clock(),
            party=party,
            ours=ours,
            theirs=theirs,
            checkpoints=checkpoints or (last,),
        )
        path = self._evidence.keep(paper)
        log.error("two histories of the ledger: %s at block %d, kept in %s", kind.value, number, path)

    def _remember(self) -> None:
        """Know again what earlier runs saw: vouching checkpoints, and members that signed two histories."""
        for data in self._seen.checkpoints():
            self._judged[data] = self._tally.judge(data)[0]
        for paper in self._evidence.papers():
            if paper.party:
                party = bytes.fromhex(paper.party)
                self._tally.disgraced.add(party)
                self._halt_for(party, paper.number)

    def _hash(self, number: int) -> bytes:
        found = self.everything.block_hash(number)
        if found is None:
            raise LedgerError(f"The copy lacks block {number}.")
        return found
