"""A launch on a real embedded chain without a SuperLink: an office with a run file, and launches prepared there."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.launch.drive import drive
from coordinator.launch.prepare import check_ledger, keep
from coordinator.launch.run_file import RunFile, read_run_file
from coordinator.launch.state import LaunchFolder
from fl_core.errors import InputError
from ledger.address import find_ledger, open_ledger
from ledger.views.runs import Money
from ledger.views.window import Window
from tests.simulators.office import PEOPLE, ROLES, Office
from tests.simulators.terminal import Terminal

RUN = """\
title = "Heart"
purpose = "A test."
rounds = 2
folder = "run"

[ledger]
file = "ledger.toml"
researcher = "file:keys/researcher.json?passphrase-file=secrets/researcher"
coordinator = "file:keys/coordinator.json?passphrase-file=secrets/coordinator"

[task]
name = "heart-disease"
settings = { updates = 100, batch_size = 4, learning_rate = 0.001, seed = 42 }

[members]
consents = 3
"""


class Killed(BaseException):
    """Stands for kill -9: nothing in the code may catch it."""


def launch_office(tmp_path: Path, terminal: Terminal, chain: str = "") -> Office:
    """Make an office and a run file; the ledger is on the node with the URL ``chain``, or lies in the run's folder."""
    made = Office(tmp_path, terminal)
    for name in ("keys", "secrets", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "public").mkdir()
    for name in PEOPLE:
        secret = tmp_path / "secrets" / name
        secret.write_text(f"correct horse {name}\n")
        secret.chmod(0o600)
        terminal.done("suture", "keys", "new", made.uri(name))
    founders = [word for name in PEOPLE for word in ("--founder", f"{made.account(name)}={ROLES[name]}")]
    chain = chain or f"embedded:{tmp_path / 'run' / 'public' / 'ledger.sqlite'}"
    terminal.sent(
        "suture",
        "ledger",
        "create",
        made.ledger,
        "--as",
        made.uri("coordinator"),
        *founders,
        "--chain",
        chain,
        "--threshold",
        "2",
    )
    (tmp_path / "run.toml").write_text(RUN)
    return made


def prepared(office: Office) -> LaunchFolder:
    file = read_run_file(office.folder / "run.toml")
    check_ledger(file)
    return keep(file, Money())


def seen(office: Office) -> Window:
    """Return a window on the ledger for one look."""
    return Window(open_ledger(find_ledger(office.ledger)), as_json=True)


def edited(office: Office, old: str, new: str) -> RunFile:
    text = (office.folder / "run.toml").read_text()
    assert old in text
    (office.folder / "run.toml").write_text(text.replace(old, new, 1))
    return read_run_file(office.folder / "run.toml")


def runs(office: Office) -> list[dict]:
    return office.look("run", "list")["runs"]


def created(office: Office) -> LaunchFolder:
    """Launch up to the point where consents are waited for."""
    folder = prepared(office)
    with pytest.raises(InputError, match="consents came"):
        drive(folder, timeout_s=0, say=lambda line: None)
    return folder


def events(office: Office, name: str) -> int:
    ledger = open_ledger(find_ledger(office.ledger))
    try:
        return len(ledger.reader.events(name))
    finally:
        ledger.close()
