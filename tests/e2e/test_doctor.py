"""The doctor at nodes of a real run: healthy ones, and one whose folder and ledger do not fit."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from clients.node.doctor.patient import Grade, Patient
from clients.node.doctor.table import CHECKS, chosen, examine
from clients.node.new_house import create_house
from clients.node.policy import Policy
from fl_core.randomness import SystemRandomSource
from tests.e2e.conftest import Commands, Kept

pytestmark = pytest.mark.e2e


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def look(folder: Path, name: str, now: int | None = None) -> list[tuple[Grade, str]]:
    patient = Patient(folder=folder, now=int(time.time()) if now is None else now)
    return [(finding.grade, finding.found) for _, finding in examine(patient, chosen(name))]


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Path:
    first = min((kept.folder / "nodes").iterdir())
    return Path(shutil.copytree(first, tmp_path / "node"))


def test_the_nodes_of_a_run_are_healthy_and_looking_at_them_changes_nothing(kept: Kept) -> None:
    before = contents(kept.folder)
    for folder in (kept.folder / "nodes").iterdir():
        findings = examine(Patient(folder=folder, now=int(time.time())), CHECKS)
        bad = [
            finding for check, finding in findings if finding.grade is Grade.FAILURE and check.name != "disk"
        ]
        assert bad == []
        names = {check.name: finding for check, finding in findings}
        assert "with key set 1 of this folder" in names["member"].found
        assert "is final" in names["copy"].found
        assert "bears it out" in names["register"].found
    assert contents(kept.folder) == before


def test_a_clock_that_is_behind_the_ledger_is_a_failure(copied: Path) -> None:
    ((grade, found),) = look(copied, "clock", now=int(time.time()) - 86_400)
    assert grade is Grade.FAILURE and "behind" in found


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("chain_id", "5", "hain"),
        ("contract", '"' + "11" * 20 + '"', "0x1111"),
        ("code", '"' + "00" * 32 + '"', "hash"),
    ],
)
def test_another_chain_contract_or_code_than_the_pinned_one_is_a_failure(
    copied: Path, key: str, value: str, problem: str
) -> None:
    config = copied / "node.toml"
    config.write_text(re.sub(rf"^{key} = .*$", f"{key} = {value}", config.read_text(), flags=re.MULTILINE))
    ((grade, found),) = look(copied, "ledger")
    assert grade is Grade.FAILURE and problem in found


def test_keys_that_the_ledger_does_not_know_are_a_failure(copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    create_house(other, "B", b"a\n1\n", Policy(tasks=("t",)), random=SystemRandomSource(), scrypt_cost=2)
    shutil.copy(other / "keys" / "transport.json", copied / "keys" / "transport.json")
    shutil.copy(other / "keys" / "passphrase", copied / "keys" / "passphrase")
    shutil.copy(other / "keys" / "account.json", copied / "keys" / "account.json")
    ((grade, found),) = look(copied, "member")
    assert grade is Grade.FAILURE and "no member" in found


def test_a_register_from_a_backup_is_a_failure(copied: Path) -> None:
    (copied / "register.sqlite").unlink()
    ((grade, found),) = look(copied, "register")
    assert grade is Grade.FAILURE and "rolled back" in found


def test_policy_and_status_speak_of_a_run_on_the_ledger(kept: Kept, commands: Commands) -> None:
    node = min((kept.folder / "nodes").iterdir())
    run = json.loads((kept.folder / "public" / "run.json").read_text())["run"]
    result = commands.run("suture-node", "policy", "check", node, "--run", run[:8], "--json")
    said = json.loads(result.stdout)
    assert (result.returncode, said["allowed"]) == (0, True)
    done = {rule["rule"]: rule["says"] for rule in said["rules"]}
    assert done["max_rounds"] == done["max_rounds_per_data_set"] == "2 so far"
    unknown = commands.run("suture-node", "policy", "check", node, "--run", "ffffffff")
    assert unknown.returncode == 1 and "No run on the ledger begins with" in unknown.stderr
    assert "suture-node consent list" in unknown.stderr
