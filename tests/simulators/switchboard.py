"""Networks between containers, as an engine makes them: a bridge each, which leads nowhere else.

Every container that joins has a network namespace of its own, kept by a sleeping process, with one interface for each of its networks. The
bridges have no addresses and are in a namespace of their own, so nothing is passed from one network to another. Names are lines for
``/etc/hosts`` instead of a name server. It is meant to be used inside of :mod:`tests.simulators.container_host`.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.simulators.containers import HOSTS

PREFIX = "10.213"
MOST = 250


class Switchboard:
    """All networks of one compose file."""

    def __init__(self) -> None:
        self._keepers: list[subprocess.Popen[bytes]] = []
        self._bridges = self._space()
        self._networks: dict[str, dict[str, str]] = {}
        self._spaces: dict[str, int] = {}
        self._plugs = 0

    def join(self, who: str, networks: Mapping[str, Sequence[str]]) -> str:
        """Give a container an interface for each network, on which it has its own name and the aliases; return its namespace's file."""
        space = self._spaces[who] = self._space()
        self._ip(space, "link set lo up")
        for network, aliases in networks.items():
            known = self._network(network)
            number, member = list(self._networks).index(network), len(set(known.values())) + 2
            assert number < MOST and member < MOST
            address = f"{PREFIX}.{number}.{member}"
            known |= dict.fromkeys([who, *aliases], address)
            self._plug(space, number, address)
        return f"/proc/{space}/ns/net"

    def hosts(self, who: str) -> str:
        """Return ``/etc/hosts``: everybody with whom a container shares a network."""
        shared = [known for known in self._networks.values() if who in known]
        return HOSTS + "".join(f"{address} {name}\n" for known in shared for name, address in known.items())

    def addresses(self, who: str) -> dict[str, str]:
        """Return a container's address in each of its networks."""
        return {network: known[who] for network, known in self._networks.items() if who in known}

    def close(self) -> None:
        for keeper in self._keepers:
            keeper.send_signal(signal.SIGKILL)
            keeper.wait()

    # ------------------------------------------------------------------ interfaces

    def _network(self, name: str) -> dict[str, str]:
        if name not in self._networks:
            bridge = f"bridge{len(self._networks)}"
            self._networks[name] = {}
            self._ip(self._bridges, f"link add {bridge} type bridge")
            self._ip(self._bridges, f"link set {bridge} up")
        return self._networks[name]

    def _plug(self, space: int, network: int, address: str) -> None:
        self._plugs += 1
        outer, inner = f"plug{self._plugs}", f"eth{network}"
        self._ip(self._bridges, f"link add {outer} type veth peer name {inner} netns {space}")
        self._ip(self._bridges, f"link set {outer} master bridge{network} up")
        self._ip(space, f"addr add {address}/24 dev {inner}")
        self._ip(space, f"link set {inner} up")

    def _ip(self, space: int, line: str) -> None:
        command = ["nsenter", "-t", str(space), "--net", "ip", *shlex.split(line)]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def _space(self) -> int:
        """Make a network namespace; return the number of the process that keeps it."""
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self._keepers.append(keeper)
        while _space_of(keeper.pid) == _space_of(os.getpid()):
            assert keeper.poll() is None, "no network namespace could be made"
            time.sleep(0.01)
        return keeper.pid


def _space_of(process: int) -> str:
    return os.readlink(Path(f"/proc/{process}/ns/net"))
