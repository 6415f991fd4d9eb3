"""``suture metrics``: numbers of a run for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: suture metrics runs/one --at 127.0.0.1:9465"


def metrics(
    folder: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    at: Annotated[
        str,
        typer.Option(
            help="Address to answer on: loopback, or in a container a name in the collector's network."
        ),
    ] = "127.0.0.1:9465",
    once: Annotated[bool, typer.Option("--once", help="Print the numbers once instead.")] = False,
) -> None:
    """Serve Prometheus metrics of a run until SIGTERM or Ctrl-C: rounds, phases, times, bytes, refusals, ledger, outbox.

    Only reads the run's folder; it may be started and stopped at any time.
    """
    import time

    from coordinator.metrics import RunMetrics
    from coordinator.run_head import open_head
    from suture_fl.report import one_line
    from suture_fl.scrapes import ScrapeServer
    from suture_fl.stopping import Stop

    with open_head(folder) as head:
        counted = RunMetrics(folder / "coordinator", head, time.time)
        if once:
            typer.echo(counted.text(), nl=False)
            return
        stop = Stop().on_signals()
        server = ScrapeServer(counted.text, at)
        typer.echo(one_line(f"metrics on http://{at}/metrics"), err=True)
        stop.wait()
        server.close()
