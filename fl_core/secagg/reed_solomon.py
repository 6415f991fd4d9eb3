"""Which of several answers lie on one polynomial: Shamir's shares as words of a Reed-Solomon code.

Values f(x) of a polynomial f of degree < t at k points are a codeword of distance k - t + 1 [Reed and Solomon, 1960;
McEliece and Sarwate, CACM 24(9), 1981]. With at most (k - t)/2 wrong values f is unique and Gao's algorithm finds it
[Gao, "A new algorithm for decoding Reed-Solomon codes", 2003]. With more, several polynomials may agree with t values or
more; each is a *candidate*, and whoever can recognise the right one (a key opens ciphertexts or it does not) goes on.

Plain integers: a committee has at most 128 members, and this runs once a round, or once for each party that is in dispute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import comb

from fl_core.errors import LocalProtocolError

MAX_SUBSETS = 5000
"""Most sets of t values that are tried one by one beyond the reach of unique decoding: all of them up to 16 members."""

Polynomial = list[int]
"""Coefficients mod q, lowest first, the highest not zero; empty for zero."""


def candidates(q: int, threshold: int, values: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
    """Give the sets of points whose values lie on one polynomial of degree < ``threshold``, the likeliest first.

    Args:
        q: The prime modulus.
        threshold: t, at least 1.
        values: Point to value in [0, q); at least t of them, points in [1, q).

    Yields:
        Points, ascending, at least t; each set once. First the one that unique decoding finds, then, where there are few
        enough sets to try, all others by size.

    Raises:
        LocalProtocolError: Fewer than t values.
    """
    points = sorted(values)
    if threshold < 1 or len(points) < threshold:
        raise LocalProtocolError(f"{threshold} values make a polynomial, not {len(points)}")
    unique = _unique(q, threshold, values, points)
    if unique is not None:
        yield unique
        if len(unique) == len(points):
            return
    if comb(len(points), threshold) > MAX_SUBSETS:
        return
    found = {_agreeing(q, basis, values, points) for basis in combinations(points, threshold)}
    yield from sorted(found - {unique}, key=lambda agreeing: (-len(agreeing), agreeing))


def value_at_zero(q: int, threshold: int, values: Mapping[int, int], agreeing: Sequence[int]) -> int:
    """Return f(0) for the polynomial through the first t of ``agreeing``."""
    return _interpolate(q, agreeing[:threshold], values, 0)


def _agreeing(
    q: int, basis: Sequence[int], values: Mapping[int, int], points: Sequence[int]
) -> tuple[int, ...]:
    """Return the points whose values lie on the polynomial through ``basis``."""
    return tuple(x for x in points if x in basis or _interpolate(q, basis, values, x) == values[x])


def _interpolate(q: int, basis: Sequence[int], values: Mapping[int, int], at: int) -> int:
    """Lagrange's formula at one point."""
    total = 0
    for i in basis:
        numerator = denominator = 1
        for j in basis:
            if j != i:
                numerator = numerator * (at - j) % q
                denominator = denominator * (i - j) % q
        total += values[i] * numerator * pow(denominator, -1, q)
    return total % q


def _unique(
    q: int, threshold: int, values: Mapping[int, int], points: Sequence[int]
) -> tuple[int, ...] | None:
    """Gao's algorithm: return the agreeing points if at most (k - t)/2 values are wrong, else None.

    g0 vanishes at all points, g1 takes the values; the extended Euclidean algorithm on (g0, g1) is stopped at the first
    remainder g of degree < (k + t)/2, with g = u*g0 + v*g1; then f = g / v, if that is a polynomial of degree < t.
    """
    if _agreeing(q, points[:threshold], values, points) == tuple(points):
        return tuple(points)
    previous, current = _vanishing(q, points), _through(q, values, points)
    v_previous, v_current = [], [1]
    while 2 * (len(current) - 1) >= len(points) + threshold:
        quotient, remainder = _divide(q, previous, current)
        previous, current = current, remainder
        v_previous, v_current = v_current, _subtract(q, v_previous, _multiply(q, quotient, v_current))
    f, remainder = _divide(q, current, v_current)
    if remainder or len(f) > threshold:
        return None
    agreeing = tuple(x for x in points if _evaluate(q, f, x) == values[x])
    return agreeing if 2 * len(agreeing) >= len(points) + threshold else None


def _vanishing(q: int, points: Sequence[int]) -> Polynomial:
    product = [1]
    for x in points:
        product = _multiply(q, product, [-x % q, 1])
    return product


def _through(q: int, values: Mapping[int, int], points: Sequence[int]) -> Polynomial:
    """Newton's divided differences: the polynomial of degree < k through all values."""
    result: Polynomial = []
    basis = [1]
    for x in points:
        factor = (values[x] - _evaluate(q, result, x)) * pow(_evaluate(q, basis, x), -1, q) % q
        result = _subtract(q, result, [-factor * c % q for c in basis])
        basis = _multiply(q, basis, [-x % q, 1])
    return result


def _evaluate(q: int, polynomial: Polynomial, x: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % q
    return value


def _multiply(q: int, a: Polynomial, b: Polynomial) -> Polynomial:
    product = [0] * (len(a) + len(b) - 1) if a and b else []
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] = (product[i + j] + x * y) % q
    return product


def _subtract(q: int, a: Polynomial, b: Polynomial) -> Polynomial:
    length = max(len(a), len(b))
    padded = zip(a + [0] * (length - len(a)), b + [0] * (length - len(b)), strict=True)
    return _trim([(x - y) % q for x, y in padded])


def _divide(q: int, a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Return quotient and remainder; ``b`` is not zero."""
    remainder, inverse = list(a), pow(b[-1], -1, q)
    quotient = [0] * max(0, len(a) - len(b) + 1)
    for shift in reversed(range(len(quotient))):
        factor = remainder[shift + len(b) - 1] * inverse % q
        quotient[shift] = factor
        for i, coefficient in enumerate(b):
            remainder[shift + i] = (remainder[shift + i] - factor * coefficient) % q
    return _trim(quotient), _trim(remainder)


def _trim(polynomial: Polynomial) -> Polynomial:
    while polynomial and polynomial[-1] == 0:
        polynomial.pop()
    return polynomial
