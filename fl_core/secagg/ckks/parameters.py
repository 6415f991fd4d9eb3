"""The parameter set of the CKKS mode, made for sums and nothing else, and how exact a sum is.

**Choice.** Common practice takes degree 8192 with primes of 60, 40 and 40 bits at scale 2^40: one multiplicative level
that averaging never uses, and asymmetric encryption that nobody needs where the encrypting party holds the key. Here:

* one data prime, no level. A ciphertext has two polynomials with one residue per coefficient, and a ciphertext of N
  coefficients carries N/2 values, so a value costs 4 * 32 / 8 = 16 bytes (and what SEAL's framing adds), whatever N is;
* 32 bits for it, because SEAL stores residues as words of eight bytes and its compression only gains where whole bytes
  are zero: 31 or 28 bits come out longer, 33 bits cost three bytes more;
* a second prime that SEAL demands for its key-switching keys. They are made inside TenSEAL and never leave it;
* N = 2048: the smallest degree that holds both primes. It makes the noise in a slot small and fits small models.

**Security.** The product of both primes has 52 bits. For N = 2048, a uniform ternary secret and 128 bits against
classical attacks, the HomomorphicEncryption.org standard [Albrecht18, Table 1] allows 54, and SEAL refuses more. What
leaves a holder uses the data prime alone (32 bits), which is harder still. Fresh randomness for every ciphertext.
CKKS is secure against chosen plaintexts only: whoever can see *decrypted* values learns about the noise and with it the
key [LiMicciancio21]. Decrypted sums stay among the holders, who have the key, and models made from them are rounded.

**Scale.** n values of at most 1 must not wrap: n * scale <= 2^30, a quarter of the prime. So scale = 2^(30 - ceil(log2 n)).

**Precision.** A slot of a sum of n ciphertexts is off by the real part of sum_k e_k * zeta^k / scale, where every e_k is a
sum of n centred binomial errors (42 fair bits, variance 10.5; SEAL, ``sample_poly_cbd``) and n rounding errors of at most
1/2. Both are subgaussian with proxies 10.5 and 1/4, and sum_k cos^2(arg zeta^k) = N/2 for every odd root, hence for
all of P slots at once (:func:`error_bound`)

    Pr[some slot is off by more than  z * sqrt(10.75 * n * N/2) / scale]  <=  2^-40,    z = sqrt(2 ln(2^41 P)).

That takes the rounding errors for independent, and leaves out the double precision transforms (below 2^-40 of the values).
With four holders and ten million values it is 7.4e-6 of the clip; the standard deviation is 7.8e-7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fl_core.errors import LocalProtocolError

MAX_HOLDERS = 64
"""Most holders of a run; digits of counters stay exact up to here, see :mod:`fl_core.secagg.ckks.vector`."""

FAILURE_BITS = 40
"""A sum breaks :func:`error_bound` with a probability of at most 2^-40."""

_NOISE_PROXY = 10.5 + 0.25
_ROOM_BITS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CkksParameters:
    """Constants of one parameter set.

    Attributes:
        name: What terms and policies call it.
        degree: N, degree of the ring.
        prime_bits: Sizes of the data prime and of SEAL's special prime.
        primes: The primes that SEAL takes for these sizes: the largest that are 1 modulo 2N.
    """

    name: str
    degree: int
    prime_bits: tuple[int, int]
    primes: tuple[int, int]

    @property
    def slots(self) -> int:
        """Values in one ciphertext."""
        return self.degree // 2

    def scale(self, holders: int) -> float:
        """Return the scale for sums over at most ``holders`` vectors of values in [-1, 1].

        Raises:
            LocalProtocolError: More than :data:`MAX_HOLDERS`, or none.
        """
        if not 1 <= holders <= MAX_HOLDERS:
            raise LocalProtocolError(f"a CKKS sum has 1 to {MAX_HOLDERS} holders, not {holders}")
        return 2.0 ** (_ROOM_BITS - (holders - 1).bit_length())

    def chunks(self, length: int) -> int:
        """Return the number of ciphertexts that carry ``length`` values."""
        return -(-length // self.slots)


CKKS2048 = CkksParameters(name="CKKS2048", degree=2048, prime_bits=(32, 20), primes=(4294955009, 1032193))
"""Sums over up to 64 holders; 128 bits classical; 16.6 bytes per value."""


def error_bound(params: CkksParameters, holders: int, summed: int, length: int) -> float:
    """Return how far any of ``length`` slots of a sum can be off, except with probability 2^-:data:`FAILURE_BITS`.

    Args:
        params: The parameter set.
        holders: Size of the cohort; decides the scale.
        summed: Ciphertexts in the sum, n.
        length: Number of values, P.

    Returns:
        In units of the slots, which lie in [-1, 1] for one upload.
    """
    z = math.sqrt(2 * math.log(2.0 ** (FAILURE_BITS + 1) * length))
    return z * math.sqrt(_NOISE_PROXY * summed * params.degree / 2) / params.scale(holders)
