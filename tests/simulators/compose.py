"""Plays a compose file as docker-compose reads it: containers on networks, with volumes and secrets, in the order of their health.

A key that is in none of the two tables is refused: a new one is noticed, and is not left out in silence.

======================================================  =======================================================================
played                                                  how
======================================================  =======================================================================
image, command, environment, user, group_add,           on the images that :mod:`tests.simulators.images` made, in
read_only, cap_drop, security_opt, tmpfs, entrypoint    :mod:`tests.simulators.containers`
networks and aliases, `internal`                        :mod:`tests.simulators.switchboard`; nothing leads out, also where a network
                                                        is not `internal`; no port is published
volumes, secrets                                        mounts; a new named volume begins with what the image has there
depends_on, healthcheck                                 a service starts when those before it are healthy: its own command is
                                                        run in the container every ``start_interval``, for ``start_period``
======================================================  =======================================================================

Not played: :data:`LEFT_OUT`, and the checks after the first that succeeds; the tests ask themselves.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.simulators.containers import Container, Mount, Spec, run
from tests.simulators.images import Image
from tests.simulators.patience import patient
from tests.simulators.switchboard import Switchboard

IMAGES = {"suture-node": "node", "suture-coordinator": "coordinator"}
"""Stage of the Dockerfile by the name of what is built from it."""
PLAYED = frozenset(
    [
        *("image", "entrypoint", "command", "environment", "user", "group_add", "read_only", "cap_drop"),
        *("security_opt", "tmpfs", "networks", "volumes", "secrets", "depends_on", "healthcheck"),
    ]
)
LEFT_OUT = frozenset({"pids_limit", "mem_limit", "cpus", "restart", "stop_grace_period"})
HARDENED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
"""The only way in which containers are played."""
LOOK_S, AT_A_TIME = 0.2, 4
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


class NotPlayed(Exception):
    """A compose file says something that would not be played as an engine does it, or a service does not start."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service: what is started, after whom, and how it is asked. Times are in seconds."""

    spec: Spec
    after: tuple[str, ...]
    check: list[str]
    retries: int
    interval: float
    timeout: float
    start_period: float
    start_interval: float

    def due(self, began: float, asked: float) -> float:
        """Return when it is asked again: often in its ``start_period``, later at its pace."""
        early = asked < began + self.start_period
        return asked + (self.start_interval if early else self.interval)

    @property
    def patience(self) -> float:
        """How long it may take to become healthy; failures count only after its ``start_period``."""
        return self.start_period + self.retries * (self.interval + self.timeout)


