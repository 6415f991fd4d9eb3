"""Disputes on record, by the commands that a holder and an auditor type."""

from __future__ import annotations

import hashlib

from tests.simulators.office import Office, with_member, with_run


def test_holders_and_auditors_put_disputes_on_record(office: Office) -> None:
    with_member(office, "birch")
    run, _ = with_run(office)
    statement = office.folder / "statement.txt"
    statement.write_text("The escrow is too small.")
    reason = f"0x{hashlib.sha256(statement.read_bytes()).hexdigest()}"
    mine = ("objection", "--statement", statement)
    dry = ("suture", *mine, "--ledger", office.ledger, "--as", office.folder / "keys" / "auditor.json")
    assert office.terminal.done(*dry, "--dry-run")["reason"] == reason
    assert office.terminal.done("suture-audit", "objections", office.ledger) == {"objections": []}
    office.act("auditor", *mine)
    assert office.act("auditor", *mine)["transactions"] == []  # the same one again
    office.terminal.sent("suture-node", "objection", office.node("birch"), run[:10], "--statement", statement)
    found = office.terminal.done("suture-audit", "objections", office.ledger, "--run", run)["objections"]
    members = [office.account("auditor"), office.account_of_node("birch")]
    assert [(o["member"], o["round"], o["reason"]) for o in found] == [(m, 0, reason) for m in members]


def test_an_objection_that_cannot_be_put_on_record_says_why(office: Office) -> None:
    statement = office.folder / "statement.txt"
    statement.write_text("It is all wrong.")
    mine = ("objection", "--statement", statement)
    assert "There is no run on this ledger" in office.refused("auditor", *mine)
    with_run(office)
    assert "account lacks the role" in office.refused("researcher", *mine, code=4)
    assert "none with the number 1" in office.refused("auditor", *mine, "--round", "1")
    assert "cannot be read" in office.refused(
        "auditor", "objection", "--statement", statement.parent / "none"
    )
