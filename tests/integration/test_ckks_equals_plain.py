"""A CKKS run of the real app ends where the same run without protection ends, and leaves its key with the holders only.

Tolerance: local training is non-expansive at the demo's step size (docs/explanation/quantisation.md, proposition 3), so what the
rounds add to the model adds up. A round adds, in each of P parameters, at most the error of a slot and half a step of the grid,
times clip * cap / total weight, and float32 rounding.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clients.node.house import open_house
from clients.training.heart_disease import Examples, load_hospitals
from clients.training.local import evaluate
from coordinator.ckks import _able
from coordinator.demo import run as demo
from coordinator.demo.ckks import WARNING
from coordinator.demo.consortium import INITIAL_CLIP, WEIGHT_CAP
from coordinator.demo.preflight import preflight
from coordinator.demo.run import run_demo
from coordinator.errors import CoordinatorError
from coordinator.store.events import Event
from fl_core.errors import InputError
from fl_core.models import Tensors, decode_model, flatten, model_digest
from fl_core.secagg.ckks.binding import tenseal
from fl_core.secagg.ckks.parameters import CKKS2048, error_bound
from fl_core.secagg.ckks.vector import GRID
from tests.simulators.founded_run import coordinator_of, options

ROUNDS = 2
HOSPITALS = load_hospitals()
LARGEST = 4.0  # bound on every parameter


@dataclass(frozen=True)
class Runs:
    """The folder and events of a CKKS run, its model, and that of the same run without protection."""

    folder: Path
    events: list[Event]
    ckks: Tensors
    plain: Tensors


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    where, events = tmp_path_factory.mktemp("ckks"), []
    folder, plain = where / "ckks", where / "plain"
    run_demo(options(folder, rounds=ROUNDS, ckks=True), events.append)
    run_demo(options(plain, rounds=ROUNDS, plain=True), lambda event: None)
    models = [decode_model((f / "model.safetensors").read_bytes(), 1 << 20) for f in (folder, plain)]
    return Runs(folder, events, *models)


def of_kind(runs: Runs, kind: str) -> list[Event]:
    return [event for event in runs.events if event["event"] == kind]


def test_the_model_is_the_plain_one_within_the_stated_tolerance(runs: Runs) -> None:
    one, other = (flatten(tensors).astype(np.float64) for tensors in (runs.ckks, runs.plain))
    weight = sum(len(hospital.train) for hospital in HOSPITALS.values())
    slot = error_bound(CKKS2048, 4, 4, one.size + 16) + GRID / CKKS2048.scale(4) / 2
    per_value = slot * INITIAL_CLIP * WEIGHT_CAP / weight + 2.0**-21 * (INITIAL_CLIP + LARGEST)
    assert np.abs(one).max() <= LARGEST
    assert 0 < np.linalg.norm(one - other) <= ROUNDS * math.sqrt(one.size) * per_value < 1.5e-4


def test_the_accuracy_is_the_plain_ones_but_for_one_answer_in_254(runs: Runs) -> None:
    test = Examples.joined(hospital.test for hospital in HOSPITALS.values())
    assert abs(evaluate(runs.ckks, test).correct - evaluate(runs.plain, test).correct) <= 1


def test_every_round_is_agreed_by_its_digest_and_the_last_one_is_handed_over(runs: Runs) -> None:
    finalised = of_kind(runs, "round-finalised")
    assert [event["included"] for event in finalised] == [4] * ROUNDS
    assert len(of_kind(runs, "answer")) == 4 * ROUNDS
    data = (runs.folder / "model.safetensors").read_bytes()
    assert model_digest(data).hex() == finalised[-1]["model"]
    assert len(of_kind(runs, "model-handed-over")) == 1


def test_the_key_is_in_every_holders_folder_and_nowhere_else(runs: Runs) -> None:
    keys = {path.read_bytes() for path in runs.folder.glob("nodes/*/ckks/*/key")}
    assert len(list(runs.folder.glob("nodes/*/ckks/*/key"))) == 4 and len(keys) == 1
    secret = keys.pop()
    assert tenseal().context_from(secret, 1).has_secret_key()
    body = secret[secret.index(b"\x28\xb5\x2f\xfd", 100) :]  # the compressed key, after the parameters
    pieces = [body[at : at + 16] for at in range(0, len(body) - 16, 16)]
    assert len(pieces) > 900
    others = [p for p in runs.folder.rglob("*") if p.is_file() and p.name != "key"]
    assert {"public", "coordinator", "nodes"} <= {p.relative_to(runs.folder).parts[0] for p in others}
    for path in others:
        data = path.read_bytes()
        assert not any(piece in data for piece in pieces), path
    assert not any(piece in json.dumps(runs.events).encode() for piece in pieces)


def test_no_models_of_the_rounds_reach_the_coordinator_but_the_last(runs: Runs) -> None:
    first = of_kind(runs, "round-finalised")[0]["model"]
    coordinators = [p for p in runs.folder.rglob("*") if p.is_file() and "nodes" not in p.parts]
    assert all(model_digest(p.read_bytes()).hex() != first for p in coordinators)


def test_no_round_is_on_the_ledger(runs: Runs) -> None:
    with coordinator_of(runs.folder) as run:
        assert run.reader.run(run.run).opened == 0
        assert all(_able(run, account) for account in run.transport_keys)


def run_with_refusals(folder: Path, refusing: int) -> list[Event]:
    """Run one round after the policies of the first hospitals by account, the dealers to be, forbid the mode."""
    chosen, events = options(folder, rounds=1, ckks=True), list[Event]()
    files = preflight(chosen)
    demo._make_folder(chosen)
    hospitals = demo._create_hospitals(chosen, files)
    for hospital in sorted(hospitals, key=lambda h: h.account)[:refusing]:
        config = hospital._house.folder / "node.toml"
        config.write_text(config.read_text().replace("allow_ckks = true", "allow_ckks = false"))
        hospital._house = open_house(config.parent)
    try:
        demo._run(chosen, hospitals, events.append)
    finally:
        for hospital in hospitals:
            hospital.close()
    return events


def test_a_holder_whose_policy_forbids_it_has_no_part_and_the_next_one_deals(tmp_path: Path) -> None:
    events = run_with_refusals(tmp_path / "run", 1)
    (shared,) = (event for event in events if event["event"] == "key-shared")
    assert len(shared["holders"]) == 3
    assert [event["included"] for event in events if event["event"] == "round-finalised"] == [3]
    assert len(list(tmp_path.glob("run/nodes/*/ckks/*/key"))) == 3


def test_two_holders_alone_get_no_key(tmp_path: Path) -> None:
    with pytest.raises(CoordinatorError, match="2 are willing"):
        run_with_refusals(tmp_path / "run", 2)
    assert not list(tmp_path.glob("run/nodes/*/ckks/*/key"))


def test_a_demo_without_the_library_stops_before_anything_is_written(tmp_path: Path, monkeypatch) -> None:
    import sys

    tenseal.cache_clear()
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(InputError, match=r"suture-fl\[ckks\]"):
        run_demo(options(tmp_path / "run", ckks=True), lambda event: None)
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    tenseal.cache_clear()


def test_the_warning_says_what_is_weaker() -> None:
    for words in ("any holder could open another holder's upload", "no audit", "Use the default unless"):
        assert words in WARNING
