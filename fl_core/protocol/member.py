"""The committee member's step: check what the ledger committed, then answer once with a sum of shares.

Step 6 of the protocol (``docs/explanation/protocol.md``). The caller owes the once-only rule: it records durably that it
answers for this round and this included set *before* the answer leaves, answers a repeated request with the stored bytes,
and refuses every other set (``clients.node.register``). A sum of shares is the only thing that ever leaves; two sums over
different sets would open the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Reveal, RevealRequest, Sealed
from fl_core.protocol.sealed_check import expect_box, expect_leaf, open_share
from fl_core.protocol.statements import Notary, RevealStatement, StatementSigner
from fl_core.secagg import shamir
from fl_core.secagg.boxes import TransportPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What the ledger's final state says about a round's sets, as read by the member.

    Attributes:
        accepted_root: Root of the accepted set V.
        accepted_count: Its size.
        included_root: Root of the included set U.
        included_count: Its size.
        signers: Signing key's address of every client of the cohort, as registered when the round was opened.
    """

    accepted_root: bytes
    accepted_count: int
    included_root: bytes
    included_count: int
    signers: Mapping[bytes, bytes]


def check_request(
    header: RoundHeader, request: RevealRequest, *, committed: Committed, notary: Notary
) -> None:
    """Check a request against the ledger.

    Obligations, in order:

    1. It is for this header.
    2. Its accepted set is the one on the ledger.
    3. Its included set has at least ``n_min`` contributions.
    4. Its included set is the one on the ledger, lies within the accepted set.
    5. Every included leaf speaks of this round, is of the cohort, and is signed by its client's registered key.
    6. Every box is the one that its client signed for this member, and opens to a share (checked by :func:`answer`,
       which knows the seat).

    Raises:
        VerificationError: The first obligation that is not met; its number is in the message.
    """
    _expect(1, request.header == header.digest, "the request is for another header")
    accepted = dict(request.accepted)
    root, count = notary.root(request.accepted), len(request.accepted)
    _expect(
        2,
        (root, count) == (committed.accepted_root, committed.accepted_count),
        "not the accepted set on the ledger",
    )
    included = tuple((s.leaf.statement.member, notary.digest(s.leaf.statement)) for s in request.included)
    _expect(3, len(included) >= header.n_min, f"fewer than {header.n_min} contributions are included")
    root, count = notary.root(included), len(included)
    _expect(
        4,
        (root, count) == (committed.included_root, committed.included_count),
        "not the included set on the ledger",
    )
    for member, contribution in included:
        _expect(4, accepted.get(member) == contribution, f"{member.hex()} is included but was not accepted")
    for sealed in request.included:
        expect_leaf(header, sealed, signers=committed.signers, notary=notary, expect=partial(_expect, 5))


def answer(
    header: RoundHeader,
    request: RevealRequest,
    *,
    me: bytes,
    committed: Committed,
    transport: TransportPrivateKey,
    notary: Notary,
    signer: StatementSigner,
) -> Reveal:
    """Open this member's boxes of the included set and return the signed sum. Run by the member.

    Raises:
        VerificationError: A check of :func:`check_request` failed, a box is not the one that was signed, or does not
            open to a share.
    """
    check_request(header, request, committed=committed, notary=notary)
    parameters = PARAMETER_SETS[header.parameter_set]
    position = header.point_of(me) - 1
    shares = [_share(header, sealed, position, transport) for sealed in request.included]
    summed = shamir.encode_vector(parameters, shamir.add_shares(parameters, shares))
    statement = RevealStatement(
        run=header.run,
        round=header.round,
        member=me,
        header=header.digest,
        included=committed.included_root,
        shares=digest(Label.SHARES, summed),
    )
    return Reveal(statement=statement, shares=summed, signature=signer.sign(statement))


def _share(
    header: RoundHeader, sealed: Sealed, position: int, transport: TransportPrivateKey
) -> npt.NDArray[np.uint64]:
    """Return one client's share, or name the client whose box is bad: its own signature is on the box."""
    expect_box(header, sealed, position, expect=partial(_expect, 6))
    share = open_share(header, sealed, position, transport)
    if share is None:
        sender = sealed.leaf.statement.member.hex()
        raise VerificationError(
            f"reveal check (6): the box of {sender} does not open to a share", party=sender
        )
    return share


def _expect(number: int, condition: bool, problem: str) -> None:
    if not condition:
        raise VerificationError(f"reveal check ({number}): {problem}", party="coordinator")
