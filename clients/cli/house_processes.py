"""What ``suture-node serve`` keeps running beside the node when it is given a SuperLink: the gateway and the SuperNode behind it."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clients.cli.supernode_process import supernode_command, supernode_environment, watched
from clients.node.house import PRIVATE
from fl_core.errors import InputError, SutureError
from suture_fl.children import Child, end_all, end_strays
from suture_fl.processes import adopt_orphans
from suture_fl.stopping import Stop

LOOK_S = 0.5
OVERDUE_EVERY_S = 5.0

SAME_USER = (
    "the SuperNode runs as this node's user: the bundles that you accept can read the keys, and the passphrase where it lies "
    "beside them. Start serve as root with --glue-user NAME, or run the SuperNode in a container of its own (--alone)"
)

log = logging.getLogger("suture.node")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """How the house reaches a SuperLink.

    Attributes:
        superlink: Its address.
        certificates: PEM file of the authorities to trust, or None.
        gateway_port: The gateway's port on 127.0.0.1.
        supernode_port: The SuperNode's own port, for its ClientApps.
        user: User and group that the SuperNode runs as, or None.
    """

    superlink: str
    certificates: Path | None
    gateway_port: int
    supernode_port: int
    user: tuple[int, int] | None

    def __post_init__(self) -> None:
        """Check before anything starts that the SuperNode can run as its user.

        Raises:
            InputError: Only root can start a process as somebody else.
        """
        if self.user is not None and os.geteuid() != 0:
            raise InputError(
                "--glue-user runs the SuperNode as another user, which only root can.",
                fix="Start it as root; or add --alone, and start gateway and SuperNode by themselves.",
            )


def children(folder: Path, socket: Path, outside: Outside) -> list[Child]:
    """Return gateway and SuperNode, in the order in which they start; warn where nothing keeps the second from the node's keys."""
    if outside.user is None:
        log.warning(SAME_USER, extra={"event": "same-user"})
    gateway = [
        *(sys.executable, "-P", "-m", "clients.cli", "gateway", str(folder), "--socket", str(socket)),
        *("--superlink", outside.superlink, "--port", str(outside.gateway_port), "--supervised"),
    ]
    if outside.certificates is not None:
        gateway += ["--root-certificates", str(outside.certificates)]
    supernode = supernode_command(f"127.0.0.1:{outside.gateway_port}", outside.supernode_port, socket)
    home, logs = folder / "flower", folder / "logs"
    for place in (home, logs):
        place.mkdir(mode=0o700, exist_ok=True)
    if outside.user is not None:
        os.chown(home, *outside.user)
    own, theirs = dict(os.environ), watched(supernode_environment(home), folder, socket)
    for name in ("gateway", "supernode"):
        (logs / f"{name}.log").touch(PRIVATE)
    return [
        Child(name="gateway", command=gateway, environment=own, log=logs / "gateway.log", quoted=True),
        Child(
            name="SuperNode",
            command=supernode,
            environment=theirs,
            log=logs / "supernode.log",
            user=outside.user,
            folder=home,  # Python looks around in it, for modules of helper processes: in ours, it might reach into the node
        ),
    ]


def keep_running(
    folder: Path,
    kept: list[Child],
    stop: Stop,
    note: Callable[..., None],
    *,
    clock: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Keep the processes running until ``stop`` is set, then end them.

    A SuperNode whose app hangs answers nothing ever again, so it is killed with its app, noted by ``note`` and started anew
    when the time of a message that it holds is over; the gateway, which would only write that down, is told to leave it. Called in the main thread: the kernel ends the children with the thread that started them.
    """
    supernode, looked = kept[-1], 0.0
    adopt_orphans()  # an app may leave daemons behind, which end with the SuperNode
    try:
        while not stop.wait(LOOK_S):
            now = steady()  # pauses are not the longer where the clock is set back
            if supernode.running_since is None and end_strays(kept):
                log.warning("processes that an app left behind are ended")
            for child in kept:
                child.tend(now, log.warning)
            if now - looked > OVERDUE_EVERY_S:
                looked = now
                _end_hanging(folder, supernode, note, clock(), now)
    finally:
        end_all(kept)
        end_strays(kept)


def _end_hanging(
    folder: Path, supernode: Child, note: Callable[..., None], now: float, steady: float
) -> None:
    """Kill a SuperNode that holds a message whose time is over. What cannot be read or written now ends nothing else: the next look does better."""
    try:
        if supernode.running_since is not None and _overdue(folder, now, steady):
            log.warning("the SuperNode holds a message whose time is over; it is started again")
            supernode.kill()
            note("app-killed", reason="a message was not answered in its time")
    except (SutureError, OSError, sqlite3.Error) as error:
        log.warning("looking for a message whose time is over failed: %s", error)


def _overdue(folder: Path, now: float, steady: float) -> bool:
    """Give up the messages whose time is over, and return whether there was one; while the clock is set wrong, none is."""
    from clients.gateway.questions import Questions

    path = folder / "gateway.sqlite"
    if not path.exists():
        return False
    with closing(Questions(path)) as questions:
        return not questions.clock_was_set(now - steady) and questions.give_up(now)
