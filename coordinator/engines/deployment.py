"""The real thing on one machine: a SuperLink, a SuperNode per hospital, and the hospital's own helper processes.

The SuperLink is the one of production (:mod:`~coordinator.engines.superlink`): TLS, enrolled keys, a database, a SuperExec of its own, and a
front that passes fleet calls only, which is all that hospitals reach.

:class:`Deployment` is a context manager. Entering it starts everything and waits until everything is ready; leaving it,
by whatever way, leaves no process behind (:mod:`~coordinator.engines.supervisor`). In between, :meth:`Deployment.run`
submits an app bundle and follows it to its end, and :meth:`Deployment.kill_node` takes a hospital off the network.

Under the given work folder::

    certificates/            an authority for 127.0.0.1 and its server certificate
    superlink.sqlite         the SuperLink's state, and superexec.secret
    flower/config.toml       Flower's home of the SuperLink and of the flwr commands
    flower/node-<i>/         Flower's home of SuperNode i: each installs the bundle for itself
    logs/<process>.log       output of superlink, superexec, superlink-front, supernode-<i>, gateway-<i>, helper-<i>-<k>, and of each flwr command
    run-config.toml          the settings of the last run

It is for demonstrations and tests: everything runs as one user, and on 127.0.0.1. It does not follow rounds: what happens inside a
run is the business of the apps.
"""

from __future__ import annotations

import datetime
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from coordinator.certificates import make_certificates
from coordinator.engines import flower_commands
from coordinator.engines.environment import child_environment
from coordinator.engines.hospitals import Hospital, Reach
from coordinator.engines.node_key import make_node_key
from coordinator.engines.ports import LOOPBACK, reserve
from coordinator.engines.readiness import Ready, accepts, healthy, listens, says
from coordinator.engines.settings import Setting, encode_settings
from coordinator.engines.superlink import FRONT, SUPEREXEC, SUPERLINK, SuperLink
from coordinator.engines.supervised import Supervised, tail
from coordinator.errors import EngineError, NotReady, ProcessDied, RunTimedOut
from fl_core.randomness import SystemRandomSource

POLL_S = 0.1
STATUS_EVERY_S = 20.0
"""Seconds between two questions for a run's status while its output streams; the end of the stream asks at once."""

COMMAND_S = 60.0
"""Seconds within which a ``flwr`` command answers."""

LASTING_ONES = (SUPERLINK, SUPEREXEC, FRONT)
"""Without any of these a run goes no further."""
NODE_KEY = "node.pem"

_log = logging.getLogger(__name__)


class RunOutcome(NamedTuple):
    """How a run ended.

    ``died`` does not stop a run: drop-outs are normal, and the apps decide whether enough nodes are left. ``status`` is Flower's word (``finished:completed``, ``finished:failed``, ``finished:stopped``); ``log`` holds the
    ServerApp's output; ``died`` names processes that ended by themselves meanwhile, without those that were killed.
    """

    run_id: int
    succeeded: bool
    status: str
    log: Path
    died: tuple[str, ...]


