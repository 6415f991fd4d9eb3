"""The stated security is what the attacks cost, computed again; and the computation gives what the lattice estimator prints."""

from __future__ import annotations

import math

import pytest

from fl_core.lattice.parameters import P2048, P4096, PACKINGS, PARAMETER_SETS, P4096g
from fl_core.secagg.layout import Layout
from tests.architecture.sources import ROOT
from tests.security_estimate import (
    ATTACKS,
    ESTIMATOR,
    ESTIMATOR_COMMIT,
    ESTIMATOR_CORE_SVP,
    PRINTED,
    bdd,
    core_svp,
    dual,
    instance_of,
    usvp,
)

PAGE = ROOT / "docs/explanation/parameters.md"


@pytest.mark.parametrize("known", PRINTED)
def test_the_computation_gives_what_the_lattice_estimator_prints(known):
    instance, by_usvp, by_bdd = PRINTED[known]
    if by_usvp is not None:
        assert abs(usvp(instance).bits - by_usvp) <= 0.1
    assert abs(bdd(instance).bits - by_bdd) <= 0.1


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_stated_security_is_the_least_of_the_estimators_figures_rounded_down(params):
    assert math.floor(min(ESTIMATOR[params.name])) == params.security_bits


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_computation_gives_what_the_estimator_gave_for_our_sets(params):
    instance, given = instance_of(params.name), dict(zip(ATTACKS, ESTIMATOR[params.name], strict=True))
    costs = [attack(instance).bits for attack in (usvp, bdd, dual)]
    assert abs(costs[0] - given["usvp"]) <= 0.1
    assert abs(costs[1] - given["bdd"]) <= 0.1
    assert abs(costs[2] - given["dual"]) <= 0.3
    assert abs(usvp(instance, core_svp).bits - ESTIMATOR_CORE_SVP[params.name]) <= 0.1
    assert math.floor(min(costs)) == params.security_bits


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_page_has_the_estimators_figures_and_those_of_the_computation(params):
    name, instance, page = params.name, instance_of(params.name), PAGE.read_text()
    given = [f"{bits:.1f}" for bits in (*ESTIMATOR[name], ESTIMATOR_CORE_SVP[name])]
    assert f"| `{name}` | {params.security_bits} | {' | '.join(given)} |" in page
    computed = [attack(instance) for attack in (usvp, bdd, dual)] + [usvp(instance, core_svp)]
    assert f"| `{name}` | {' | '.join(f'{attack.bits:.1f}' for attack in computed)} |" in page


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_figures_are_for_the_samples_that_the_smallest_message_gives(params):
    layout = Layout(params=params, packing=PACKINGS["PACK15"], length=1)
    sent = layout.elements * params.degree
    assert instance_of(params.name).samples == sent - params.degree


def test_the_page_names_the_commit_and_the_call():
    page = PAGE.read_text()
    assert page.count(ESTIMATOR_COMMIT) == 2
    assert "LWE.estimate(" in page


def test_less_noise_or_a_larger_modulus_is_less_secure():
    instance = instance_of("P2048")
    for weaker in ({"sigma": 2.0}, {"modulus": 2**58}):
        changed = type(instance)(**{**vars(instance), **weaker})
        assert all(attack(changed).bits < attack(instance).bits for attack in (usvp, bdd, dual))


def test_the_sets_are_ordered_as_the_figures_say():
    costs = [bdd(instance_of(params.name)).bits for params in (P2048, P4096g, P4096)]
    assert costs == sorted(costs)
