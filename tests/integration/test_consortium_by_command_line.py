"""The life of a consortium through the commands that its people type, on a real embedded chain and on a real node."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fl_core.errors import InputError
from ledger.address import find_ledger, open_ledger
from ledger.chain.connection import Web3Connection
from tests.simulators.office import PEOPLE, ROLES, Office, opened, with_member, with_run
from tests.unit.docs.test_docs import ROOT, shell_lines


def chain_now(office: Office) -> object:
    """Return something that changes with the chain: the bytes of an embedded one, the newest block of a node's."""
    address = find_ledger(office.ledger)
    return address.path.read_bytes() if address.path else Web3Connection(address.chain).head()


# ------------------------------------------------------------------------------------------------- members and votes


def test_a_founded_ledger_has_its_founders_and_what_is_pinned(office: Office) -> None:
    members = office.look("member", "list")
    assert {m["account"]: m["roles"] for m in members["members"]} == {
        office.account(name): [ROLES[name]] for name in PEOPLE
    }
    assert (members["threshold"], members["paused"]) == (2, False)
    pinned = office.look("ledger", "show")
    assert pinned["pinned"] is True
    assert pinned["contract"] in office.ledger.read_text() and pinned["code"] in office.ledger.read_text()


def test_a_ledger_is_founded_once_and_a_crash_before_its_file_costs_nothing(office: Office) -> None:
    founders = [word for name in PEOPLE for word in ("--founder", f"{office.account(name)}={ROLES[name]}")]
    create = [
        "suture",
        "ledger",
        "create",
        office.ledger,
        "--as",
        office.uri("coordinator"),
        *founders,
        "--threshold",
        "2",
    ]
    assert "exists already" in office.terminal.refused(*create, "--yes")
    before = office.ledger.read_text()
    chain = tomllib.loads(before)["chain"]
    office.ledger.unlink()  # as if the machine had stopped between the chain and the file
    office.terminal.sent(*create, "--chain", chain)
    assert office.ledger.read_text() == before


def test_a_member_is_admitted_by_as_many_votes_as_the_threshold(office: Office) -> None:
    account = office.make_node("birch")
    propose = ("vote", "propose", "ADMIT", account, "--roles", "holder")
    first = office.act("coordinator", *propose)
    assert (first["votes"], first["threshold"], first["executes"]) == (1, 2, False)
    (open_one,) = office.look("vote", "list")["open"]
    assert open_one["words"] == f"admit {account} as holder" and open_one["next_vote_executes"] is True
    assert "caller has voted" in office.refused("coordinator", "vote", "cast", code=4)
    assert account not in str(office.look("member", "list"))
    second = office.act("alder", "vote", "cast", open_one["id"][:8])
    assert second["executes"] is True
    assert account in str(office.look("member", "list"))
    assert office.look("vote", "list") == {"era": 1, "threshold": 2, "open": []}
    votes = office.terminal.done("suture-audit", "votes", office.ledger)["votes"]
    assert [vote["executed"] for vote in votes] == [False, True]


def test_a_holder_votes_from_its_node_and_a_removed_one_does_not(office: Office) -> None:
    account = with_member(office, "birch")
    node = office.node("birch")
    office.act("coordinator", "vote", "propose", "THRESHOLD", "1")
    office.terminal.sent("suture-node", "vote", "cast", node)
    assert office.look("member", "list")["threshold"] == 1
    office.act("auditor", "vote", "propose", "REMOVE", account)
    line = office.terminal.refused("suture-node", "vote", "propose", node, "THRESHOLD", "2", "--yes", code=4)
    assert "caller is not a member" in line and "admit this account by vote" in line
    history = [move["event"] for move in office.look("member", "show", account)["history"]]
    assert history == ["admitted", "removed"]


def test_an_executed_act_voids_open_proposals(office: Office) -> None:
    office.act("coordinator", "vote", "propose", "THRESHOLD", "3")
    office.act("coordinator", "vote", "propose", "REMOVE", office.account("alder"))
    office.act("auditor", "vote", "propose", "REMOVE", office.account("alder"))
    assert office.look("vote", "list")["open"] == []
    assert "no open proposal on this ledger" in office.refused("auditor", "vote", "cast", "00000")


