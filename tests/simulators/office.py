"""A founded consortium in a folder: everybody's accounts, one ledger, and the commands that its people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.demo.consortium import write_terms
from coordinator.demo.holders import training_task
from tests.simulators.founded_run import TASK, options
from tests.simulators.terminal import Terminal

CHAINS = (
    "embedded",
    pytest.param("node", marks=[pytest.mark.slow, pytest.mark.anvil, pytest.mark.network]),
)
"""Parameters of a fixture: where the ledger is; on a real node with the slow tests."""
PEOPLE = ("coordinator", "researcher", "auditor", "alder")
ROLES = {"coordinator": "coordinator", "researcher": "researcher", "auditor": "auditor", "alder": "holder"}


class Office:
    """A folder with everybody's accounts and one ledger; commands run within it.

    Args:
        folder: The folder.
        terminal: Runs commands.
    """

    def __init__(self, folder: Path, terminal: Terminal) -> None:
        self.folder = folder
        self.terminal = terminal
        self.ledger = folder / "ledger.toml"

    def uri(self, name: str) -> str:
        """Return the account's URI."""
        return f"file:{self.folder / 'keys' / name}.json?passphrase-file={self.folder / 'secrets' / name}"

    def act(self, name: str, *words: str | Path) -> dict[str, object]:
        """Have somebody do something with ``suture``."""
        return self.terminal.sent("suture", *words, "--ledger", self.ledger, "--as", self.uri(name))

    def look(self, *words: str | Path) -> dict:
        """Ask ``suture`` about the ledger."""
        return self.terminal.done("suture", *words, "--ledger", self.ledger)

    def refused(self, name: str, *words: str | Path, code: int = 1) -> str:
        """Have somebody try something that is refused."""
        return self.terminal.refused(
            "suture", *words, "--ledger", self.ledger, "--as", self.uri(name), "--yes", code=code
        )

    def account(self, name: str) -> str:
        """Return somebody's account."""
        return self.terminal.done("suture", "keys", "show", self.folder / "keys" / f"{name}.json")["account"]

    def node(self, name: str) -> Path:
        """Return a holder's folder."""
        return self.folder / "nodes" / name

    def account_of_node(self, name: str) -> str:
        """Return the account of a holder's folder."""
        return self.terminal.done("suture", "keys", "show", self.node(name) / "keys" / "account.json")[
            "account"
        ]

    def make_node(self, name: str) -> str:
        """Make a holder's node and return its account."""
        data = self.folder / "records.csv"
        data.write_text("age,outcome\n50,1\n60,0\n")
        made = self.terminal.done(
            "suture-node",
            "init",
            self.node(name),
            "--name",
            name.title(),
            "--data",
            data,
            "--ledger",
            self.ledger,
        )
        return str(made["account"])


def chain_of(request: pytest.FixtureRequest) -> str | None:
    """Return the URL of a new node where a fixture's parameter asks for one; None for an embedded chain."""
    return request.getfixturevalue("anvil").url if request.param == "node" else None


def opened(folder: Path, terminal: Terminal, chain: str | None = None) -> Office:
    """Found a consortium of :data:`PEOPLE`, by the commands that they type.

    Args:
        folder: Where; must not exist.
        terminal: Runs commands.
        chain: URL of a node; by default an embedded chain beside the ledger's file.
    """
    office = Office(folder, terminal)
    (folder / "keys").mkdir(parents=True)
    (folder / "secrets").mkdir()
    for name in PEOPLE:
        secret = folder / "secrets" / name
        secret.write_text(f"correct horse {name}\n")
        secret.chmod(0o600)
        terminal.done("suture", "keys", "new", office.uri(name))
    founders = [word for name in PEOPLE for word in ("--founder", f"{office.account(name)}={ROLES[name]}")]
    create = ("suture", "ledger", "create", office.ledger, "--as", office.uri("coordinator"), *founders)
    create += () if chain is None else ("--chain", chain)
    assert terminal.done(*create, "--threshold", "2", "--dry-run")["dry_run"] is True
    assert not office.ledger.exists() and not (folder / "ledger.sqlite").exists()
    terminal.sent(*create, "--threshold", "2")
    return office


def with_member(office: Office, name: str) -> str:
    """Admit a holder by the votes of two members, with registered keys."""
    account = office.make_node(name)
    office.act("coordinator", "vote", "propose", "ADMIT", account, "--roles", "holder")
    office.act("researcher", "vote", "cast")
    office.terminal.sent("suture-node", "keys", "register", office.node(name))
    return account


def with_run(office: Office, *, delay: str = "0", budget: int = 0) -> tuple[str, Path]:
    """Make a token, mint it, and create a run with escrow and privacy budget; return run and terms document."""
    terms, _ = write_terms(options(office.folder / "x", rounds=3), training_task(TASK), 4, "")
    document = office.folder / "terms.json"
    document.write_bytes(terms.encode())
    token = str(office.act("researcher", "token", "create", "--cap", "1000")["token"])
    office.act("researcher", "token", "mint", token, "400")
    create = ("run", "create", document, "--token", token, "--escrow", "300", "--closing-delay", delay)
    created = office.act("researcher", *create, "--budget", str(budget))
    return str(created["run"]), document
