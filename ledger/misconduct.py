"""What is kept when somebody shows two histories of one chain: the blocks and signatures, as they came.

===============  =========================================================================================================
rewrite          the source of blocks gave another block at a height where the own copy has one: both blocks
rollback         the source ended below the own copy: the own newest block, and the own checkpoint if it was signed
contradiction    a member signed another block than the own copy has: that checkpoint, and the own block
equivocation     a member signed two histories: two checkpoints, the later of which vouches for the own copy
===============  =========================================================================================================

An equivocation with two hashes at one height convicts its member before anybody, with nothing but the ledger's address at hand.
Everything else shows what the node saw: it helps those who compare copies, and a block's transaction is signed by its sender.
:func:`check_evidence` says which of these a file holds. The files are JSON (:class:`ledger.papers.EvidencePaper`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from fl_core.errors import DecodeError, SutureError, VerificationError
from ledger.chain.embedded.block import WireBlock
from ledger.checkpoints import SignedCheckpoint
from ledger.files import read_plain, write_atomically
from ledger.papers import EvidencePaper
from ledger.records import ADDRESS_SIZE, EMPTY_ADDRESS
from ledger.typed_data import Domain, recover

MAX_FILES = 256
"""Most files of evidence that a node keeps: nobody fills its disk with ever new histories."""


class Kind(Enum):
    """What somebody did; see the module's table."""

    REWRITE = "rewrite"
    ROLLBACK = "rollback"
    CONTRADICTION = "contradiction"
    EQUIVOCATION = "equivocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conviction:
    """What a file of evidence proves to somebody who was not there.

    Attributes:
        kind: What it says.
        number: Height at which the histories part.
        signer: The key that signed two histories, 20 bytes; None where the file alone convicts nobody.
    """

    kind: Kind
    number: int
    signer: bytes | None


class EvidenceFolder:
    """A node's evidence; each case is kept once.

    Args:
        folder: The folder; made with the first case.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, paper: EvidencePaper) -> Path | None:
        """Write a case down; it is on disk when this returns.

        Returns:
            Where it is; None when :data:`MAX_FILES` cases are kept and this one is not.
        """
        case = hashlib.sha256(replace(paper, found_at=0).encode()).hexdigest()[:16]
        path = self._folder / f"{paper.number:08}-{paper.kind}-{case}.json"
        if path.exists():
            return path
        if len(self.files()) >= MAX_FILES:
            return None
        write_atomically(path, paper.encode(), 0o600)
        return path

    def files(self) -> list[Path]:
        """Return the cases, by height."""
        return sorted(self._folder.glob("*.json"))

    def papers(self) -> list[EvidencePaper]:
        """Return the cases that can be read."""
        found = []
        for path in self.files():
            try:
                found.append(read_evidence(path))
            except SutureError:
                continue
        return found


def read_evidence(path: Path) -> EvidencePaper:
    """Read a file of evidence.

    Raises:
        DecodeError: It cannot be read, or is not in its canonical form.
    """
    try:
        return EvidencePaper.decode(read_plain(path, EvidencePaper.LIMIT))
    except OSError as error:
        raise DecodeError(f"{path} cannot be read ({error.strerror})") from error


def check_evidence(paper: EvidencePaper) -> Conviction:
    """Check that a file holds what its kind says.

    1. Its fields are well formed, its blocks and checkpoints are in their wire form.
    2. Two blocks are of the height and differ; a single one is of the height.
    3. The checkpoints are of the chain that the file names.
    4. Two checkpoints at one height name different blocks, and one key signed both: that key is convicted.

    Raises:
        VerificationError: It does not.
    """
    try:
        kind, contract = Kind(paper.kind), bytes.fromhex(paper.contract)
        genesis = bytes.fromhex(paper.genesis)
        blocks = [WireBlock.decode(bytes.fromhex(block)) for block in (paper.ours, paper.theirs) if block]
        checkpoints = [SignedCheckpoint.decode(bytes.fromhex(item)) for item in paper.checkpoints]
        domain = Domain(chain_id=paper.chain_id, contract=contract)
    except (ValueError, SutureError) as error:  # (1)
        raise VerificationError(f"the evidence is malformed ({error})") from error
    heights = {block.parsed().block_number for block in blocks}
    two_blocks = len({block.hash for block in blocks}) == 2
    if heights - {paper.number} or (kind is Kind.REWRITE and not two_blocks):  # (2)
        raise VerificationError("the blocks are not two of the same height")
    if any(checkpoint.genesis != genesis for checkpoint in checkpoints):  # (3)
        raise VerificationError("a checkpoint is of another chain")
    signer = _signer_of_both(checkpoints, domain)
    if kind is Kind.EQUIVOCATION and len(checkpoints) != 2:
        raise VerificationError("an equivocation takes two checkpoints")
    if kind is Kind.CONTRADICTION and not any(c.hash != b.hash for c in checkpoints for b in blocks):
        raise VerificationError("the checkpoint does not contradict the block")
    return Conviction(kind=kind, number=paper.number, signer=signer)


def _signer_of_both(checkpoints: list[SignedCheckpoint], domain: Domain) -> bytes | None:
    """(4): return the key that signed two hashes at one height, or None."""
    if len(checkpoints) != 2:
        return None
    first, second = checkpoints
    if first.number != second.number or first.hash == second.hash or first.member != second.member:
        return None
    keys = {recover(c.statement.digest(domain), c.signature) for c in checkpoints}
    return keys.pop() if len(keys) == 1 else None


def evidence(
    kind: Kind,
    *,
    domain: Domain,
    genesis: bytes,
    number: int,
    now: int,
    party: bytes = EMPTY_ADDRESS,
    ours: bytes = b"",
    theirs: bytes = b"",
    checkpoints: tuple[SignedCheckpoint | None, ...] = (),
) -> EvidencePaper:
    """Return a case to keep; arguments as in :class:`ledger.papers.EvidencePaper`, as bytes."""
    assert len(party) == ADDRESS_SIZE
    return EvidencePaper(
        kind=kind.value,
        chain_id=domain.chain_id,
        contract=domain.contract.hex(),
        genesis=genesis.hex(),
        party="" if party == EMPTY_ADDRESS else party.hex(),
        number=number,
        ours=ours.hex(),
        theirs=theirs.hex(),
        checkpoints=[c.encode().hex() for c in checkpoints if c is not None],
        found_at=now,
    )
