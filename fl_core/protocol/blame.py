"""The blame opening: who spoilt a ring element of the sum, found by opening one coefficient of every single update.

Step 8 of the protocol (``docs/explanation/protocol.md``), only after a sum was opened and a ring element of it failed, and
only in runs whose terms allow it: the values of that one coefficient become public, two or three numbers of each update. It
is never a coefficient with weights or counters, never more than one per round, and never a second sum. A member is shown
what failed and sees for itself (:func:`answer_blame`); anybody gets the same names from the signed values (:func:`name_spoilers`).
The caller owes the once-only rule: one place per round, stored before the answer leaves.

Own construction, not yet reviewed by outsiders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.hashtree import inclusion_proof, verify_inclusion
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.blame_messages import BlameAnswer, BlameRequest, Place, Shown
from fl_core.protocol.check_messages import encode_values
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed
from fl_core.protocol.messages import Sealed
from fl_core.protocol.sealed_check import Expect, expect_box, expect_leaf, open_share
from fl_core.protocol.setup import layout_of
from fl_core.protocol.statements import BlameStatement, Notary, StatementSigner
from fl_core.secagg import shamir
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secagg.commitment import ciphertext_leaves, element_leaf
from fl_core.secagg.decrypt import verify_rows
from fl_core.secagg.functional import coefficient_functional
from fl_core.secagg.layout import CHECK_ELEMENTS
from fl_core.secagg.place import failing_coefficient, well_formed
from fl_core.secagg.reed_solomon import candidates, value_at_zero

Words = npt.NDArray[np.uint64]


def find_place(
    header: RoundHeader, sums: Words, count: int, key: Words, failed: Sequence[int]
) -> Place | None:
    """Return the first place where the sum failed and that may be opened, or None.

    Args:
        header: The round.
        sums: (elements, N) uint64, the folded ciphertexts.
        count: How many.
        key: The aggregate key.
        failed: The ring elements that failed, ascending.
    """
    layout = layout_of(header)
    for element in failed:
        row = sums[element]
        coefficient = failing_coefficient(layout, header.digest, element, row, count, key, header.parameters)
        if coefficient is not None:
            return Place(element=element, coefficient=coefficient)
    return None


def show(header: RoundHeader, sealed: Sealed, ciphertext: bytes, place: Place) -> Shown:
    """Return what a member is shown of one contribution. Run by the coordinator."""
    layout = layout_of(header)
    rows, hashes = layout.rows(ciphertext), tuple(ciphertext_leaves(layout, ciphertext))
    shown = _shown_elements(place)
    return Shown(
        sealed=sealed,
        rows=tuple(rows[element].tobytes() for element in shown),
        proofs=tuple(inclusion_proof(hashes, element) for element in shown),
    )


def answer_blame(
    header: RoundHeader,
    request: BlameRequest,
    *,
    me: bytes,
    committed: Committed,
    transport: TransportPrivateKey,
    notary: Notary,
    signer: StatementSigner,
) -> BlameAnswer:
    """Return this member's signed values. Run by the member.

    Obligations, in order:

    1. The request is for this header.
    2. The leaves are the included set on the ledger, of at least ``n_min``.
    3. Every leaf speaks of this round and is signed by its client's registered key.
    4. Every box is the one that its client signed for this member, and opens to a share.
    5. The rows are those of the signed ciphertexts.
    6. The key opens the sum of the check elements: a sum of this round is public already.
    7. The sum of the failed ring element is not what honest parties cause, and the place is the first such coefficient
       without weights or counters.

    Raises:
        VerificationError: The first obligation that is not met; its number is in the message.
    """
    _expecting(1)(request.header == header.digest, "the request is for another header")
    sealed = [shown.sealed for shown in request.included]
    pairs = [(s.leaf.statement.member, notary.digest(s.leaf.statement)) for s in sealed]
    same = bool(pairs) and (notary.root(pairs), len(pairs)) == (
        committed.included_root,
        committed.included_count,
    )
    _expecting(2)(same and len(pairs) >= header.n_min, "not the included set on the ledger")
    for entry in sealed:
        expect_leaf(header, entry, signers=committed.signers, notary=notary, expect=_expecting(3))
    _check_failure(header, request)
    parameters, position = PARAMETER_SETS[header.parameter_set], header.point_of(me) - 1
    functional = coefficient_functional(
        parameters, header.digest, request.place.element, request.place.coefficient
    )
    values = []
    for entry in sealed:
        expect_box(header, entry, position, expect=_expecting(4))
        share = open_share(header, entry, position, transport)
        if share is None:
            _expecting(4)(False, f"the box of {entry.leaf.statement.member.hex()} does not open to a share")
        else:
            values.append(functional.at(share))
    statement = BlameStatement(
        run=header.run,
        round=header.round,
        member=me,
        header=header.digest,
        included=committed.included_root,
        place=request.place.digest,
        values=digest(Label.BLAME_VALUES, encode_values(tuple(values))),
    )
    return BlameAnswer(statement=statement, values=tuple(values), signature=signer.sign(statement))


def _check_failure(header: RoundHeader, request: BlameRequest) -> None:
    """(5) to (7)."""
    layout, place = layout_of(header), request.place
    _expecting(7)(CHECK_ELEMENTS <= place.element < layout.elements, "no such payload element")
    shown = _shown_elements(place)
    sums = np.zeros((len(shown), layout.params.degree), np.uint64)
    for entry in request.included:
        root = entry.sealed.leaf.statement.ciphertext
        try:
            for element, row, proof in zip(shown, entry.rows, entry.proofs, strict=True):
                verify_inclusion(root, element_leaf(layout, row), element, layout.elements, proof)
            rows = np.concatenate([layout.coefficients(row, 1) for row in entry.rows])
            sums = (sums + rows) % np.uint64(layout.params.modulus)  # < 2q < 2^62 before the reduction
        except (VerificationError, DecodeError) as error:
            raise VerificationError(f"blame check (5): {error}", party="coordinator") from error
    count = len(request.included)
    try:
        key = shamir.decode_vector(layout.params, request.key)
        verify_rows(layout, header.digest, sums[:CHECK_ELEMENTS], key)
    except (VerificationError, DecodeError) as error:
        raise VerificationError(f"blame check (6): {error}", party="coordinator") from error
    found = failing_coefficient(layout, header.digest, place.element, sums[-1], count, key, header.parameters)
    _expecting(7)(found == place.coefficient, "the sum did not fail first at this place")


def verify_blame_answer(
    header: RoundHeader,
    answer: BlameAnswer,
    *,
    place: Place,
    included_root: bytes,
    included_count: int,
    signers: Mapping[bytes, bytes],
    notary: Notary,
) -> None:
    """Check one member's answer.

    Obligations, in order:

    1. The member has a seat.
    2. The answer is for this header, this included set and this place.
    3. It signs these values, one for each included contribution, each a residue.
    4. The member's registered key signed it.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    statement = answer.statement
    member = statement.member
    ours = (header.run, header.round, header.digest, included_root, place.digest)
    spoken = (statement.run, statement.round, statement.header, statement.included, statement.place)
    q = PARAMETER_SETS[header.parameter_set].modulus
    signed = digest(Label.BLAME_VALUES, encode_values(answer.values)) == statement.values
    in_range = all(value < q for value in answer.values) and len(answer.values) == included_count
    checks = (
        (1, member in {seat.address for seat in header.committee}, "the member has no seat"),
        (2, spoken == ours, "the answer is for another round, set or place"),
        (3, signed and in_range, "the values are not the signed ones"),
    )
    for number, holds, problem in checks:
        if not holds:
            raise VerificationError(f"blame answer ({number}): {problem}", party=member.hex())
    try:
        notary.verify(statement, answer.signature, signers[member])
    except VerificationError as error:
        raise VerificationError(f"blame answer (4): {error}", party=member.hex()) from error


