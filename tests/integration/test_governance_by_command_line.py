"""Votes that make no sense, commands that were interrupted, and the page on governing, by the commands that people type."""

from __future__ import annotations

import shlex
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from ledger.address import find_ledger, open_ledger
from ledger.desk.desk import Account, Desk, Wishes, sit_down
from ledger.desk.runs import _approval
from ledger.papers import RunPaper
from ledger.records import Act
from ledger.signer import open_signer
from ledger.views.runs import Money
from ledger.writer import LedgerWriter
from tests.simulators.founded_run import found
from tests.simulators.office import Office, with_member, with_run
from tests.simulators.terminal import Shown, Terminal
from tests.unit.docs.test_docs import ROOT, shell_lines

# -------------------------------------------------------------------------------------------------------------- votes


@pytest.mark.parametrize("nonsense", [0, int(Act.ADMIT | Act.REMOVE)])
def test_a_members_vote_for_no_act_stands_in_nobodys_way(embedded_office: Office, nonsense: int) -> None:
    """The contract takes it and never executes it; whoever reads the votes must be able to read on."""
    office = embedded_office
    ledger = open_ledger(find_ledger(office.ledger), write=True)
    try:
        outbox = office.folder / "keys" / "outbox.sqlite"
        writer = LedgerWriter(
            ledger.connection, ledger.reader.address, open_signer(office.uri("alder")), outbox
        )
        writer.vote(cast("Act", nonsense), intent="nonsense")
        writer.close()
    finally:
        ledger.close()
    assert office.look("vote", "list")["open"] == []
    office.act("coordinator", "vote", "propose", "THRESHOLD", "1")
    assert office.act("auditor", "vote", "cast")["executes"] is True
    votes = office.terminal.done("suture-audit", "votes", office.ledger)["votes"]
    assert [vote["act"] for vote in votes] == [None, "THRESHOLD", "THRESHOLD"]
    shown = office.terminal.run("suture-audit", "votes", office.ledger)
    assert shown.code == 0 and f"no act ({nonsense}): it can never be executed" in shown.out


def test_votes_are_not_collected_for_a_run_that_is_over(office: Office) -> None:
    run, _ = with_run(office)
    stop = ("vote", "propose", "STOP_RUN", run[:10])
    office.act("researcher", "run", "close")
    office.act("researcher", "run", "close")
    assert "is CLOSED and cannot be stopped" in office.refused("auditor", *stop)
    assert office.look("vote", "list")["open"] == []


def test_votes_are_not_collected_for_an_account_that_is_never_admitted(office: Office) -> None:
    with_member(office, "birch")
    office.terminal.sent("suture-node", "keys", "rotate", office.node("birch"))
    (_, key) = office.terminal.done("suture-node", "keys", "history", office.node("birch"))["keys"]
    admit = ("vote", "propose", "ADMIT")
    line = office.refused("coordinator", *admit, key["signer"], "--roles", "holder")
    assert f"is a signing key of {office.account_of_node('birch')}" in line
    assert "nobody's account" in office.refused("coordinator", *admit, "0x" + "00" * 20, "--roles", "holder")
    assert office.look("vote", "list")["open"] == []


# ------------------------------------------------------------------------------------------------------- interruptions


def interrupted(office: Office, intent: str, account: str = "") -> None:
    """Leave in the outbox what a command leaves that was ended while it waited for its receipt."""
    with sqlite3.connect(office.folder / "keys" / "outbox.sqlite") as database:
        changed = database.execute(
            "UPDATE entry SET state='signed' WHERE intent LIKE ? AND hex(sender) LIKE ?",
            (f"{intent}%", account.removeprefix("0x") or "%"),
        )
        assert changed.rowcount == 1
    database.close()


def test_an_interrupted_command_that_is_given_again_is_done_once(office: Office) -> None:
    token = str(office.act("researcher", "token", "create", "--cap", "1000")["token"])
    mint = ("token", "mint", token, "100")
    first = office.act("researcher", *mint)
    interrupted(office, "mint/")
    assert office.act("researcher", *mint)["transactions"] == first["transactions"]
    assert office.look("token", "show", token)["supply"] == str(100 * 10**18)
    assert office.act("researcher", *mint)["transactions"] != first["transactions"]  # and now once more
    assert office.look("token", "show", token)["supply"] == str(200 * 10**18)


