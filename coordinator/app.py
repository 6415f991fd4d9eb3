"""The Flower ServerApp: opens the run, finds out whose nodes are at hand, and lets the strategy run the rounds.

The same app runs on every engine. In a run without protection there is neither ledger nor archive; it exists to be compared
with, and every place that starts one says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from coordinator.ckks import run_ckks
from coordinator.committee import RelayCommittee
from coordinator.context import RunContext, open_run
from coordinator.curves.file import LiveCurves
from coordinator.engines.environment import flower_logs_as_json
from coordinator.engines.exchange import connected
from coordinator.engines.settings import Setting
from coordinator.enrolment import enrol, wait_for_nodes
from coordinator.event_lines import EventLines
from coordinator.flower_messages import array_record
from coordinator.history import MAX_MODEL_BYTES, newest_model, settle
from coordinator.offered import Holders, is_genuine, offer_transport_key
from coordinator.plain import run_plain
from coordinator.store.duties import Duties
from coordinator.store.events import Event, EventLog
from coordinator.store.presence import at_work
from coordinator.strategy import Patience, ProtectedStrategy
from fl_core.models import decode_model
from fl_core.randomness import SystemRandomSource
from suture_fl.json_log import json_asked_for, log_to_stderr

FOLDER = "run-folder"
NODES = "nodes"
ROUNDS = "rounds"
TRAIN_DEADLINE = "train-deadline"
REVEAL_DEADLINE = "reveal-deadline"
PROTECTION = "protection"
POLL = "poll"
RELAY = "relay"
CURVES = "curves"

SETTINGS: Mapping[str, Setting] = {
    FOLDER: "",
    NODES: 4,
    ROUNDS: 15,
    TRAIN_DEADLINE: 3600.0,
    REVEAL_DEADLINE: 600.0,
    PROTECTION: "lattice",
    POLL: 0.5,
    RELAY: False,
    CURVES: "",
}
"""The app's run config and its defaults: the run's folder, how many nodes to wait for, how many rounds to try, how many
seconds to wait for contributions and for answers, the protection (``lattice``, ``ckks`` or ``none``), and the longest pause in
seconds between two looks for a reply, whether the committee is asked over the relay instead of Flower, and the folder for training
curves, empty for none."""

CONNECT_DEADLINE_S = 120.0

Listener = Callable[[Event], None]


def make_server_app(listener: Listener | None = None) -> ServerApp:
    """Return the ServerApp.

    Args:
        listener: Called with every event, beside the event log; for engines within this process.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        config = {**SETTINGS, **context.run_config}
        if json_asked_for():
            log_to_stderr(as_json=True)
            flower_logs_as_json()
        told = _with_curves(config, listener)
        if config[PROTECTION] == "none":
            wait_for_nodes(grid, int(config[NODES]), deadline_s=CONNECT_DEADLINE_S)
            _run_plain(grid, config, told)
            return
        private = Path(str(config[FOLDER])) / "coordinator"
        with at_work(private):
            with _failure_told(private, told):
                wait_for_nodes(grid, int(config[NODES]), deadline_s=CONNECT_DEADLINE_S)
                run = open_run(private.parent, clock=_now, random=SystemRandomSource(), listener=told)
            _run_protected(grid, config, run)

    return app


@contextmanager
def _failure_told(private: Path, listener: Listener | None) -> Iterator[None]:
    """Tell whoever watches why a run could not begin: its own event log is opened with the run."""
    try:
        yield
    except Exception as error:
        events = EventLog(private / "events.jsonl", listener, EventLines().tell)
        try:
            events.emit("run-failed", reason=f"{type(error).__name__}: {error}")
        finally:
            events.close()
        raise


def _with_curves(config: Mapping[str, Setting], listener: Listener | None) -> Listener | None:
    """Return a listener that also writes training curves, if the run has them.

    Raises:
        InputError: They need what is not installed.
    """
    if not config[CURVES]:
        return listener
    curves = LiveCurves(Path(str(config[FOLDER])), Path(str(config[CURVES])))

    def tell(event: Event) -> None:
        if listener is not None:
            listener(event)
        curves.hear(event)

    return tell


def _run_protected(grid: Grid, config: Mapping[str, Setting], run: RunContext) -> None:
    try:
        if config[PROTECTION] == "ckks":
            run_ckks(
                grid, Path(str(config[FOLDER])), run, rounds=int(config[ROUNDS]), patience=_patience(config)
            )
        else:
            _run_rounds(grid, config, run)
    except Exception as error:
        run.events.emit("run-failed", reason=f"{type(error).__name__}: {error}")
        raise
    finally:
        run.close()


def _patience(config: Mapping[str, Setting]) -> Patience:
    return Patience(
        train=float(config[TRAIN_DEADLINE]), reveal=float(config[REVEAL_DEADLINE]), poll=float(config[POLL])
    )


def _run_rounds(grid: Grid, config: Mapping[str, Setting], run: RunContext) -> None:
    patience = _patience(config)
    accounts, run_prekeys = enrol(
        grid,
        connected(grid),
        members=Holders(run.reader),
        deadline_s=patience.reveal,
        told=lambda status: offer_transport_key(run, status.account, status.transport),
        genuine=lambda prekey: is_genuine(prekey, run.reader),
    )
    run.prekeys.update(run_prekeys)
    run.events.emit(
        "enrolled",
        holders=[run.names.get(account, account.hex()) for account in accounts.values()],
        nodes={str(node): account.hex() for node, account in accounts.items()},
    )
    settle(run, run.reader.run(run.run).opened)
    _, artifact = newest_model(run)
    tensors = decode_model(run.archive.get(artifact, MAX_MODEL_BYTES), MAX_MODEL_BYTES)
    duties = Duties(run.private) if config[RELAY] else None
    strategy = ProtectedStrategy(
        FedAvg(min_train_nodes=1, min_available_nodes=1),
        context=run,
        accounts=accounts,
        patience=patience,
        committee=None if duties is None else RelayCommittee(duties, patience_s=patience.reveal),
    )
    try:
        strategy.start(grid, array_record(tensors), num_rounds=int(config[ROUNDS]), timeout=patience.train)
    finally:
        if duties is not None:
            duties.close()
    run.events.emit("run-finished", finalised=run.reader.run(run.run).finalised)


def _run_plain(grid: Grid, config: Mapping[str, Setting], listener: Listener | None) -> None:
    folder = Path(str(config[FOLDER]))
    events = EventLog(folder / "events.jsonl", listener, EventLines().tell)
    try:
        run_plain(
            grid,
            folder,
            events,
            rounds=int(config[ROUNDS]),
            deadline_s=float(config[TRAIN_DEADLINE]),
            poll_s=float(config[POLL]),
        )
    finally:
        events.close()


def _now() -> int:
    return int(time.time())


app = make_server_app()
"""The ServerApp that a bundle names."""
