"""What the doctor says to do does mend it, by the commands that people type."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.simulators.office import Office, with_member, with_run
from tests.simulators.records import own_records


def test_a_folder_without_the_registered_keys_is_mended_by_the_command_that_the_doctor_prints(
    embedded_office: Office,
) -> None:
    terminal, node = embedded_office.terminal, embedded_office.node("birch")
    with_member(embedded_office, "birch")
    old = shutil.copytree(node, embedded_office.folder / "from a backup")
    terminal.sent("suture-node", "keys", "rotate", node)
    shown = terminal.run("suture-node", "doctor", old, "--only", "member", "--json")
    told = {finding["found"]: finding["mend"] for finding in shown.json["findings"]}
    assert {found.split()[4] for found in told} == {"signing", "transport"} and shown.code == 1
    (mend,) = set(told.values())
    program, *words = shlex.split(mend.split(": ", 1)[1])
    assert words == ["keys", "rotate", str(old)]
    terminal.sent(program, *words)
    (found,) = terminal.done("suture-node", "doctor", old, "--only", "member")["findings"]
    assert "with key set 3 of this folder" in found["found"]


def test_records_that_were_changed_after_the_consent_are_found_and_mended_by_what_the_doctor_prints(
    embedded_office: Office,
) -> None:
    terminal, node = embedded_office.terminal, embedded_office.node("birch")
    with_member(embedded_office, "birch")
    _, terms = with_run(embedded_office)
    terminal.sent("suture-node", "consent", "give", node, "--terms", terms)

    def told() -> list[str]:
        looked = terminal.run("suture-node", "doctor", node, "--only", "data", "--json")
        return [one["mend"] for one in looked.json["findings"] if "names a data set" in one["found"]]

    assert told() == []
    records = node / "data" / "records.csv"
    records.write_text(records.read_text().replace("50", "51"))
    (mend,) = told()
    program, *words = shlex.split(mend.split("(")[1].split(")")[0])
    assert program == "suture-node" and "consent withdraw" in mend
    terminal.done(program, *words)
    assert told() == []
    terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    assert told() == []


@pytest.mark.parametrize("section", [False, True], ids=["as a line", "as a section"])
@pytest.mark.parametrize("another", [False, True], ids=["nothing else", "another data set"])
def test_a_node_whose_records_were_erased_has_data_again_by_what_erase_and_doctor_print(
    embedded_office: Office, another: bool, section: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, node, config = (
        embedded_office.terminal,
        embedded_office.node("birch"),
        Path("nodes/birch/node.toml"),
    )
    monkeypatch.chdir(embedded_office.folder)
    Path("FILE.csv").write_bytes(own_records())
    with_member(embedded_office, "birch")
    _, terms = with_run(embedded_office)
    terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    if section:
        text = config.read_text().replace("data = []\n", "")
        config.write_text(f'{text}\n[policy.data]\n"heart-disease" = "records"\n')
    if another:
        terminal.done("suture-node", "data", "add", node, "cardiology", "--records", "FILE.csv")
    erased = terminal.run("suture-node", "data", "erase", node, "records", "--yes")
    (withdraw,) = [line for line in erased.out.splitlines() if line.startswith("Withdraw your consent")]

    def told() -> list[str]:
        looked = terminal.run("suture-node", "doctor", node, "--only", "data", "--json")
        return [one["mend"] for one in looked.json["findings"] if one["grade"] == "failure"]

    missing, consent = told()
    assert not consent.startswith("Bring the file back") and withdraw.split(": ")[1] in consent
    *commands, rule = missing.split("; then ")
    assert len(commands) == (0 if another else 1)
    for command in (*commands, withdraw.split(": ")[1]):
        program, *words = shlex.split(command)
        terminal.done(program, *words)
    assert rule.startswith(
        f"{config.resolve()} needs in [policy], after the line data or the section [policy.data] is taken out: "
    )
    lines = config.read_text().partition("\n[policy.data]\n")[0].splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith("data = ")]
    lines.insert(lines.index("[policy]\n") + 1, rule.split(": ", 1)[1] + "\n")
    config.write_text("".join(lines))
    assert told() == []
    terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    assert told() == []
