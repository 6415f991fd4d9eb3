"""How much noise an honest sum has, and how much is too much.

Opening a sum of n ciphertexts leaves, in each coefficient, the integer::

    noise = sum over the parties of (e_i + r_i)

* e = popcount - popcount of 64 + 64 random bits: mean 0, variance (64 + 64)/4 = 32;
* r, from rounding away d low bits half up: uniform on [-(2^(d-1) - 1), 2^(d-1)], so mean 1/2, variance (4^d - 1)/12.
  It is uniform because a*s is.

For d = 5: sigma^2 = 32 + 85.25 = 117.25 per party, sigma = 10.83, and the sum has mean n/2. For d = 13: sigma = 2365.

Bounds. Both parts are sums of independent fair signs about their means (r - 1/2 is that of 2^k/2 for k < d), so
Hoeffding's inequality holds with the variance itself: P(|noise - n/2| > x) <= 2*exp(-x^2 / (2*n*sigma^2)).

* A coefficient is *refused* beyond 9.5*sigma*sqrt(n) + n/2: probability at most 2*exp(-45.1) = 2^-64 for an honest one.
  A round of 10^8 values has 2^25.6 coefficients under PACK15, so it has an honest failure with probability below 2^-38.
* Decoding is *wrong* only beyond Delta/2. For 64 parties and Delta = 2^11 that is (1024 - 32)/86.6 = 11.4 sigma: below
  2^-68 per round of 10^8 values by the same bound, and below 2^-73 by the Gaussian tail.
  :func:`refusal_log2` and :func:`misread_log2` compute both for every packing.
* A *key* is refused when a coefficient of a check element exceeds 2^20 (2^24 for a 61-bit modulus), see
  :func:`key_noise_bound`.
"""

from __future__ import annotations

import math

from fl_core.lattice.parameters import Packing, ParameterSet

ERROR_VARIANCE = 32
"""Variance of e."""

MAX_DEVIATIONS = 9.5
"""Standard deviations beyond which a coefficient is refused."""


def noise_variance(packing: Packing) -> float:
    """Return the variance of one party's noise about its mean of 1/2."""
    return ERROR_VARIANCE + ((1 << 2 * packing.dropped_bits) - 1) / 12


def noise_bound(packing: Packing, count: int) -> int:
    """Return the largest |noise| accepted in a coefficient of the sum over ``count`` parties."""
    return int(MAX_DEVIATIONS * math.sqrt(count * noise_variance(packing)) + count / 2)


def refusal_log2(packing: Packing, count: int, coefficients: int) -> float:
    """Return a bound on log2 P(an honest sum over ``count`` parties is refused in one of so many coefficients)."""
    return _tail_log2(packing, count, noise_bound(packing, count) + 1, coefficients)


def misread_log2(packing: Packing, count: int, coefficients: int) -> float:
    """Return a bound on log2 P(an honest coefficient among so many has |noise| >= Delta/2, so that its message is misread)."""
    return _tail_log2(packing, count, packing.delta // 2, coefficients)


def _tail_log2(packing: Packing, count: int, least: int, coefficients: int) -> float:
    """Bound log2 P(|noise| >= least in one of ``coefficients``): Hoeffding about the mean n/2, and a union."""
    distance = least - count / 2
    exponent = distance**2 / (2 * count * noise_variance(packing))
    return 1 + math.log2(coefficients) - exponent * math.log2(math.e)


def key_noise_bound(params: ParameterSet) -> int:
    """Return the largest |coefficient| of a check element under the right aggregate key: B = 2^20 for 53 bits.

    If two keys pass, their difference d makes a_0*d and a_1*d shorter than 2B. For one d that is invertible, and uniform
    a_0, a_1, this has probability (4B/q)^(2N) at most; over all q^N of them (16*B^2/q)^N = 2^(-9N). A d that vanishes in
    some places of the transform lies in an ideal, whose shortest elements are longer; the same count goes through with a
    smaller exponent.
    """
    return 1 << (params.modulus.bit_length() // 2 - 6)
