"""What a holder's commands send to the ledger is in the node's logbook before it leaves, by the commands that people type."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from clients.node.logbook import FILE, Logbook, account_of, read_logbook
from ledger.chain.connection import Web3Connection
from ledger.logbook import Kind
from tests.simulators.office import Office, with_member, with_run


def logged(node: Path) -> list[str]:
    """Return the hashes of the transactions that a node's logbook tells of, in their order."""
    return [f"0x{entry.digest}" for entry, _ in read_logbook(node) if entry.kind == Kind.TRANSACTION.value]


def test_every_transaction_of_a_holder_is_in_its_logbook(office: Office) -> None:
    with_member(office, "birch")
    run, terms = with_run(office)
    node, statement, sent = office.node("birch"), office.folder / "statement.txt", []
    statement.write_text("The escrow is too small.")
    assert len(logged(node)) == 1  # the keys were registered
    for words in (
        ("consent", "give", node, "--terms", terms),
        ("consent", "withdraw", node),
        ("vote", "propose", node, "THRESHOLD", "1"),
        ("objection", node, run[:10], "--statement", statement),
        ("budget", "grant", node, "600"),
        ("keys", "rotate", node),
    ):
        sent += office.terminal.sent("suture-node", *words)["transactions"]
        assert logged(node)[1:] == [one["transaction"] for one in sent], words
    assert len(sent) == 6
    assert office.terminal.done("suture-node", "log", "verify", node)["problems"] == []
    assert office.terminal.done("suture-node", "status", node)["left the house"]["entries"] == 7
    shown = office.terminal.done("suture-node", "log", "show", node, "--kind", "transaction")["entries"]
    assert {(one["to"], one["size"] > 100) for one in shown} == {("ledger", True)}


def test_a_transaction_is_in_the_logbook_before_it_leaves_and_once_when_it_is_sent_again(
    embedded_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_member(embedded_office, "birch")
    node, seen, send = embedded_office.node("birch"), [], Web3Connection.send_raw

    def look(connection: Web3Connection, raw: bytes) -> None:
        seen.append(logged(node))
        send(connection, raw)

    monkeypatch.setattr(Web3Connection, "send_raw", look)
    propose = ("suture-node", "vote", "propose", node, "THRESHOLD", "3")
    (first,) = embedded_office.terminal.sent(*propose)["transactions"]
    assert [hashes[1:] for hashes in seen] == [[first["transaction"]]]
    with closing(sqlite3.connect(node / "outbox.sqlite")) as database, database:
        database.execute("UPDATE entry SET state='signed' WHERE intent LIKE 'vote/%'")  # as a crash leaves it
    assert embedded_office.terminal.sent(*propose)["transactions"] == [first]
    assert logged(node)[1:] == [first["transaction"]]


def test_what_was_logged_and_not_sent_is_sent_later_under_the_same_line(
    embedded_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_member(embedded_office, "birch")
    node = embedded_office.node("birch")
    propose = ("suture-node", "vote", "propose", node, "THRESHOLD", "3")

    def die(connection: Web3Connection, raw: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Web3Connection, "send_raw", die)
        assert embedded_office.terminal.run(*propose, "--yes").code != 0
    before = logged(node)
    assert len(before) == 2 and embedded_office.look("vote", "list")["open"] == []
    (done,) = embedded_office.terminal.sent(*propose)["transactions"]
    assert logged(node) == before and done["transaction"] == before[1]


def test_nothing_is_sent_that_the_logbook_cannot_take(embedded_office: Office) -> None:
    with_member(embedded_office, "birch")
    node = embedded_office.node("birch")
    path = node / FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"{", b"["))
    propose = ("suture-node", "vote", "propose", node, "THRESHOLD", "3", "--yes")
    assert "was altered" in embedded_office.terminal.refused(*propose, code=1)
    assert embedded_office.look("vote", "list")["open"] == []
    path.write_bytes(whole)
    assert embedded_office.terminal.run(*propose).code == 0


def test_commands_and_a_node_that_runs_share_one_logbook(embedded_office: Office) -> None:
    with_member(embedded_office, "birch")
    node = embedded_office.node("birch")
    with closing(Logbook(node, account_of(node), clock=lambda: 1)) as running:
        running.append(Kind.FRAME, b"before", to="superlink")
        embedded_office.terminal.sent("suture-node", "vote", "propose", node, "THRESHOLD", "3")
        running.append(Kind.FRAME, b"after", to="superlink")
        assert running.state().count == 4
        running.note_transaction(bytes.fromhex(logged(node)[1][2:]), b"of another process")
    assert [entry.kind for entry, _ in read_logbook(node)] == ["transaction", "frame", "transaction", "frame"]


def test_a_dry_run_is_no_transaction(embedded_office: Office) -> None:
    with_member(embedded_office, "birch")
    node = embedded_office.node("birch")
    embedded_office.terminal.done("suture-node", "vote", "propose", node, "THRESHOLD", "3", "--dry-run")
    assert len(logged(node)) == 1
