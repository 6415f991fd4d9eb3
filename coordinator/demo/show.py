"""Runs the demo and its audit and shows both: progress, then a summary, as text or as one JSON object."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from coordinator.demo.options import DemoOptions, Protection
from coordinator.demo.run import DemoResult, run_demo
from coordinator.demo.screen import Screen
from coordinator.demo.summary import print_summary
from coordinator.store.events import Event
from ledger.audit.node_reading import NodeReading
from ledger.audit.verify import Report, verify
from ledger.chain.connection import Web3Connection


def show_demo(options: DemoOptions, *, as_json: bool) -> bool:
    """Run the demo, audit what it left, and print the result.

    Args:
        options: What to do.
        as_json: Print one JSON object instead of text.

    Returns:
        Whether every check of the audit passed; True for a run that cannot be audited.

    Raises:
        SutureError: The demo failed; says why.
    """
    console = Console(quiet=as_json)
    events: list[Event] = []
    started = time.perf_counter()
    with Screen(console, options) as screen:

        def listen(event: Event) -> None:
            events.append(event)
            screen.show(event)

        result = run_demo(options, listen)
        trained = time.perf_counter()
        audited = options.protection is Protection.LATTICE
        if audited:
            screen.step("auditing: every aggregate is recomputed from the archived ciphertexts")
        node = (
            None
            if options.ledger_url is None
            else NodeReading({"the node": Web3Connection(options.ledger_url)})
        )
        report = verify(options.folder, node=node) if audited else None
    ended = time.perf_counter()
    seconds = {
        "run": round(trained - started, 2),
        "audit": round(ended - trained, 2),
        "all": round(ended - started, 2),
    }
    if as_json:
        print(json.dumps(_as_json(options, result, report, events, seconds)))
    else:
        print_summary(console, options, result, report, seconds)
    return report is None or report.passed


def _as_json(
    options: DemoOptions,
    result: DemoResult,
    report: Report | None,
    events: list[Event],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    return {
        "engine": options.engine.value,
        "protected": not options.plain,
        "protection": options.protection.value,
        "seed": options.seed,
        "folder": str(options.folder.resolve()),
        "rounds": [event for event in events if event["event"] in ("round-finalised", "round-failed")],
        "finalised": result.finalised,
        "accuracy": result.accuracy,
        "rewards": {name: str(amount) for name, amount in result.rewards.items()},
        "audit": None if report is None else _verdicts(report),
        "bytes_on_disk": folder_bytes(options.folder),
        "seconds": dict(seconds),
    }


def _verdicts(report: Report) -> dict[str, Any]:
    checks = {outcome.number: outcome.verdict.value for outcome in report.outcomes}
    return {"passed": report.passed, "checks": checks}


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
