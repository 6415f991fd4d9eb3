"""A consortium as it is deployed, with real processes: SuperLink, relay, and four hospitals that reach both by outward connections only.

Everything is started by the commands that people use. One hospital can live in a network namespace of its own, behind a cable (a veth
pair) that can be pulled.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from coordinator.engines import flower_commands
from coordinator.engines.environment import child_environment
from coordinator.engines.ports import reserve
from coordinator.engines.settings import Setting, encode_settings
from coordinator.errors import EngineError
from tests.simulators.patience import STOP_S, exits_of, patient
from tests.simulators.process_tree import MARK, becomes, end_marked

ROOT = Path(__file__).parents[2]
NEAR, FAR = "10.213.77.1", "10.213.77.2"
"""The two ends of the cable."""
START_S, RUN_S = 600.0, 1800.0
COMMAND_S, FLOWER_S = 600.0, 120.0


class Cable:
    """A network namespace that has nothing but its loopback interface and one cable to the outside."""

    def __init__(self) -> None:
        name = secrets.token_hex(3)
        self.name, self.outer, self.inner = f"suture-{name}", f"sut{name}", f"hos{name}"

    @staticmethod
    def missing() -> str:
        """Why there can be none here; empty where there can."""
        if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None:
            return "network namespaces need Linux, root and the command ip"
        one = Cable()
        try:
            one.lay()
        except subprocess.CalledProcessError as error:
            return f"no network namespace may be made here: {error.stderr.decode().strip()}"
        finally:
            one.remove()
        return ""

    def lay(self) -> None:
        for line in (
            f"netns add {self.name}",
            f"link add {self.outer} type veth peer name {self.inner} netns {self.name}",
            f"addr add {NEAR}/30 dev {self.outer}",
            f"link set {self.outer} up",
            f"-n {self.name} addr add {FAR}/30 dev {self.inner}",
            f"-n {self.name} link set {self.inner} up",
            f"-n {self.name} link set lo up",
        ):
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)

    def pull(self) -> None:
        """Cut the hospital off: no packet passes any more, and nobody is told."""
        subprocess.run(["ip", "link", "set", self.outer, "down"], check=True, capture_output=True)

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self.outer], check=False, capture_output=True)


class Federation:
    """The processes of one run.

    Args:
        folder: Work folder with a short path.
        run: Folder of a founded run.
        far: Whether the last hospital lives behind a cable.
        nodes: Folder of the hospitals' nodes; by default the one in the run's folder.
        first: Folder that comes first on every process's ``PYTHONPATH``.
    """

    def __init__(
        self, folder: Path, run: Path, *, far: bool, nodes: Path | None = None, first: Path | None = None
    ) -> None:
        self.folder, self.run, self.mark = folder, run, secrets.token_hex(8)
        self.cable = Cable() if far else None
        self.nodes = sorted((nodes or run / "nodes").iterdir())
        self.port, self.inner, self.relay_port = reserve([None, None, None])
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.host = NEAR if far else "127.0.0.1"
        self._path = os.pathsep.join(map(str, filter(None, (first, ROOT))))
        self._ports: list[int] = []
        self._relay_options: tuple[object, ...] = ()
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)

    # ------------------------------------------------------------------ processes

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def authority(self) -> Path:
        return self.certificates / "ca.crt"

    @property
    def superlink(self) -> Path:
        return self.folder / "superlink"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": self._path,
            "TMPDIR": str(self.temporary),
            MARK: self.mark,
            "OMP_NUM_THREADS": "1",
        }

    def command(self, module: str, *arguments: object) -> str:
        """Run a command of ours to its end and return what it printed."""
        program = f"from {module} import main; main()"
        command = [sys.executable, "-P", "-c", program, *map(str, arguments)]
        done = subprocess.run(
            command, env=self.environment(), cwd=self.folder, capture_output=True, check=False,
            timeout=patient(COMMAND_S),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    def _serve(self, name: str, module: str, *arguments: object, inside: bool = False) -> None:
        command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
        if inside:
            assert self.cable is not None
            command = ["ip", "netns", "exec", self.cable.name, *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=self.environment(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start(self) -> None:
        """Start everything, as the how-tos say, and wait until all hospitals have joined."""
        self.start_superlink()
        self.start_relay()
        self.join()

    def start_superlink(self) -> None:
        """Make certificates and start the SuperLink."""
        if self.cable is not None:
            self.cable.lay()
        names = [word for host in dict.fromkeys([self.host, "127.0.0.1"]) for word in ("--name", host)]
        self.command("coordinator.cli", "certificates", self.certificates, *names)
        self.serve_superlink()

    def serve_superlink(self) -> None:
        """Start the SuperLink's service; also again, after it was killed."""
        self._serve(
            "superlink", "coordinator.cli", "superlink", "serve", self.superlink, "--certificates", self.certificates,
            "--host", self._listening, "--port", self.port, "--inner-port", self.inner,
        )  # fmt: skip

    def start_relay(self, *options: object) -> None:
        """Start the relay of the run; before it is launched ``options`` name its ledger."""
        self._relay_options = options
        self.serve_relay()

    def serve_relay(self) -> None:
        """Start the relay's service; also again, after it was killed."""
        self._serve(
            "relay", "coordinator.cli", "relay", self.run, "--certificate", self.certificates / "server.pem",
            "--key", self.certificates / "server.key", "--host", self._listening, "--port", self.relay_port,
            *self._relay_options,
        )  # fmt: skip

    @property
    def _listening(self) -> str:
        return "0.0.0.0" if self.cable is not None else "127.0.0.1"

    def join(self) -> None:
        """Configure, enrol and start the hospitals, and wait until the SuperLink has taken them in."""
        self._ports = ports = reserve([None] * (2 * len(self.nodes)))
        for position, node in enumerate(self.nodes):
            self._configure(node, ports[2 * position], ports[2 * position + 1], far=self.is_far(position))
            shown = json.loads(self.command("clients.cli", "keys", "supernode", node, "--json"))
            self.enrol(Path(shown["file"]), f"{position}.pub")
            self.start_node(position)
        for position, node in enumerate(self.nodes):
            log = node / "logs" / "supernode.log"
            joined = becomes(lambda log=log: log.exists() and "SuperNode ID" in log.read_text(), START_S)
            assert joined, self.log("superlink") + self.log(f"node-{position}")

    def supernode_port(self, position: int) -> int:
        """The port on which a hospital's SuperNode answers its apps."""
        return self._ports[2 * position + 1]

    def is_far(self, position: int) -> bool:
        return self.cable is not None and position == len(self.nodes) - 1

    def _configure(self, node: Path, gateway: int, supernode: int, *, far: bool) -> None:
        """Write what a hospital's IT writes: where the partners are. A far one has no path to the chain's file."""
        host, config = self.host if far else "127.0.0.1", node / "node.toml"
        text = config.read_text()
        if far:
            text = text.replace(str(self.run.resolve()), "/nowhere")
        config.write_text(
            f'{text}\n[network]\nsuperlink = "{host}:{self.port}"\nrelay = "https://{host}:{self.relay_port}"\n'
            f'ca = "{self.authority}"\ngateway_port = {gateway}\nsupernode_port = {supernode}\n'
        )

    def enrol(self, public_key: Path, name: str) -> None:
        folder = self.superlink / "nodes"
        assert becomes(folder.is_dir, START_S), self.log("superlink")
        shutil.copy(public_key, folder / f".{name}")
        (folder / f".{name}").rename(folder / name)

    def start_node(self, position: int) -> None:
        socket = self.folder / f"{position}.sock"
        self._serve(
            f"node-{position}", "clients.cli", "serve", self.nodes[position], "--socket", socket, "--same-user",
            inside=self.is_far(position),
        )  # fmt: skip

    # ------------------------------------------------------------------ runs

    def _flower(self, command: list[str]) -> str:
        environment = child_environment(self.superlink / "flower", {MARK: self.mark})
        done = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, check=False,
            timeout=patient(FLOWER_S),
        )  # fmt: skip
        return (done.stdout + done.stderr).decode()

    def submit(self, app: Path, config: Mapping[str, Setting]) -> int:
        settings = self.folder / "run-config.toml"
        settings.write_text(encode_settings(config))
        return flower_commands.read_run_id(self._flower(flower_commands.run(app, settings)))

    def status(self, run_id: int) -> str:
        return flower_commands.read_status(self._flower(flower_commands.status(run_id)))

    def ended(self, run_id: int) -> str:
        """Wait for the end of a run and return its status."""
        found, trouble = "", ""

        def over() -> bool:
            nonlocal found, trouble
            try:
                found = self.status(run_id)
            except (EngineError, subprocess.TimeoutExpired) as error:  # it is busy, or just starting again
                trouble = str(error)
            return found.startswith("finished")

        assert becomes(over, RUN_S), f"{found} {trouble}\n{self.log('superlink')}"
        return found

    def server_log(self, run_id: int) -> str:
        return self._flower([*flower_commands.follow(run_id)[:-1], "--show"])

    def events(self, name: str = "") -> list[dict[str, object]]:
        path = self.run / "coordinator" / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if name in ("", event["event"])]

    # ------------------------------------------------------------------ end

    def stop(self, seconds: float = STOP_S) -> dict[str, int]:
        """End every service as a service manager does; return the exit statuses by name.

        Raises:
            AssertionError: One does not end. The text has its name and the end of its log.
        """
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGTERM)
        return exits_of(self.running, self.log, seconds)

    def close(self) -> None:
        end_marked(self.mark)
        for process in self.running.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        if self.cable is not None:
            self.cable.remove()
