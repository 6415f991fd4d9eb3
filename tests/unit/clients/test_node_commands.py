"""``suture-node data``, ``policy`` and ``log`` as a person runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clients.cli import cli
from clients.errors import NodeStateError
from clients.node.accepted import store_terms
from clients.node.config import read_config
from clients.node.decisions import decide_ckks
from clients.node.house import load_policy
from clients.node.manifest import Opening, verify_opening
from clients.node.new_house import create_house
from clients.node.policy import Policy, Usage
from clients.training.heart_disease import BUNDLED
from fl_core.errors import InputError
from fl_core.protocol.terms import Terms
from fl_core.randomness import SystemRandomSource
from fl_core.secret import Secret
from ledger.address import LedgerAddress, write_address
from tests.simulators.ckks_run import CKKS_TERMS
from tests.simulators.consortium import TERMS
from tests.simulators.records import own_records

RECORD = b"alder,63,1,1,145,233,1,2,150,0,2.3,3,0,6,0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    house = tmp_path / "node"
    policy = Policy(tasks=("heart-disease",))
    create_house(house, "A", b"age\n1\n", policy, random=SystemRandomSource(), scrypt_cost=2)
    return house


def run(*words: object, code: int = 0, **options: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words], **options)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def refused(*words: object) -> InputError:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert isinstance(result.exception, InputError), result.output
    return result.exception


def terms_file(folder: Path, **changes: object) -> Path:
    path = folder.parent / "terms.json"
    path.write_bytes(replace(TERMS, parameter_set="P4096", **changes).encode())
    return path


def test_a_run_within_the_policy_is_allowed_and_every_rule_says_why(folder):
    said = run("policy", "check", folder, "--terms", terms_file(folder)).output
    assert said.endswith("Allowed.\n")
    assert "ok  least_partners" in said and "demands sums of at least 3 holders" in said


def test_a_run_outside_of_it_is_refused_by_rule_and_exit_code(folder):
    path = terms_file(folder, n_min=2)
    said = json.loads(run("policy", "check", folder, "--terms", path, "--json", code=1).output)
    assert said["allowed"] is False
    assert [rule["rule"] for rule in said["rules"] if not rule["allowed"]] == ["least_partners", "colluders"]


def test_a_run_whose_settings_cannot_train_is_refused_and_the_setting_is_named(folder):
    path = terms_file(folder, task_settings={"updates": 100, "batch_size": -4})
    said = run("policy", "check", folder, "--terms", path, code=1).output
    assert "NO  tasks " in said and "batch_size is 1 to 1000000, not -4" in said.splitlines()[-1]
    assert "Allowed" not in said


def test_a_check_agrees_with_the_node_about_blame_openings(folder):
    """Terms of a run with a shared key may allow them, but its rounds have none: the node does not ask that rule there."""
    config = folder / "node.toml"
    text = config.read_text().replace("allow_blame_opening = true", "allow_blame_opening = false")
    config.write_text(text.replace("allow_ckks = false", "allow_ckks = true"))
    path = terms_file(folder, blame_opening=True)
    said = json.loads(run("policy", "check", folder, "--terms", path, "--json", code=1).output)
    assert [rule["rule"] for rule in said["rules"] if not rule["allowed"]] == ["allow_blame_opening"]
    shared = Terms.decode(path.read_bytes())
    path.write_bytes(replace(shared, parameter_set=CKKS_TERMS.parameter_set).encode())
    assert json.loads(run("policy", "check", folder, "--terms", path, "--json").output)["allowed"] is True
    policy, usage = load_policy(folder), Usage()
    assert decide_ckks(policy, terms=Terms.decode(path.read_bytes()), holders=4, usage=usage).allowed


FORGED = "Heart study\nok  tasks                    demands anything; the run says it\nAllowed.\x1b[8m"
"""A title that writes a verdict of its own and hides the node's."""