def test_an_interrupted_vote_that_is_given_again_is_an_answer_and_no_refusal(office: Office) -> None:
    propose = ("vote", "propose", "THRESHOLD", "3")
    first = office.act("coordinator", *propose)
    interrupted(office, "vote/")
    again = office.act("coordinator", *propose)
    assert (again["transactions"], again["votes"], again["executes"]) == (first["transactions"], 1, False)
    assert "caller has voted" in office.refused("coordinator", *propose, code=4)


def test_an_interrupted_vote_that_executed_its_proposal_is_given_again_and_is_done(office: Office) -> None:
    office.act("coordinator", "vote", "propose", "THRESHOLD", "3")
    (open_one,) = office.look("vote", "list")["open"]
    cast = ("vote", "cast", open_one["id"][:8])
    first = office.act("auditor", *cast)
    interrupted(office, f"vote/{open_one['id'][2:]}", office.account("auditor"))
    office.act("coordinator", "vote", "propose", "THRESHOLD", "1")  # is not what the auditor voted for
    for again in (("vote", "cast", "--dry-run"), ("vote", "cast"), cast):
        said = office.act("auditor", *again)
        assert said == {**first, "dry_run": "--dry-run" in again}
    assert office.act("coordinator", *cast)["executes"] is True  # its vote was recorded, too
    line = office.refused("alder", *cast)
    assert "was executed in block" in line and "without your vote: need 3 votes for an act" in line
    assert len(office.look("vote", "list")["open"]) == 1


def test_an_interrupted_proposal_whose_act_is_done_is_given_again_and_is_done(office: Office) -> None:
    account = office.make_node("birch")
    propose = ("vote", "propose", "ADMIT", account, "--roles", "holder")
    office.act("coordinator", *propose)
    first = office.act("alder", *propose)
    interrupted(office, "vote/", office.account("alder"))
    again = office.act("alder", *propose)
    assert again["executes"] is True and again["proposal"] == first["proposal"]
    assert "a member already" in office.refused("alder", *propose)  # nothing is left of the first command


def test_what_another_command_left_is_finished_and_not_taken_for_this_one(office: Office) -> None:
    token = str(office.act("researcher", "token", "create", "--cap", "1000")["token"])
    office.act("researcher", "token", "mint", token, "100")
    interrupted(office, "mint/")
    words = ("suture", "token", "mint", token, "50", "--yes", "--ledger", office.ledger)
    shown = office.terminal.run(*words, "--as", office.uri("researcher"))
    assert shown.code == 0 and "what an earlier command began" in shown.err and "make 50 SUTC" in shown.out
    assert office.look("token", "show", token)["supply"] == str(150 * 10**18)


def test_tokens_of_one_cap_are_as_many_as_were_made(office: Office) -> None:
    create = ("token", "create", "--cap", "1000")
    first = office.act("researcher", *create)["token"]
    interrupted(office, "deploy RewardToken")
    assert office.act("researcher", *create)["token"] == first
    assert office.act("researcher", *create)["token"] != first


def test_a_run_is_created_with_another_escrow_than_was_allowed_before_a_crash(
    embedded_office: Office,
) -> None:
    office = embedded_office
    with_run(office)
    terms = office.folder / "terms.json"
    terms.write_bytes(terms.read_bytes().replace(b"Demonstration", b"Another tryout"))
    token = office.look("run", "show")["token"]
    create = ("run", "create", terms, "--token", token, "--escrow")
    planned = office.terminal.done(
        "suture", *create, "60", "--ledger", office.ledger, "--as", office.uri("researcher"), "--dry-run"
    )
    run = bytes.fromhex(planned["run"][2:])
    account = Account(office.uri("researcher"))
    with sit_down(find_ledger(office.ledger), account, Wishes(yes=True, as_json=True), Desk) as desk:
        contract = bytes.fromhex(token[2:])
        desk.act(_approval(desk, contract, 60 * 10**18, Money.of(desk.reader, contract), run))
    done = office.act("researcher", *create, "90")
    assert [one["words"].split()[0] for one in done["transactions"]] == ["allow", "create"]
    assert office.look("run", "show", planned["run"])["escrow"] == str(90 * 10**18)


# -------------------------------------------------------------------------------------------------------------- escrow


