"""The opened weights of a run as a holder, a researcher and an auditor see them, from papers that the ledger confirms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clients.door import Method
from fl_core.models.step import apply_step
from fl_core.protocol.weights import WeightOpening
from ledger.archive import Archive
from ledger.papers import PublicFolder, RoundPaper
from tests.simulators.founded_run import RunWithNodes, copied, found
from tests.simulators.terminal import Terminal

EXAMPLES = {"Cleveland": 200, "Hungary": 150, "Switzerland": 50, "VA Long Beach": 100}
UNITS = {"Cleveland": 6553, "Hungary": 4915, "Switzerland": 1638, "VA Long Beach": 3277}


def play(world: RunWithNodes, *, silent: str = "", lost: str = "") -> None:
    """Play a round in which ``silent`` is not asked for its weight, and the answer of ``lost`` gets lost."""
    session = world.open_round()
    for account, holder in world.holders.items():
        session.accept(world.contribution(session, account, examples=EXAMPLES[holder.name]))
    session.commit()
    world.check(session)
    session.include()
    for account, request in session.requests():
        session.add_reveal(world.holders[account].call(Method.REVEAL, request))
    aggregate = session.open()
    for account, request in session.weight_requests():
        name = world.holders[account].name
        answer = b"" if name == silent else world.holders[account].call(Method.WEIGHT, request)
        if name not in (silent, lost):
            session.add_weight(answer)
    session.finalise(apply_step(world.run.terms.strategy, session.tensors, aggregate.update))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = found(tmp_path_factory.mktemp("played") / "run", rounds=3, rewards="by-examples")
    world = RunWithNodes(folder)
    play(world)
    play(world, silent="Hungary", lost="Switzerland")
    world.close()
    return folder


@pytest.fixture
def run(played: Path, tmp_path: Path) -> Path:
    return copied(played, tmp_path / "run")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    yield Terminal(monkeypatch, capsys)


def shown(answer: dict) -> list[dict[str, int | None]]:
    """Return name -> units of each round."""
    return [{entry["name"]: entry["units"] for entry in one["weights"]} for one in answer["weights"]]


def change_paper(run: Path, number: int, **changes: object) -> None:
    path = PublicFolder(run / "public").round(number)
    path.write_bytes(replace(RoundPaper.decode(path.read_bytes()), **changes).encode())


def test_everybody_sees_the_weights_of_each_round_and_who_opened_none(run: Path, terminal: Terminal) -> None:
    expected = [UNITS, {**UNITS, "Hungary": None, "Switzerland": None}]
    for command in (
        ("suture", "rewards", "show", "--ledger", run),
        ("suture-audit", "rewards", run),
    ):
        answer = terminal.done(*command, "--weights")
        assert shown(answer) == expected
        assert [(one["round"], one["fit"]) for one in answer["weights"]] == [(1, True), (2, True)]
        assert "weights" not in terminal.done(*command)
        lines = terminal.run(*command, "--weights").out.splitlines()
        (mine,) = [
            line for line in lines if "Switzerland" in line and "1638" in line and line.startswith("1 ")
        ]
        assert "10.0 %" in mine
        unopened = [line for line in lines if "not opened" in line]
        assert len(unopened) == 2 and all(line.startswith("2 ") for line in unopened)


def test_a_node_shows_its_own_weights(run: Path, terminal: Terminal) -> None:
    node = run / "nodes" / "hungary"
    answer = terminal.done("suture-node", "rewards", "show", node, "--weights")
    assert shown(answer) == [{"Hungary": 4915}, {"Hungary": None}]
    assert "30.0 %" in terminal.run("suture-node", "rewards", "show", node, "--weights").out


@pytest.mark.parametrize(
    "lie", ["another weight", "another's", "of nobody included", "a smaller set", "lost"]
)
def test_weights_that_the_ledger_does_not_bear_out_are_refused(
    run: Path, terminal: Terminal, lie: str
) -> None:
    public = PublicFolder(run / "public")
    archive, paper = Archive(public.archive), json.loads(public.round(1).read_text())
    weights = dict(paper["weights"])
    mine, other = sorted(weights)[:2]
    opening = WeightOpening.decode(archive.get(bytes.fromhex(weights[mine]), 200))
    more = WeightOpening(
        header=opening.header, member=opening.member, units=opening.units + 1, salt=opening.salt
    )
    changes, problem = {
        "another weight": (
            {"weights": {**weights, mine: archive.put(more.encode()).hex()}},
            "check (4): not the weight that the leaf commits to",
        ),
        "another's": (
            {"weights": {**weights, mine: weights[other]}},
            "check (2): the opening is of another client",
        ),
        "of nobody included": (
            {"weights": {**weights, "ff" * 20: weights[mine]}},
            "a weight of nobody in the included set was opened",
        ),
        "a smaller set": ({"included": paper["included"][1:]}, "not the included set on the ledger"),
        "lost": ({"weights": {**weights, mine: "00" * 32}}, "cannot be read"),
    }[lie]
    change_paper(run, 1, **changes)
    said = terminal.refused("suture", "rewards", "show", "--ledger", run, "--weights")
    assert "papers of round 1" in said and problem in said
    assert terminal.run("suture", "rewards", "show", "--ledger", run).code == 0, (
        "the sums are the ledger's still"
    )


def test_a_rewards_document_alone_has_no_weights_and_a_run_that_pays_equally_opens_none(
    run: Path, terminal: Terminal, tmp_path: Path
) -> None:
    public = PublicFolder(run / "public")
    rewards = json.loads(public.round(2).read_text())["rewards"]
    document = tmp_path / "rewards.json"
    document.write_bytes((public.archive / rewards[:2] / rewards).read_bytes())
    said = terminal.refused("suture-audit", "rewards", run, "--from", document, "--weights")
    assert "not in a rewards document" in said and "--from" in said
    fresh = found(tmp_path / "fresh", rounds=1)
    assert terminal.done("suture-audit", "rewards", fresh, "--weights")["weights"] == []
    assert "No weight was opened" in terminal.run("suture-audit", "rewards", fresh, "--weights").out


def test_a_logbook_names_the_weight_that_left_and_is_not_in_the_papers(run: Path, terminal: Terminal) -> None:
    for name, lost in (("switzerland", [2]), ("hungary", []), ("cleveland", [])):
        node = run / "nodes" / name
        logbook = ("suture-audit", "logbook", node / "logbook.jsonl", "--in", run)
        assert (terminal.done(*logbook)["passed"], terminal.done(*logbook)["weights_lost"]) == (True, lost)
        own = ("suture-node", "log", "verify", node, "--in", run)
        assert (terminal.done(*own)["problems"], terminal.done(*own)["weights_lost"]) == ([], lost)
        for command in (logbook, own):
            said = terminal.run(*command).out
            assert ("opened in round 2 is not in the papers" in " ".join(said.split())) == bool(lost)