def test_votes_are_not_collected_for_what_could_never_be_done(office: Office) -> None:
    alder = office.account("alder")
    assert "a member already" in office.refused(
        "coordinator", "vote", "propose", "ADMIT", alder, "--roles", "holder"
    )
    assert "not a member" in office.refused("coordinator", "vote", "propose", "REMOVE", "0x" + "11" * 20)
    assert "between 1 and 4" in office.refused("coordinator", "vote", "propose", "THRESHOLD", "9")
    assert "not paused" in office.refused("coordinator", "vote", "propose", "UNPAUSE")


def test_a_vote_names_the_document_that_was_proposed(office: Office) -> None:
    minutes, other = office.folder / "minutes.txt", office.folder / "other.txt"
    minutes.write_text("Alder leaves.")
    other.write_text("Alder stays.")
    office.act("coordinator", "vote", "propose", "REMOVE", office.account("alder"), "--minutes", minutes)
    assert "does not name" in office.refused("auditor", "vote", "cast", "--minutes", other)
    office.act("auditor", "vote", "cast", "--minutes", minutes)
    assert len(office.look("member", "list")["members"]) == 3


def test_an_auditor_stops_new_work_and_only_votes_start_it_again(office: Office) -> None:
    assert "account lacks the role" in office.refused("researcher", "pause", code=4)
    office.act("auditor", "pause")
    assert office.look("member", "list")["paused"] is True
    assert "ledger is paused" in office.refused("auditor", "pause", code=4)
    office.act("coordinator", "vote", "propose", "UNPAUSE")
    office.act("alder", "vote", "cast")
    assert office.look("member", "list")["paused"] is False
    office.act("auditor", "pause")  # a second time is another act, not the first one again
    assert office.look("member", "list")["paused"] is True


# ------------------------------------------------------------------------------------------------------------- keys


def test_keys_are_registered_rotated_and_remembered(office: Office) -> None:
    account = office.make_node("birch")
    node, terminal = office.node("birch"), office.terminal
    assert "caller is not a member" in terminal.refused(
        "suture-node", "keys", "register", node, "--yes", code=4
    )
    assert "No keys are registered" in terminal.refused("suture-node", "keys", "rotate", node, "--yes")
    office.act("coordinator", "vote", "propose", "ADMIT", account, "--roles", "holder")
    office.act("researcher", "vote", "cast")
    assert terminal.done("suture-node", "keys", "register", node, "--dry-run")["dry_run"] is True
    assert terminal.done("suture-node", "keys", "show", node)["registered"] is None
    terminal.sent("suture-node", "keys", "register", node)
    assert terminal.sent("suture-node", "keys", "register", node)["transactions"] == []
    terminal.done("suture-node", "keys", "rotate", node, "--dry-run")
    assert not list((node / "keys").glob("*next*"))
    terminal.sent("suture-node", "keys", "rotate", node)
    terminal.sent("suture-node", "keys", "rotate", node)
    history = terminal.done("suture-node", "keys", "history", node)["keys"]
    assert [(k["number"], k["current"]) for k in history] == [(1, False), (2, False), (3, True)]
    assert len({k["signer"] for k in history}) == len({k["transport"] for k in history}) == 3
    assert history == terminal.done("suture", "keys", "history", account, "--ledger", office.ledger)["keys"]
    shown = terminal.done("suture-node", "keys", "show", node)
    assert (shown["key_set_in_folder"], shown["rotation_pending"]) == (3, False)


@pytest.mark.parametrize("renamed", ["nothing", "transport"])
def test_a_rotation_that_a_crash_cut_short_is_finished_with_the_same_keys(
    office: Office, renamed: str
) -> None:
    with_member(office, "birch")
    node, terminal = office.node("birch"), office.terminal
    terminal.sent("suture-node", "keys", "rotate", node)
    keys = node / "keys"
    (keys / "signer-2.json").rename(keys / "signer-next.json")
    if renamed == "nothing":
        (keys / "transport-2.json").rename(keys / "transport-next.json")
    assert terminal.done("suture-node", "keys", "show", node)["rotation_pending"] is True
    assert terminal.sent("suture-node", "keys", "rotate", node)["transactions"] == []
    assert terminal.done("suture-node", "keys", "show", node)["key_set_in_folder"] == 2
    assert len(terminal.done("suture-node", "keys", "history", node)["keys"]) == 2


