"""Runs that pay by examples with real Flower processes behind gateways: a weight leaves as a Flower message, or over the relay."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.node.logbook import read_logbook
from coordinator import app
from coordinator.demo.deployed_run import Deployed, prepare_bundle, run_deployed
from coordinator.demo.settlement import settle_rewards
from coordinator.store.events import Event
from fl_core.protocol.weights import WeightOpening
from fl_core.randomness import SystemRandomSource
from ledger.audit.verify import verify
from ledger.documents import decode_rewards
from ledger.logbook import Kind
from ledger.papers import PublicFolder, RoundPaper
from tests.simulators.founded_run import cosign_and_seal, found, now

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A work folder with a path short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        yield Path(name)


def sent_by_gateway(node: Path) -> list[tuple[str, str]]:
    """Kind and digest of every sealed payload that a gateway let out."""
    lines = map(json.loads, (node / "outgoing.jsonl").read_text().splitlines())
    return [(e["kind"], e["digest"]) for e in lines if e["event"] == "reply-sent" and e["kind"] != "status"]


@pytest.mark.parametrize("relay", [False, True], ids=["as Flower messages", "over the relay"])
def test_every_hospital_opens_its_weight_once_and_is_paid_by_it(folder: Path, relay: bool) -> None:
    bundle = prepare_bundle(folder / "bundle", app.SETTINGS)
    run = found(folder / "run", rounds=1, bundle=bundle.sha256.hex(), rewards="by-examples")
    nodes = sorted((run / "nodes").iterdir())
    config = {**app.SETTINGS, app.FOLDER: str(run), app.ROUNDS: 1, app.RELAY: relay}
    config |= {app.TRAIN_DEADLINE: 600.0, app.REVEAL_DEADLINE: 600.0}
    events: list[Event] = []
    deployed = Deployed(
        folder=folder / "d",
        nodes=nodes,
        bundle=bundle,
        port=None,
        drop=0,
        gateways=True,
        events=run / "coordinator" / "events.jsonl",
        relay=run if relay else None,
    )
    run_deployed(deployed, config, events.append)
    answered = [e["holder"] for e in events if e["event"] == "answer" and e["question"] == "weight"]
    assert len(set(answered)) == len(answered) == 4, events

    public = PublicFolder(run / "public")
    paper = RoundPaper.decode(public.round(1).read_bytes())
    archived = {
        digest: (public.archive / digest[:2] / digest).read_bytes() for digest in paper.weights.values()
    }
    units = {WeightOpening.decode(data).units for data in archived.values()}
    assert len(archived) == len(units) == 4, "four hospitals with four numbers of patients"

    for node in nodes:
        logged = [entry.digest for entry, _ in read_logbook(node) if entry.kind == Kind.WEIGHT.value]
        assert len(logged) == 1 and logged[0] in archived
        let_out = [digest for kind, digest in sent_by_gateway(node) if kind == "weight"]
        assert let_out == ([] if relay else logged), "through the gateway only what it was asked for"
        assert {kind for kind, _ in sent_by_gateway(node)} <= {"frame", "check", "reveal", "weight"}
    assert {hashlib.sha256(data).hexdigest() for data in archived.values()} == set(archived)

    settle_rewards(run, clock=now, random=SystemRandomSource())
    cosign_and_seal(run)
    report = verify(run)
    assert report.passed, report.outcomes
    earned = decode_rewards((public.archive / paper.rewards[:2] / paper.rewards).read_bytes())
    assert len(set(earned.values())) == 4, "by the number of examples"