class Deployment:
    """A SuperLink and its hospitals, from entering the ``with`` block to leaving it.

    Args:
        folder: Work folder; is created.
        hospitals: One entry per SuperNode.
        port: The port of the SuperLink's front; ``None`` takes a free one.
        environment: Variables for every process, for instance thread limits or a Python path.
        start_s: Seconds within which each stage of the start (helpers and SuperLink; keys; SuperNodes) is ready.
    """

    def __init__(
        self,
        folder: Path,
        hospitals: Sequence[Hospital],
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        start_s: float = 90.0,
    ) -> None:
        self._folder = folder.resolve()
        self._hospitals = tuple(hospitals)
        self._requested_port = port
        self._environment = dict(environment or {})
        self._start_s = start_s
        self._processes: Supervised | None = None
        self._killed: set[str] = set()
        self._superlink: SuperLink | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ start and end

    def start(self) -> None:
        """Start everything and wait until it is ready; on an error nothing is left running.

        Raises:
            PortInUse: A port that was asked for is taken; nothing was started.
            EngineError: A program or a path cannot be used.
            ProcessDied: A process ended while it should get ready.
            NotReady: A process did not get ready in time.
        """
        ports = [hospital.port for hospital in self._hospitals]
        port, inner, *rest = reserve([self._requested_port, None, *ports, *(None for _ in self._hospitals)])
        node_ports, gateway_ports = rest[: len(ports)], rest[len(ports) :]
        self._superlink = self._write_files(port, inner)
        self._processes = Supervised(self._logs)
        try:
            self._start_first_stage(self._superlink, gateway_ports)
            self._start(SUPEREXEC, self._superlink.superexec(), self._home())
            self.enrol([self._public_key(index) for index in range(len(self._hospitals))])
            self._start_nodes(node_ports, gateway_ports)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every process and wait for it. May be called more than once."""
        if self._processes is not None:
            self._processes.close()

    def _start_first_stage(self, superlink: SuperLink, gateway_ports: Sequence[int]) -> None:
        """Start the helpers, the gateways, the SuperLink and its front side by side."""
        waits: dict[str, Ready] = {}
        for index, hospital in enumerate(self._hospitals):
            for number, helper in enumerate(hospital.helpers):
                name = f"helper-{index}-{number}"
                helper.socket.unlink(missing_ok=True)
                self._start(name, helper.command, self._home(index))
                waits[name] = accepts(helper.socket)
            if hospital.gateway is not None:
                name, port = f"gateway-{index}", gateway_ports[index]
                self._start(name, hospital.gateway.command(self.reach, port), self._home(index))
                waits[name] = listens(port)
        self._start(SUPERLINK, superlink.superlink(), self._home())
        waits[SUPERLINK] = healthy(superlink.inner, superlink.certificates.authority)
        self._start(FRONT, superlink.front(), self._home())
        waits[FRONT] = listens(superlink.port)
        self._wait(waits)

    def _start_nodes(self, ports: Sequence[int], gateway_ports: Sequence[int]) -> None:
        waits: dict[str, Ready] = {}
        for index, (hospital, port) in enumerate(zip(self._hospitals, ports, strict=True)):
            name = f"supernode-{index}"
            if hospital.gateway is None:
                key, authority = self._home(index) / NODE_KEY, self.reach.authority
                command = flower_commands.supernode(
                    self.port, port, hospital.config, authority=authority, key=key
                )
            else:
                command = flower_commands.gated_supernode(gateway_ports[index], port, hospital.config)
            if hospital.user is not None:
                os.chown(self._home(index), *hospital.user)
                command = flower_commands.as_user(command, *hospital.user)
            self._start(name, command, self._home(index))
            waits[name] = says(self.log_of(name), flower_commands.NODE_READY)
        self._wait(waits)

    # ------------------------------------------------------------------ keys

    @property
    def port(self) -> int:
        """The front's port; 0 before the start."""
        return 0 if self._superlink is None else self._superlink.port

    @property
    def reach(self) -> Reach:
        """How SuperNodes and gateways reach the SuperLink."""
        assert self._superlink is not None, "a deployment is started before anybody reaches it"
        address = f"https://{LOOPBACK}:{self._superlink.port}"
        return Reach(address, self._superlink.certificates.authority)

    def enrol(self, public_keys: Sequence[Path]) -> None:
        """Have the SuperLink know SuperNodes by the public keys in these files.

        Raises:
            EngineError: Flower refuses one.
        """
        names = {f"flwr-register-{index}": key for index, key in enumerate(public_keys)}
        for name, key in names.items():
            self._start(name, flower_commands.register(key), self._home())
        for name, key in names.items():
            self._ended(name)
            if self._supervised.status()[name] != 0:
                raise EngineError(f"Flower does not enrol {key}. It says: {tail(self.log_of(name))}")

    def _public_key(self, index: int) -> Path:
        """Return the file with the public key of a hospital; one without a gateway gets a key now."""
        gateway = self._hospitals[index].gateway
        return gateway.public_key if gateway is not None else make_node_key(self._home(index) / NODE_KEY)

    # ------------------------------------------------------------------ runs

    def run(self, app: Path, config: Mapping[str, Setting], *, timeout_s: float) -> RunOutcome:
        """Submit the app in the folder ``app`` and follow it to its end.

        Args:
            app: App folder, see :mod:`~coordinator.engines.bundle`.
            config: Settings of this run; their names must exist in the app's defaults.
            timeout_s: Seconds from the submission to the end of the run.

        Raises:
            EngineError: Flower refuses the run.
            ProcessDied: The SuperLink ended.
            RunTimedOut: The run still runs; it is ended when the deployment is left.
        """
        return self.follow(self.submit(app, config), timeout_s=timeout_s)

    def submit(self, app: Path, config: Mapping[str, Setting]) -> int:
        """Submit the app in the folder ``app`` and return Flower's run id at once. Arguments as for :meth:`run`."""
        settings = self._folder / "run-config.toml"
        settings.write_text(encode_settings(config), "utf-8")
        return flower_commands.read_run_id(
            self._command("flwr-run", flower_commands.run(app.resolve(), settings))
        )

    def follow(self, run_id: int, *, timeout_s: float) -> RunOutcome:
        """Wait for the end of a run. Raises as :meth:`run`.

        Flower's log stream ends with the run, and its status is then asked for. Should the stream break off early, or
        stay silent for ever, the status that is asked for now and then decides.
        """
        name = f"serverapp-{run_id}"
        end = time.monotonic() + timeout_s
        next_status = time.monotonic() + STATUS_EVERY_S
        self._start(name, flower_commands.follow(run_id), self._home())
        while time.monotonic() < end:
            if self._stream_ended(name) or time.monotonic() >= next_status:
                status = flower_commands.read_status(
                    self._command("flwr-status", flower_commands.status(run_id))
                )
                if status.startswith("finished"):
                    return self._outcome(run_id, name, status)
                next_status = time.monotonic() + STATUS_EVERY_S
                if self._stream_ended(name):
                    self._start(name, flower_commands.follow(run_id), self._home())
            self._check_alive(*LASTING_ONES)
            time.sleep(POLL_S)
        raise RunTimedOut(
            f"Run {run_id} did not end within {timeout_s:g} s. The ServerApp's output ends: {tail(self.log_of(name))}",
            fix="Allow it more time, or look into the logs of the nodes.",
        )

    def kill_node(self, index: int) -> None:
        """Kill a hospital with ``SIGKILL``: its SuperNode, ClientApps and helpers, as if it lost power. For good."""
        names = [
            f"supernode-{index}",
            *([f"gateway-{index}"] if self._hospitals[index].gateway is not None else []),
            *(f"helper-{index}-{k}" for k in range(len(self._hospitals[index].helpers))),
        ]
        self._killed.update(names)
        self._supervised.kill(names)

    def log_of(self, name: str) -> Path:
        """Return the file with the output of a process: ``superlink``, ``supernode-0``, ``helper-0-0``, ..."""
        return self._logs / f"{name}.log"

    def died(self) -> tuple[str, ...]:
        """Return the names of lasting processes that ended although nobody killed them."""
        lasting = (*LASTING_ONES, "supernode-", "gateway-", "helper-")
        status = self._supervised.status()
        return tuple(
            sorted(
                name
                for name, ended in status.items()
                if ended is not None and name.startswith(lasting) and name not in self._killed
            )
        )

    def _outcome(self, run_id: int, name: str, status: str) -> RunOutcome:
        died = self.died()
        for casualty in died:
            _log.warning("%s ended during the run; its log ends: %s", casualty, tail(self.log_of(casualty)))
        return RunOutcome(run_id, status == "finished:completed", status, self.log_of(name), died)

    def _stream_ended(self, name: str) -> bool:
        return self._supervised.status().get(name, 0) is not None

    # ------------------------------------------------------------------ processes and files

    @property
    def _supervised(self) -> Supervised:
        if self._processes is None:
            raise EngineError("The deployment is not running.")
        return self._processes

    @property
    def _logs(self) -> Path:
        return self._folder / "logs"

    def _home(self, index: int | None = None) -> Path:
        home = self._folder / "flower"
        return home if index is None else home / f"node-{index}"

    def _write_files(self, port: int, inner: int) -> SuperLink:
        self._logs.mkdir(parents=True, exist_ok=True)
        for index in range(len(self._hospitals)):
            self._home(index).mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.UTC)
        certificates = make_certificates(self._folder / "certificates", [LOOPBACK], now=now)
        superlink = SuperLink(folder=self._folder, certificates=certificates, inner=inner, port=port)
        superlink.prepare(SystemRandomSource())
        return superlink

    def _start(self, name: str, command: Sequence[str], home: Path) -> None:
        self._supervised.start(name, command, child_environment(home, self._environment), self._folder)

    def _command(self, name: str, command: Sequence[str]) -> str:
        """Run a command to its end and return its output."""
        self._start(name, command, self._home())
        self._ended(name)
        return self.log_of(name).read_text("utf-8", "replace")

    def _ended(self, name: str) -> None:
        """Wait for the end of a command."""
        end = time.monotonic() + COMMAND_S
        while self._supervised.status()[name] is None:
            self._check_alive(SUPERLINK)
            if time.monotonic() >= end:
                self._supervised.kill([name])
                raise NotReady(
                    f"{name} did not end within {COMMAND_S:g} s. Its log ends: {tail(self.log_of(name))}"
                )
            time.sleep(POLL_S)

    def _wait(self, waits: Mapping[str, Ready]) -> None:
        """Wait until each named process is ready; notice at once when one ends instead."""
        left = dict(waits)
        end = time.monotonic() + self._start_s
        while left:
            self._check_alive(*left)
            left = {name: ready for name, ready in left.items() if not ready()}
            if left and time.monotonic() >= end:
                name = min(left)
                raise NotReady(
                    f"{name} was not ready within {self._start_s:g} s. Its log ends: {tail(self.log_of(name))}"
                )
            time.sleep(POLL_S if left else 0.0)

    def _check_alive(self, *names: str) -> None:
        status = self._supervised.status()
        for name in names:
            if (ended := status[name]) is not None:
                raise ProcessDied(
                    f"{name} ended with status {ended}. Its log ends: {tail(self.log_of(name))}"
                )
