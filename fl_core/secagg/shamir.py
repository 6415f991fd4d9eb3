"""Shamir's secret sharing of ring elements over Z_q [Shamir79], coefficient by coefficient.

For threshold t the dealer draws f_1, ..., f_{t-1} uniform in Z_q^N and gives the member at point x::

    share(x) = s + f_1*x + f_2*x^2 + ... + f_{t-1}*x^(t-1) mod q

Fewer than t shares are independent of s. Shares at one point add up to a share of the sum of the secrets, and that is
what members answer with: the aggregate key S is the value at 0 of the polynomial through the summed shares.

Points are distinct integers in [1, :data:`MAX_POINT`]; 0 would be the secret itself. Members sit at points 1..m.

Shares of single secrets are secrets. They are plain arrays here, because they are made, sealed or summed at once; they
are never put into messages other than sealed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.lattice.parameters import ParameterSet
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream
from fl_core.secagg.round_secret import RoundSecret

Words = npt.NDArray[np.uint64]

MAX_POINT = 1 << 16
"""The largest point; far below every modulus, so distinct points are distinct residues."""


def share(
    params: ParameterSet, secret: RoundSecret, threshold: int, points: Sequence[int], stream: Stream
) -> tuple[Words, ...]:
    """Split ``secret``. This is run by the client.

    Args:
        params: The parameter set.
        secret: s.
        threshold: t, in [1, number of points].
        points: Distinct, in [1, :data:`MAX_POINT`]; one for each member.
        stream: Secret and fresh, ``Stream(seed, Label.SHARING)``; f_1, ..., f_{t-1} are drawn from it in this order, as
            :meth:`~fl_core.lattice.ring.Ring.sample_transformed` does.

    Returns:
        For each point, in order, (N,) uint64 with values in [0, q).

    Raises:
        LocalProtocolError: The points or the threshold are not as described, or the secret is of another set.
    """
    _check_points(points)
    if not 1 <= threshold <= len(points):
        raise LocalProtocolError(
            f"a threshold of {threshold} needs at least as many points, not {len(points)}"
        )
    if secret.params != params:
        raise LocalProtocolError(f"the secret is not of {params.name}")
    ring = Ring.of(params)
    coefficients = (secret.reveal(), *ring.sample_transformed(stream, threshold - 1))
    return tuple(_evaluate(ring, coefficients, point) for point in points)


def add_shares(params: ParameterSet, shares: Iterable[Words]) -> Words:
    """Return the sum mod q of shares at one point. This is run by a member, over the included set.

    Args:
        params: The parameter set.
        shares: (N,) uint64 each, values in [0, q); at least one.

    Raises:
        LocalProtocolError: There is none, or one is not a vector of residues.
    """
    ring, total = Ring.of(params), None
    for vector in shares:
        _check_vector(params, vector)
        total = vector.copy() if total is None else ring.multiply_add(vector, 1, total)
    if total is None:
        raise LocalProtocolError("a sum of no shares has no meaning in the protocol")
    return total


def combine(params: ParameterSet, threshold: int, shares: Mapping[int, Words]) -> Words:
    """Return the value at 0 of the polynomial of degree < t through **all** the given shares.

    The first t points (ascending) fix the polynomial; every further share must lie on it. So with more than t shares a
    wrong one is detected, though not yet named; with exactly t there is nothing to compare with, and the caller owes
    :func:`fl_core.secagg.decrypt.verify_aggregate_key` in any case.

    Args:
        params: The parameter set.
        threshold: t.
        shares: Point to (N,) uint64 with values in [0, q); at least t of them.

    Returns:
        S, (N,) uint64, values in [0, q).

    Raises:
        VerificationError: (1) fewer than t shares, (2) shares beyond the first t that are not on their polynomial.
        LocalProtocolError: A point or a vector is not as described.
    """
    points = sorted(shares)
    _check_points(points)
    for vector in shares.values():
        _check_vector(params, vector)
    # (1)
    if threshold < 1 or len(points) < threshold:
        raise VerificationError(f"{threshold} shares are needed, {len(points)} were given")
    ring, basis = Ring.of(params), points[:threshold]
    # (2)
    for point in points[threshold:]:
        if not np.array_equal(_interpolate(ring, basis, shares, point), shares[point]):
            raise VerificationError(f"the shares of {len(points)} members do not lie on one polynomial")
    return _interpolate(ring, basis, shares, 0)


def encode_vector(params: ParameterSet, vector: Words) -> bytes:
    """Return the canonical form of a share or key: the set's ``residue_bytes``, little-endian, for each residue.

    Args:
        params: The parameter set.
        vector: (N,) uint64, values in [0, q).

    Raises:
        LocalProtocolError: It is not a vector of residues.
    """
    _check_vector(params, vector)
    octets = np.ascontiguousarray(vector, "<u8").view(np.uint8).reshape(params.degree, 8)
    return octets[:, : params.residue_bytes].tobytes()


def decode_vector(params: ParameterSet, encoded: bytes) -> Words:
    """Invert :func:`encode_vector`; no two byte strings decode to the same vector.

    Returns:
        (N,) uint64, values in [0, q).

    Raises:
        DecodeError: Another length, or a residue that is not below the modulus.
    """
    if len(encoded) != vector_bytes(params):
        raise DecodeError(f"a vector of {params.name} has {vector_bytes(params)} bytes, not {len(encoded)}")
    octets = np.zeros((params.degree, 8), np.uint8)
    octets[:, : params.residue_bytes] = np.frombuffer(encoded, np.uint8).reshape(params.degree, -1)
    vector = octets.view("<u8").reshape(-1).astype(np.uint64, copy=False)
    if int(vector.max()) >= params.modulus:
        raise DecodeError(f"a vector of {params.name} has a residue that is not below the modulus")
    return vector


def vector_bytes(params: ParameterSet) -> int:
    """Return the number of bytes of an encoded vector."""
    return params.residue_bytes * params.degree


def _evaluate(ring: Ring, coefficients: Sequence[Words], point: int) -> Words:
    """Horner's rule, highest coefficient first; every step is reduced below q."""
    value = coefficients[-1].copy()
    for coefficient in coefficients[-2::-1]:
        value = ring.multiply_add(value, point, coefficient)
    return value


def _interpolate(ring: Ring, basis: Sequence[int], shares: Mapping[int, Words], at: int) -> Words:
    """Return sum over i of shares[i] * prod over j != i of (at - j)/(i - j) mod q, i and j in ``basis``."""
    q = ring.params.modulus
    total = np.zeros(ring.degree, np.uint64)
    for i in basis:
        numerator = denominator = 1
        for j in basis:
            if j != i:
                numerator = numerator * (at - j) % q
                denominator = denominator * (i - j) % q
        total = ring.multiply_add(shares[i], numerator * pow(denominator, -1, q) % q, total)
    return total


def _check_points(points: Sequence[int]) -> None:
    if len(set(points)) != len(points) or any(not 1 <= point <= MAX_POINT for point in points):
        raise LocalProtocolError(f"points are distinct integers in [1, {MAX_POINT}]")


def _check_vector(params: ParameterSet, vector: Words) -> None:
    if vector.shape != (params.degree,) or vector.dtype != np.uint64 or not vector.flags.c_contiguous:
        raise LocalProtocolError(f"a vector of {params.name} is ({params.degree},) uint64, contiguous")
    if int(vector.max()) >= params.modulus:
        raise LocalProtocolError(f"a vector of {params.name} has residues below the modulus")