def test_a_coordinator_registers_the_key_that_signs_its_receipts(office: Office) -> None:
    office.act("coordinator", "keys", "register")
    (keys,) = office.look("keys", "history", office.account("coordinator"))["keys"]
    assert keys["signer"] == office.account("coordinator")
    assert office.act("coordinator", "keys", "register")["transactions"] == []


def test_a_coordinator_with_a_new_key_is_a_new_coordinator_with_a_new_run(office: Office) -> None:
    """As docs/how-to/govern-a-consortium.md has it: nobody can give a run another coordinator."""
    run, terms = with_run(office, delay="7")
    office.act("researcher", "vote", "propose", "REMOVE", office.account("coordinator"))
    office.act("auditor", "vote", "cast")
    assert "account lacks the role" in office.refused("coordinator", "pause", code=4)
    office.act("researcher", "vote", "propose", "STOP_RUN", run[:12])
    office.act("alder", "vote", "cast")
    stopped = office.look("run", "show", run[:12])
    assert (stopped["state"], stopped["escrow"]) == ("STOPPED", "0")
    secret = office.folder / "secrets" / "successor"
    secret.write_text("correct horse successor\n")
    secret.chmod(0o600)
    office.terminal.done("suture", "keys", "new", office.uri("successor"))
    successor = office.account("successor")
    office.act("researcher", "vote", "propose", "ADMIT", successor, "--roles", "coordinator")
    office.act("auditor", "vote", "cast")
    office.act("successor", "keys", "register")
    create = ("run", "create", terms, "--token", stopped["token"], "--escrow", "300")
    assert "run exists" in office.refused("researcher", *create, code=4)
    terms.write_bytes(terms.read_bytes().replace(b"Demonstration", b"Second attempt"))
    office.act("researcher", *create, "--coordinator", successor)
    runs = office.look("run", "list")["runs"]
    assert [(one["state"], one["coordinator"] == successor) for one in runs] == [
        ("STOPPED", False), ("OPEN", True)
    ]  # fmt: skip


def test_a_key_is_never_overwritten_and_readable_by_its_owner_only(office: Office) -> None:
    path = office.folder / "keys" / "alder.json"
    before = path.read_bytes()
    assert "exists already" in office.terminal.refused("suture", "keys", "new", office.uri("alder"))
    assert path.read_bytes() == before and path.stat().st_mode & 0o777 == 0o600


# ------------------------------------------------------------------------------------------------- runs and consents


def test_a_run_is_created_consented_to_and_closed_after_its_delay(office: Office) -> None:
    account = with_member(office, "birch")
    run, terms = with_run(office)
    node, terminal = office.node("birch"), office.terminal
    assert office.look("run", "show")["escrow"] == str(300 * 10**18)
    assert "not at hand" in terminal.refused("suture-node", "consent", "give", node, "--yes")
    looked = terminal.run("suture-node", "consent", "give", node, "--terms", terms, "--dry-run")
    assert looked.code == 0 and "nobody holds a key that opens a single one" in looked.err
    assert not list((node / "terms").glob("*")) if (node / "terms").exists() else True
    terminal.sent("suture-node", "consent", "give", node, run[:10], "--terms", terms)
    (listed,) = terminal.done("suture-node", "consent", "list", node)["runs"]
    assert listed["consented"] is True and listed["title"] == "Heart disease across hospitals"
    assert "was given already" in terminal.refused("suture-node", "consent", "give", node, "--yes", code=4)
    terminal.sent("suture-node", "consent", "withdraw", node)
    again = terminal.run("suture-node", "consent", "withdraw", node, "--yes")
    assert again.code == 4 and "was not given" in again.err
    assert "From now on" not in again.err and "Once it is taken back, rounds refuse" in again.err
    terminal.sent("suture-node", "consent", "give", node)  # the document is at hand now
    audit = terminal.done("suture-audit", "consents", office.ledger, "--run", run)
    assert [change["given"] for change in audit["changes"]] == [True, False, True]
    assert audit["now"] == [{"run": run, "holder": account}]
    office.act("researcher", "run", "close")
    assert office.look("run", "show")["state"] == "CLOSING"
    office.act("researcher", "run", "close")
    closed = office.look("run", "show")
    assert (closed["state"], closed["escrow"]) == ("CLOSED", "0")


