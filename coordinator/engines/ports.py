"""Loopback ports for the deployment: choose free ones, and refuse taken ones with the name of who holds them.

A port that is free when it is looked at can be taken a moment later; the process that then cannot bind it says so in
its log, and the health wait reports that log.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from coordinator.errors import PortInUse

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535


def reserve(requested: Sequence[int | None]) -> list[int]:
    """Return one port per entry: the one that was asked for, or a free one for ``None``; all different.

    Nothing keeps the ports after the call; use them at once.

    Args:
        requested: Ports in [1, 65535], or ``None``.

    Raises:
        PortInUse: A port that was asked for is taken, or was asked for twice, or is no port.
    """
    for port in requested:
        if port is not None and not 1 <= port <= MAX_PORT:
            raise PortInUse(
                f"A port lies between 1 and {MAX_PORT}; {port} does not.", fix="Choose another port."
            )
    with ExitStack() as stack:
        fixed = {port: stack.enter_context(_bind(port)) for port in requested if port is not None}
        if len(fixed) != sum(port is not None for port in requested):
            raise PortInUse("The same port was asked for twice.", fix="Give every process a port of its own.")
        ports = []
        for port in requested:
            if port is None:
                port = int(stack.enter_context(_bind(0)).getsockname()[1])
            ports.append(port)
        return ports


def _bind(port: int) -> socket.socket:
    """Return a socket bound to ``port`` as a server would bind it (0: any free one), not listening."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if port:  # servers set it too: a port that only remembers old connections is free
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PortInUse(_explain(port, error), fix="Stop that process, or choose another port.") from error
    return bound


def _explain(port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user."
    holder = holder_of(port)
    if holder is None:
        return f"Port {port} is in use by another process, whose number could not be found out."
    pid, name = holder
    return f"Port {port} is in use by process {pid} ({name})."


def holder_of(port: int, proc: Path = Path("/proc")) -> tuple[int, str] | None:
    """Return process number and command name of who listens on a TCP ``port``, where the system lets us see it."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return None
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # ended meanwhile, or belongs to another user
            if any(_target(link) in inodes for link in (folder / "fd").iterdir()):
                return int(folder.name), (folder / "comm").read_text().strip()
    return None


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""


def _listening_inodes(port: int, proc: Path) -> set[str]:
    """Return the socket inodes, as ``/proc/<pid>/fd`` shows them, that listen on ``port``."""
    found = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, state, inode = fields[1], fields[3], fields[9]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{inode}]")
    return found
