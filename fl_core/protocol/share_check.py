"""The share check: before any sum is opened, everybody sees whose shares fit whose ciphertext.

Step 4 of the protocol (``docs/explanation/protocol.md``), after V is on the ledger and before U is. Each member returns for
every accepted contribution the value of one public functional at its share (:mod:`fl_core.secagg.functional`): one
residue, of which fewer than t say nothing, and t or more give one combination of that client's noise and nothing of its
update. From the signed values and the check elements of the ciphertexts anybody computes the same verdicts
(:func:`judge`). The caller owes the once-only rule: one answer per round, stored before it leaves.

Own construction, not yet reviewed by outsiders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS, ParameterSet
from fl_core.protocol.check_messages import NO_VALUE, CheckAnswer, CheckRequest, encode_values
from fl_core.protocol.exclusions import Exclusion, Exclusions, Reason
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.sealed_check import Expect, expect_box, expect_leaf, open_share
from fl_core.protocol.setup import layout_of
from fl_core.protocol.statements import CheckStatement, Notary, StatementSigner
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secagg.functional import challenge, check_functional, combine_checks, fits
from fl_core.secagg.reed_solomon import candidates, value_at_zero

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedOnLedger:
    """What the ledger's final state says about a round's accepted set.

    Attributes:
        root: Root of V.
        count: Its size.
        signers: Signing key's address of every client of the cohort, as registered when the round was opened.
    """

    root: bytes
    count: int
    signers: Mapping[bytes, bytes]


def answer_check(
    header: RoundHeader,
    request: CheckRequest,
    *,
    me: bytes,
    committed: AcceptedOnLedger,
    transport: TransportPrivateKey,
    notary: Notary,
    signer: StatementSigner,
) -> CheckAnswer:
    """Return this member's signed values. Run by the member.

    Obligations, in order:

    1. The request is for this header.
    2. The leaves are the accepted set on the ledger.
    3. Every leaf speaks of this round and is signed by its client's registered key.
    4. Every box is the one that its client signed for this member. (One that does not open gets no value.)

    Raises:
        VerificationError: The first obligation that is not met; its number is in the message.
    """
    _expecting(1)(request.header == header.digest, "the request is for another header")
    pairs = [(s.leaf.statement.member, notary.digest(s.leaf.statement)) for s in request.accepted]
    same = bool(pairs) and (notary.root(pairs), len(pairs)) == (committed.root, committed.count)
    _expecting(2)(same, "not the accepted set on the ledger")
    parameters, position = PARAMETER_SETS[header.parameter_set], header.point_of(me) - 1
    functional = check_functional(
        parameters, header.digest, challenge(parameters, header.digest, committed.root)
    )
    values = []
    for sealed in request.accepted:
        expect_leaf(header, sealed, signers=committed.signers, notary=notary, expect=_expecting(3))
        expect_box(header, sealed, position, expect=_expecting(4))
        share = open_share(header, sealed, position, transport)
        values.append(NO_VALUE if share is None else functional.at(share))
    statement = CheckStatement(
        run=header.run,
        round=header.round,
        member=me,
        header=header.digest,
        accepted=committed.root,
        values=digest(Label.CHECK_VALUES, encode_values(tuple(values))),
    )
    return CheckAnswer(statement=statement, values=tuple(values), signature=signer.sign(statement))


def verify_check_answer(
    header: RoundHeader,
    answer: CheckAnswer,
    *,
    accepted_root: bytes,
    accepted_count: int,
    signers: Mapping[bytes, bytes],
    notary: Notary,
) -> None:
    """Check one member's answer.

    Obligations, in order:

    1. The member has a seat.
    2. The answer is for this header and this accepted set.
    3. It signs these values, one for each accepted contribution, each a residue or none.
    4. The member's registered key signed it.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    statement = answer.statement
    member = statement.member
    ours = (header.run, header.round, header.digest, accepted_root)
    spoken = (statement.run, statement.round, statement.header, statement.accepted)
    q = PARAMETER_SETS[header.parameter_set].modulus
    signed = digest(Label.CHECK_VALUES, encode_values(answer.values)) == statement.values
    in_range = all(value < q or value == NO_VALUE for value in answer.values)
    checks = (
        (1, member in {seat.address for seat in header.committee}, "the member has no seat"),
        (2, spoken == ours, "the answer is for another round or set"),
        (
            3,
            signed and in_range and len(answer.values) == accepted_count,
            "the values are not the signed ones",
        ),
    )
    for number, holds, problem in checks:
        if not holds:
            raise VerificationError(f"check answer ({number}): {problem}", party=member.hex())
    try:
        notary.verify(statement, answer.signature, signers[member])
    except VerificationError as error:
        raise VerificationError(f"check answer (4): {error}", party=member.hex()) from error