def test_a_holder_is_told_before_it_consents_when_less_is_deposited_than_the_terms_promise(
    embedded_office: Office,
) -> None:
    office = embedded_office
    with_member(office, "birch")
    covered, terms = with_run(office)
    give = ("suture-node", "consent", "give", office.node("birch"), "--dry-run", "--terms", terms)
    assert "are deposited" not in office.terminal.run(*give, covered).err
    terms.write_bytes(terms.read_bytes().replace(b"Demonstration", b"Another tryout"))
    token = office.look("run", "show")["token"]
    create = ("suture", "run", "create", terms, "--token", token, "--escrow", "60", "--ledger", office.ledger)
    told = "the terms promise 300 SUTC in all, and 60 SUTC are deposited: no more can be paid"
    made = office.terminal.run(*create, "--as", office.uri("researcher"), "--yes")
    assert made.code == 0 and told in made.err
    (run,) = [r["run"] for r in office.look("run", "list")["runs"] if r["run"] != covered]
    assert told in office.terminal.run(*give, run).err


# --------------------------------------------------------------------------------------------------------------- names


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("named") / "run", rounds=3) / "public"


def shown_under_names(terminal: Terminal, public: Path, names: dict[str, str], asked: str) -> Shown:
    """Look an account up in a public folder that gives these names."""
    paper = RunPaper.decode((public / "run.json").read_bytes())
    (public / "run.json").write_bytes(replace(paper, names=names).encode())
    return terminal.run("suture", "member", "show", asked, "--ledger", public)


def test_an_account_may_be_named_by_its_name(terminal: Terminal, public: Path) -> None:
    (alder, birch) = ("a1" * 20, "b1" * 20)
    shown = shown_under_names(terminal, public, {alder: "Alder", birch: "Birch"}, "birch")
    assert shown.code == 0 and f"0x{birch} (Birch)" in shown.out


def test_what_looks_like_an_address_is_one_whatever_somebody_calls_itself(
    terminal: Terminal, public: Path
) -> None:
    (thief, victim) = ("a1" * 20, "b1" * 20)
    for asked in (f"0x{victim}", victim, f"0X{victim.upper()}"):
        shown = shown_under_names(terminal, public, {thief: asked}, asked)
        assert shown.code == 0 and f"0x{victim}" in shown.out and thief not in shown.out


def test_a_name_of_several_accounts_names_none_of_them(terminal: Terminal, public: Path) -> None:
    shown = shown_under_names(terminal, public, {"a1" * 20: "Alder", "b1" * 20: "ALDER"}, "Alder")
    assert shown.code == 1 and "2 accounts are called 'Alder'" in shown.err


@pytest.mark.parametrize("key", ["zz" * 20, "a1", "", "A1" * 20])
def test_a_name_of_no_account_is_nobodys(terminal: Terminal, public: Path, key: str) -> None:
    shown = shown_under_names(terminal, public, {key: "Alder"}, "Alder")
    assert shown.code == 1 and "'Alder' is no account" in shown.err


# ------------------------------------------------------------------------------------------------- accounts, the page


def test_only_registering_a_key_needs_the_passphrase_for_a_dry_run(embedded_office: Office) -> None:
    office = embedded_office
    keystore = office.folder / "keys" / "auditor.json"
    words = ("suture", "keys", "register", "--ledger", office.ledger, "--dry-run", "--as")
    assert "no terminal to ask at" in office.terminal.refused(*words, keystore)
    assert office.terminal.done(*words, office.uri("auditor"))["dry_run"] is True


def test_a_new_key_needs_a_folder_before_a_passphrase(embedded_office: Office) -> None:
    missing = embedded_office.folder / "nowhere"
    line = embedded_office.terminal.refused("suture", "keys", "new", missing / "key.json")
    assert f"no folder {missing}" in line


def test_the_page_on_governing_runs_as_written(
    embedded_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = embedded_office
    monkeypatch.chdir(office.folder)
    (office.folder / "minutes.pdf").write_bytes(b"minutes")
    run, _ = with_run(office)
    mine = {
        "keys/me.json": office.uri("coordinator"),
        "keys/auditor.json": office.uri("auditor"),
        "1f2e": run[:6],
    }
    commands = [shlex.split(line) for line in shell_lines(ROOT / "docs/how-to/govern-a-consortium.md")]
    assert len(commands) == 5
    for program, *words in commands:
        sends = [] if words[1] == "list" else ["--yes"]  # a person is asked, for the passphrase too
        shown = office.terminal.run(program, *[mine.get(word, word) for word in words], *sends)
        assert shown.code == 0, (words, shown.err)
    assert len(office.look("member", "list")["members"]) == 5
    assert len(office.look("vote", "list")["open"]) == 2
