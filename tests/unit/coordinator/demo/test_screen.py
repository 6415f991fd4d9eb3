"""Names and reasons are shown as they are: no markup, no escape codes, no line breaks."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.demo.run import DemoResult
from coordinator.demo.screen import Screen
from coordinator.demo.summary import print_summary
from tests.simulators.founded_run import options

NAME = "[bold]A[/] :smile: [/red]"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "event",
    [
        {"event": "hospitals", "holders": [NAME], "records": [3]},
        {"event": "holder-left-out", "holder": NAME},
        {"event": "contribution-lost", "holder": NAME, "reason": "gone"},
        {"event": "answer-lost", "holder": "", "reason": f"\x1b[31m{NAME}\n"},
        {"event": "round-failed", "round": 1, "reason": NAME},
        {"event": "contribution", "round": 1, "holder": NAME, "bytes": 1},
    ],
    ids=lambda event: event["event"],
)
def test_an_event_is_shown_as_it_is(console: Console, tmp_path: Path, event: dict[str, object]) -> None:
    with Screen(console, options(tmp_path)) as screen:
        screen.show(event)
    assert NAME in said(console)
    assert "\x1b[31m" not in said(console)


def test_the_last_page_shows_names_and_folders_as_they_are(console: Console, tmp_path: Path) -> None:
    folder = tmp_path / "[bold]run"
    accuracy = {"test_examples": 1, "federated": 1.0, "pooled": 1.0, "local": {NAME: 1.0}}
    result = DemoResult(accuracy=accuracy, rewards={}, finalised=1)
    print_summary(console, options(folder, plain=True), result, None, {})
    assert f"{NAME} alone" in said(console)
    assert str(folder) in said(console)
