"""A protected run of the real app ends where the same run without protection ends, within the bound of
docs/explanation/quantisation.md (propositions 3 and 4 state it; here n = 4, C = 1, cap = 1000, P = 14)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from clients.training.baselines import Plan
from clients.training.heart_disease import Examples, load_hospitals
from clients.training.local import evaluate
from clients.training.model import MAX_STABLE_LEARNING_RATE, initial_model
from coordinator.demo.consortium import BATCH_SIZE, INITIAL_CLIP, LEARNING_RATE, UPDATES, WEIGHT_CAP
from coordinator.demo.run import run_demo
from fl_core.models import Tensors, decode_model, flatten
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.setup import quantiser_of
from ledger.archive import Archive
from ledger.papers import PublicFolder, RoundPaper
from tests.simulators.founded_run import options

SEED = 42
OTHER_SEED = 45
ROUNDS = 3
LARGEST = 4.0  # bound on every parameter
MAX_BYTES = 1 << 20

HOSPITALS = load_hospitals()


@dataclass(frozen=True)
class Runs:
    """The protected run's folder, and the models of three runs."""

    folder: Path
    protected: Tensors
    plain: Tensors
    other: Tensors


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    where = tmp_path_factory.mktemp("runs")
    folder, plain, other = where / "protected", where / "plain", where / "other"
    run_demo(options(folder, rounds=ROUNDS, seed=SEED), lambda event: None)
    run_demo(options(plain, rounds=ROUNDS, seed=SEED, plain=True), lambda event: None)
    run_demo(options(other, rounds=ROUNDS, seed=OTHER_SEED, plain=True), lambda event: None)
    return Runs(
        folder=folder,
        protected=model_in(PublicFolder(folder / "public").model),
        plain=model_in(plain / "model.safetensors"),
        other=model_in(other / "model.safetensors"),
    )


def model_in(path: Path) -> Tensors:
    return decode_model(path.read_bytes(), MAX_BYTES)


def vector(tensors: Tensors) -> npt.NDArray[np.float64]:
    return flatten(tensors).astype(np.float64)


def distance(one: Tensors, other: Tensors) -> float:
    return float(np.linalg.norm(vector(one) - vector(other)))


def headers(folder: Path) -> list[RoundHeader]:
    """The headers of all rounds."""
    public = PublicFolder(folder / "public")
    archive = Archive(public.archive)
    papers = [RoundPaper.decode(public.round(n).read_bytes()) for n in range(1, ROUNDS + 1)]
    return [RoundHeader.decode(archive.get(bytes.fromhex(paper.header), MAX_BYTES)) for paper in papers]


def certain_bound(clips: list[float]) -> float:
    """Proposition 3 with each round's own clip; with one clip for all rounds it is the formula of the page."""
    size, n = vector(initial_model()).size, len(HOSPITALS)
    units = sum(round(32766 * len(h.train) / WEIGHT_CAP) for h in HOSPITALS.values())
    return sum(math.sqrt(size) * (3 * c * n / units + 2.0**-21 * (c + LARGEST)) for c in clips)


def test_the_settings_meet_the_conditions_of_the_bound() -> None:
    assert 0 < LEARNING_RATE <= MAX_STABLE_LEARNING_RATE
    assert max(len(hospital.train) for hospital in HOSPITALS.values()) <= WEIGHT_CAP


def test_no_update_of_the_protected_run_was_clipped(runs: Runs) -> None:
    plan = Plan(seed=SEED, rounds=ROUNDS, updates=UPDATES, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)
    archive, largest = Archive(PublicFolder(runs.folder / "public").archive), 0.0
    for header in headers(runs.folder):
        tensors = decode_model(archive.get(header.artifact, MAX_BYTES), MAX_BYTES)
        clips = np.repeat([b.clip for b in header.blocks], [b.size for b in header.blocks])
        for name, hospital in HOSPITALS.items():
            update = vector(plan.step(tensors, hospital.train, header.round, name)) - vector(tensors)
            assert (np.abs(update) < clips).all(), f"an update of {name} in round {header.round} is clipped"
            largest = max(largest, float((np.abs(update) / clips).max()))
    assert 0.05 < largest, "the updates are recomputed, not zero"


def test_the_protected_model_is_the_plain_one_within_the_certain_bound(runs: Runs) -> None:
    assert np.abs(vector(runs.protected)).max() <= LARGEST
    assert 0 < distance(runs.protected, runs.plain) <= certain_bound([INITIAL_CLIP] * ROUNDS)


def test_it_is_so_within_the_smaller_bound_of_the_clips_that_were_used(runs: Runs) -> None:
    clips = [max(block.clip for block in header.blocks) for header in headers(runs.folder)]
    assert clips[0] == INITIAL_CLIP and max(clips) <= INITIAL_CLIP
    assert distance(runs.protected, runs.plain) <= certain_bound(clips)


def test_another_order_of_the_batches_moves_the_model_by_much_more(runs: Runs) -> None:
    assert distance(runs.plain, runs.other) > 3 * distance(runs.protected, runs.plain)


def test_protection_changes_no_more_than_two_answers_in_254(runs: Runs) -> None:
    test = Examples.joined(hospital.test for hospital in HOSPITALS.values())
    assert len(test) == 254
    assert abs(evaluate(runs.protected, test).correct - evaluate(runs.plain, test).correct) <= 2


def test_the_quantiser_of_every_round_sends_fifteen_bits(runs: Runs) -> None:
    assert {quantiser_of(header).value_bits for header in headers(runs.folder)} == {15}
