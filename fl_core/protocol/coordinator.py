"""The coordinator's steps: fold contributions as they arrive, ask the committee, check its answers.

Steps 3, 4, 5 and 6 of the protocol (``docs/explanation/protocol.md``). The coordinator holds no key that opens anything; what
it does here is checked again by every member (:mod:`fl_core.protocol.member`) and by anyone (:mod:`fl_core.protocol.opening`).
The caller owes the order of the ledger's commits and writes them down before it acts on them (``coordinator.rounds``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Leaf, Reveal, RevealRequest, Sealed, boxes_digest
from fl_core.protocol.setup import layout_of
from fl_core.protocol.statements import Contribution, Notary, RevealStatement
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import CHECK_ELEMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What the coordinator keeps of a contribution once its ciphertext is folded.

    Attributes:
        leaf: The signed leaf.
        digest: The digest of its statement.
        box_digests: Digests of the sealed shares, in seat order; the shares themselves are in the spool.
        check_rows: The first two ring elements, which the share check looks at.
    """

    leaf: Leaf
    digest: bytes
    box_digests: tuple[bytes, ...]
    check_rows: bytes


class BoxSpool(Protocol):
    """Keeps sealed shares while a round is in progress."""

    def put(self, client: bytes, boxes: tuple[bytes, ...]) -> None:
        """Keep a client's boxes, in seat order."""
        ...

    def get(self, client: bytes, position: int) -> bytes:
        """Return a client's box for the seat at ``position``, from 0."""
        ...


class MemorySpool:
    """A spool for small rounds."""

    def __init__(self) -> None:
        self._boxes: dict[bytes, tuple[bytes, ...]] = {}

    def put(self, client: bytes, boxes: tuple[bytes, ...]) -> None:
        """Keep a client's boxes."""
        self._boxes[client] = boxes

    def get(self, client: bytes, position: int) -> bytes:
        """Return one of them."""
        return self._boxes[client][position]


