"""Privacy budgets and the data set of a consent, by the commands that people type, on a real embedded chain and on a real node."""

from __future__ import annotations

from contextlib import closing

import pytest

from clients.hospital import Hospital
from clients.node.house import open_house
from clients.node.signed_manifest import SignedManifest
from fl_core.protocol.terms import Terms
from fl_core.randomness import SystemRandomSource
from ledger.address import find_ledger, open_ledger
from ledger.signer import open_signer
from ledger.typed_data import model_id
from ledger.writer import LedgerWriter
from tests.simulators.founded_run import TASK
from tests.simulators.office import Office, with_member, with_run
from tests.simulators.records import own_records

COST = 200


def budget(office: Office, name: str, *words: str) -> dict:
    """Return what a node says of its only granted data set."""
    (one,) = office.terminal.done("suture-node", "budget", "show", office.node(name), *words)["data_sets"]
    return one


def numbers(one: dict) -> tuple[str, str, str, str]:
    return one["granted"], one["reserved"], one["spent"], one["left"]


def with_cardiology(office: Office, name: str) -> str:
    """Add a second data set, which the policy uses for the task; return its commitment."""
    node = office.node(name)
    source = office.folder / "cardiology.csv"
    source.write_bytes(own_records())
    office.terminal.done("suture-node", "data", "add", node, "cardiology", "--records", source)
    change(office, name, "\ndata = []", f'\ndata = {{ "{TASK}" = "cardiology" }}')
    manifest = SignedManifest.decode((node / "data" / "cardiology" / "manifest.json").read_bytes())
    return f"0x{manifest.commitment}"


def change(office: Office, name: str, before: str, after: str) -> None:
    """Change the policy."""
    path = office.node(name) / "node.toml"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def begin_round(office: Office, run: bytes) -> None:
    """Have the coordinator open a round that costs something."""
    ledger = open_ledger(find_ledger(office.ledger), write=True)
    outbox = office.folder / "keys" / "outbox.sqlite"
    signer = open_signer(office.uri("coordinator"))
    try:
        with closing(LedgerWriter(ledger.connection, ledger.reader.address, signer, outbox)) as writer:
            writer.register_root(run, b"\x01" * 32, bytes(32), intent="root")
            parent = model_id(run, 0, b"\x01" * 32)
            writer.open_round(run, 1, parent, b"\x02" * 32, COST, intent="open")
    finally:
        ledger.close()


# ------------------------------------------------------------------------------------------------------------- budgets


def test_a_budget_is_granted_in_millionths_of_rho_and_never_below_what_is_taken(office: Office) -> None:
    with_member(office, "birch")
    run, terms = with_run(office, budget=500)
    node, terminal = office.node("birch"), office.terminal
    give = ("suture-node", "consent", "give", node, "--terms", terms)
    assert "suture-node budget grant" in terminal.refused(*give, "--yes", code=4)
    grant = ("suture-node", "budget", "grant", node)
    planned = terminal.done(*grant, "1500000", "--dry-run")["transactions"]
    assert [call["function"] for call in planned] == ["grantBudget"] and "(1.5 rho)" in planned[0]["words"]
    assert numbers(budget(office, "birch")) == ("0", "0", "0", "0")
    assert "no terminal to ask at" in terminal.refused(*grant, "1500000")
    terminal.sent(*grant, "1500000")
    assert terminal.sent(*grant, "1500000")["transactions"] == []  # it is so already
    terminal.sent(*give)
    one = budget(office, "birch", "--data", "records")
    assert numbers(one) == ("1500000", "500", "0", "1499500") and one["name"] == "records"
    pledge = {"run": run, "state": "OPEN", "reserved": "500", "spent": "0", "settles": False}
    assert one["pledges"] == [pledge]
    line = terminal.refused(*grant, "499", "--yes")
    assert "spent 0 and set aside 500" in line and "Grant at least 500" in line
    assert "spent 0 and set aside 500" in terminal.refused(*grant, "499", "--dry-run")
    terminal.sent(*grant, "500")  # all of it taken is the least
    terminal.sent(*grant, "1500000")  # a second time is another act
    assert terminal.run(*grant, "-1", "--yes").code == 2
    assert terminal.run(*grant, str(2**128), "--yes").code == 2


def test_what_a_run_that_is_over_did_not_spend_is_free_again(office: Office) -> None:
    run, terms = with_run(office, budget=500)
    people, terminal = ("birch", "cedar", "dogwood"), office.terminal
    for name in people:
        with_member(office, name)
        terminal.sent("suture-node", "budget", "grant", office.node(name), "600")
        terminal.sent("suture-node", "consent", "give", office.node(name), "--terms", terms)
    settle = ("suture-node", "budget", "settle", office.node("birch"))
    assert "is OPEN and can open rounds" in terminal.refused(*settle, "--yes")
    assert "is OPEN and can open rounds" in office.refused("researcher", "run", "settle")
    begin_round(office, bytes.fromhex(run[2:]))
    office.act("researcher", "run", "close")
    assert budget(office, "birch")["pledges"][0]["settles"] is True
    (planned,) = terminal.done(*settle, "--dry-run")["transactions"]
    assert f"{COST} of 500 are spent, {500 - COST} are free again" in planned["words"]
    terminal.sent(*settle)
    assert numbers(budget(office, "birch")) == ("600", "0", str(COST), str(600 - COST))
    assert budget(office, "birch")["pledges"] == []
    assert terminal.sent(*settle)["transactions"] == []
    assert len(office.act("auditor", "run", "settle")["transactions"]) == 2  # the two others, at once
    assert office.act("auditor", "run", "settle")["transactions"] == []
    audited = terminal.done("suture-audit", "budgets", office.ledger)["data_sets"]
    assert [numbers(one) for one in audited] == [("600", "0", "200", "400")] * 3
    shown = terminal.run("suture-audit", "budgets", office.ledger).out
    assert "spent      200 (0.0002 rho)" in shown and "millionths of rho" in shown


