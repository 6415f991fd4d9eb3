"""What belongs to one data holder in a deployment on one machine: a SuperNode and the processes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from coordinator.engines.settings import Setting
from coordinator.errors import EngineError

MAX_SOCKET_PATH = 100
"""Bytes of a Unix socket's path that every system takes (Linux: 107, macOS: 103)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helper:
    """A process beside a SuperNode, started before it.

    Attributes:
        command: Program and arguments.
        socket: Unix socket that accepts connections when the helper is ready. A file that is left there from before
            is removed.

    Raises:
        EngineError: The path of the socket is too long for some systems.
    """

    command: Sequence[str]
    socket: Path

    def __post_init__(self) -> None:
        if len(bytes(self.socket)) > MAX_SOCKET_PATH:
            raise EngineError(
                f"The path of a Unix socket has at most {MAX_SOCKET_PATH} bytes; {self.socket} has more.",
                fix="Work in a folder with a shorter path.",
            )


class Reach(NamedTuple):
    """How a SuperLink is reached: its address, and the PEM file of the authority that vouches for it."""

    address: str
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The process between a SuperNode and the SuperLink.

    Attributes:
        command: Makes the command from how the SuperLink is reached, and a port of its own.
        public_key: File with the public key by which the SuperLink is to know the node; is there when the gateway is ready.
    """

    command: Callable[[Reach, int], Sequence[str]]
    public_key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """One SuperNode and what belongs to it.

    Attributes:
        config: Becomes ``context.node_config`` of its ClientApps.
        helpers: Processes that must be ready before the SuperNode starts.
        port: The SuperNode's own port, for its ClientApps only; ``None`` takes a free one.
        user: User and group number that the SuperNode and its ClientApps run as; ``None`` is our own. Needs root.
        gateway: The process through which the SuperNode reaches the SuperLink; ``None`` lets the SuperNode reach it directly,
            with a key that the deployment makes.
    """

    config: Mapping[str, Setting] = field(default_factory=dict)
    helpers: Sequence[Helper] = ()
    port: int | None = None
    user: tuple[int, int] | None = None
    gateway: Gateway | None = None
