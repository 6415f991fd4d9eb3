"""The model and one round of local training."""

import numpy as np
import pytest
import torch

from clients.training.heart_disease import FEATURES, MAX_SQUARED_NORM, Examples
from clients.training.local import evaluate, local_training, training_seed
from clients.training.model import (
    BIAS,
    MAX_STABLE_LEARNING_RATE,
    WEIGHT,
    descend,
    design,
    initial_model,
    to_parameters,
    to_tensors,
)
from fl_core.errors import LocalProtocolError
from fl_core.models import decode_model, encode_model

SEED = bytes(range(32))


def examples(n=23):
    """Patients of whom the first feature decides."""
    features = (np.arange(n * len(FEATURES)).reshape(n, -1) * 7 % 11 - 5).astype(np.float32) / 5
    return Examples(features, (features[:, 0] > 0).astype(np.float32))


def some_model():
    return to_tensors(torch.linspace(-1, 1, 14, dtype=torch.float64))


def same(a, b):
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


# ---------------------------------------------------------------- the model


def test_a_model_survives_the_way_into_torch_and_back():
    assert same(to_tensors(to_parameters(some_model())), some_model())


def test_a_model_can_be_archived():
    assert same(decode_model(encode_model(some_model()), 4096), some_model())


def test_a_step_is_what_autograd_and_torchs_own_loss_and_optimiser_make_of_it():
    features, labels = design(examples(7))
    linear = torch.nn.Linear(13, 1, dtype=torch.float64)
    mine = torch.cat([linear.weight.detach()[0], linear.bias.detach()])
    optimiser = torch.optim.SGD(linear.parameters(), lr=0.05)
    torch.nn.BCELoss()(torch.sigmoid(linear(features[:, :13]))[:, 0], labels).backward()
    optimiser.step()
    descend(mine, features, labels, 0.05)
    torch.testing.assert_close(mine, torch.cat([linear.weight.detach()[0], linear.bias.detach()]))


@pytest.mark.parametrize(
    "tensors",
    [
        pytest.param({}, id="nothing"),
        pytest.param({WEIGHT: np.zeros((1, 13), np.float32)}, id="no bias"),
        pytest.param(
            {WEIGHT: np.zeros((1, 12), np.float32), BIAS: np.zeros(1, np.float32)}, id="12 features"
        ),
        pytest.param({**initial_model(), "more": np.zeros(1, np.float32)}, id="another tensor"),
    ],
)
def test_another_model_is_refused(tensors):
    with pytest.raises(LocalProtocolError, match="a model of this task"):
        local_training(tensors, examples(), seed=SEED)
    with pytest.raises(LocalProtocolError, match="a model of this task"):
        evaluate(tensors, examples())


# ---------------------------------------------------------------- training


def test_training_learns():
    data = examples(100)
    trained = local_training(initial_model(), data, seed=SEED, updates=500, learning_rate=0.09)
    assert trained.examples == 100
    assert evaluate(trained.tensors, data).accuracy > 0.95
    assert evaluate(initial_model(), data).accuracy < 0.65


def test_training_does_not_change_what_it_is_given():
    start = some_model()
    local_training(start, examples(), seed=SEED)
    assert same(start, some_model())


def test_read_only_tensors_of_a_decoded_model_can_be_trained():
    decoded = decode_model(encode_model(some_model()), 4096)
    assert same(local_training(decoded, examples(), seed=SEED).tensors, train(seed=SEED))


def train(**options):
    return local_training(some_model(), examples(), **options).tensors


def test_equal_seeds_give_equal_models_whatever_the_global_generator_does():
    first = train(seed=SEED)
    torch.manual_seed(1)
    assert same(first, train(seed=SEED))


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    train(seed=SEED)
    assert torch.equal(state, torch.random.get_rng_state())


def test_other_seeds_give_other_models():
    assert not same(train(seed=SEED), train(seed=bytes(32)))


def test_a_pass_over_the_data_takes_every_example_once():
    """One pass with batches of one, at a tiny rate, is a step along the full gradient."""
    data = examples(23)
    tiny = 2.0**-20
    passed = to_parameters(
        local_training(initial_model(), data, seed=SEED, updates=23, batch_size=1, learning_rate=tiny).tensors
    )
    whole = torch.zeros(14, dtype=torch.float64)
    descend(whole, *design(data), 23 * tiny)
    torch.testing.assert_close(passed, whole, rtol=1e-3, atol=1e-9)


def test_a_batch_may_be_larger_than_the_data():
    data = examples(3)
    got = local_training(
        initial_model(), data, seed=SEED, updates=1, batch_size=100, learning_rate=0.01
    ).tensors
    whole = torch.zeros(14, dtype=torch.float64)
    descend(whole, *design(data), 0.01)
    assert np.allclose(to_parameters(got), whole, atol=1e-7)


@pytest.mark.parametrize(
    "options", [{"updates": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}]
)
def test_settings_that_are_not_positive_are_refused(options):
    with pytest.raises(LocalProtocolError, match="above zero"):
        local_training(some_model(), examples(), seed=SEED, **options)


def test_nothing_is_trained_or_evaluated_without_examples():
    nobody = Examples(np.zeros((0, 13), np.float32), np.zeros(0, np.float32))
    with pytest.raises(LocalProtocolError):
        local_training(some_model(), nobody, seed=SEED)
    with pytest.raises(LocalProtocolError):
        evaluate(some_model(), nobody)


def test_evaluation_counts_the_correct_answers():
    model = initial_model()
    model[WEIGHT][0, 0] = 1
    data = examples(10)
    assert evaluate(model, data) == (10, 10)
    assert evaluate(model, Examples(data.features, 1 - data.labels)) == (0, 10)


def test_round_run_and_holder_each_change_the_seed():
    seeds = {training_seed(run, n, holder) for run in (42, 43) for n in (1, 2) for holder in ("a", "b")}
    assert len(seeds) == 8
    assert training_seed(42, 1, "a") in seeds


# ---------------------------------------------------------------- stability (docs/explanation/quantisation.md, lemma)


def longest_examples(n=40):
    """Patients at the corners of the feature box: the largest smoothness there can be."""
    signs = (np.arange(n)[:, None] >> np.arange(5)) % 2 * 8.0 - 4.0
    features = np.hstack([signs, np.ones((n, 3)), np.tile([0, 0, 1, 0, 1], (n, 1))]).astype(np.float32)
    return Examples(features, (np.arange(n) % 3 == 0).astype(np.float32))


def drift(learning_rate):
    """Largest growth of the distance between two models in one step, over many pairs near the loss's sharpest point."""
    features, labels = design(longest_examples())
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for batch in torch.split(torch.randperm(40, generator=generator), 4):
        for scale in (1e-3, 1e-1, 1.0):
            one = torch.randn(14, generator=generator, dtype=torch.float64) * scale * 1e-2
            two = one + features[batch].mean(dim=0) * scale * 1e-2
            before = torch.dist(one, two)
            for model in (one, two):
                descend(model, features[batch], labels[batch], learning_rate)
            worst = max(worst, float(torch.dist(one, two) / before))
    return worst


def test_the_constructed_patients_reach_the_bound_on_the_squared_norm():
    features, _ = design(longest_examples())
    assert float((features**2).sum(dim=1).max()) == MAX_SQUARED_NORM


def test_no_step_up_to_the_stable_learning_rate_drives_two_models_apart():
    assert drift(MAX_STABLE_LEARNING_RATE) <= 1
    assert drift(0.01) <= 1


def test_a_larger_learning_rate_does():
    assert drift(8 * MAX_STABLE_LEARNING_RATE) > 1
