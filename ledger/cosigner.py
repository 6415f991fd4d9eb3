"""Signs one member's checkpoints: heights that only rise, one hash at each, on disk before a signature leaves.

The file must never be restored from a backup: it would let its owner sign a second history. A copy of the *chain* may be lost
and fetched again; what was signed here stands, and a copy that contradicts it is refused.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from fl_core.errors import DecodeError, VerificationError
from ledger.checkpoints import SignedCheckpoint, check_checkpoint
from ledger.errors import CheckpointRefused, LedgerError, StoreCorrupt
from ledger.records import EMPTY_WORD
from ledger.seal import DigestSigner
from ledger.typed_data import Checkpoint, Domain

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS signed (number INTEGER PRIMARY KEY, genesis BLOB NOT NULL, hash BLOB NOT NULL, "
    "signature BLOB NOT NULL)"
)


class Cosigner:
    """Signs for one member of one ledger. Safe for threads.

    Args:
        path: The file of what was signed; made when it is new.
        member: Account, 20 bytes.
        domain: The ledger.
        signer: The member's registered signing key.

    Raises:
        StoreCorrupt: The file is damaged.
    """

    def __init__(self, path: Path, *, member: bytes, domain: Domain, signer: DigestSigner) -> None:
        self._path = path
        self._member = member
        self._domain = domain
        self._signer = signer
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
            self._last = self._newest()
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(
                f"What was signed in {path} cannot be read ({error}).",
                fix="Never restore it from a backup: register a new signing key and start with a new file.",
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @property
    def member(self) -> bytes:
        """For whom it signs."""
        return self._member

    @property
    def last(self) -> SignedCheckpoint | None:
        """The newest checkpoint that was signed."""
        return self._last

    def sign(self, genesis: bytes, number: int, digest: bytes) -> SignedCheckpoint:
        """Sign a head; the same one again gets the same signature.

        Args:
            genesis: Hash of block 0, 32 bytes.
            number: Height of the head.
            digest: Its hash, 32 bytes.

        Raises:
            LedgerError: It cannot be written down.
            CheckpointRefused: A higher block was signed, or another hash at this height, or another chain.
        """
        with self._lock:
            last = self._last
            if last is not None:
                if last.genesis != genesis:
                    raise CheckpointRefused("A checkpoint of another chain was signed with this file.")
                if number < last.number:
                    raise CheckpointRefused(
                        f"Block {last.number} was signed already, block {number} is lower."
                    )
                if number == last.number:
                    if digest != last.hash:
                        raise CheckpointRefused(f"Another block {number} was signed before.")
                    return last
            statement = Checkpoint(member=self._member, genesis=genesis, number=number, hash=digest)
            signature = self._signer.sign_digest(statement.digest(self._domain))
            self._record(number, genesis, digest, signature)
            self._last = SignedCheckpoint(
                member=self._member, genesis=genesis, number=number, hash=digest, signature=signature
            )
            return self._last

    def expect_newest(self, board: Sequence[bytes], genesis: bytes, key: bytes) -> None:
        """Check that the file is not older than what its owner published: then the folder was restored from a backup.

        Each checkpoint was on disk before it was published, so no crash makes such a difference. Those under another key do
        not count: who lost the file registers a new one.

        Args:
            board: Checkpoints that lie on the board, of whomever.
            genesis: Hash of block 0, 32 bytes.
            key: The member's registered signing key, 20 bytes.

        Raises:
            StoreCorrupt: The board has one, signed with that key, that is higher than all in the file.
        """
        newest = -1 if self._last is None else self._last.number
        for data in board:
            try:
                found = SignedCheckpoint.decode(data)
                if (found.member, found.genesis) != (self._member, genesis) or found.number <= newest:
                    continue
                check_checkpoint(found, domain=self._domain, signer=key)
            except (DecodeError, VerificationError):
                continue  # what lies on a board is worth nothing until it is verified
            raise StoreCorrupt(
                f"Block {found.number} of the ledger was signed with this node's key, and {self._path} does not know it: "
                "the folder was restored from a backup.",
                fix="Register a new signing key, and start with an empty folder.",
            )

    def _record(self, number: int, genesis: bytes, digest: bytes, signature: bytes) -> None:
        """Write down what was signed: a transaction of its own, on disk when this returns."""
        try:
            self._db.execute("INSERT INTO signed VALUES (?, ?, ?, ?)", (number, genesis, digest, signature))
        except sqlite3.Error as error:
            raise LedgerError(
                f"{self._path} cannot be written ({error}); nothing was signed.",
                fix="Check disk and permissions.",
            ) from error

    def _newest(self) -> SignedCheckpoint | None:
        row = self._db.execute(
            "SELECT number, genesis, hash, signature FROM signed ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        number, genesis, digest, signature = row
        if not isinstance(number, int) or len(genesis) != len(EMPTY_WORD):
            raise sqlite3.DatabaseError("a row is not a checkpoint")
        return SignedCheckpoint(
            member=self._member, genesis=genesis, number=number, hash=digest, signature=signature
        )
