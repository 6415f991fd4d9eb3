"""What a person sees while the demo runs: besides the rounds, how the consortium was founded and what protects it."""

from __future__ import annotations

from rich.console import Console

from coordinator.demo.ckks import WARNING
from coordinator.demo.options import DemoOptions
from coordinator.screen import RunScreen
from coordinator.store.events import Event


class Screen(RunScreen):
    """Shows events; as a context manager it owns the progress bar.

    Args:
        console: Where to print.
        options: The demo's options.
    """

    def __init__(self, console: Console, options: DemoOptions) -> None:
        super().__init__(console, options.rounds, plain=options.plain)
        self._options = options
        self._handlers |= {
            "hospitals": self._hospitals,
            "consortium-founded": self._founded,
            "processes-started": self._processes,
        }

    def _hospitals(self, event: Event) -> None:
        self._count = len(event["holders"])
        pairs = zip(event["holders"], event["records"], strict=True)
        listing = ", ".join(f"{name} {count}" for name, count in pairs)
        self.say(listing, title="Patients")
        if self._options.plain:
            self.say("off: updates travel in the clear. For comparison only.", "bold red", title="Protection")
        elif self._options.ckks:
            self.say(WARNING, "bold red", title="Protection")
        else:
            self.say("P4096: nobody holds a key that opens one hospital's update", title="Protection")

    def _founded(self, event: Event) -> None:
        self.say(
            f"{event['members']} members with keys, terms accepted, rewards in escrow"
            f" ({event['milliseconds'] / 1000:.1f} s)",
            title="Ledger",
        )

    def _processes(self, event: Event) -> None:
        count = 1 + (3 if event["gateways"] else 2) * event["nodes"]
        gateways = ", gateways" if event["gateways"] else ""
        self.say(
            f"{count} started: SuperLink on port {event['port']}, SuperNodes{gateways}, hospital nodes",
            title="Processes",
        )
