"""Runs the demo's rounds with real processes over loopback: the deployment engine.

Beside each hospital's SuperNode runs its node as a process of its own; ClientApps reach it through a Unix socket and nothing
else. What the ServerApp does is read from its event file.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.engines.bundle import Bundle, build_bundle, write_bundle
from coordinator.engines.deployment import Deployment
from coordinator.engines.hospitals import Helper
from coordinator.engines.hospitals import Hospital as Site
from coordinator.engines.settings import Setting
from coordinator.errors import EngineError
from coordinator.store.events import Event, EventTail

APP_NAME = "suture-demo"
SERVER_APP, CLIENT_APP = "coordinator.app:app", "clients.app:app"
TAIL_S = 0.1
RUN_DEADLINE_S = 3600.0
DEATH_AFTER_S = 1.0
"""How long after a round was opened the hospital dies: its ClientApp has the model by then, and no answer yet."""


def prepare_bundle(folder: Path, defaults: Mapping[str, Setting]) -> Bundle:
    """Write and build the app bundle that the run's terms name."""
    app = folder / APP_NAME
    app.mkdir(parents=True)
    write_bundle(app, server=SERVER_APP, client=CLIENT_APP, config=defaults)
    return build_bundle(app)


@contextmanager
def _sockets() -> Iterator[Path]:
    """A private folder with a short path, since paths of Unix sockets may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="suture-", dir=_short_temporary_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_temporary_folder() -> str | None:
    default = tempfile.gettempdir()
    return default if len(default) < 40 or sys.platform == "win32" else "/tmp"  # noqa: S108 - mkdtemp makes it private


def run_deployed(
    folder: Path,
    nodes: Sequence[Path],
    config: Mapping[str, Setting],
    *,
    bundle: Bundle,
    port: int | None,
    drop: int,
    gateways: bool,
    events: Path,
    listener: Callable[[Event], None],
) -> None:
    """Run the bundle against one SuperNode and one node process per hospital.

    Args:
        folder: Work folder of the deployment.
        nodes: The hospitals' node folders.
        config: The ServerApp's settings.
        bundle: The app bundle.
        port: The SuperLink's port; None for any free one.
        drop: Round in which the last hospital dies; 0 for none.
        gateways: Whether each SuperNode reaches the SuperLink through its hospital's gateway.
        events: File that the ServerApp appends its events to.
        listener: Called with every event.

    Raises:
        EngineError: A process did not start, or the run failed; says where the log is.
    """
    with _sockets() as sockets:
        sites = [
            _site(node, sockets / f"{index}.sock", gateways=gateways) for index, node in enumerate(nodes)
        ]
        with Deployment(
            folder.absolute(), sites, port=port, environment={"OMP_NUM_THREADS": "1"}
        ) as deployment:
            started = {"port": deployment.port, "nodes": len(nodes), "gateways": gateways}
            listener({"event": "processes-started", **started})

            def react(event: Event) -> None:
                listener(event)
                if event["event"] == "round-opened" and event["round"] == drop:
                    threading.Timer(DEATH_AFTER_S, deployment.kill_node, [len(nodes) - 1]).start()

            with _following(events, react):
                outcome = deployment.run(bundle.path.with_suffix(""), config, timeout_s=RUN_DEADLINE_S)
            if not outcome.succeeded:
                raise EngineError(
                    f"the run ended as {outcome.status!r}.", fix=f"The ServerApp's log is {outcome.log}."
                )


def _site(node: Path, socket: Path, *, gateways: bool) -> Site:
    node = node.absolute()  # each process works in a folder of its own
    # -P: modules are ours, not those in the working folder.
    command = [sys.executable, "-P", "-m", "clients.cli", "serve", str(node), "--socket", str(socket)]

    def gateway(superlink: str, port: int) -> list[str]:
        # -P as above
        return [
            *(sys.executable, "-P", "-m", "clients.cli", "gateway", str(node), "--socket", str(socket)),
            *("--superlink", superlink, "--port", str(port)),
        ]

    helpers = [Helper(command=command, socket=socket)]
    return Site(config={"door": f"unix:{socket}"}, helpers=helpers, gateway=gateway if gateways else None)


@contextmanager
def _following(path: Path, listener: Callable[[Event], None]) -> Iterator[None]:
    """Pass on the events in ``path`` while the block runs, and those that are left at its end."""
    tail, stop = EventTail(path), threading.Event()

    def follow() -> None:
        while not stop.wait(TAIL_S):
            for event in tail.new():
                listener(event)

    thread = threading.Thread(target=follow, name="suture-events", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for event in tail.new():
            listener(event)
