"""The stated security is what the attacks cost, computed again; and the computation gives what the lattice estimator prints."""

from __future__ import annotations

import math

import pytest

from fl_core.lattice.parameters import P2048, P4096, PARAMETER_SETS, P4096g
from tests.architecture.sources import ROOT
from tests.security_estimate import PRINTED, bdd, core_svp, dual, instance_of, usvp

CORE_SVP = {"P4096": 273, "P2048": 108, "P4096g": 226}
"""Bits, rounded down, also in docs/explanation/parameters.md."""


@pytest.mark.parametrize("known", PRINTED)
def test_the_computation_gives_what_the_lattice_estimator_prints(known):
    instance, by_usvp, by_bdd = PRINTED[known]
    if by_usvp is not None:
        assert abs(usvp(instance).bits - by_usvp) <= 0.1
    assert abs(bdd(instance).bits - by_bdd) <= 0.1


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_stated_security_is_the_least_cost_of_the_attacks_rounded_down(params):
    instance = instance_of(params.name)
    costs = [attack(instance).bits for attack in (usvp, bdd, dual)]
    assert math.floor(min(costs)) == params.security_bits
    assert min(costs) == costs[1]


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_page_has_the_table_that_the_computation_gives(params):
    instance = instance_of(params.name)
    cheapest = usvp(instance, core_svp)
    assert math.floor(cheapest.bits) == CORE_SVP[params.name]
    bits = [f"{attack(instance).bits:.1f}" for attack in (usvp, bdd, dual)]
    row = f"| `{params.name}` | {params.security_bits} | {' | '.join(bits)} | {cheapest.bits:.1f} | {cheapest.beta} |"
    assert row in (ROOT / "docs/explanation/parameters.md").read_text()


def test_less_noise_or_a_larger_modulus_is_less_secure():
    instance = instance_of("P2048")
    for weaker in ({"sigma": 2.0}, {"modulus": 2**58}):
        changed = type(instance)(**{**vars(instance), **weaker})
        assert all(attack(changed).bits < attack(instance).bits for attack in (usvp, bdd, dual))


def test_the_sets_are_ordered_as_the_figures_say():
    costs = [bdd(instance_of(params.name)).bits for params in (P2048, P4096g, P4096)]
    assert costs == sorted(costs)