def test_a_run_is_not_closed_before_its_delay_is_over(office: Office) -> None:
    with_run(office, delay="7")
    assert "at least 4 hexadecimal digits" in office.refused("researcher", "run", "close", "zz")
    assert "No run of this ledger begins with 0123" in office.refused("researcher", "run", "close", "0x0123")
    assert "neither coordinator nor sponsor" in office.refused("alder", "run", "close", code=4)
    office.act("researcher", "run", "close")
    line = office.refused("researcher", "run", "close")
    assert "delay of the run is not over: 6 days 23 hours" in line and "from 20" in line


def test_stopping_a_run_by_vote_refunds_its_sponsor_at_once(office: Office) -> None:
    run, _ = with_run(office, delay="7")
    office.act("auditor", "vote", "propose", "STOP_RUN", run[:12])
    office.act("alder", "vote", "cast")
    stopped = office.look("run", "show")
    assert (stopped["state"], stopped["escrow"]) == ("STOPPED", "0")
    balances = office.look("token", "show", stopped["token"])["balances"]
    assert balances[office.account("researcher")] == str(400 * 10**18)


def test_the_consent_of_a_former_holder_is_struck_by_anyone(office: Office) -> None:
    account = with_member(office, "birch")
    with_member(office, "cedar")
    run, terms = with_run(office)
    office.terminal.sent("suture-node", "consent", "give", office.node("birch"), "--terms", terms)
    drop = ("suture-node", "consent", "drop", office.node("cedar"), run, account, "--yes")
    assert "account is still a holder" in office.terminal.refused(*drop, code=4)
    office.act("coordinator", "vote", "propose", "REMOVE", account)
    office.act("auditor", "vote", "cast")
    assert office.look("run", "show")["accepted"] == 1
    assert office.terminal.run(*drop).code == 0
    assert office.look("run", "show")["accepted"] == 0


def test_a_policy_that_forbids_a_run_forbids_the_consent(office: Office) -> None:
    with_member(office, "birch")
    _, terms = with_run(office)
    node = office.node("birch")
    config = (node / "node.toml").read_text().replace("least_partners = 3", "least_partners = 9")
    (node / "node.toml").write_text(config)
    line = office.terminal.refused("suture-node", "consent", "give", node, "--terms", terms, "--yes")
    assert "at least 9 holders" in line and "node.toml" in line


def test_other_terms_than_the_runs_are_not_consented_to(office: Office) -> None:
    with_member(office, "birch")
    _, terms = with_run(office)
    other = office.folder / "other.json"
    other.write_bytes(terms.read_bytes().replace(b"Demonstration", b"Surveillance!"))
    line = office.terminal.refused(
        "suture-node", "consent", "give", office.node("birch"), "--terms", other, "--yes"
    )
    assert "not the terms of the run" in line


def test_an_escrow_that_is_not_there_is_refused_before_anything_is_sent(office: Office) -> None:
    with_run(office)
    token = office.look("run", "show")["token"]
    terms = office.folder / "terms.json"
    terms.write_bytes(terms.read_bytes().replace(b"Demonstration", b"Another tryout"))
    create = ("run", "create", terms, "--token", token)
    assert "has 100 SUTC, the escrow is 300 SUTC" in office.refused("researcher", *create)
    assert "is no amount" in office.refused("researcher", *create, "--escrow", "many")
    assert len(office.look("run", "list")["runs"]) == 1
    office.act("researcher", *create, "--escrow", "99.5")
    assert [r["escrow"] for r in office.look("run", "list")["runs"]] == [str(300 * 10**18), str(995 * 10**17)]