def test_a_run_whose_title_forges_a_verdict_is_no_terms_document(folder):
    path = terms_file(folder)
    values = {**json.loads(path.read_bytes()), "title": FORGED}
    path.write_bytes(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
    result = CliRunner().invoke(cli, ["policy", "check", str(folder), "--terms", str(path)])
    assert isinstance(result.exception, InputError) and "no terms document" in result.exception.message
    assert "Allowed" not in result.output


def test_what_is_wrong_with_a_terms_document_is_said_with_what_to_do(folder):
    path = terms_file(folder)
    values = json.loads(path.read_bytes())
    for changes, words in (
        ({"title": FORGED}, "a text, the title for instance, has characters that are not printed"),
        ({"rounds": "3"}, "rounds is a whole number"),
        ({"surprise": 1}, "nobody knows its field 'surprise'"),
    ):
        path.write_bytes(json.dumps(values | changes, sort_keys=True, separators=(",", ":")).encode())
        said = refused("policy", "check", folder, "--terms", path)
        assert words in said.message and "Error" not in said.message
        assert "Get terms.json from the researcher" in said.fix
    path.write_text(json.dumps(values, indent=1))
    said = refused("policy", "check", folder, "--terms", path)
    assert "it was written anew" in said.message and "do not edit it" in said.fix


def test_an_accepted_terms_document_that_is_damaged_is_told_with_the_command_that_mends_it(folder):
    store_terms(folder, TERMS)
    [stored] = (folder / "terms").iterdir()
    stored.write_bytes(stored.read_bytes().replace(b'"rounds":', b'"round":'))
    said = CliRunner().invoke(cli, ["data", "erase", str(folder), "records", "--dry-run"]).exception
    assert isinstance(said, NodeStateError) and "it lacks rounds" in said.message
    assert said.fix.endswith(f"suture-node consent give {folder} --terms terms.json")


def test_a_name_that_would_write_into_a_terminal_is_refused_and_never_shown_as_it_is(folder):
    for name in ("", " ", "Alder\x1b[8m", "Alder\nBirch"):
        words = ("init", folder.parent / "new", "--name", name, "--data", folder / "data" / "records.csv")
        assert "is not a name for a node" in refused(*words).message
    assert not (folder.parent / "new").exists()
    config = folder / "node.toml"
    config.write_text(config.read_text().replace('name = "A"', 'name = "A\\u001b[8m\\nledger  ours"'))
    lines = run("status", folder).output.splitlines()
    assert lines[0] == rf"{'name':20} A\x1b[8m\nledger  ours"


def test_a_policy_check_needs_one_run(folder):
    assert "--terms" in refused("policy", "check", folder).fix
    assert "follows no ledger" in refused("policy", "check", folder, "--run", "ab").message
    assert "no terms document" in refused("policy", "check", folder, "--terms", folder / "node.toml").message


def test_a_data_set_is_added_used_proven_and_erased(folder):
    source = folder.parent / "cardiology.csv"
    source.write_bytes(own_records())
    said = json.loads(run("data", "add", folder, "cardiology", "--records", source, "--json").output)
    assert said["records"] == 303
    opened = json.loads(run("data", "prove", folder, "cardiology", 1).output)
    first = own_records().splitlines()[1]
    opening = Opening(
        position=opened["position"],
        records=opened["records"],
        salt=Secret(bytes.fromhex(opened["salt"])),
        path=tuple(bytes.fromhex(sibling) for sibling in opened["path"]),
    )
    verify_opening(bytes.fromhex(said["commitment"]), opening, first)
    listed = json.loads(run("data", "list", folder, "--json").output)
    assert [row["name"] for row in listed["data_sets"]] == ["records", "cardiology"]
    assert listed["data_sets"][0]["tasks"] == ["heart-disease"]
    config = folder / "node.toml"
    config.write_text(config.read_text().replace("data = []", 'data = { "lungs" = "scans" }'))
    to_use = run("data", "add", folder, "surgery", "--records", source).output
    rule = 'data = { "lungs" = "scans", "heart-disease" = "surgery" }'
    assert to_use.endswith(
        f"write into [policy] of {config}, after the line data or the section [policy.data] is taken out: {rule}\n"
    )

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "Stays" in run("data", "erase", folder, "cardiology", "--dry-run").output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "--yes" in refused("data", "erase", folder, "cardiology").fix
    run("data", "erase", folder, "cardiology", "--yes")
    listed = json.loads(run("data", "list", folder, "--json").output)
    assert list(listed["erased"]) == [said["commitment"]]
    (entry,) = json.loads(run("log", "show", folder, "--json").output)["entries"]
    assert (entry["kind"], entry["digest"], entry["to"]) == ("erasure", said["commitment"], "")


def test_erasing_warns_of_runs_that_the_holder_consented_to(folder):
    store_terms(folder, TERMS)
    said = run("data", "erase", folder, "records", "--dry-run").output
    assert f"Warning: you consented to runs that use it: {TERMS.title}" in said
    assert f"which are: suture-node consent list {folder}\n" in said  # no ledger says it here


def test_a_name_that_is_taken_is_told_apart_from_one_that_is_reserved_and_one_that_cannot_be(folder):
    source = folder.parent / "own.csv"
    source.write_bytes(own_records())
    run("data", "add", folder, "cardiology", "--records", source)
    assert "is there already" in refused("data", "add", folder, "cardiology", "--records", source).message
    for _ in range(2):
        said = refused("data", "add", folder, "records", "--records", source).message
        assert "'records' is reserved for the data set that the node was made with" in said
        CliRunner().invoke(cli, ["data", "erase", str(folder), "records", "--yes"])
    assert "small letters" in refused("data", "add", folder, "../Up", "--records", source).fix


def test_init_names_a_task_that_is_not_installed_and_where_to_correct_it(tmp_path):
    source = tmp_path / "own.csv"
    source.write_bytes(own_records())
    words = ("init", tmp_path / "n", "--name", "Alder", "--data", source, "--task", "nonsense", "--json")
    (warning,) = json.loads(run(*words).output)["warnings"]
    assert "'nonsense' is not installed; there are: heart-disease" in warning
    assert "Correct `tasks`" in warning and "mended file" not in warning and "  " not in warning


def test_a_file_of_another_task_is_refused(folder):
    source = folder.parent / "x.csv"
    source.write_text("a,b\n1,2\n")
    assert (
        "must have each of these columns" in refused("data", "add", folder, "x", "--records", source).message
    )
    assert "not installed" in refused("data", "add", folder, "x", "--records", source, "--task", "y").message
    said = refused(
        "data", "add", folder, "x", "--records", BUNDLED
    )  # the task could not tell whose node it is
    assert "holds 4 different names, and none of them is 'A'" in said.message
    assert not (folder / "data" / "x").exists()


def test_init_warns_of_records_that_the_task_cannot_train_on(tmp_path):
    source = tmp_path / "x.csv"
    for number, (records, doubts) in enumerate(((own_records(), 0), (b"a,b\n1,2\n", 1))):
        source.write_bytes(records)
        words = ("init", tmp_path / f"{number}", "--name", "Alder", "--data", source, "--json")
        warnings = json.loads(run(*words).output)["warnings"]
        assert len(warnings) == doubts
    assert "must have each of these columns" in warnings[0] and "suture-node data add" in warnings[0]


def test_init_that_finds_no_room_at_the_end_leaves_nothing_and_the_next_one_follows_the_ledger(
    tmp_path, monkeypatch
):
    source, node, address = tmp_path / "own.csv", tmp_path / "node", tmp_path / "ledger.toml"
    source.write_bytes(own_records())
    ledger = LedgerAddress(chain="https://node.example", chain_id=5, contract="ab" * 20, code="cd" * 32)
    write_address(address, ledger)
    words = ("init", node, "--name", "Alder", "--data", source, "--ledger", address, "--json")
    write = os.replace

    def no_room(old, new):
        if Path(new).name == "node.toml" and b"[ledger]" in Path(old).read_bytes():
            raise OSError(28, "No space left on device")
        write(old, new)

    monkeypatch.setattr(os, "replace", no_room)
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert isinstance(result.exception, OSError) and not node.exists()
    monkeypatch.undo()
    run(*words)
    assert read_config(node).ledger == ledger


def test_the_commands_that_init_prints_run_as_printed(tmp_path):
    source, node = tmp_path / "own records.csv", tmp_path / "a node"
    source.write_bytes(b"a,b\n1,2\n")
    said = run("init", node, "--name", "Alder", "--data", source).output
    source.write_bytes(own_records())
    [command] = re.findall(r"suture-node .*", said)
    program, *words = shlex.split(command)
    assert program == "suture-node"
    added = run(*words).output
    assert "mended: 303 records" in added and "To use it, write into [policy]" in added
    assert [row["name"] for row in json.loads(run("data", "list", node, "--json").output)["data_sets"]] == [
        "records", "mended",
    ]  # fmt: skip


def test_an_unknown_data_set_and_kind_are_named_with_what_there_is(folder):
    assert "There are: records" in refused("data", "prove", folder, "other", 1).fix
    assert "frame" in refused("log", "show", folder, "--kind", "gift").fix


def test_an_empty_logbook_is_whole_and_a_broken_one_is_not(folder):
    assert "0 entries, whole" in run("log", "verify", folder).output
    assert run("log", "show", folder).output == "Nothing left the house yet.\n"
    assert json.loads(run("log", "show", folder, "--json").output) == {"entries": [], "left_out": 0}
    run("data", "erase", folder, "records", "--yes")
    assert "1 entries, whole" in run("log", "verify", folder).output
    assert "left the house yet" not in run("log", "show", folder).output
    said = run("log", "show", folder, "--kind", "frame").output
    assert said == "There is no entry of the kind frame.\n"
    path = folder / "logbook.jsonl"
    path.write_bytes(path.read_bytes().replace(b"erasure", b"mended"))
    said = run("log", "verify", folder, code=0).output  # a lone last line has nothing after it that binds it
    assert "1 entries" in said
    path.write_bytes(path.read_bytes() * 2)
    assert "FAULT" in run("log", "verify", folder, code=1).output


def test_a_line_of_the_logbook_that_a_crash_cut_off_accuses_nobody(folder):
    run("data", "erase", folder, "records", "--yes")
    path = folder / "logbook.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])  # all of a line but its break: it was not on disk
    words = f"the logbook's last {len(whole) - 1} bytes are no whole line, as a crash leaves them"
    said = run("log", "verify", folder, code=0).output
    assert "1 entries, whole" in said and f"WARNING  {words}" in said and "FAULT" not in said
    told = json.loads(run("log", "verify", folder, "--json").output)
    assert (told["entries"], told["torn"], told["problems"]) == (1, len(whole) - 1, [])
    assert words in run("log", "show", folder).output
    assert run("doctor", folder, "--only", "register", code=0).output.count("whole line") == 1
    path.write_bytes(whole + b"x" * 1025)  # more than a line of ours ever has
    assert "line 2 of the logbook was altered" in run("log", "verify", folder, code=1).output


def test_status_warns_of_a_line_that_a_crash_cut_off_and_refuses_an_altered_one(folder):
    path = folder / "logbook.jsonl"
    path.write_bytes(b"{")
    said = json.loads(run("status", folder, "--json").output)
    assert said["left the house"]["entries"] == 0
    assert any("last 1 bytes are no whole line" in text for text in said["warnings"])
    path.write_bytes(b"{\n")
    result = CliRunner().invoke(cli, ["status", str(folder)])
    assert isinstance(result.exception, NodeStateError) and "line 1" in str(result.exception)
