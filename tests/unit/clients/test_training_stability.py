"""Quantisation in the loop of federated averaging: the whole-run bounds of docs/explanation/quantisation.md."""

import math

import numpy as np
import pytest

from clients.training.baselines import ROUNDS, Plan, federated_average
from clients.training.heart_disease import Examples, load_hospitals
from clients.training.local import evaluate
from clients.training.model import MAX_STABLE_LEARNING_RATE, initial_model
from fl_core.digests import Label, digest
from fl_core.models import flatten, specs_of, unflatten
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import Stream

CLIP = 1.0
CAP = 199  # examples; the largest hospital's
LARGEST = 4.0  # bound on every parameter
SEEDS = range(42, 47)
HOSPITALS = load_hospitals()


def quantiser(bits=15):
    return Quantiser(tuple(Block(s.name, s.size, CLIP) for s in specs_of(initial_model())), (), CAP, bits)


def quantised_run(plan, bits=15):
    """Federated averaging as :func:`federated_average`, with every update quantised and only the sum decoded."""
    tensors, clipped = initial_model(), 0
    one = quantiser(bits)
    for n in range(1, plan.rounds + 1):
        start = flatten(tensors)
        sums = np.zeros(one.length, np.int64)
        for name, hospital in HOSPITALS.items():
            update = flatten(plan.step(tensors, hospital.train, n, name)) - start
            seed = digest(Label.ROUNDING, bytes([plan.seed, n]), name.encode())
            units = one.weight_units(len(hospital.train))
            values, more = one.quantise(update, units, (), Stream(seed, Label.ROUNDING))
            sums += values
            clipped += more
        tensors = unflatten(start + one.dequantise(sums, len(HOSPITALS)).mean, specs_of(tensors))
        assert np.abs(flatten(tensors)).max() <= LARGEST
    assert clipped == 0, "the bounds hold where nothing is clipped"
    return tensors


def runs(plan, bits=15):
    """The protected and the plain model."""
    return quantised_run(plan, bits), federated_average(HOSPITALS, plan)


def distance(protected, plain):
    return float(np.linalg.norm(flatten(protected).astype(float) - flatten(plain)))


def bounds(rounds=ROUNDS):
    """The certain bound and the bound on the root mean square of the distance (propositions 3 and 4)."""
    size = quantiser().size
    units = sum(quantiser().weight_units(len(one.train)) for one in HOSPITALS.values())
    step = CLIP * len(HOSPITALS) / units
    roundings = 2.0**-21 * (CLIP + LARGEST)
    certain = rounds * math.sqrt(size) * (3 * step + roundings)
    random = math.sqrt(rounds * size * len(HOSPITALS)) * CLIP / units
    return certain, random + rounds * math.sqrt(size) * (step * (1 + 2.0**-16) + roundings)


@pytest.fixture(scope="module")
def pairs():
    return [runs(Plan(seed=seed)) for seed in SEEDS]


def test_a_quantised_run_stays_within_the_certain_bound_of_the_plain_run(pairs):
    certain, _ = bounds()
    assert 0 < max(distance(*pair) for pair in pairs) <= certain


def test_its_root_mean_square_distance_stays_within_the_smaller_bound(pairs):
    _, mean = bounds()
    assert math.sqrt(sum(distance(*pair) ** 2 for pair in pairs) / len(pairs)) <= mean


def test_the_documented_distances_are_the_measured_ones(pairs):
    assert max(distance(*pair) for pair in pairs) < 3e-4  # "within 0.0003", docs/reference/heart-disease.md


def test_the_bounds_are_tight_enough_to_reject_eight_bits():
    certain, _ = bounds()
    assert distance(*runs(Plan(seed=42), bits=8)) > certain


def test_thirty_rounds_at_the_largest_stable_rate_stay_within_the_bound_for_thirty_rounds():
    plan = Plan(seed=42, rounds=30, updates=40, learning_rate=MAX_STABLE_LEARNING_RATE)
    assert distance(*runs(plan)) <= bounds(30)[0]


def test_quantisation_changes_no_more_than_one_answer_in_254(pairs):
    test = Examples.joined(one.test for one in HOSPITALS.values())
    for protected, plain in pairs:
        assert abs(evaluate(protected, test).correct - evaluate(plain, test).correct) <= 1
