"""What a person sees of a run while it goes on: what happens right now, and a line for each finished round.

On a terminal the progress bar moves in place; elsewhere (a log file, a pipe) only the finished lines are printed. Colours
follow the terminal and ``NO_COLOR``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from coordinator.store.events import Event
from suture_fl.report import one_line

CORRECT, TOTAL = "test-correct", "test-total"


class RunScreen:
    """Shows events of a run; as a context manager it owns the progress bar.

    Args:
        console: Where to print.
        rounds: How many rounds there are to be.
        plain: Whether the run is without protection.
    """

    def __init__(self, console: Console, rounds: int, *, plain: bool = False) -> None:
        self._console = console
        self._rounds = rounds
        self._plain = plain
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None
        self._bytes = 0
        self._count = 0
        self._headed = False
        self._handlers: dict[str, Callable[[Event], None]] = {
            "enrolled": self._enrolled,
            "key-shared": self._key_shared,
            "dealer-lost": self._dealer_lost,
            "model-handed-over": self._handed_over,
            "model-kept": self._kept,
            "holder-left-out": self._left_out,
            "round-opened": self._opened,
            "contribution": self._contribution,
            "contribution-lost": self._lost,
            "contribution-refused": self._lost,
            "answer-lost": self._lost,
            "answer-refused": self._lost,
            "sets-committed": self._committed,
            "answer": self._answer,
            "round-finalised": self._finalised,
            "round-failed": self._failed,
        }

    def __enter__(self) -> Self:
        self._progress.start()
        self._bar = self._progress.add_task("starting", total=self._rounds)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event; kinds that mean nothing to a person are passed over."""
        handler = self._handlers.get(event["event"])
        if handler is not None:
            handler(event)

    def say(self, text: str, style: str = "", *, title: str = "") -> None:
        """Print a line as it is: names and reasons come from files and from other processes, so nothing is markup."""
        line = Text.assemble((f"{title:<12}" if title else "", "bold"), one_line(text), style=style)
        self._console.print(line, soft_wrap=True)

    def step(self, text: str) -> None:
        """Say what is going on right now."""
        if self._bar is not None:
            self._progress.update(self._bar, description=one_line(text))

    def _enrolled(self, event: Event) -> None:
        self.step(f"{len(event['holders'])} hospitals connected")
        if len(event["holders"]) < self._count:
            self.say(f"  only {', '.join(event['holders'])} of {self._count} hospitals answered", "yellow")

    def _key_shared(self, event: Event) -> None:
        self.say(
            f"made by {event['dealer']}, shared by {len(event['holders'])} hospitals; the coordinator has none",
            title="Key",
        )

    def _dealer_lost(self, event: Event) -> None:
        self.say(f"  {event['holder']}: {event['reason']}; the next hospital's turn", "yellow")

    def _handed_over(self, event: Event) -> None:
        self.say(f"handed over by {event['holder']}, as its policy allows", title="Model")

    def _kept(self, event: Event) -> None:
        self.say(f"  no hospital hands the model {event['model'][:12]} over: it stays with them", "yellow")

    def _left_out(self, event: Event) -> None:
        self.say(
            f"  {event['holder']} does not consent, has other keys or spoilt a sum before: left out", "yellow"
        )

    def _opened(self, event: Event) -> None:
        self._bytes = 0
        if not self._headed:
            self._headed = True
            self.say(_HEADINGS[self._plain], "dim")
        self.step(f"round {event['round']}: training at {len(event['cohort']) or 'the'} hospitals")

    def _contribution(self, event: Event) -> None:
        self._bytes += event["bytes"]
        self.step(f"round {event['round']}: sealed update of {event['holder']}")

    def _committed(self, event: Event) -> None:
        for left_out in event["excluded"]:
            reason = left_out["reason"].replace("-", " ")
            self.say(f"  {left_out['holder']}: left out of round {event['round']}, {reason}", "yellow")
        for holder in event["unreliable"]:
            self.say(f"  {holder}: its word in the share check contradicts most others", "yellow")
        self.step(
            f"round {event['round']}: set of {len(event['included'])} on the ledger, asking the committee"
        )

    def _answer(self, event: Event) -> None:
        self.step(f"round {event['round']}: {event['holder']} answered the {event['question']}")

    def _lost(self, event: Event) -> None:
        holder = event["holder"] or "a hospital"
        self.say(f"  {holder}: {event['reason']}; the round goes on without it", "yellow")

    def _failed(self, event: Event) -> None:
        self.say(f"  round {event['round']} made no model: {event['reason']}", "red")

    def _finalised(self, event: Event) -> None:
        for holder in event.get("liars", ()):
            self.say(f"  {holder}: its sum of shares was wrong, the others made up for it", "yellow")
        for holder in event.get("blamed", ()):
            self.say(
                f"  {holder}: its update was malformed; that part of the model stays as it was", "yellow"
            )
        counters = event["counters"]
        accuracy = counters[CORRECT] / counters[TOTAL] if counters.get(TOTAL) else float("nan")
        line = f"{event['round']:>5}  {event['included']:>9}  {accuracy:>15.3f}  {event['train_ms']:>8.0f}"
        if not self._plain:
            protection = event["holder_protection_ms"] + event["coordinator_protection_ms"]
            line += f"  {self._bytes / 1024:>10.0f}  {protection:>10.0f}  {event['ledger_ms']:>9.0f}"
        self.say(line)
        if self._bar is not None:
            self._progress.advance(self._bar)


_PLAIN_HEADING = "round  hospitals  accuracy before  train ms"
_HEADINGS = {True: _PLAIN_HEADING, False: _PLAIN_HEADING + "  sealed KiB  protect ms  ledger ms"}
