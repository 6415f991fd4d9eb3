"""Runs the demo's rounds with real processes over loopback: the deployment engine.

Beside each hospital's SuperNode runs its node as a process of its own; ClientApps reach it through a Unix socket and nothing
else. What the ServerApp does is read from its event file.
"""

from __future__ import annotations

import datetime
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.certificates import make_certificates
from coordinator.engines.bundle import Bundle, build_bundle, write_bundle
from coordinator.engines.deployment import Deployment
from coordinator.engines.environment import child_environment
from coordinator.engines.hospitals import Gateway, Helper, Reach
from coordinator.engines.hospitals import Hospital as Site
from coordinator.engines.ports import LOOPBACK, reserve
from coordinator.engines.settings import Setting
from coordinator.engines.supervised import Supervised
from coordinator.errors import EngineError
from coordinator.store.events import Event, EventTail

APP_NAME = "suture-demo"
SERVER_APP, CLIENT_APP = "coordinator.app:app", "clients.app:app"
TAIL_S = 0.1
RUN_DEADLINE_S = 3600.0
DEATH_AFTER_S = 1.0
"""How long after a round was opened the hospital dies: its ClientApp has the model by then, and no answer yet."""


def prepare_bundle(folder: Path, defaults: Mapping[str, Setting], name: str = APP_NAME) -> Bundle:
    """Write and build the app bundle that the run's terms name."""
    app = folder / name
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What a run over real processes needs.

    Attributes:
        folder: Work folder of the deployment.
        nodes: The hospitals' node folders.
        bundle: The app bundle.
        port: The SuperLink's port; None for any free one.
        drop: Round in which the last hospital dies; 0 for none.
        gateways: Whether each SuperNode reaches the SuperLink through its hospital's gateway.
        events: File that the ServerApp appends its events to.
        relay: Folder of the run whose duties go over a relay; None has them go as Flower messages, of which each costs
            seconds. The ServerApp's settings must say the same.
    """

    folder: Path
    nodes: Sequence[Path]
    bundle: Bundle
    port: int | None
    drop: int
    gateways: bool
    events: Path
    relay: Path | None = None


def run_deployed(one: Deployed, config: Mapping[str, Setting], listener: Callable[[Event], None]) -> None:
    """Run the bundle against one SuperNode and one node process per hospital.

    Args:
        one: Where and what.
        config: The ServerApp's settings.
        listener: Called with every event.

    Raises:
        EngineError: A process did not start, or the run failed; says where the log is.
    """
    count, environment = len(one.nodes), {"OMP_NUM_THREADS": "1"}
    with (
        _relay(one) as relay,
        _sites(one, relay) as sites,
        Deployment(one.folder.absolute(), sites, port=one.port, environment=environment) as deployment,
    ):
        started = {"port": deployment.port, "nodes": count, "gateways": one.gateways}
        listener({"event": "processes-started", **started})

        def react(event: Event) -> None:
            listener(event)
            if event["event"] == "round-opened" and event["round"] == one.drop:
                threading.Timer(DEATH_AFTER_S, deployment.kill_node, [count - 1]).start()

        with _following(one.events, react):
            outcome = deployment.run(one.bundle.path.with_suffix(""), config, timeout_s=RUN_DEADLINE_S)
        if not outcome.succeeded:
            raise EngineError(
                f"the run ended as {outcome.status!r}.", fix=f"The ServerApp's log is {outcome.log}."
            )


@contextmanager
def _relay(one: Deployed) -> Iterator[Reach | None]:
    """Run the relay beside the coordinator, and say how nodes reach it; nodes wait for it by themselves."""
    if one.relay is None:
        yield None
        return
    folder = one.folder.absolute() / "relay"
    files = make_certificates(folder, [LOOPBACK], now=datetime.datetime.now(datetime.UTC))
    (port,) = reserve([None])
    command = [
        # -P as below
        *(sys.executable, "-P", "-m", "coordinator.cli", "relay", str(one.relay.absolute())),
        *("--port", str(port), "--certificate", str(files.certificate), "--key", str(files.key)),
    ]
    processes = Supervised(folder)
    try:
        processes.start("relay", command, child_environment(folder), folder)
        yield Reach(f"https://{LOOPBACK}:{port}", files.authority)
    finally:
        processes.close()


@contextmanager
def _sites(one: Deployed, relay: Reach | None) -> Iterator[list[Site]]:
    """What runs at each hospital."""
    duties = () if relay is None else ("--relay", relay.address, "--relay-certificates", str(relay.authority))
    with _sockets() as sockets:
        yield [
            _site(node, sockets / f"{index}.sock", duties, gateways=one.gateways)
            for index, node in enumerate(one.nodes)
        ]


def _site(node: Path, socket: Path, duties: Sequence[str], *, gateways: bool) -> Site:
    node = node.absolute()  # each process works in a folder of its own
    command = [
        # -P: modules are ours, not those in the working folder.
        *(sys.executable, "-P", "-m", "clients.cli", "serve", str(node), "--socket", str(socket)),
        *duties,
    ]

    def gateway(reach: Reach, port: int) -> list[str]:
        # -P as above
        return [
            *(sys.executable, "-P", "-m", "clients.cli", "gateway", str(node), "--socket", str(socket)),
            *("--superlink", reach.address, "--root-certificates", str(reach.authority)),
            *("--port", str(port)),
        ]

    return Site(
        config={"door": f"unix:{socket}"},
        helpers=[Helper(command=command, socket=socket)],
        gateway=Gateway(command=gateway, public_key=node / "keys" / "supernode.pub") if gateways else None,
    )


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
