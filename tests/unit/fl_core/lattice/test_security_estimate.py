"""The order of magnitude of the security figures, by the simplest estimate there is: the primal attack and core-SVP.

[ADPS16, section 6.3]: BKZ with block size beta solves LWE in N dimensions with error sigma, given m samples, if

    sigma * sqrt(beta) <= delta^(2*beta - d - 1) * q^(m/d),    d = N + m + 1,
    delta = ((pi*beta)^(1/beta) * beta / (2*pi*e))^(1 / (2*(beta - 1)))

under the geometric series assumption, and costs at least 2^(0.292*beta) (sieving in dimension beta, once). A uniform secret
costs N samples to turn into one that is distributed like the error. The published figures are not this: they are the
least over several attacks and under another cost model, MATZOV, which counts what core-SVP leaves out.
"""

from __future__ import annotations

import math

import pytest

from fl_core.lattice.parameters import P2048, P4096, PARAMETER_SETS, P4096g

SIGMA_AFTER_HINT = 4.0  # sigma 5.66 of one client, given the sum of two clients' errors

CORE_SVP = {"P4096": 273, "P2048": 109, "P4096g": 226}
"""Bits, also quoted in docs/explanation/parameters.md."""


def solves(beta: int, degree: int, modulus: int) -> bool:
    log_q = math.log(modulus)
    log_delta = math.log((math.pi * beta) ** (1 / beta) * beta / (2 * math.pi * math.e)) / (2 * (beta - 1))
    target = math.log(SIGMA_AFTER_HINT * math.sqrt(beta))
    return any(
        target <= (2 * beta - d - 1) * log_delta + (d - degree - 1) / d * log_q
        for d in range(degree + 2, 4 * degree, 16)
    )


def block_size(degree: int, modulus: int) -> int:
    low, high = 60, 4 * degree  # bisection: a larger block size solves whatever a smaller one does
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if solves(middle, degree, modulus) else (middle + 1, high)
    return low


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_core_svp_gives_the_documented_order_of_magnitude(params):
    bits = 0.292 * block_size(params.degree, params.modulus)
    assert round(bits) == CORE_SVP[params.name]
    assert 0.75 * params.security_bits < bits < params.security_bits


def test_the_sets_are_ordered_as_the_figures_say():
    sizes = [block_size(params.degree, params.modulus) for params in (P2048, P4096g, P4096)]
    assert sizes == sorted(sizes)
    assert P2048.security_bits < P4096g.security_bits < P4096.security_bits
