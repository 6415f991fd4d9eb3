"""The task's figures: what the documentation states is what comes out."""

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.training.baselines import Plan, federated_average, local_only, pooled
from clients.training.heart_disease import Examples, Hospital, load_hospitals
from clients.training.local import LEARNING_RATE, evaluate, local_training, training_seed
from clients.training.model import (
    MAX_STABLE_LEARNING_RATE,
    design,
    initial_model,
    to_parameters,
    to_tensors,
)
from clients.training.split import stratified_split

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "heart-disease.md"
SEEDS = range(42, 47)


@pytest.fixture(scope="module")
def hospitals():
    return load_hospitals()


@pytest.fixture(scope="module")
def everyone(hospitals):
    return Examples.joined(one.test for one in hospitals.values())


def documented(row):
    """The accuracies in the table row that starts with ``row``."""
    line = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {row} |"))
    return [float(figure) for figure in re.findall(r"[01]\.\d{3}", line)]


def near(*figures):
    """Within half a percent: other versions of torch may draw other batches."""
    return pytest.approx(list(figures), abs=0.005)


def accuracies(models, examples):
    return [evaluate(model, examples).accuracy for model in models]


@pytest.fixture(scope="module")
def together(hospitals):
    return [federated_average(hospitals, Plan(seed=seed)) for seed in SEEDS]


def test_plain_federated_averaging_reaches_the_documented_accuracy(together, everyone):
    found = accuracies(together, everyone)
    assert documented("plain federated averaging") == near(statistics.mean(found), statistics.pstdev(found))


def test_pooled_training_reaches_the_documented_accuracy(hospitals, everyone):
    found = accuracies([pooled(hospitals.values(), Plan(seed=seed)) for seed in SEEDS], everyone)
    assert documented("all data in one place") == near(statistics.mean(found), statistics.pstdev(found))


@pytest.mark.parametrize("name", ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"])
def test_each_hospital_alone_reaches_the_documented_accuracy(hospitals, everyone, together, name):
    one = hospitals[name]
    alone = [local_only(one, Plan(seed=seed)) for seed in SEEDS]
    found = accuracies(alone, everyone)
    assert documented(f"{name} alone") == near(statistics.mean(found), statistics.pstdev(found))
    assert statistics.mean(found) < statistics.mean(accuracies(together, everyone))
    ill = one.test.labels.mean()
    own = [statistics.mean(accuracies(models, one.test)) for models in (alone, together)]
    assert documented(f"of {name}") == near(max(ill, 1 - ill), *own)


def standardised(one):
    """FLamby's preparation: the mean and deviation of the hospital's own training part."""
    centre = one.train.features.mean(axis=0)
    width = one.train.features.std(axis=0, ddof=1) + 1e-9
    parts = (Examples((part.features - centre) / width, part.labels) for part in (one.train, one.test))
    return Hospital(one.name, *parts, one.incomplete)


def test_flambys_own_preparation_gives_flambys_published_accuracy(hospitals):
    """Per-hospital standardisation, SGD at 0.001 from torch's random start: 0.748 +- 0.027 in [Terrail22]."""
    prepared = {name: standardised(one) for name, one in hospitals.items()}
    test = Examples.joined(one.test for one in prepared.values())
    total = sum(len(one.train) for one in prepared.values())
    found = []
    for seed in SEEDS:
        start = torch.rand(14, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
        tensors = to_tensors(start / 13**0.5)
        for n in range(1, 16):
            local = {
                name: local_training(
                    tensors, one.train, seed=training_seed(seed, n, name), learning_rate=0.001
                ).tensors
                for name, one in prepared.items()
            }
            tensors = {
                key: sum(len(prepared[name].train) / total * local[name][key] for name in local).astype(
                    np.float32
                )
                for key in tensors
            }
        found.append(evaluate(tensors, test).accuracy)
    assert statistics.mean(found) == pytest.approx(0.748, abs=0.027)


def held_back(one, draw):
    """The hospital with a third of its training part, stratified, in place of its test part."""
    labels = one.train.labels.astype(int).tolist()
    parts = stratified_split(labels, f"held back {draw} {one.name}".encode(), train_percent=67)
    rest, kept = (Examples(one.train.features[list(part)], one.train.labels[list(part)]) for part in parts)
    return Hospital(one.name, rest, kept, one.incomplete)


def held_back_loss(hospitals, learning_rate):
    """Mean loss on held-back training examples over ten draws."""
    losses = []
    for draw in range(10):
        parts = {name: held_back(one, draw) for name, one in hospitals.items()}
        tensors = federated_average(parts, Plan(seed=draw, learning_rate=learning_rate))
        features, labels = design(Examples.joined(one.test for one in parts.values()))
        logits = features @ to_parameters(tensors)
        losses.append(float(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)))
    return statistics.mean(losses)


@pytest.mark.slow
def test_the_learning_rate_is_the_smallest_whose_held_back_loss_is_near_the_lowest(hospitals):
    losses = {rate: held_back_loss(hospitals, rate) for rate in (0.001, 0.003, 0.01, 0.03, 0.09)}
    assert documented("mean loss") == near(*losses.values())
    assert min(rate for rate, loss in losses.items() if loss <= 1.02 * min(losses.values())) == LEARNING_RATE


def test_the_learning_rate_is_one_that_stability_is_proved_for():
    assert LEARNING_RATE <= MAX_STABLE_LEARNING_RATE


def test_a_federation_of_one_hospital_is_that_hospital_alone(hospitals):
    plan = Plan(seed=7, rounds=3)
    together = federated_average({"Hungary": hospitals["Hungary"]}, plan)
    alone = local_only(hospitals["Hungary"], plan)
    assert all(np.array_equal(together[name], alone[name]) for name in initial_model())


def test_hospitals_weigh_as_much_as_they_have_examples(hospitals):
    """Twice the same data under one weight: the mean moves by each hospital's share."""
    plan = Plan(seed=7, rounds=1)
    pair = {name: hospitals[name] for name in ("Cleveland", "Switzerland")}
    mean = federated_average(pair, plan)
    parts = {name: plan.step(initial_model(), one.train, 1, name) for name, one in pair.items()}
    for key, tensor in mean.items():
        expected = (199 * parts["Cleveland"][key].astype(float) + 30 * parts["Switzerland"][key]) / 229
        assert np.allclose(tensor, expected, atol=1e-7)
