"""Keeps a SuperLink running in production: its three processes, and the enrolment of SuperNodes whose keys lie in a folder.

What dies is started again (:mod:`suture_fl.children`). A public key that appears in ``nodes/`` is enrolled within seconds; removing
the file enrols nobody out: ``flwr supernode unregister`` does that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from coordinator.engines import flower_commands
from coordinator.engines.environment import child_environment
from coordinator.engines.readiness import healthy
from coordinator.engines.superlink import FRONT, PRIVATE, SUPEREXEC, SUPERLINK, SuperLink
from fl_core.codec import read_json
from fl_core.errors import DecodeError
from ledger.files import read_plain, write_atomically
from suture_fl.children import Child, end_all
from suture_fl.stopping import Stop

LOOK_S, KEYS_EVERY_S = 0.5, 2.0
AGAIN_S = 60.0
"""Pause before a key that Flower refused is tried again: the SuperLink may have been busy, or the file half copied."""
LONGEST_PAUSE_S = 8.0
"""Most seconds before a process that keeps dying is started again. Flower 1.41 ends a run whose program it has not heard of for 60: its last
heartbeat is up to 23 old when the SuperLink dies, and its next try may wait for 20."""
COMMAND_S = 60.0
MAX_KEY = 1 << 12  # bytes
NODES = "nodes"
"""Folder with the public keys of SuperNodes, ``*.pub``."""
ENROLLED, MAX_ENROLLED = "enrolled.json", 1 << 22
"""File that says which key file enrolled which of Flower's nodes, for people; and its largest size in bytes."""
KNOWN_ALREADY = "already in use"
"""How Flower says that a key is enrolled."""

log = logging.getLogger("suture.superlink")


class Enrolment:
    """Enrols the keys in a folder, each once; one that is refused is tried again later.

    Args:
        superlink: The SuperLink.
        say: Told what was enrolled and what was refused.
    """

    def __init__(self, superlink: SuperLink, say: Callable[[str], None]) -> None:
        self._superlink, self._say = superlink, say
        self._done: set[bytes] = set()
        self._not_before: dict[bytes, float] = {}

    def look(self, now: float) -> None:
        """Enrol what is new, at ``now`` seconds of a clock that never runs backwards."""
        for path in sorted((self._superlink.folder / NODES).glob("*.pub")):
            try:
                data = path.read_bytes()[:MAX_KEY]
            except OSError:  # gone again, or not ours to read
                continue
            name = hashlib.sha256(data).digest()
            if name in self._done or now < self._not_before.get(name, -math.inf):
                continue
            if self._enrolled(path):
                self._done.add(name)
            else:
                self._not_before[name] = now + AGAIN_S

    def _enrolled(self, path: Path) -> bool:
        """Enrol a key; return whether it is enrolled now."""
        try:
            result = subprocess.run(
                flower_commands.register(path.resolve()),
                env=child_environment(self._superlink.home),
                capture_output=True,
                text=True,
                timeout=COMMAND_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._say(f"{path.name}: the SuperLink does not answer; it is asked again")
            return False
        if result.returncode == 0:
            self._say(f"{path.name} is enrolled")
            self._note(flower_commands.read_node_id(result.stdout), path.name)
            return True
        said = " ".join((result.stdout + result.stderr).split())
        if KNOWN_ALREADY in said:
            return True
        self._say(f"{path.name} is not enrolled, and is tried again later. Flower says: {said[-300:]}")
        return False

    def _note(self, node: str, name: str) -> None:
        if node:
            known = {**enrolled_keys(self._superlink.folder), node: name}
            write_atomically(self._superlink.folder / ENROLLED, json.dumps(known).encode(), PRIVATE)


def enrolled_keys(folder: Path) -> dict[str, str]:
    """Return Flower node id -> name of the key file that enrolled it; what cannot be read is nothing."""
    try:
        found = read_json(read_plain(folder / ENROLLED, MAX_ENROLLED), limit=MAX_ENROLLED, what=ENROLLED)
    except (OSError, DecodeError):
        return {}
    return {str(node): str(name) for node, name in found.items()} if isinstance(found, dict) else {}


def children(superlink: SuperLink) -> list[Child]:
    """Return the processes, in the order in which they start."""
    environment = child_environment(superlink.home)
    commands = {SUPERLINK: superlink.superlink(), SUPEREXEC: superlink.superexec(), FRONT: superlink.front()}
    return [
        Child(
            name=name,
            command=command,
            environment=environment,
            log=superlink.logs / f"{name}.log",
            longest_pause=LONGEST_PAUSE_S,
            quoted=name == FRONT,  # the others' logs are Flower's and the app's words
        )
        for name, command in commands.items()
    ]


def keep_running(superlink: SuperLink, stop: Stop) -> None:
    """Keep everything running until ``stop`` is set, then end it. Called in the main thread, see :mod:`suture_fl.children`."""
    (superlink.folder / NODES).mkdir(mode=0o700, exist_ok=True)
    kept, ready = children(superlink), healthy(superlink.inner, superlink.certificates.authority)
    enrolment, looked, was_ready = Enrolment(superlink, log.info), -math.inf, False
    try:
        while not stop.wait(LOOK_S):
            now = time.monotonic()  # pauses are not the longer where the clock is set back
            for child in kept:
                child.tend(now, log.warning)
            if now - looked > KEYS_EVERY_S:
                looked, is_ready = now, ready()
                if is_ready and not was_ready:
                    log.info("the SuperLink answers; nodes reach it on port %d", superlink.port)
                was_ready = is_ready
                if is_ready:
                    enrolment.look(now)
    finally:
        end_all(kept)