class Collector:
    """Takes contributions of one round. Of each client it keeps the leaf and two ring elements in memory, nothing else.

    Args:
        header: The round.
        signers: Signing key's address of every client of the cohort, from the ledger.
        notary: Hashes and verifies statements.
        spool: Where the sealed shares wait; in memory unless another one is given.
    """

    def __init__(
        self,
        header: RoundHeader,
        *,
        signers: Mapping[bytes, bytes],
        notary: Notary,
        spool: BoxSpool | None = None,
    ) -> None:
        self._spool = MemorySpool() if spool is None else spool
        self.header = header
        self._layout = layout_of(header)
        self._signers = signers
        self._notary = notary
        self._accumulator = Accumulator(self._layout)
        self._accepted: dict[bytes, Accepted] = {}
        self._excluded: set[bytes] = set()

    @property
    def sums(self) -> npt.NDArray[np.uint64]:
        """The folded ciphertexts, ``(elements, N) uint64``, not reduced modulo q."""
        return self._accumulator.sums

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """The accepted set V, ascending by member."""
        return tuple(self._accepted[member] for member in sorted(self._accepted))

    def decode(self, data: bytes) -> Frame:
        """Read a frame of this round.

        Raises:
            DecodeError: ``data`` is not the canonical form of a frame of this round.
        """
        return Frame.decode(data, ciphertext_bytes=self._layout.ciphertext_bytes)

    def accept(self, frame: Frame) -> Accepted:
        """Check a frame and fold its ciphertext into the sum.

        Obligations, in order:

        1. The sender belongs to the cohort and has not contributed to this round.
        2. The leaf speaks of this run, round, header and parent model.
        3. The leaf is signed by the sender's registered key.
        4. The leaf signs this ciphertext and these boxes, one for every seat.
        5. The ciphertext's coefficients are such as an encryption gives.

        Raises:
            VerificationError: The first obligation that is not met; the sum is unchanged.
        """
        statement = frame.leaf.statement
        sender = statement.member
        _expect(1, sender in self.header.cohort, "the sender is not in the cohort", sender)
        _expect(1, sender not in self._accepted, "the sender has contributed to this round", sender)
        ours = (self.header.run, self.header.round, self.header.digest, self.header.parent)
        spoken = (statement.run, statement.round, statement.header, statement.parent)
        _expect(2, spoken == ours, "the leaf is of another round", sender)
        _expect_signed(3, self._notary, statement, frame.leaf.signature, self._signers[sender])
        root = ciphertext_root(self._layout, frame.ciphertext)
        _expect(4, root == statement.ciphertext, "the ciphertext is not the signed one", sender)
        _expect(
            4, len(frame.boxes) == len(self.header.committee), "there is not one box for every seat", sender
        )
        _expect(4, boxes_digest(frame.boxes) == statement.boxes, "the boxes are not the signed ones", sender)
        self._spool.put(sender, frame.boxes)  # may fail, on a full disk; then nothing was added
        try:
            self._accumulator.add(frame.ciphertext)
        except DecodeError as error:
            raise VerificationError(f"check (5): {error}", party=sender.hex()) from error
        accepted = Accepted(
            leaf=frame.leaf,
            digest=self._notary.digest(statement),
            box_digests=tuple(digest(Label.BOX, box) for box in frame.boxes),
            check_rows=bytes(frame.ciphertext[: CHECK_ELEMENTS * self._layout.element_bytes]),
        )
        self._accepted[sender] = accepted
        return accepted

    def exclude(self, member: bytes, ciphertext: bytes | memoryview) -> None:
        """Take an accepted client's ciphertext out of the sum again, once; it stays in V.

        Raises:
            LocalProtocolError: The member was not accepted or is excluded already, or this is not its ciphertext.
        """
        accepted = self._accepted.get(member)
        if (
            accepted is None
            or ciphertext_root(self._layout, ciphertext) != accepted.leaf.statement.ciphertext
        ):
            raise LocalProtocolError("only an accepted ciphertext can be taken out of the sum")
        if member in self._excluded:
            raise LocalProtocolError(f"the ciphertext of {member.hex()} is not in the sum any more")
        self._accumulator.subtract(ciphertext)
        self._excluded.add(member)

    def sealed(self, accepted: Accepted, position: int) -> Sealed:
        """Return what the member in seat ``position``, from 0, is sent of one contribution."""
        box = self._spool.get(accepted.leaf.statement.member, position)
        return Sealed(leaf=accepted.leaf, box_digests=accepted.box_digests, box=box)

    def check_request(self, member: bytes, receipt: bytes) -> CheckRequest:
        """Return what to ask ``member`` once V is on the ledger."""
        position = self.header.point_of(member) - 1
        sealed = tuple(self.sealed(accepted, position) for accepted in self.accepted)
        return CheckRequest(header=self.header.digest, accepted=sealed, receipt=receipt)

    def request(self, member: bytes, included: Iterable[bytes], receipt: bytes) -> RevealRequest:
        """Return what to ask ``member`` once V and U are on the ledger."""
        position = self.header.point_of(member) - 1
        return RevealRequest(
            header=self.header.digest,
            accepted=tuple((a.leaf.statement.member, a.digest) for a in self.accepted),
            included=tuple(self.sealed(self._accepted[client], position) for client in sorted(included)),
            receipt=receipt,
        )


def check_reveal(
    header: RoundHeader,
    reveal: Reveal,
    *,
    included_root: bytes,
    signers: Mapping[bytes, bytes],
    notary: Notary,
) -> npt.NDArray[np.uint64]:
    """Check one member's answer and return its summed share, ``(N,) uint64`` in [0, q).

    Obligations, in order:

    1. The member has a seat.
    2. The answer is for this header and this included set.
    3. It signs these shares.
    4. The member's registered key signed it.
    5. The shares are residues, one for each coefficient.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    statement = reveal.statement
    member = statement.member
    _expect(1, member in {seat.address for seat in header.committee}, "the member has no seat", member)
    ours = (header.run, header.round, header.digest, included_root)
    spoken = (statement.run, statement.round, statement.header, statement.included)
    _expect(2, spoken == ours, "the answer is for another round or set", member)
    signed = digest(Label.SHARES, reveal.shares) == statement.shares
    _expect(3, signed, "the shares are not the signed ones", member)
    _expect_signed(4, notary, statement, reveal.signature, signers[member])
    try:
        return shamir.decode_vector(PARAMETER_SETS[header.parameter_set], reveal.shares)
    except DecodeError as error:
        raise VerificationError(f"check (5): {error}", party=member.hex()) from error


def _expect_signed(
    number: int, notary: Notary, statement: Contribution | RevealStatement, signature: bytes, signer: bytes
) -> None:
    try:
        notary.verify(statement, signature, signer)
    except VerificationError as error:
        raise VerificationError(f"check ({number}): {error}", party=statement.member.hex()) from error


def _expect(number: int, condition: bool, problem: str, party: bytes) -> None:
    if not condition:
        raise VerificationError(f"check ({number}): {problem}", party=party.hex())
