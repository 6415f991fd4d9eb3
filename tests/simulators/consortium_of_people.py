"""A consortium as its people make it, command by command: three offices, four hospitals, one ledger, and a run file.

Nothing is founded in this process: accounts, ledger, votes, keys and token come from the installed programs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from clients.comparison import bundled_csv, hospital_files, read_csv
from tests.simulators.late_node import height_of
from tests.simulators.patience import patient
from tests.simulators.process_tree import becomes

OFFICES = ("coordinator", "researcher", "auditor")
PER_ROUND = 30
UNIT = 10**18
"""Of the token's smallest units in one token."""
TRAIN_S, REVEAL_S = 120.0, 60.0
CATCH_UP_S, COMMAND_S = 60.0, 300.0

RUN_FILE = """\
title = "Heart disease across hospitals"
purpose = "Predict heart disease from a first examination."
rounds = {rounds}
folder = "run"

[ledger]
file = "ledger.toml"
researcher = "file:keys/researcher.json?passphrase-file=secrets/researcher"
coordinator = "file:keys/coordinator.json?passphrase-file=secrets/coordinator"

[task]
name = "heart-disease"

[task.settings]
updates = 100
batch_size = 4
learning_rate = 0.001
seed = 42

[members]
consents = 4

[rewards]
token = "{token}"
per_round = "{per_round}"
closing_delay_days = 0

[superlink]
relay = {relay}
train_deadline = {train}
reveal_deadline = {reveal}

[members.names]
{names}
"""


class People:
    """The people of a consortium and their files.

    Args:
        folder: Where everything goes; short, since sockets lie below it.
        chain: URL of a node for the ledger; an embedded chain in the run's folder where it is empty.
        hospitals: URL of the node that the hospitals ask, where it is another one.
    """

    def __init__(self, folder: Path, chain: str = "", hospitals: str = "") -> None:
        self.folder, self._chain, self._hospitals = folder, chain, hospitals
        self.ledger, self.nodes, self.run = folder / "ledger.toml", folder / "nodes", folder / "run"
        self.run_file = folder / "run.toml"
        self.accounts: dict[str, str] = {}
        self.token = ""

    def suture(self, *words: object) -> dict:
        return self._told("coordinator.cli", *words)

    def node(self, *words: object) -> dict:
        """Type a holder's command, once its node of the chain has what everybody else has done."""
        if self._hospitals:
            caught_up = becomes(lambda: height_of(self._hospitals) >= height_of(self._chain), CATCH_UP_S)
            assert caught_up, "the hospitals' node stays behind"
        return self._told("clients.cli", *words)

    def _told(self, module: str, *words: object) -> dict:
        """Run a program to its end and return its answer."""
        command = [
            sys.executable,
            "-P",
            "-c",
            f"from {module} import main; main()",
            *map(str, words),
            "--json",
        ]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=patient(COMMAND_S),
        )
        assert done.returncode == 0, (words, done.stdout.decode() + done.stderr.decode())
        answer: dict = json.loads(done.stdout)
        return answer

    def uri(self, name: str) -> str:
        return f"file:{self.folder}/keys/{name}.json?passphrase-file={self.folder}/secrets/{name}"

    def act(self, name: str, *words: object) -> dict:
        return self.suture(*words, "--ledger", self.ledger, "--as", self.uri(name), "--yes")

    def found(self, rounds: int, *, relay: bool = True, patience: float = 1.0) -> None:
        """Make the ledger and its members, the token, and the run file.

        Args:
            rounds: How many rounds the run file asks for.
            relay: Whether the committee is asked over the relay, or through Flower.
            patience: By what the run file's deadlines are multiplied.
        """
        for name in ("keys", "secrets", "nodes", "run/public"):
            (self.folder / name).mkdir(parents=True)
        for name in OFFICES:
            secret = self.folder / "secrets" / name
            secret.write_text(f"correct horse {name}\n")
            secret.chmod(0o600)
            self.accounts[name] = str(self.suture("keys", "new", self.uri(name))["account"])
        founders = [w for name in OFFICES for w in ("--founder", f"{self.accounts[name]}={name}")]
        chain = self._chain or f"embedded:{self.run / 'public' / 'ledger.sqlite'}"
        self.suture("ledger", "create", self.ledger, "--as", self.uri("coordinator"), *founders,
                    "--threshold", 1, "--chain", chain, "--yes")  # fmt: skip
        self.copy = self.ledger
        if self._hospitals:
            self.copy = self.folder / "hospitals.toml"
            self.copy.write_text(self.ledger.read_text().replace(self._chain, self._hospitals))
        records = read_csv(bundled_csv())
        for name, rows in hospital_files(records, bundled_csv()).items():
            self._hospital(name, rows)
        enough = max(500, rounds * PER_ROUND)
        self.token = str(self.act("researcher", "token", "create", "--cap", 2 * enough)["token"])
        self.act("researcher", "token", "mint", self.token, enough)
        names = "\n".join(f'"{account}" = "{name}"' for name, account in self.accounts.items())
        self.run_file.write_text(
            RUN_FILE.format(
                rounds=rounds,
                token=self.token,
                per_round=PER_ROUND,
                names=names,
                relay=str(relay).lower(),
                train=TRAIN_S * patience,
                reveal=REVEAL_S * patience,
            )
        )

    def _hospital(self, name: str, rows: bytes) -> None:
        folder, data = self.nodes / name.lower().replace(" ", "-"), self.folder / "records.csv"
        data.write_bytes(rows)
        made = self.node("init", folder, "--name", name, "--data", data, "--ledger", self.copy)
        self.accounts[name] = str(made["account"])
        self.act("coordinator", "vote", "propose", "ADMIT", made["account"], "--roles", "holder")
        self.node("keys", "register", folder, "--yes")
        data.unlink()  # the node has its own copy

    def consent(self) -> None:
        """Have every hospital read the terms and consent."""
        for folder in sorted(self.nodes.iterdir()):
            self.node("consent", "give", folder, "--terms", self.run / "launch" / "terms.json", "--yes")
