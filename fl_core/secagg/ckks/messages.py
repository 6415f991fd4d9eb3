"""What holders and coordinator send each other in a round of the CKKS mode.

Signatures are over :attr:`signed`, a labelled digest that binds chain, contract, run, epoch and cohort through the plan's
digest; the caller makes and checks them with the accounts that the ledger has (``ledger.typed_data.verify``). Checking a
signature comes **before** handing ciphertexts to SEAL. Sizes are limits of the decoders, in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.secagg.ckks.agreement import ACCOUNT, SIGNATURE
from fl_core.secagg.ckks.parameters import CKKS2048
from fl_core.secagg.ckks.structure import max_chunk

MAX_CHUNK = max_chunk(CKKS2048)
MAX_CHUNKS = 1 << 17  # 134 million values
MAX_VECTOR = 4096 + MAX_CHUNKS * (MAX_CHUNK + 4)
MAX_COUNTERS = 64
MAX_REPORT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One holder's encrypted vector for one round, from one model.

    Attributes:
        package: What the key package's signature is over; names run, cohort and key.
        round: Round number, from 1.
        parent: SHA-256 of the model that was trained from.
        member: The holder.
        chunks: Ciphertexts.
        signature: The holder's, over :attr:`signed`.
    """

    package: bytes
    round: int
    parent: bytes
    member: bytes
    chunks: tuple[bytes, ...]
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the holder signs."""
        place = (self.package, self.round.to_bytes(4, "big"), self.parent, self.member)
        return digest(Label.CKKS_UPLOAD, *place, *self.chunks)

    def encode(self) -> bytes:
        """Return the wire form."""
        w = Writer()
        w.fixed(self.package, DIGEST_SIZE)
        w.uint(self.round, 4)
        w.fixed(self.parent, DIGEST_SIZE)
        w.fixed(self.member, ACCOUNT)
        w.fixed(self.signature, SIGNATURE)
        _write_chunks(w, self.chunks)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an upload; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_VECTOR, what="CKKS upload")
        package, number, parent = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(DIGEST_SIZE)
        member, signature, chunks = r.fixed(ACCOUNT), r.fixed(SIGNATURE), _read_chunks(r)
        r.end()
        return cls(
            package=package, round=number, parent=parent, member=member, chunks=chunks, signature=signature
        )

    def __repr__(self) -> str:
        return f"Upload(round={self.round}, member={self.member.hex()}, chunks=<{len(self.chunks)}>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedSum:
    """What the coordinator adds up and hands to every holder.

    The signature says who sent it, not that it is the sum: nobody could check that without all ciphertexts. That is this
    mode's price.

    Attributes:
        package: As in :class:`Upload`.
        round: Round number.
        parent: SHA-256 of the model that the uploads were trained from.
        chunks: Ciphertexts of the sum.
        signature: The coordinator's, over :attr:`signed`.
    """

    package: bytes
    round: int
    parent: bytes
    chunks: tuple[bytes, ...]
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the coordinator signs; names the sum, of which a holder opens one for each round."""
        return digest(Label.CKKS_SUM, self.package, self.round.to_bytes(4, "big"), self.parent, *self.chunks)

    def encode(self) -> bytes:
        """Return the wire form."""
        w = Writer()
        w.fixed(self.package, DIGEST_SIZE)
        w.uint(self.round, 4)
        w.fixed(self.parent, DIGEST_SIZE)
        w.fixed(self.signature, SIGNATURE)
        _write_chunks(w, self.chunks)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a sum; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_VECTOR, what="CKKS sum")
        package, number, parent = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(DIGEST_SIZE)
        signature, chunks = r.fixed(SIGNATURE), _read_chunks(r)
        r.end()
        return cls(package=package, round=number, parent=parent, chunks=chunks, signature=signature)

    def __repr__(self) -> str:
        return f"EncryptedSum(round={self.round}, chunks=<{len(self.chunks)}>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a holder says after it opened a sum and made the next model: digests and counts, no parameter.

    Attributes:
        package: As in :class:`Upload`.
        round: Round number.
        total: Digest of the sum that was opened.
        model: SHA-256 of the new model's file.
        count: Number of uploads in the sum.
        counters: Sums of the run's counters.
        member: The holder.
        signature: The holder's, over :attr:`signed`.
    """

    package: bytes
    round: int
    total: bytes
    model: bytes
    count: int
    counters: tuple[int, ...]
    member: bytes
    signature: bytes

    @property
    def statement(self) -> bytes:
        """What reports that agree have in common."""
        w = Writer()
        w.fixed(self.package, DIGEST_SIZE)
        w.uint(self.round, 4)
        w.fixed(self.total, DIGEST_SIZE)
        w.fixed(self.model, DIGEST_SIZE)
        w.uint(self.count, 4)
        w.count(len(self.counters), MAX_COUNTERS)
        for value in self.counters:
            w.uint(value, 8)
        return w.bytes()

    @property
    def signed(self) -> bytes:
        """What the holder signs."""
        return digest(Label.CKKS_REPORT, self.statement, self.member)

    def encode(self) -> bytes:
        """Return the wire form."""
        return self.statement + self.member + self.signature

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a report; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_REPORT, what="CKKS report")
        package, number, total, model = (
            r.fixed(DIGEST_SIZE),
            r.uint(4),
            r.fixed(DIGEST_SIZE),
            r.fixed(DIGEST_SIZE),
        )
        count, counters = r.uint(4), tuple(r.uint(8) for _ in range(r.count(MAX_COUNTERS)))
        member, signature = r.fixed(ACCOUNT), r.fixed(SIGNATURE)
        r.end()
        return cls(
            package=package,
            round=number,
            total=total,
            model=model,
            count=count,
            counters=counters,
            member=member,
            signature=signature,
        )


def _write_chunks(w: Writer, chunks: tuple[bytes, ...]) -> None:
    w.count(len(chunks), MAX_CHUNKS)
    for chunk in chunks:
        w.opaque(chunk, MAX_CHUNK)


def _read_chunks(r: Reader) -> tuple[bytes, ...]:
    return tuple(r.opaque(MAX_CHUNK) for _ in range(r.count(MAX_CHUNKS)))
