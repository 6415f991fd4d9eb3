"""What the doctor says to do does mend it, by the commands that people type."""

from __future__ import annotations

import shlex
import shutil

from tests.simulators.office import Office, with_member


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