# --------------------------------------------------------------------------------------------------- asking, mistakes


def test_a_person_is_asked_and_may_decline(office: Office) -> None:
    words = ("suture", "pause", "--ledger", office.ledger, "--as", office.uri("auditor"))
    declined = office.terminal.run(*words, typed="n\n")
    assert declined.code == 1 and "Nothing was sent" in declined.err
    assert "no terminal to ask at" in office.terminal.refused(*words)
    assert office.look("member", "list")["paused"] is False
    agreed = office.terminal.run(*words, typed="y\n")
    assert agreed.code == 0 and agreed.out.startswith("Done: stop all new work")
    assert office.look("member", "list")["paused"] is True


def test_a_dry_run_needs_no_passphrase_and_changes_nothing(office: Office) -> None:
    shutil.rmtree(office.folder / "secrets")
    keystore = office.folder / "keys" / "auditor.json"
    chain = chain_now(office)
    planned = office.terminal.done(
        "suture", "pause", "--ledger", office.ledger, "--as", keystore, "--dry-run"
    )
    assert [(t["function"], t["gas"] > 21_000) for t in planned["transactions"]] == [("pause", True)]
    assert chain_now(office) == chain
    assert "account lacks the role" in office.terminal.refused(
        "suture",
        "pause",
        "--ledger",
        office.ledger,
        "--as",
        office.folder / "keys" / "alder.json",
        "--dry-run",
        code=4,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("member", "show", "0x1234"), "is no account"),
        (
            ("member", "show", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD".replace("5aA", "5aa")),
            "typing mistake",
        ),
        (("run", "show"), "no run on this ledger"),
        (("run", "show", "zz"), "no run on this ledger"),
        (("vote", "list", "--ledger", "nowhere"), "no ledger file nowhere"),
    ],
)
def test_a_mistake_is_one_line_with_what_to_do(office: Office, words: tuple[str, ...], message: str) -> None:
    ledger = () if "--ledger" in words else ("--ledger", office.ledger)
    assert message in office.terminal.refused("suture", *words, *ledger)


def test_wrong_usage_has_its_own_exit_code(office: Office) -> None:
    assert office.terminal.run("suture", "pause", "--ledger", office.ledger).code == 2
    assert office.terminal.run("suture", "vote", "elect").code == 2


def test_roles_belong_to_an_admission_only(office: Office) -> None:
    alder = office.account("alder")
    assert "exactly when somebody is admitted" in office.refused(
        "coordinator", "vote", "propose", "ADMIT", alder
    )
    assert "no role" in office.refused("coordinator", "vote", "propose", "ADMIT", alder, "--roles", "king")
    assert "no act" in office.refused("coordinator", "vote", "propose", "CROWN", alder)


def test_an_embedded_chain_that_somebody_else_writes_is_tried_again_later(embedded_office: Office) -> None:
    office = embedded_office
    other = open_ledger(find_ledger(office.ledger), write=True)
    try:
        assert "open for writing" in office.refused("auditor", "pause", code=5)
        assert office.look("member", "list")["paused"] is False  # reading goes on
    finally:
        other.close()


def test_another_contract_than_the_pinned_one_is_refused(office: Office) -> None:
    text = office.ledger.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("code")]
    office.ledger.write_text(text.replace(line, f'code = "0x{"12" * 32}"'))
    assert "pinned is" in office.terminal.refused("suture", "member", "list", "--ledger", office.ledger)


def test_a_node_joins_one_ledger_only(office: Office, tmp_path: Path) -> None:
    terminal, node = office.terminal, office.node("birch")
    data = office.folder / "records.csv"
    data.write_text("a\n1\n")
    made = terminal.done("suture-node", "init", node, "--name", "Birch", "--data", data)
    assert made["source"] == str(data) and data.exists()
    assert "names no ledger" in terminal.refused("suture-node", "vote", "list", node)
    terminal.done("suture-node", "join", node, office.ledger)
    terminal.done("suture-node", "join", node, office.ledger)
    assert terminal.done("suture-node", "vote", "list", node)["open"] == []
    other = opened(tmp_path / "another", terminal)
    assert "follows another ledger" in terminal.refused("suture-node", "join", node, other.ledger)
    assert "is not empty" in terminal.refused("suture-node", "init", node, "--name", "B", "--data", data)
    data.write_text("a\n")
    assert "holds no record" in terminal.refused("suture-node", "init", node, "--name", "B", "--data", data)


