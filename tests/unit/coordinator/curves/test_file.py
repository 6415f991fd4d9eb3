"""The event file, read back with TensorBoard's own reader: made live, afterwards, in pieces or after a crash, it is the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.curves.file import NAME, Curves, LiveCurves, check_out
from coordinator.store.events import EventLog
from fl_core.errors import InputError
from tests.simulators.tensorboard_reader import scalars

pytest.importorskip("tensorboard", reason="the extra 'curves' is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "coordinator").mkdir(parents=True)
    return tmp_path / "run"


class Run:
    """A run that emits events, with a clock of its own."""

    def __init__(self, folder: Path, *listeners) -> None:
        self.now = 1_790_000_000.0
        self.log = EventLog(folder / "coordinator" / "events.jsonl", *listeners, clock=self._clock)

    def _clock(self) -> float:
        self.now += 1.5
        return self.now

    def round(self, number: int, *, correct: int = 30, end: bool = True) -> None:
        self.log.emit("round-opened", round=number, budget_spent=0)
        for _ in range(3):
            self.log.emit("contribution", round=number, holder="x", bytes=1000 + number)
        if end:
            counters = {"test-correct": correct, "test-total": 40}
            self.log.emit("round-finalised", round=number, included=3, counters=counters, train_ms=7.0)


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[..., Run]]:
    """Begins the run, or goes on with it, with listeners; its event file is closed in the end."""
    begun: list[Run] = []

    def one(*listeners) -> Run:
        begun.append(Run(folder, *listeners))
        return begun[-1]

    yield one
    for run in begun:
        run.log.close()


def made(folder: Path, out: Path) -> bytes:
    curves = Curves(folder, out)
    curves.update()
    return curves.path.read_bytes()


def test_the_file_holds_every_point_with_its_round_and_time(folder, tmp_path, begin):
    run = begin()
    run.round(1, correct=20)
    run.round(2, correct=36)
    made(folder, tmp_path / "out")
    [(name, read)] = scalars(tmp_path / "out").items()
    assert name.startswith("plain-")
    assert [(p.step, round(p.value, 6)) for p in read["accuracy/test"]] == [(1, 0.5), (2, 0.9)]
    assert [(p.step, p.value) for p in read["bytes/contributions"]] == [(1, 3003.0), (2, 3006.0)]
    assert [p.wall_time for p in read["round/models"]] == [1_790_000_007.5, 1_790_000_015.0]


def test_live_curves_are_those_that_are_made_afterwards(folder, tmp_path, begin):
    live = LiveCurves(folder, tmp_path / "live")
    run = begin(live.hear)
    for number in (1, 2, 3):
        run.round(number)
        assert len(next(iter(scalars(tmp_path / "live").values()))["round/models"]) == number
    [file] = (tmp_path / "live").rglob(NAME)
    assert file.read_bytes() == made(folder, tmp_path / "later")


def test_a_resumed_run_goes_on_with_its_file_and_has_no_double_points(folder, tmp_path, begin):
    run = begin(LiveCurves(folder, tmp_path / "out").hear)
    run.round(1)
    run.round(2, end=False)
    run.log.close()  # killed in the middle of a line
    with (folder / "coordinator" / "events.jsonl").open("a") as events:
        events.write('{"event": "contribution", "rou')
    again = begin(LiveCurves(folder, tmp_path / "out").hear)
    again.round(3)
    [read] = scalars(tmp_path / "out").values()
    assert [p.step for p in read["round/models"]] == [1, 3]
    [file] = (tmp_path / "out").rglob(NAME)
    assert file.read_bytes() == made(folder, tmp_path / "later")


def test_a_file_that_a_crash_cut_off_anywhere_is_completed(folder, tmp_path, begin):
    run = begin()
    run.round(1)
    whole = made(folder, tmp_path / "out")
    [file] = (tmp_path / "out").rglob(NAME)
    for end in range(0, len(whole), 7):
        file.write_bytes(whole[:end])
        assert made(folder, tmp_path / "out") == whole


def test_two_that_write_the_same_curves_write_them_once(folder, tmp_path, begin):
    one, other = (LiveCurves(folder, tmp_path / "out") for _ in range(2))
    run = begin(one.hear, other.hear)
    for number in (1, 2):
        run.round(number)
    [read] = scalars(tmp_path / "out").values()
    assert [p.step for p in read["round/models"]] == [1, 2]


def test_a_file_with_other_curves_is_left_as_it_is_and_training_goes_on(folder, tmp_path, caplog, begin):
    run = begin(LiveCurves(folder, tmp_path / "out").hear)
    run.round(1)
    [file] = (tmp_path / "out").rglob(NAME)
    file.write_bytes(b"something else")
    run.round(2)
    run.round(3)
    assert file.read_bytes() == b"something else"
    assert caplog.text.count("the curves are not written") == 1
    with pytest.raises(InputError, match="holds other curves"):
        made(folder, tmp_path / "out")


def test_a_folder_without_events_is_refused_and_so_is_a_place_that_cannot_be_written(folder, tmp_path):
    with pytest.raises(InputError, match="holds no events"):
        Curves(folder, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made or written"):
        check_out(tmp_path / "file" / "out")
    check_out(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists(), "a look makes nothing"


def test_without_the_extra_the_error_has_the_command_that_mends_it(folder, tmp_path, monkeypatch, begin):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    begin().round(1)
    for act in (
        lambda: check_out(tmp_path),
        lambda: Curves(folder, tmp_path),
        lambda: LiveCurves(folder, tmp_path),
    ):
        with pytest.raises(InputError) as refused:
            act()
        assert "pip install 'suture-fl[curves]'" in refused.value.fix
