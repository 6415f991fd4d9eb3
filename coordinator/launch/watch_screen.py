"""What a person sees of a launched run: the rounds as in the demo, and before them consents, after them how it ended."""

from __future__ import annotations

from rich.console import Console

from coordinator.launch.watch import UNKNOWN
from coordinator.screen import RunScreen
from coordinator.store.events import Event


class WatchScreen(RunScreen):
    """Shows the events of :mod:`coordinator.launch.watch`.

    Args:
        console: Where to print.
        rounds: Most rounds that make a model.
    """

    def __init__(self, console: Console, rounds: int) -> None:
        super().__init__(console, rounds)
        self._handlers |= {
            "consents": self._consents,
            "launch-stopped": self._launch_stopped,
            "superlink": self._superlink,
            "superlink-away": self._unanswered,
            "ledger-unanswered": self._unanswered,
            "ledger-away": self._ledger_away,
            "run-failed": self._run_failed,
        }

    def _consents(self, event: Event) -> None:
        self.step("waiting for consents")
        self.say(f"{event['accepted']} of {event['wanted']} holders consent", title="Consents")

    def _launch_stopped(self, event: Event) -> None:
        self.say(
            f"  no command goes on with the launch, which stands at {event['step']}; go on with suture resume",
            "yellow",
        )

    def _superlink(self, event: Event) -> None:
        if event["status"] == UNKNOWN:
            return self.say(
                f"{_name(event)} is not known there; go on with suture resume", "yellow", title="SuperLink"
            )
        return self.say(f"{_name(event)} is {event['status'].replace(':', ', ')}", title="SuperLink")

    def _unanswered(self, event: Event) -> None:
        self.say(f"  {event['reason']}", "yellow")

    def _ledger_away(self, event: Event) -> None:
        self.step(f"the ledger has been away for {event['seconds']} s; waiting for it")

    def _run_failed(self, event: Event) -> None:
        self.say(f"  the run failed: {event['reason']}", "red")


def _name(event: Event) -> str:
    return f"Flower's run {event['run']}" if event["run"] else "the run"
