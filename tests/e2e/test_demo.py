"""``suture demo`` and the audit of what it leaves, as a person runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SCRIPTS, TIMEOUT_S, Commands, Kept
from tests.simulators.patience import STOP_S, patient

pytestmark = pytest.mark.e2e

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
CHECKS = 13
TOKEN = 10**18


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parsed(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def in_terminal(command: Sequence[str | Path], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; return exit code and everything that it wrote there.

    It is killed if it does not end; what it started and left at the terminal is not waited for then.
    """
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    finally:
        os.close(theirs)
    pieces, end = [], time.monotonic() + patient(TIMEOUT_S)
    while True:
        if not select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
            process.kill()
            break
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    return process.wait(patient(STOP_S)), b"".join(pieces).decode(errors="replace")


# ---------------------------------------------------------------------- one run


def test_two_rounds_pass_the_audit_and_the_json_says_so(kept: Kept) -> None:
    said = parsed(kept.result)
    assert said["audit"]["passed"] is True
    assert list(said["audit"]["checks"].values()) == ["pass"] * CHECKS
    assert (said["protected"], said["finalised"], said["engine"], said["seed"]) == (True, 2, "local", 42)
    assert said["folder"] == str(kept.folder.resolve())


def test_the_json_tells_each_rounds_set_and_times_and_every_hospitals_reward(kept: Kept) -> None:
    said = parsed(kept.result)
    assert [(entry["event"], entry["round"], entry["included"]) for entry in said["rounds"]] == [
        ("round-finalised", 1, 4),
        ("round-finalised", 2, 4),
    ]
    for entry in said["rounds"]:
        parts = ("train_ms", "holder_protection_ms", "coordinator_protection_ms", "ledger_ms", "archive_ms")
        assert all(entry[part] > 0 for part in parts)
    assert {name: int(units) for name, units in said["rewards"].items()} == dict.fromkeys(
        ("Cleveland", "Hungary", "Switzerland", "VA Long Beach"), 50 * TOKEN
    )
    assert 0.5 < said["accuracy"]["federated"] < 1
    assert said["bytes_on_disk"] == sum(map(len, contents(kept.folder).values()))


def test_nothing_but_the_json_is_printed(kept: Kept) -> None:
    assert kept.result.stderr == ""
    assert kept.result.stdout.count("\n") == 1
    assert ESCAPE not in kept.result.stdout


def test_private_folders_are_closed_to_others(kept: Kept) -> None:
    for path in (kept.folder, *(kept.folder / "nodes").iterdir(), kept.folder / "coordinator"):
        assert path.stat().st_mode & 0o077 == 0, path
    for secret in kept.folder.rglob("passphrase"):
        assert secret.stat().st_mode & 0o077 == 0, secret


def test_a_folder_that_holds_a_run_is_refused_in_one_line_and_left_as_it_is(
    kept: Kept, commands: Commands
) -> None:
    before = contents(kept.folder)
    again = commands.run("suture", "demo", "--rounds", "1", "--keep", kept.folder)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.count("\n") == 1
    assert again.stderr.startswith("error: ") and "Choose another --keep" in again.stderr
    assert contents(kept.folder) == before


# ---------------------------------------------------------------------- the audit of a kept folder


def test_a_fresh_process_without_a_network_passes_the_kept_folder(kept: Kept, commands: Commands) -> None:
    unshare = shutil.which("unshare")
    alone: list[str] = [] if unshare is None else [unshare, "--map-root-user", "--net"]
    if not alone or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us take the network away from a process")
    command = [*alone, str(SCRIPTS / "suture-audit"), "verify", str(kept.folder), "--json"]
    result = subprocess.run(
        command,
        env=commands.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(TIMEOUT_S),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert ESCAPE not in result.stdout


@pytest.mark.slow
def test_the_public_folder_alone_passes_and_with_one_bit_changed_it_fails(
    kept: Kept, commands: Commands
) -> None:
    copy = commands.temporary / "public"
    shutil.copytree(kept.folder / "public", copy)
    sound = commands.run("suture-audit", "verify", copy)
    assert sound.returncode == 0, sound.stdout
    assert ESCAPE not in sound.stdout
    largest = max(
        (copy / "archive").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0
    )
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(data)
    assert commands.run("suture-audit", "verify", copy).returncode == 1


# ---------------------------------------------------------------------- other options


@pytest.mark.slow
def test_a_second_run_into_another_folder_with_a_hospital_that_dies_completes(
    kept: Kept, commands: Commands
) -> None:
    folder = commands.temporary / "second"
    said = parsed(commands.run("suture", "demo", "--rounds", "2", "--drop", "1", "--json", "--keep", folder))
    assert [entry["included"] for entry in said["rounds"]] == [3, 3]
    assert said["audit"]["passed"] is True
    assert int(said["rewards"].get("VA Long Beach", "0")) == 0, "it sent nothing, it earns nothing"
    paid = sum(map(int, said["rewards"].values()))
    assert abs(paid - 200 * TOKEN) <= 0
    runs = [json.loads((one / "public" / "run.json").read_bytes())["run"] for one in (folder, kept.folder)]
    assert runs[0] != runs[1], "two runs have two ids"


@pytest.mark.slow
def test_a_run_without_protection_says_so_loudly_and_claims_no_audit(commands: Commands) -> None:
    folder = commands.temporary / "plain"
    result = commands.run("suture", "demo", "--rounds", "1", "--plain", "--keep", folder)
    assert result.returncode == 0, result.stderr
    assert "Protection  off: updates travel in the clear" in result.stdout
    assert "not protected: no ledger, nothing to audit" in result.stdout
    assert "checks pass" not in result.stdout
    assert not (folder / "public").exists()
    assert ESCAPE not in result.stdout + result.stderr


@pytest.mark.slow
def test_a_terminal_gets_colours_unless_no_color_is_set(commands: Commands) -> None:
    found = {}
    for name, more in (("default", {}), ("plain", {"NO_COLOR": "1"})):
        folder = commands.temporary / name
        command = [SCRIPTS / "suture", "demo", "--rounds", "1", "--plain", "--keep", folder]
        status, found[name] = in_terminal(command, commands.environment(TERM="xterm-256color", **more))
        assert status == 0, found[name]
    assert COLOUR.search(found["default"])
    assert not COLOUR.search(found["plain"])


@pytest.mark.slow
def test_the_text_of_a_protected_run_names_the_folder_and_how_to_audit_it_again(commands: Commands) -> None:
    folder = commands.temporary / "text"
    result = commands.run("suture", "demo", "--rounds", "1", "--keep", folder)
    assert result.returncode == 0, result.stderr
    assert f"suture-audit verify {folder}" in result.stdout
    assert f"{CHECKS} of {CHECKS} checks pass" in result.stdout
    assert ESCAPE not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.network
def test_the_deployment_engine_completes_a_round_and_passes_the_audit(deployed: Kept) -> None:
    said = parsed(deployed.result)
    assert (said["engine"], said["finalised"], said["audit"]["passed"]) == ("deployment", 1, True)
    assert said["rounds"][0]["included"] == 4
