"""Asks a SuperLink of this machine to start runs and to tell of them, through Flower's own command line."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from coordinator.engines import flower_commands
from coordinator.engines.environment import child_environment
from coordinator.engines.superlink import SERVED_BY
from coordinator.errors import EngineError, NoSuperLink, SuperLinkAway
from ledger.files import read_plain

COMMAND_S = 60.0
MAX_COMMAND = 1 << 16  # bytes


class SuperNode(NamedTuple):
    """What a SuperLink says of a node.

    Attributes:
        number: Flower's id of it.
        status: ``registered`` (it never connected), ``online`` or ``offline``.
        since: Since when, in UTC; empty if it never connected.
    """

    number: str
    status: str
    since: str


class FlowerControl:
    """The control interface of the SuperLink whose folder ``suture superlink serve`` keeps.

    Args:
        folder: That folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self, app: str) -> list[tuple[int, str]]:
        """Return Flower's run ids and statuses of the runs of an app, oldest first.

        Raises:
            SuperLinkAway: It does not answer.
            NoSuperLink: There is none at the folder.
        """
        answer = flower_commands.read_runs(self._ask(flower_commands.listing()))
        mine = [one for one in answer if one.get("fab-name") == app]
        return [(int(one["run-id"]), str(one["status"])) for one in sorted(mine, key=_began)]

    def submit(self, app: Path, config_file: Path) -> int:
        """Start a run of the app in a folder and return Flower's id for it.

        Raises:
            SuperLinkAway: It does not answer; it may have started the run all the same.
            EngineError: It refuses.
        """
        return flower_commands.read_run_id(self._ask(flower_commands.run(app, config_file)))

    def stop(self, number: int) -> None:
        """Stop a run.

        Raises:
            EngineError: The SuperLink does not answer, or refuses.
        """
        self._ask(flower_commands.stop(number))

    def nodes(self) -> list[SuperNode]:
        """Return the SuperNodes that are enrolled.

        Raises:
            NoSuperLink: There is none at the folder.
            EngineError: It does not answer.
        """
        answer = flower_commands.read_nodes(self._ask(flower_commands.nodes()))
        return [
            SuperNode(str(one["node-id"]), str(one["status"]), _time(one))
            for one in answer
            if one.get("status") != "unregistered"
        ]

    def _ask(self, command: list[str]) -> str:
        home = self._folder / "flower"
        fix = f"Start it: {self._start()}"
        if not (home / "config.toml").is_file():
            raise NoSuperLink(f"{self._folder} is not the folder of a SuperLink.", fix=fix)
        try:
            done = subprocess.run(
                command, env=child_environment(home), cwd=home, capture_output=True, timeout=COMMAND_S, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SuperLinkAway(f"The SuperLink of {self._folder} does not answer.", fix=fix) from error
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if flower_commands.UNAVAILABLE in said:
            raise SuperLinkAway(f"The SuperLink of {self._folder} does not answer.", fix=fix)
        if done.returncode != 0 or '"success": false' in said:
            raise EngineError(
                f"The SuperLink of {self._folder} does not do it: {said.strip()[-400:]}",
                fix=f"Look at its output in {self._folder / 'logs'}.",
            )
        return said

    def _start(self) -> str:
        """Return the command that starts the SuperLink: as it was given last, if it ever was."""
        try:
            return read_plain(self._folder / SERVED_BY, MAX_COMMAND).decode().strip()
        except (OSError, UnicodeDecodeError):
            return f"suture superlink serve {quote(str(self._folder))} --certificates FOLDER"


def _time(one: Mapping[str, Any]) -> str:
    """Since when a node is online or offline, as Flower writes it; empty if it never was."""
    found = str(one.get("online-at" if one.get("status") == "online" else "offline-at", ""))
    return "" if found == "N/A" else found


def _began(one: dict[str, Any]) -> str:
    return str(one.get("pending-at"))
