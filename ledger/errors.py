"""The error tree of the ledger package, by what the caller can do about it.

::

    SutureError
    └── LedgerError                base of everything below
        ├── ChainUnreachable       wait and try again: nothing is lost
        ├── ChainBusy              another process writes this embedded chain
        ├── ReceiptPending         sent, not yet deep enough; ask again with the same intent
        ├── Underpriced            the node wants more for gas; offer more, or wait
        ├── WrongChain             chain id, address or code are not the pinned ones
        ├── Reverted               the contract refused; ``reason`` is its sentence
        ├── NonceConflict          somebody else used the account's nonce
        ├── IntentConflict         one idempotency key, two different calls: a bug in the caller
        ├── ForkDetected           a block that was seen is no longer there
        │   ├── HistoryRewritten   another block came at a height that the own copy has
        │   └── HistoryRolledBack  the newest block that came is older than the own copy's
        ├── BlockRefused           a block that came does not continue the own copy
        ├── Equivocation           somebody signed two histories
        ├── NotFinal               too few members have co-signed the newest block
        ├── CheckpointRefused      signing it would contradict what was signed before
        ├── ReplayMismatch         re-execution does not give the recorded block
        ├── ForeignTransaction     a block holds what has no place on a chain of our contracts
        ├── StoreCorrupt           the chain's or the outbox's file does not hold what it must
        ├── RecordMissing          the ledger has no such member, run, round or model
        ├── SignerError            a key cannot be opened or made
        ├── ArchiveError           an object is missing, too large or altered
        └── ArtifactError          a contract artifact is missing or malformed

A signature or proof that does not verify is a :class:`fl_core.errors.VerificationError`, as everywhere.
"""

from __future__ import annotations

from fl_core.errors import SutureError
from ledger.refusals import fix_of


class LedgerError(SutureError):
    """The ledger, or something on the way to it, did not do what was asked."""


class ChainUnreachable(LedgerError):
    """The node did not answer, or answered with an error of its own. Trying again later is right."""


class ChainBusy(LedgerError):
    """Another process holds the embedded chain for writing."""


class ReceiptPending(LedgerError):
    """A transaction is on its way but not yet as deep as asked for.

    Args:
        tx_hash: Which transaction, 32 bytes.
        message: What was waited for, and how long.
    """

    def __init__(self, tx_hash: bytes, message: str) -> None:
        super().__init__(message, fix="Call again with the same intent: the same bytes are sent again.")
        self.tx_hash = tx_hash


class Underpriced(LedgerError):
    """A node does not take a transaction because it offers too little for gas."""


class WrongChain(LedgerError):
    """The chain id, the contract's address or its code differ from what was pinned."""


class Reverted(LedgerError):
    """The contract refused a call.

    Args:
        function: Name of the contract function.
        reason: The contract's revert string ("training_ledger: ..."), or empty when it gave none.
    """

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"{function} was refused: {reason or 'no reason given'}.", fix=fix_of(reason))
        self.function = function
        self.reason = reason


class NonceConflict(LedgerError):
    """A transaction with this nonce is on the chain and it is not ours.

    Args:
        nonce: The nonce in question.
        message: What was expected there and what was found.
    """

    def __init__(self, nonce: int, message: str) -> None:
        super().__init__(message, fix="Use one account from one process only.")
        self.nonce = nonce


class IntentConflict(LedgerError):
    """An idempotency key was used before for another call."""


class ForkDetected(LedgerError):
    """The chain no longer contains a block that was seen.

    Args:
        number: Height of the block.
        expected: Hash seen before, 32 bytes.
        found: Hash seen now, 32 bytes, or None when there is no block at that height.
    """

    def __init__(self, number: int, expected: bytes, found: bytes | None) -> None:
        now = "no block" if found is None else f"0x{found.hex()}"
        super().__init__(f"Block {number} was 0x{expected.hex()} and is now {now}.")
        self.number = number
        self.expected = expected
        self.found = found


