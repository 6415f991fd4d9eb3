"""What the key ceremony agrees on: the plan, and the dealer's package. Sizes are limits of the decoders, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.secagg.boxes import BOX_OVERHEAD, PUBLIC_KEY_BYTES
from fl_core.secagg.ckks.keys import MAX_KEY, MAX_PUBLIC_CONTEXT
from fl_core.secagg.ckks.parameters import MAX_HOLDERS

ACCOUNT = 20
SIGNATURE = 65
LEAST_HOLDERS = 3
"""A sum over fewer than three updates tells each of two holders the other's."""

MAX_PLAN = 512 + MAX_HOLDERS * (ACCOUNT + PUBLIC_KEY_BYTES)
MAX_BOX = BOX_OVERHEAD + MAX_KEY
MAX_PACKAGE = 1024 + MAX_PUBLIC_CONTEXT + MAX_HOLDERS * (MAX_BOX + 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Whose key it will be; proposed by the coordinator, checked by every holder against the ledger.

    Attributes:
        chain_id: The ledger's chain.
        contract: The ledger's contract.
        run: The run.
        epoch: Number of the run's key, 1: a run has one key, a new key needs a new run.
        cohort: Accounts of the holders, ascending; the first one deals the key.
        transport_keys: Their transport public keys.
    """

    chain_id: int
    contract: bytes
    run: bytes
    epoch: int
    cohort: tuple[bytes, ...]
    transport_keys: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not LEAST_HOLDERS <= len(self.cohort) <= MAX_HOLDERS:
            raise ValueError(f"a CKKS key is shared by {LEAST_HOLDERS} to {MAX_HOLDERS} holders")
        if any(later <= earlier for earlier, later in pairwise(self.cohort)):
            raise ValueError("a cohort is in strictly ascending order")
        if len(self.transport_keys) != len(self.cohort) or self.epoch != 1:
            raise ValueError("a plan has a transport key for each holder, and epoch 1")

    @property
    def dealer(self) -> bytes:
        """The holder that makes the key."""
        return self.cohort[0]

    @property
    def digest(self) -> bytes:
        """Names the plan: 32 bytes."""
        return digest(Label.CKKS_PLAN, self.encode())

    def encode(self) -> bytes:
        """Return the wire form."""
        w = Writer()
        w.uint(self.chain_id, 32)
        w.fixed(self.contract, ACCOUNT)
        w.fixed(self.run, DIGEST_SIZE)
        w.uint(self.epoch, 4)
        w.count(len(self.cohort), MAX_HOLDERS)
        for account, key in zip(self.cohort, self.transport_keys, strict=True):
            w.fixed(account, ACCOUNT)
            w.fixed(key, PUBLIC_KEY_BYTES)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a plan; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_PLAN, what="CKKS plan")
        chain_id, contract, run, epoch = r.uint(32), r.fixed(ACCOUNT), r.fixed(DIGEST_SIZE), r.uint(4)
        pairs = [(r.fixed(ACCOUNT), r.fixed(PUBLIC_KEY_BYTES)) for _ in range(r.count(MAX_HOLDERS))]
        r.end()
        return construct(
            "CKKS plan",
            lambda: cls(
                chain_id=chain_id,
                contract=contract,
                run=run,
                epoch=epoch,
                cohort=tuple(account for account, _ in pairs),
                transport_keys=tuple(key for _, key in pairs),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPackage:
    """The dealer's one message to all: the same bytes for everybody, so that nobody gets another key unnoticed.

    Attributes:
        plan: Digest of the plan.
        context: The public context, without a key.
        commitment: Binds the key that is in the boxes.
        boxes: The key sealed to every holder but the dealer, in the order of the cohort.
        signature: The dealer's, over :attr:`signed`.
    """

    plan: bytes
    context: bytes
    commitment: bytes
    boxes: tuple[bytes, ...]
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the dealer signs."""
        return digest(Label.CKKS_PACKAGE, self.plan, self.context, self.commitment, *self.boxes)

    def encode(self) -> bytes:
        """Return the wire form."""
        w = Writer()
        w.fixed(self.plan, DIGEST_SIZE)
        w.opaque(self.context, MAX_PUBLIC_CONTEXT)
        w.fixed(self.commitment, DIGEST_SIZE)
        w.count(len(self.boxes), MAX_HOLDERS)
        for box in self.boxes:
            w.opaque(box, MAX_BOX)
        w.fixed(self.signature, SIGNATURE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a package; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_PACKAGE, what="CKKS key package")
        plan, context, commitment = r.fixed(DIGEST_SIZE), r.opaque(MAX_PUBLIC_CONTEXT), r.fixed(DIGEST_SIZE)
        boxes = tuple(r.opaque(MAX_BOX) for _ in range(r.count(MAX_HOLDERS)))
        signature = r.fixed(SIGNATURE)
        r.end()
        return cls(plan=plan, context=context, commitment=commitment, boxes=boxes, signature=signature)

    def __repr__(self) -> str:
        return f"KeyPackage(plan={self.plan.hex()}, boxes=<{len(self.boxes)}>)"
