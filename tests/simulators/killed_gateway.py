"""A gateway that is killed at a step of sending a reply, and started again on what is on disk."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from clients.gateway.gateway import Gateway
from clients.gateway.objects import CHUNK_BYTES
from clients.gateway.questions import Questions
from fl_core.protocol import envelope
from tests.simulators.fleet import Log, ScriptedHolder, SuperNode, settle

FRAME = np.arange(CHUNK_BYTES + 17, dtype=np.uint8).tobytes()
"""Of two chunks."""

OBJECTS = 2 + 5
"""Of a reply with the frame: its chunks; message, content, sealed record, its array, and the record with the status."""


def steps(objects: int) -> list[str]:
    """Every step of sending a reply of so many objects, with what it does before and behind it."""
    names = ["note", "line", "push-messages", *(f"push-object {n}" for n in range(1, objects + 1)), "forget"]
    return [f"{when} {name}" for name in names for when in ("before", "after")]


class Killed(BaseException):
    """The process is gone; nothing of ours may catch it."""


class Fuse:
    """Kills a gateway at one step, and at whatever a dead process would still do."""

    def __init__(self, at: str = "") -> None:
        self.at, self.passed, self.blown = at, [], False

    def arm(self, at: str) -> None:
        self.at, self.passed = at, []

    def step(self, name: str) -> None:
        self.blown = self.blown or name == self.at
        if self.blown:
            raise Killed
        self.passed.append(name)

    def around(self, name: str, act):
        """Return an act before or behind which a kill may come."""

        def acting(*arguments, **more):
            self.step(f"before {name}")
            result = act(*arguments, **more)
            self.step(f"after {name}")
            return result

        return acting


class DoomedWay:
    """The way to a SuperLink, on which a kill may come before a call or when it had its effect."""

    def __init__(self, superlink: Any, fuse: Fuse) -> None:
        self._superlink, self._fuse, self._pushed = superlink, fuse, 0
        self.public_key, self.address = superlink.public_key, superlink.address

    def call(self, name, request, kind, limit):
        if name == "push-object":
            self._pushed += 1
            name_of_step = f"push-object {self._pushed}"
        elif name == "push-messages":
            self._pushed, name_of_step = 0, name
        else:
            return self._superlink.call(name, request, kind, limit)
        return self._fuse.around(name_of_step, self._superlink.call)(name, request, kind, limit)


class Story:
    """A SuperLink and a holder that outlive their gateways.

    Args:
        folder: Where the gateways have their file.
        superlink: Such as :class:`tests.simulators.fleet.FleetInMemory`.

    Attributes:
        ahead: Seconds that passed more than those of the test.
        off: Seconds that its machine's clock is wrong.
    """

    def __init__(self, folder: Path, superlink: Any) -> None:
        self.superlink, self.log = superlink, Log()
        self.holder = ScriptedHolder(accepted={hashlib.sha256(superlink.content).digest()})
        self.path, self.ahead, self.off = folder / "gateway.sqlite", 0.0, 0.0

    def start(self, at: str = "") -> None:
        """Start a gateway on what is on disk, which is killed at a step of sending; let it send what it has to."""
        self.fuse, self.questions, log = Fuse(at), Questions(self.path), Log(entries=self.log.entries)
        self.questions.take = self.fuse.around("note", self.questions.take)
        self.questions.forget = self.fuse.around("forget", self.questions.forget)
        log.record = self.fuse.around("line", log.record)
        way = DoomedWay(self.superlink, self.fuse)
        clock = lambda: time.time() + self.ahead + self.off
        steady = lambda: time.monotonic() + self.ahead
        self.gateway = Gateway(self.holder, way, self.questions, log, clock=clock, pull_s=5.0, steady=steady)
        self.gateway._replies.delivery._sleep = self.pause
        self.node = SuperNode(self.gateway)
        settle(self.gateway)

    def pause(self, seconds: float) -> None:
        self.ahead += seconds

    def end(self) -> None:
        """End the gateway, dead or alive."""
        self.gateway._sender.close()
        self.questions.close()

    def asked(self):
        self.superlink.send("train")
        return self.node.pull()

    def frame(self) -> RecordDict:
        self.holder.seal("frame", FRAME)
        array = Array("uint8", (len(FRAME),), "suture.sealed.v1", FRAME)
        return RecordDict({envelope.SEALED: ArrayRecord({"frame": array})})

    def answer(self, content=None, *, killed: str = "") -> None:
        """Let a gateway answer a message, and kill it at a step of that."""
        self.start()
        self.node.activate()
        self.question = self.asked()
        settle(self.gateway)
        self.fuse.arm(killed)
        self.node.push(self.question, self.frame() if content is None else content)

    def restart(self, killed: str = "") -> None:
        self.end()
        self.start(killed)

    def pushed(self) -> list[bytes]:
        """What was sent as a message, each time."""
        sent = zip(self.superlink.calls, self.superlink.received, strict=True)
        return [data for name, data in sent if name == "push-messages"]

    def kept(self) -> tuple[str, ...]:
        return self.questions.leaving(time.time() + self.ahead)