def test_a_node_with_several_data_sets_names_the_one_whose_budget_it_grants(office: Office) -> None:
    with_member(office, "birch")
    commitment = with_cardiology(office, "birch")
    node, terminal = office.node("birch"), office.terminal
    grant = ("suture-node", "budget", "grant", node, "70", "--yes")
    assert "2 data sets: records, cardiology" in terminal.refused(*grant)
    assert "no data set 'surgery'" in terminal.refused(*grant, "--data", "surgery")
    assert terminal.done(*grant, "--data", "cardiology")["dataset"] == commitment
    shown = terminal.done("suture-node", "budget", "show", node)["data_sets"]
    assert [(one["name"], one["granted"]) for one in shown] == [("records", "0"), ("cardiology", "70")]
    terminal.done("suture-node", "data", "erase", node, "cardiology", "--yes")
    shown = terminal.done("suture-node", "budget", "show", node)["data_sets"]
    assert (shown[1]["name"], shown[1]["dataset"], shown[1]["granted"]) == (None, commitment, "70")


# ------------------------------------------------------------------------------------------------------------ consents


def test_a_consent_names_the_data_set_that_the_nodes_contributions_carry(office: Office) -> None:
    with_member(office, "birch")
    run, terms = with_run(office)
    commitment = with_cardiology(office, "birch")
    node, terminal = office.node("birch"), office.terminal
    (node / "keys" / "passphrase").rename(office.folder / "passphrase")
    looked = terminal.run("suture-node", "consent", "give", node, "--terms", terms, "--dry-run")
    assert looked.code == 0, looked.err  # a dry run opens no key
    assert f"Data set: 'cardiology', 303 records, commitment {commitment}" in looked.err
    (office.folder / "passphrase").rename(node / "keys" / "passphrase")
    given = terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    assert given["dataset"] == commitment
    carried = open_house(node).data[open_house(node).policy.data_set(TASK)].commitment
    assert f"0x{carried.hex()}" == commitment
    ledger = open_ledger(find_ledger(office.ledger))
    try:
        pledged = ledger.reader.pledge(bytes.fromhex(run[2:]), open_house(node).account.address)
    finally:
        ledger.close()
    assert pledged.dataset == carried


def test_a_hospital_of_the_demo_names_the_same_data_set(office: Office) -> None:
    account = office.make_node("birch")
    office.act("coordinator", "vote", "propose", "ADMIT", account, "--roles", "holder")
    office.act("researcher", "vote", "cast")
    run, terms = with_run(office)
    commitment = with_cardiology(office, "birch")
    ledger = open_ledger(find_ledger(office.ledger), write=True)
    hospital = Hospital(office.node("birch"), clock=lambda: 1_800_000_000, random=SystemRandomSource())
    try:
        hospital.join(ledger.connection, ledger.reader.address, ledger.address.chain)
        hospital.accept(bytes.fromhex(run[2:]), Terms.decode(terms.read_bytes()))
        pledged = ledger.reader.pledge(bytes.fromhex(run[2:]), hospital.account)
    finally:
        hospital.close()
        ledger.close()
    assert f"0x{pledged.dataset.hex()}" == commitment


def test_no_consent_without_the_data_set_or_with_a_changed_one(office: Office) -> None:
    with_member(office, "birch")
    _, terms = with_run(office)
    with_cardiology(office, "birch")
    node, terminal = office.node("birch"), office.terminal
    give = ("suture-node", "consent", "give", node, "--terms", terms, "--yes")
    records = node / "data" / "cardiology" / "records.csv"
    whole = records.read_bytes()
    records.write_bytes(whole[: whole.rstrip().rindex(b"\n") + 1])
    assert "changed since" in terminal.refused(*give)
    change(office, "birch", '"cardiology"', '"surgery"')
    assert "no data set 'surgery'" in terminal.refused(*give)
    assert not (node / "terms").exists()  # nothing is kept of a consent that was not given
    change(office, "birch", '"surgery"', '"cardiology"')
    records.write_bytes(whole)
    assert terminal.run(*give).code == 0


@pytest.mark.parametrize(
    ("before", "after", "rule", "words"),
    [
        ("allow_blame_opening = true", "allow_blame_opening = false", "allow_blame_opening", "blame opening"),
        ("colluders = 1", "colluders = 2", "colluders", "expects 2 colluding holders"),
        ("max_epsilon = 0.0", "max_epsilon = 1.0", "max_epsilon", "privacy loss of at most 1"),
        ("expires = 0", "expires = 1000", "expires", "has expired"),
    ],
)
def test_every_rule_of_the_policy_forbids_the_consent_and_says_why(
    office: Office, before: str, after: str, rule: str, words: str
) -> None:
    office.make_node("birch")
    _, terms = with_run(office)
    change(office, "birch", before, after)
    give = ("suture-node", "consent", "give", office.node("birch"), "--terms", terms)
    check = ("suture-node", "policy", "check", office.node("birch"), "--terms", terms)
    assert office.terminal.run(*check).code == 1
    for wish in ("--dry-run", "--yes"):
        looked = office.terminal.run(*give, wish)
        assert looked.code == 1 and f"NO {rule}: demands" in looked.err and words in looked.err
        assert "node.toml" in looked.err
