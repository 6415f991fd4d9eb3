"""What the doctor says to do does mend it, by the commands that people type."""

from __future__ import annotations

import shlex
import shutil

from tests.simulators.office import Office, with_member, with_run


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