# ----------------------------------------------------------------------------------------------------------- secrets


def test_no_passphrase_and_no_key_is_ever_shown(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from ledger.signer import open_signer

    with_member(office, "birch")
    terminal = office.terminal
    wrong = office.folder / "secrets" / "wrong"
    wrong.write_text("wrong battery staple")
    wrong.chmod(0o600)
    keystore = office.folder / "keys" / "auditor.json"
    pause = ("suture", "pause", "--ledger", office.ledger, "--yes", "--as")
    assert "does not open" in terminal.refused(*pause, f"file:{keystore}?passphrase-file={wrong}")
    monkeypatch.setenv("HIDDEN", "wrong battery staple")
    assert "does not open" in terminal.refused(*pause, f"file:{keystore}?passphrase-env=HIDDEN")
    assert "named by one of" in terminal.refused(*pause, f"file:{keystore}?passphrase=typed%20battery")
    assert "no terminal to ask at" in terminal.refused(*pause, keystore)
    wrong.chmod(0o644)
    assert "Others can read" in terminal.refused(*pause, f"file:{keystore}?passphrase-file={wrong}")
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE", "spoken only once")
    terminal.done(
        "suture-node", "init", office.node("cedar"), "--name", "C", "--data", office.folder / "records.csv"
    )
    assert not (office.node("cedar") / "keys" / "passphrase").exists()
    assert terminal.done("suture-node", "status", office.node("cedar"))["name"] == "C"
    stored = office.node("cedar") / "keys" / "passphrase"
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE", "spoken only once\n")
    assert terminal.done("suture-node", "status", office.node("cedar"))["name"] == "C"
    monkeypatch.delenv("SUTURE_NODE_PASSPHRASE")
    stored.write_text("spoken only once\n")  # as an editor leaves it, and as a container's secret comes
    assert terminal.done("suture-node", "status", office.node("cedar"))["name"] == "C"
    stored.unlink()
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE", "forgotten")
    assert "does not open" in terminal.refused("suture-node", "status", office.node("cedar"))
    secrets = {
        "correct horse",
        "battery",
        "spoken only",
        "forgotten",
        (office.node("birch") / "keys" / "passphrase").read_text(),
    }
    for name in PEOPLE:
        signer = open_signer(office.uri(name))
        secrets.add(signer._key.reveal().hex())  # type: ignore[attr-defined]  # to look for it
    secrets |= {(office.node("birch") / "keys" / "data-salt").read_text()}
    assert len(terminal.everything) > 2000
    assert [secret for secret in secrets if secret in terminal.everything] == []
    with pytest.raises(InputError):
        open_signer(str(keystore))


# ---------------------------------------------------------------------------------------------------------- the page


def test_the_page_on_joining_a_consortium_runs_as_written(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(office.folder)
    (office.folder / "records.csv").write_text("age,outcome\n50,1\n60,0\n")
    _, terms = with_run(office)
    assert terms.name == "terms.json"
    commands = [shlex.split(line) for line in shell_lines(ROOT / "docs/how-to/join-a-consortium.md")]
    assert len(commands) == 16
    for program, *words in commands:
        if program == "mkdir":
            subprocess.run([program, *words], check=True)
            continue
        if words[0] in (
            "doctor",
            "serve",
        ):  # they want the coordinator's servers: tests/e2e/test_production.py
            continue
        if words[:2] == ["keys", "register"] and "--dry-run" in words:  # by now the members have voted
            account = office.terminal.done("suture", "keys", "show", office.folder / "node/keys/account.json")
            office.act("coordinator", "vote", "propose", "ADMIT", account["account"], "--roles", "holder")
            office.act("researcher", "vote", "cast")
        shown = office.terminal.run(program, *words)
        assert shown.code == 0, (words, shown.err)