def combined_checks(header: RoundHeader, accepted_root: bytes, check_rows: bytes) -> int:
    """Return what :func:`judge` needs of one ciphertext: its first two ring elements under the round's challenges.

    Raises:
        DecodeError: The rows are not two ring elements.
    """
    challenges = challenge(PARAMETER_SETS[header.parameter_set], header.digest, accepted_root)
    return combine_checks(layout_of(header), check_rows, challenges)


def judge(
    header: RoundHeader,
    *,
    accepted_root: bytes,
    combined: Sequence[tuple[bytes, int]],
    answers: Mapping[bytes, Sequence[int]],
) -> Exclusions:
    """Return who is left out of the sum. Anybody gets the same result from the same answers.

    For each contribution the values of all members are decoded as a word of a Reed-Solomon code, and the decoded value is
    compared with the ciphertext's check elements. Whoever is in dispute with a member is left out, for one wrong share in
    the sum makes that member's answer useless. Nobody can tell whether the client or the member is at fault; so while too
    few contributions would be left, the members in dispute with the most of them count as *unreliable*, and their word
    counts no more. Members that lie can therefore have clients left out, but not void the round while t others answer.

    Args:
        header: The round.
        accepted_root: Root of V.
        combined: (client, :func:`combined_checks` of its ciphertext) of V, ascending by client.
        answers: Member to its checked values, in the order of ``combined``.

    Raises:
        LocalProtocolError: Fewer than t members answered.
    """
    if len(answers) < header.threshold:
        raise LocalProtocolError(f"{header.threshold} members must answer, {len(answers)} did")
    words = {
        client: (residue, {member: values[i] for member, values in answers.items()})
        for i, (client, residue) in enumerate(combined)
    }
    decide = partial(_disputes, header, challenge(_parameters(header), header.digest, accepted_root))
    disputes = {client: decide(residue, values) for client, (residue, values) in words.items()}
    unreliable: frozenset[bytes] = frozenset()
    while True:
        excluded = _excluded(disputes)
        counts = Counter(member for exclusion in excluded for member in exclusion.disputed_by)
        if not counts or len(words) - len(excluded) >= header.n_min:
            return Exclusions(excluded=excluded, unreliable=tuple(sorted(unreliable)))
        unreliable |= {member for member, count in counts.items() if count == max(counts.values())}
        for client, found in disputes.items():
            if found:
                residue, values = words[client]
                reliable = {member: value for member, value in values.items() if member not in unreliable}
                again = decide(residue, reliable)
                disputes[client] = found - unreliable if again is None else again


def _excluded(disputes: Mapping[bytes, frozenset[bytes] | None]) -> tuple[Exclusion, ...]:
    return tuple(
        Exclusion(
            client=client,
            reason=Reason.WRONG_KEY if found is None else Reason.BAD_SHARES,
            disputed_by=tuple(sorted(found or ())),
        )
        for client, found in disputes.items()
        if found is None or found
    )


def _disputes(
    header: RoundHeader, challenges: Words, combined: int, values: Mapping[bytes, int]
) -> frozenset[bytes] | None:
    """Return the members whose value does not belong to the secret of this ciphertext, or None when no secret fits.

    With at most (k - t)/2 wrong values of k, unique decoding finds the others and the answer is right. A member that lies
    knows the challenges, though, and can choose its value so that a wrong secret fits together with some honest values.
    So beyond unique decoding every secret that fits counts, and whoever disagrees with one of them is named: a member that
    lies about an honest client's share is among the names, perhaps with members that do not.
    """
    parameters = _parameters(header)
    given = {header.point_of(member): value for member, value in values.items() if value != NO_VALUE}
    if len(given) < header.threshold:
        return None
    fitting = []
    for agreeing in candidates(parameters.modulus, header.threshold, given):
        value = value_at_zero(parameters.modulus, header.threshold, given, agreeing)
        if fits(layout_of(header), challenges, combined, value):
            fitting.append(set(agreeing))
        if 2 * len(agreeing) >= len(given) + header.threshold:
            break  # the unique one; what fits beside it is the work of more liars than this
    if not fitting:
        return None
    agreed = set.intersection(*fitting)
    return frozenset(member for member in values if header.point_of(member) not in agreed)


def _parameters(header: RoundHeader) -> ParameterSet:
    return PARAMETER_SETS[header.parameter_set]


def _expecting(number: int) -> Expect:
    def expect(condition: bool, problem: str) -> None:
        if not condition:
            raise VerificationError(f"share check ({number}): {problem}", party="coordinator")

    return expect