class Composition:
    """The services of one compose file.

    Args:
        file: What ``docker-compose config --format json`` prints.
        images: By stage.
        folder: For volumes and logs.
    """

    def __init__(self, file: Mapping[str, Any], images: Mapping[str, Image], folder: Path) -> None:
        self._file, self._images, self._folder = file, images, folder
        self._switchboard = Switchboard()
        (folder / "volumes").mkdir(parents=True)
        services = file["services"]
        spaces = {name: self._joined(name, one) for name, one in services.items()}
        self.services = {name: self._service(name, one, spaces[name]) for name, one in services.items()}
        self.running: dict[str, Container] = {}
        self._probes = 0

    # ------------------------------------------------------------------ reading the file

    def _joined(self, name: str, one: Mapping[str, Any]) -> str:
        networks = {network: (how or {}).get("aliases", ()) for network, how in one["networks"].items()}
        return self._switchboard.join(name, networks)

    def _service(self, name: str, one: Mapping[str, Any], space: str) -> Service:
        check_known(name, one)
        image = self._images[IMAGES[one["image"].partition(":")[0]]]
        mounts = [
            *map(self._secret, one.get("secrets", ())),
            *(self._volume(image, m) for m in one["volumes"]),
        ]
        taken = {mount.target for mount in mounts}
        spec = Spec(
            root=image.root,
            command=[*(one["entrypoint"] or image.entrypoint), *(one["command"] or image.command)],
            environment=image.environment | one.get("environment", {}),
            user=one["user"],
            groups=tuple(one.get("group_add", ())),
            workdir=image.workdir,
            mounts=(
                *image.anonymous(taken, self._folder / "volumes"),
                *sorted(mounts, key=lambda mount: mount.target),  # a folder before what lies in it
            ),
            tmpfs=dict(line.split(":", 1) for line in one["tmpfs"]),
            read_only=True,
            confined=True,
            network=space,
            hosts=self._switchboard.hosts(name),
        )
        return _asked(name, one, spec)

    def _secret(self, one: Mapping[str, str]) -> Mount:
        return Mount(
            source=Path(self._file["secrets"][one["source"]]["file"]), target=one["target"], read_only=True
        )

    def _volume(self, image: Image, one: Mapping[str, Any]) -> Mount:
        if one["type"] == "bind":
            source = Path(one["source"])
        elif one["type"] == "volume" and one["source"] in self._file["volumes"]:
            source = image.volume(one["target"], self._folder / "volumes" / one["source"])
        else:
            raise NotPlayed(f"a mount {one}")
        return Mount(source=source, target=one["target"], read_only=one.get("read_only", False))

    # ------------------------------------------------------------------ starting

    def fill_caches(self, name: str, command: list[str]) -> None:
        """Run a command in a container like a service's own, and give every named volume on ``/cache`` what it left in that one's.

        Compiling the same kernels once for each volume is most of a start on a machine with two cores.
        """
        code, said = run(replace(self.services[name].spec, command=command), self._folder / "caches.log")
        if code != 0:
            raise NotPlayed(f"{command} ended with {code}: {said}")
        [full] = [m.source for m in self.services[name].spec.mounts if m.target == "/cache"]
        for volume in self._file["volumes"]:
            place = self._folder / "volumes" / volume
            if volume.startswith("cache-") and place != full:
                subprocess.run(["cp", "-a", "-T", full, place], check=True)

    def up(self) -> list[tuple[str, str]]:
        """Start everything, as ``up --wait`` does; return what happened in its order: ``started`` or ``healthy``, and the service."""
        told: list[tuple[str, str]] = []
        began: dict[str, float] = {}
        asked: dict[str, float] = {}
        with ThreadPoolExecutor(AT_A_TIME) as several:
            while len([kind for kind, _ in told if kind == "healthy"]) < len(self.services):
                healthy = {name for kind, name in told if kind == "healthy"}
                for name, one in self.services.items():
                    if name not in began and healthy.issuperset(one.after):
                        self.start(name)
                        began[name] = asked[name] = time.monotonic()
                        told.append(("started", name))
                now = time.monotonic()
                due = [
                    n for n in began
                    if n not in healthy and now >= self.services[n].due(began[n], asked[n])
                ]  # fmt: skip
                for name, (code, said) in zip(due, several.map(self.ask, due), strict=True):
                    asked[name] = time.monotonic()
                    if code == 0:
                        told.append(("healthy", name))
                    elif self.running[name].ended() is not None or now > began[name] + patient(
                        self.services[name].patience
                    ):
                        raise NotPlayed(f"{name} does not become healthy: {said}{self.log(name)[-3000:]}")
                time.sleep(LOOK_S)
        return told

    def start(self, name: str) -> None:
        """Start a service's container."""
        self.running[name] = Container(self.services[name].spec, self._folder / f"{name}.log")

    # ------------------------------------------------------------------ asking, and doing harm

    def ask(self, name: str) -> tuple[int, str]:
        """Run a service's health check, also where the service has ended: in another container with all that its own had."""
        one, container = self.services[name], self.running[name]
        if container.ended() is None:
            code, out, err = container.execute(one.check, timeout=patient(one.timeout))
            return code, out + err
        self._probes += 1
        return run(replace(one.spec, command=one.check), self._folder / f"probe-{self._probes}.log")

    def answers(self, names: Iterable[str]) -> dict[str, str]:
        """Ask several services; return why each is not healthy, and nothing where it is."""
        with ThreadPoolExecutor(AT_A_TIME) as several:
            names = list(names)
            found = dict(zip(names, several.map(self.ask, names), strict=True))
        return {
            name: "" if code == 0 else said or f"exit code {code}" for name, (code, said) in found.items()
        }

    def signal(self, names: Iterable[str], which: str) -> None:
        """Send a signal to every process of some containers; wait until those that it ends have ended."""
        number = getattr(signal, which)
        for name in names:
            self.running[name].everybody(number)
            if number == signal.SIGKILL:
                self.running[name].wait()

    def execute(self, name: str, command: list[str]) -> tuple[int, str, str]:
        return self.running[name].execute(command)

    def addresses(self, name: str) -> dict[str, str]:
        return self._switchboard.addresses(name)

    def log(self, name: str) -> str:
        log = self._folder / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def close(self) -> None:
        for container in self.running.values():
            container.signal(signal.SIGKILL)
            container.wait()
        self._switchboard.close()


def check_known(name: str, one: Mapping[str, Any]) -> None:
    """Check that a service says nothing that would be left out in silence.

    Raises:
        NotPlayed: It does.
    """
    unknown = set(one) - PLAYED - LEFT_OUT
    if unknown:
        raise NotPlayed(f"{name}: nobody plays {', '.join(sorted(unknown))}")
    if any(one.get(key) != value for key, value in HARDENED.items()):
        raise NotPlayed(f"{name} is not started with {HARDENED}")


def _asked(name: str, one: Mapping[str, Any], spec: Spec) -> Service:
    """Add to a service's container after whom it starts and how it is asked."""
    after = one.get("depends_on", {})
    if any(how["condition"] != "service_healthy" for how in after.values()):
        raise NotPlayed(f"{name} waits for something else than health")
    kind, *check = one["healthcheck"]["test"]
    if kind != "CMD":
        raise NotPlayed(f"{name} is asked by {kind}")
    how = one["healthcheck"]
    times = {key: seconds(how[key]) for key in ("interval", "timeout", "start_period", "start_interval")}
    return Service(spec=spec, after=tuple(after), check=check, retries=how["retries"], **times)


def seconds(text: str) -> float:
    """Return the seconds of a duration such as ``1m30s``."""
    if not re.fullmatch(r"(\d+[hms])+", text):
        raise NotPlayed(f"a duration {text}")
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