class HistoryRewritten(ForkDetected):
    """A source gives another block at a height where the own copy has one: its history was rewritten.

    Args:
        number: Lowest height at which the two differ.
        ours: The own copy's block, as bytes.
        theirs: What the source gives, as bytes.
        hashes: The hashes of the two.
    """

    def __init__(self, number: int, ours: bytes, theirs: bytes, hashes: tuple[bytes, bytes]) -> None:
        super().__init__(number, *hashes)
        self.fix = "Tell the other members; both blocks are kept as evidence."
        self.ours = ours
        self.theirs = theirs


class HistoryRolledBack(ForkDetected):
    """A source has fewer blocks than the own copy.

    Args:
        number: Height of the own copy.
        ours: The own copy's newest block, as bytes.
        digest: Its hash.
        newest: Height of the source's newest block; -1 when it gives none at all.
    """

    def __init__(self, number: int, ours: bytes, digest: bytes, newest: int) -> None:
        super().__init__(number, digest, None)
        self.fix = f"The source ends at block {newest}: tell its operator and the other members."
        self.ours = ours
        self.newest = newest


class BlockRefused(LedgerError):
    """A block that came does not continue the own copy.

    Args:
        number: Height of the block that was expected.
        check: Number of the check that failed, see :meth:`ledger.chain.embedded.follower.Follower.take`.
        reason: Why.
    """

    def __init__(self, number: int, check: int, reason: str) -> None:
        super().__init__(f"Block {number} is refused: follower check ({check}): {reason}.")
        self.number = number
        self.check = check


class Equivocation(LedgerError):
    """Somebody signed two histories of one chain.

    Args:
        party: Account of who did, 20 bytes.
        number: Height at which they differ.
    """

    def __init__(self, party: bytes, number: int) -> None:
        super().__init__(
            f"0x{party.hex()} signed another history at block {number}.",
            fix="Stop, and tell the other members; the signatures are kept as evidence.",
        )
        self.party = party
        self.number = number


class NotFinal(LedgerError):
    """Too few members have co-signed a block yet.

    Args:
        number: Height of the block.
        found: How many members have.
        needed: How many must.
    """

    def __init__(self, number: int, found: int, needed: int) -> None:
        super().__init__(
            f"Block {number} is co-signed by {found} of the {needed} members needed.",
            fix="Try again when more members' nodes run.",
        )
        self.number = number
        self.found = found
        self.needed = needed


class CheckpointRefused(LedgerError):
    """A checkpoint would contradict one that was signed before."""


class ReplayMismatch(LedgerError):
    """Executing the recorded blocks again gives something else.

    Args:
        number: Height of the first block that differs.
        field: Which header field or receipt part differs.
    """

    def __init__(self, number: int, field: str) -> None:
        super().__init__(f"Block {number} does not follow from its transactions: {field} differs.")
        self.number = number
        self.field = field


class ForeignTransaction(LedgerError):
    """A block holds a transaction that has no place on a chain of our contracts.

    Args:
        number: Height of the block.
        reason: Why not.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"Block {number} holds a transaction that has no place here: {reason}.")
        self.number = number


class StoreCorrupt(LedgerError):
    """A database of the ledger does not hold what it must."""


class RecordMissing(LedgerError):
    """The ledger holds no record under this key."""


class SignerError(LedgerError):
    """A signing key cannot be opened or made. The message never holds key or passphrase."""


class ArchiveError(LedgerError):
    """An object of the archive is missing, larger than allowed, or not what its digest says.

    Args:
        digest: Which object, 32 bytes.
        message: What is wrong with it.
    """

    def __init__(self, digest: bytes, message: str) -> None:
        super().__init__(f"Object {digest.hex()}: {message}")
        self.digest = digest


class ArtifactError(LedgerError):
    """A contract artifact is missing or malformed."""
