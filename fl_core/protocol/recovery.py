"""The aggregate key from the members' answers, and the names of those who lied.

Step 7 of the protocol (``docs/explanation/protocol.md``). Every answer is a vector; one public random combination of its
residues is one word of a Reed-Solomon code, so liars are found on single residues and only then the whole key is
interpolated from the others. Which candidate is right, the caller can see: the key opens the check elements, or it is the
one on the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.lattice.ring import Ring
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.setup import layout_of
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import verify_aggregate_key
from fl_core.secagg.functional import Functional
from fl_core.secagg.reed_solomon import candidates, value_at_zero

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecoveredKey:
    """The aggregate key.

    Attributes:
        key: S, (N,) uint64, transform domain. Public: it opens one sum.
        liars: Members whose answer is not their share of it, ascending. With at most (k - t)/2 of k they are exactly
            these. More of them together can make false answers that combine to the right key with some honest ones; then
            everybody is named who disagrees with one of the sets of t answers or more that combine to it.
    """

    key: Words
    liars: tuple[bytes, ...]


def recover_key(
    header: RoundHeader, shares: Mapping[bytes, Words], *, accept: Callable[[Words], bool]
) -> RecoveredKey:
    """Return the aggregate key that ``accept`` takes, from at least t answers.

    Args:
        header: The round.
        shares: Member to its answer, (N,) uint64, values in [0, q).
        accept: Says whether a key is the right one.

    Raises:
        LocalProtocolError: Fewer than t answers.
        VerificationError: No t answers combine to the right key: too many members lied.
    """
    parameters, threshold = PARAMETER_SETS[header.parameter_set], header.threshold
    if len(shares) < threshold:
        raise LocalProtocolError(f"{threshold} answers open the aggregate key, {len(shares)} came")
    by_point = {header.point_of(member): share for member, share in shares.items()}
    probe = _probe(header, shares)
    values = {point: probe.at(share) for point, share in by_point.items()}
    key: Words | None = None
    agreed, value = set(values), -1
    for agreeing in candidates(parameters.modulus, threshold, values):
        if key is None:
            try:
                found = shamir.combine(parameters, threshold, {point: by_point[point] for point in agreeing})
            except VerificationError:
                continue  # equal in the combination and not in all residues: with probability below 2^-45
            if accept(found):
                key, value = found, probe.at(found)
        if key is not None and value_at_zero(parameters.modulus, threshold, values, agreeing) == value:
            agreed &= set(agreeing)
            if 2 * len(agreeing) >= len(shares) + threshold:
                break
    if key is None:
        raise VerificationError(f"of {len(shares)} answers no {threshold} combine to the aggregate key")
    return RecoveredKey(key=key, liars=tuple(sorted(m for m in shares if header.point_of(m) not in agreed)))


def opens(header: RoundHeader, sums: Words, count: int) -> Callable[[Words], bool]:
    """Return the test whether a key opens the check elements of ``sums``, (elements, N) uint64, of ``count`` clients."""
    layout = layout_of(header)

    def accept(key: Words) -> bool:
        try:
            verify_aggregate_key(layout, header.digest, sums, count, key)
        except VerificationError:
            return False
        return True

    return accept


def _probe(header: RoundHeader, shares: Mapping[bytes, Words]) -> Functional:
    """Return a combination that follows from all answers, so that nobody could fit its own to it."""
    parameters = PARAMETER_SETS[header.parameter_set]
    answered = (shamir.encode_vector(parameters, shares[member]) for member in sorted(shares))
    stream = Stream(digest(Label.PROBE, header.digest, *answered), Label.PROBE)
    return Functional(parameters, Ring.of(parameters).sample_transformed(stream, 1)[0])
