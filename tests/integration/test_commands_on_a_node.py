"""What only an external chain has, by the commands that people type: a URL, a node that is away or another one, fees.

The lives of a consortium, its budgets and consents are played on a node by ``test_consortium_by_command_line.py`` and
``test_budgets_by_command_line.py``; here are rewards after a real round, and everything that can be wrong with a node.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.door import Method
from coordinator.demo.consortium import REWARD_PER_ROUND
from fl_core.models.step import apply_step
from tests.simulators.anvil import Anvil
from tests.simulators.founded_run import RunWithNodes, found
from tests.simulators.office import PEOPLE, Office, opened, with_member, with_run
from tests.simulators.terminal import Terminal
from tests.unit.docs.test_docs import ROOT, shell_lines

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.network]
SHARE = REWARD_PER_ROUND // 4
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def office(tmp_path: Path, terminal: Terminal, anvil: Anvil) -> Office:
    return opened(tmp_path / "office", terminal, anvil.url)


# -------------------------------------------------------------------------------------------------------- a real round


@pytest.fixture
def run(tmp_path: Path, anvil: Anvil) -> Path:
    """A run on the node with one round that made a model."""
    folder = found(tmp_path / "run", rounds=3, node=anvil.url)
    world = RunWithNodes(folder)
    try:
        session = world.open_round()
        for account, request in world.included(session).items():
            session.add_reveal(world.holders[account].call(Method.REVEAL, request))
        session.finalise(apply_step(world.run.terms.strategy, session.tensors, session.open().update))
    finally:
        world.close()
    return folder


def test_rewards_on_a_node_are_shown_claimed_and_pushed_once(run: Path, terminal: Terminal) -> None:
    ledger, public, office = run / "coordinator" / "ledger.toml", run / "public", run / "researcher"
    node, other = run / "nodes" / "cleveland", run / "nodes" / "hungary"
    (shown,) = terminal.done("suture-node", "rewards", "show", node, "--from", public)["rewards"]
    assert (shown["earned"], shown["paid"], shown["due"]) == (str(SHARE), "0", str(SHARE))
    claim = ("suture-node", "rewards", "claim", node, "--from", public)
    assert terminal.done(*claim, "--dry-run")["dry_run"] is True
    assert "no terminal to ask at" in terminal.refused(*claim)
    assert len(terminal.sent(*claim)["transactions"]) == 1
    assert terminal.sent(*claim)["transactions"] == []
    assert len(terminal.sent("suture-node", "rewards", "claim", other, "--from", public)["transactions"]) == 1
    push = (
        *("suture", "rewards", "push", "--ledger", ledger, "--from", public),
        *("--as", f"file:{office / 'account.json'}?passphrase-file={office / 'passphrase'}"),
    )
    assert len(terminal.done(*push, "--dry-run")["transactions"]) == 2
    assert len(terminal.sent(*push)["transactions"]) == 2
    assert terminal.sent(*push)["transactions"] == []
    for program in ("suture", "suture-audit"):
        words = ("rewards", "show", "--ledger") if program == "suture" else ("rewards",)
        rewards = terminal.done(program, *words, ledger, "--from", public)["rewards"]
        assert {(one["paid"], one["due"]) for one in rewards} == {(str(SHARE), "0")}


def test_a_keys_rotation_between_two_rounds_on_a_node_is_seen_by_everybody(
    run: Path, terminal: Terminal
) -> None:
    node, ledger = run / "nodes" / "cleveland", run / "coordinator" / "ledger.toml"
    terminal.sent("suture-node", "keys", "rotate", node)
    history = terminal.done("suture-node", "keys", "history", node)["keys"]
    assert [key["current"] for key in history] == [False, True]
    account = terminal.done("suture-node", "keys", "show", node)["account"]
    member = terminal.done("suture", "member", "show", account, "--ledger", ledger)
    assert [key["signer"] for key in member["keys"]] == [key["signer"] for key in history]


# ---------------------------------------------------------------------------------------------- what everybody looks at


def test_everything_that_can_be_looked_at_is_text_or_one_json_object_in_all_three_programs(
    office: Office,
) -> None:
    account = with_member(office, "birch")
    run, terms = with_run(office)
    node, ledger = office.node("birch"), office.ledger
    token = office.look("run", "show")["token"]
    office.terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    office.act("coordinator", "vote", "propose", "THRESHOLD", "3")
    at = ("--ledger", ledger)
    questions: list[tuple[object, ...]] = [
        ("suture", "ledger", "show", *at),
        ("suture", "member", "list", *at),
        ("suture", "member", "show", account, *at),
        ("suture", "vote", "list", *at),
        ("suture", "keys", "history", account, *at),
        ("suture", "run", "list", *at),
        ("suture", "run", "show", run[:10], *at),
        ("suture", "token", "show", token, *at),
        ("suture", "rewards", "show", *at),
        *(("suture-node", *words, node) for words in (
            ("vote", "list"), ("keys", "show"), ("keys", "history"), ("consent", "list"),
            ("budget", "show"), ("rewards", "show"), ("status",),
        )),
        ("suture-audit", "members", ledger),
        ("suture-audit", "votes", ledger),
        ("suture-audit", "consents", ledger, "--run", run),
        ("suture-audit", "budgets", ledger),
        ("suture-audit", "rewards", ledger),
    ]  # fmt: skip
    for question in questions:
        assert office.terminal.done(*question)  # type: ignore[arg-type]
        shown = office.terminal.run(*question)  # type: ignore[arg-type]
        assert (shown.code, shown.err) == (0, ""), question
        assert shown.out.strip() and not shown.out.startswith("{"), question


# ------------------------------------------------------------------------------------------------- what can be wrong


def test_a_node_that_is_away_is_tried_again_later_and_costs_nothing(
    office: Office, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.address.PATIENCE_S", 0.1)
    text = office.ledger.read_text()
    office.ledger.write_text(text.replace(anvil.url, NOBODY))
    assert "did not answer" in office.terminal.refused(
        "suture", "member", "list", "--ledger", office.ledger, code=5
    )
    assert "did not answer" in office.refused("auditor", "pause", code=5)
    shown = office.terminal.run("suture-audit", "members", office.ledger, "--json")
    assert shown.code == 5 and json.loads(shown.out or shown.err)["kind"] == "ChainUnreachable"
    office.ledger.write_text(text)
    assert office.look("member", "list")["paused"] is False
    office.act("auditor", "pause")


def test_a_node_of_another_chain_or_without_the_contract_is_refused(office: Office, anvil: Anvil) -> None:
    text = office.ledger.read_text()
    with Anvil(chain_id=77) as other, Anvil() as empty:
        office.ledger.write_text(text.replace(anvil.url, other.url))
        assert "serves chain 77, asked for was 4242" in office.refused("auditor", "pause")
        office.ledger.write_text(text.replace(anvil.url, empty.url))
        assert "There is no contract at" in office.refused("auditor", "pause")
        assert (other.height(), empty.height()) == (0, 0)
        create = (
            "suture",
            "ledger",
            "create",
            office.folder / "second.toml",
            "--as",
            office.uri("coordinator"),
        )
        founder = ("--founder", f"{office.account('coordinator')}=coordinator", "--chain", other.url)
        line = office.terminal.refused(*create, *founder, "--chain-id", "4242", "--yes")
        assert "serves chain 77, asked for was 4242" in line
        assert not (office.folder / "second.toml").exists() and other.height() == 0


@pytest.fixture
def dear() -> Iterator[Anvil]:
    with Anvil(base_fee=None) as node:
        yield node


def test_an_account_without_money_for_gas_is_told_so_before_anything_is_sent(
    tmp_path: Path, terminal: Terminal, dear: Anvil
) -> None:
    folder = tmp_path / "dear"
    office = Office(folder, terminal)
    (folder / "keys").mkdir(parents=True)
    (folder / "secrets").mkdir()
    for name in PEOPLE:
        (folder / "secrets" / name).write_text(f"correct horse {name}\n")
        (folder / "secrets" / name).chmod(0o600)
        terminal.done("suture", "keys", "new", office.uri(name))
    create = (
        *("suture", "ledger", "create", office.ledger, "--as", office.uri("coordinator")),
        *("--founder", f"{office.account('coordinator')}=coordinator", "--chain", dear.url),
    )
    line = terminal.refused(*create, "--yes")
    assert "Give the account money for gas" in line and dear.height() == 0 and not office.ledger.exists()
    dear.ask("anvil_setBalance", office.account("coordinator"), hex(10**18))
    planned = terminal.run(*create, "--dry-run")
    assert planned.code == 0 and "at most" in planned.err and "wei" in planned.err
    terminal.sent(*create)
    office.act("coordinator", "pause")
    assert office.look("member", "list")["paused"] is True


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_page_on_a_consortiums_chain_runs_as_written(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the containers, which its files are for, and the seals, which anvil does not make."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("correct horse")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "keys").mkdir()
    (tmp_path / "records.csv").write_text("age,outcome\n50,1\n60,0\n")
    me = "file:keys/me.json?passphrase-file=secret"
    terminal.done("suture", "keys", "new", me)
    terminal.done("suture-node", "init", "node", "--name", "Birch", "--data", "records.csv")
    keys = [terminal.done("suture", "ledger", "node-key", f"key-{n}")["public_key"] for n in (1, 2)]
    commands = [shlex.split(line) for line in shell_lines(ROOT / "docs/how-to/run-a-consortium-chain.md")]
    assert len(commands) == 7
    with Anvil(chain_id=20_260) as node:
        for program, *words in commands:
            if words[0] == "light":
                continue
            mine = {"keys/me.json": me, "http://127.0.0.1:8545": node.url}
            filled = [mine.get(word, word) for word in words]
            filled = [word.replace("PUBLICKEY", keys[word.startswith("10.0.0.2")]) for word in filled]
            asks = ["--yes"] if words[:2] == ["ledger", "create"] else []
            shown = terminal.run(program, *filled, *asks)
            assert shown.code == 0, (words, shown.err)
    assert (tmp_path / "node" / "node.toml").read_text().count(f'chain = "{node.url}"') == 1
    assert json.loads((tmp_path / "net" / "genesis.json").read_text())["config"]["chainId"] == 20_260
