"""What a member checks about every contribution that it is asked about: the leaf, and its own box.

The share check and the reveal share these obligations; each gives its own name and number to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import RemoteProtocolError, VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Sealed, boxes_digest_of
from fl_core.protocol.setup import box_context
from fl_core.protocol.statements import Notary
from fl_core.secagg import shamir
from fl_core.secagg.boxes import TransportPrivateKey

Expect = Callable[[bool, str], None]
"""Raises ``VerificationError`` with the obligation's name and number unless the condition holds."""


def expect_leaf(
    header: RoundHeader, sealed: Sealed, *, signers: Mapping[bytes, bytes], notary: Notary, expect: Expect
) -> None:
    """Check that a leaf speaks of this round, is of the cohort, and is signed by its client's registered key."""
    statement = sealed.leaf.statement
    name = statement.member.hex()
    ours = (header.run, header.round, header.digest)
    expect(
        (statement.run, statement.round, statement.header) == ours, f"the leaf of {name} is of another round"
    )
    expect(statement.member in signers, f"{name} is not in the cohort")
    try:
        notary.verify(statement, sealed.leaf.signature, signers[statement.member])
    except VerificationError:
        expect(False, f"the leaf of {name} is not signed by it")


def expect_box(header: RoundHeader, sealed: Sealed, position: int, *, expect: Expect) -> None:
    """Check that the box is the one that its client signed for the member in seat ``position``, from 0."""
    signed = (
        len(sealed.box_digests) == len(header.committee)
        and sealed.box_digests[position] == digest(Label.BOX, sealed.box)
        and boxes_digest_of(sealed.box_digests) == sealed.leaf.statement.boxes
    )
    expect(signed, f"the box of {sealed.leaf.statement.member.hex()} is not the one it signed")


def open_share(
    header: RoundHeader, sealed: Sealed, position: int, transport: TransportPrivateKey
) -> npt.NDArray[np.uint64] | None:
    """Return one client's share, ``(N,) uint64``, or None when the box does not open to one: then its client is at fault.

    One answer for both reasons: it must not tell whether the box opened.
    """
    context = box_context(header, sealed.leaf.statement.member, header.committee[position])
    try:
        opened = transport.open(context, sealed.box).reveal()
        return shamir.decode_vector(PARAMETER_SETS[header.parameter_set], opened)
    except RemoteProtocolError:
        return None