def name_spoilers(
    header: RoundHeader,
    *,
    place: Place,
    coefficients: Sequence[tuple[bytes, int]],
    answers: Mapping[bytes, Sequence[int]],
) -> tuple[bytes, ...]:
    """Return the clients whose ciphertext is not well-formed at ``place``, ascending. Anybody gets the same names.

    A client is cleared as soon as t members' values combine to a secret under which its coefficient is well-formed. So of
    k who answer, k - t may lie and nobody honest is named. With just t answers one lie would do it, and nobody is named
    at all: the price is that a spoiler goes unnamed while only t members answer.

    Args:
        header: The round.
        place: Where.
        coefficients: (client, its wire coefficient there) of U, ascending by client.
        answers: Member to its checked values, in the order of ``coefficients``.

    Raises:
        LocalProtocolError: Fewer than t members answered.
    """
    if len(answers) < header.threshold:
        raise LocalProtocolError(f"{header.threshold} members must answer, {len(answers)} did")
    if len(answers) == header.threshold:
        return ()
    layout, threshold = layout_of(header), header.threshold
    q, scale = layout.params.modulus, 1 << layout.packing.dropped_bits
    spoilers = []
    for i, (client, wire) in enumerate(coefficients):
        values = {header.point_of(member): said[i] for member, said in answers.items()}
        secrets = (
            value_at_zero(q, threshold, values, agreeing) for agreeing in candidates(q, threshold, values)
        )
        if not any(well_formed(layout, (wire * scale - secret) % q, 1) for secret in secrets):
            spoilers.append(client)
    return tuple(spoilers)


def coefficient_at(header: RoundHeader, ciphertext: bytes, place: Place) -> int:
    """Return a ciphertext's wire coefficient at ``place``."""
    layout = layout_of(header)
    row = layout.rows(ciphertext)[place.element].tobytes()
    return int(layout.coefficients(row, 1)[0, place.coefficient])


def _shown_elements(place: Place) -> tuple[int, ...]:
    return (*range(CHECK_ELEMENTS), place.element)


def _expecting(number: int) -> Expect:
    def expect(condition: bool, problem: str) -> None:
        if not condition:
            raise VerificationError(f"blame check ({number}): {problem}", party="coordinator")

    return expect
