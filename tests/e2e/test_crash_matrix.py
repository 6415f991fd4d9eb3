"""A sample of the crash matrix: each party once in an early, a middle and a late phase; ``python -m tests.crash_matrix`` plays all."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash_matrix.deployed import HOLDS, Outcome, play_deployed
from tests.crash_matrix.deployed_points import (
    ENDS_THE_RUN,
    HOSPITAL,
    KILLS,
    PROGRAM,
    RELAY,
    SERVICE,
    SUPERLINK,
    SUPERNODE,
)
from tests.crash_matrix.points import CHAIN, COORDINATOR, NODE, POINTS, ROUNDS, Point
from tests.crash_matrix.world import Founded, play
from tests.simulators.consortium_of_people import TRAIN_S

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, kills and reads /proc"),
]

SAMPLE = {
    COORDINATOR: (
        "after open_round",
        "after contribution",
        "after commit_included",
        "after journal key",
        "after answer weight",
        "after claim",
    ),
    NODE: ("before open_round", "after contribution", "after answer reveal"),
    CHAIN: ("before commit_round", "before finalise_round"),
}
ON_SERVICES = {
    SERVICE: ("after sets-committed",),
    PROGRAM: ("after contribution",),
    HOSPITAL: ("a frame leaves",),
    RELAY: ("after round-finalised",),
    SUPERLINK: ("a frame leaves",),
    SUPERNODE: ("an app runs",),
}
MINUTE_S = 60.0
PATIENCE = 2.0


@pytest.fixture(scope="module")
def founded() -> Iterator[Founded]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        one = Founded(Path(name))
        yield one
        one.close()


def test_the_matrix_has_thirty_points_or_more_and_every_party_in_every_phase_that_it_lives_through() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS) >= 30
    phases = {party: {p.phase for p in POINTS if p.party == party} for party in SAMPLE}
    assert phases[NODE] <= phases[COORDINATOR]
    assert {"opening", "training", "commit V", "share check", "commit U", "reveal", "finalise"} <= phases[
        NODE
    ] & phases[CHAIN]


def test_superlink_and_supernode_are_killed_in_every_phase_on_services() -> None:
    assert len({kill.name for kill in KILLS}) == len(KILLS)
    phases = {party: {kill.phase for kill in KILLS if kill.party == party} for party in ON_SERVICES}
    assert phases[SUPERLINK] == phases[SUPERNODE] >= {
        "before the opening", "opening", "training", "upload", "commit V", "share check", "commit U", "reveal", "finalise",
    }  # fmt: skip
    assert all(phases.values())


@pytest.mark.parametrize(
    "point",
    [p for p in POINTS if p.moment in SAMPLE[p.party] and p.away_s < MINUTE_S],
    ids=lambda point: point.name,
)
def test_a_kill_costs_a_round_at_most_and_nothing_is_doubled_lost_or_shown(
    founded: Founded, point: Point
) -> None:
    place = Path(tempfile.mkdtemp(dir=founded.folder))  # short enough for Unix sockets
    assert play(founded, place, point)["models"] in range(2, 6)


@pytest.mark.parametrize(
    "point", [p for p in POINTS if p.away_s >= MINUTE_S], ids=lambda point: f"{point.away_s:.0f} s"
)
def test_a_run_waits_for_a_chain_that_is_down_for_a_minute_and_goes_on_without_a_command_or_a_lost_round(
    founded: Founded, point: Point
) -> None:
    place = Path(tempfile.mkdtemp(dir=founded.folder))
    played = play(founded, place, point)
    assert (played["models"], played["commands_again"]) == (ROUNDS, 0)
    assert float(str(played["seconds"])) > MINUTE_S


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[Outcome]]:
    """Kills in one run on services; what must hold of ledger, nodes, files and audit is checked on the way."""
    kills = [kill for kill in KILLS if kill.moment in ON_SERVICES[kill.party] and kill.count == 1]
    played, models = play_deployed(kills, patience=PATIENCE)
    assert models >= len(played) == len(kills)
    yield played


def test_on_services_the_round_goes_on_by_itself_and_one_contribution_is_lost_at_most(
    outcomes: list[Outcome],
) -> None:
    assert [one.verdict for one in outcomes if one.kill.party not in ENDS_THE_RUN] == [HOLDS] * 4


def test_hospitals_wait_for_a_relay_that_does_not_serve_the_chain_for_a_minute(
    outcomes: list[Outcome],
) -> None:
    [one] = [one for one in outcomes if one.kill.party == RELAY]
    assert one.away_s >= MINUTE_S and one.included == one.holders


def test_a_run_whose_program_died_goes_on_by_one_command_of_the_researcher(outcomes: list[Outcome]) -> None:
    ended = [one for one in outcomes if one.kill.party in ENDS_THE_RUN]
    assert [(one.verdict, one.commands) for one in ended] == [(HOLDS, 1)] * 2


def test_what_was_leaving_a_killed_hospital_is_in_the_model_and_the_round_waits_for_no_deadline(
    outcomes: list[Outcome],
) -> None:
    [one] = (one for one in outcomes if one.kill.party == HOSPITAL)
    assert one.included == one.holders
    assert one.seconds < PATIENCE * TRAIN_S
