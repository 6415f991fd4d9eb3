"""Honest folders pass every check; the command line says so, and where a model comes from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fl_core.protocol.exclusions import Exclusions, Reason
from ledger.audit.checks.table import CHECKS
from ledger.audit.cli import app
from ledger.audit.findings import Verdict
from ledger.audit.verify import Report, verify
from ledger.papers import PublicFolder
from tests.simulators.public_folder import HOLDERS, Consortium, PublicRun
from tests.simulators.tampering import flip, object_name, read_paper, write_paper

Invoke = Callable[..., Result]


@pytest.fixture
def audit() -> Invoke:
    """Runs ``suture-audit`` in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def _verdicts(report: Report) -> dict[int, Verdict]:
    return {outcome.number: outcome.verdict for outcome in report.outcomes}


# ---------------------------------------------------------------------- honest folders


def test_an_honest_run_passes_every_check(honest: PublicRun) -> None:
    report = verify(honest.path)
    assert _verdicts(report) == dict.fromkeys(range(1, 14), Verdict.PASS)
    assert report.passed
    assert report.run == honest.run.hex()


def test_a_run_among_holders_that_cheat_passes_every_check_and_says_who(disputed: PublicRun) -> None:
    report = verify(disputed.path)
    assert report.passed, [outcome for outcome in report.outcomes if outcome.faults]
    assert report.outcomes[7].summary == "32 signed answers, 1 of them false and without effect"
    account = {name: disputed.holders[name] for name in HOLDERS}
    excluded = {}
    for number in range(1, 5):
        data = (disputed.path / object_name(read_paper(disputed, number)["exclusions"])).read_bytes()
        excluded[number] = [
            (e.client, e.reason, len(e.disputed_by)) for e in Exclusions.decode(data).excluded
        ]
    assert excluded == {
        1: [],
        2: [(account[HOLDERS[3]], Reason.WRONG_KEY, 0)],
        3: [(account[HOLDERS[1]], Reason.BAD_SHARES, 1)],
        4: [],
    }


def test_the_folder_around_the_public_folder_can_be_named(honest: PublicRun) -> None:
    assert verify(honest.path.parent, fail_fast=True).folder == honest.path


def test_a_run_without_rounds_and_one_without_rewards_pass(tmp_path: Path) -> None:
    Consortium(tmp_path / "empty").close()
    assert verify(tmp_path / "empty").passed
    unpaid = Consortium(tmp_path / "unpaid", rewards=False)
    unpaid.play()
    unpaid.close()
    assert verify(tmp_path / "unpaid").passed


def test_an_audit_changes_nothing_in_the_folder_even_where_it_could(copied: PublicRun) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in copied.path.rglob("*")}

    before = state()
    assert verify(copied.path).passed
    assert state() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_can_only_be_read_can_be_audited(copied: PublicRun) -> None:
    copied.path.chmod(0o500)
    assert verify(copied.path).passed


def test_progress_is_told_for_every_check(honest: PublicRun) -> None:
    seen: list[int] = []
    verify(honest.path, watch=lambda check, done, total: seen.append(check.number))
    assert sorted(set(seen)) == list(range(1, 14))


@pytest.mark.slow
def test_fifteen_rounds_of_four_holders_are_audited_in_four_seconds_of_one_core(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    for _ in range(15):
        consortium.play()
    consortium.close()
    start = time.process_time()
    assert verify(tmp_path / "run").passed
    assert time.process_time() - start < 4.0


# ---------------------------------------------------------------------- skipped checks


def test_checks_whose_needs_failed_are_skipped_and_say_why(copied: PublicRun) -> None:
    flip(copied.path / object_name(read_paper(copied, 1)["header"]), 100)
    report = verify(copied.path)
    V = Verdict
    expected = [V.FAIL, V.PASS, V.PASS, V.PASS, V.FAIL, *[V.SKIPPED] * 6, V.PASS, V.PASS]
    assert list(_verdicts(report).values()) == expected
    assert report.outcomes[5].summary == "needs check 5 (rounds)"
    assert not report.passed


def test_fail_fast_makes_no_further_check(copied: PublicRun) -> None:
    flip(copied.public.seal, 30)
    report = verify(copied.path, fail_fast=True)
    assert list(_verdicts(report).values()) == [Verdict.FAIL] + [Verdict.SKIPPED] * 12
    assert report.outcomes[-2].summary == "stopped at the first failure"


# ---------------------------------------------------------------------- suture-audit verify


def test_verify_prints_a_line_for_every_check_and_exits_with_0(honest: PublicRun, audit: Invoke) -> None:
    result = audit("verify", honest.path)
    assert result.exit_code == 0
    for check in CHECKS:
        assert f"{check.number:>2}  PASS     {check.name}" in result.stdout
    assert "All 13 checks passed." in result.stdout
    assert result.stderr == ""


def test_verify_names_the_object_at_fault_and_exits_with_1(copied: PublicRun, audit: Invoke) -> None:
    paper, account = read_paper(copied, 3), copied.holders[HOLDERS[1]].hex()
    name = object_name(paper["leaves"][account])
    flip(copied.path / name, -1)
    result = audit("verify", copied.path)
    assert result.exit_code == 1
    assert f"round 3, {HOLDERS[1]} (0x{account}), {name}: " in result.stdout
    assert "FAILED: check 1 (seal), 6 (leaves); 6 passed, 5 skipped." in result.stdout


def test_verify_prints_json(copied: PublicRun, audit: Invoke) -> None:
    flip(copied.public.model, -1)
    result = audit("verify", copied.path, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["format"], report["run"], report["passed"]) == ("suture-audit-v1", copied.run.hex(), False)
    assert [check["verdict"] for check in report["checks"]] == ["fail", *["pass"] * 8, "fail", *["pass"] * 3]
    assert report["checks"][9]["faults"] == [
        {
            "path": "model.safetensors",
            "round": None,
            "holder": None,
            "name": None,
            "problem": "it is not the newest model on the ledger",
        }
    ]


def test_names_in_the_folder_cannot_control_the_terminal(copied: PublicRun, audit: Invoke) -> None:
    paper, account = read_paper(copied, None), copied.holders[HOLDERS[1]].hex()
    paper["names"][account] = "\x1b[2J[bold]Birch\n"
    write_paper(copied, None, paper)
    flip(copied.path / object_name(read_paper(copied, 3)["leaves"][account]), -1)
    result = audit("verify", copied.path)
    assert "\x1b" not in result.stdout
    assert "\N{REPLACEMENT CHARACTER}[2J[bold]Birch\N{REPLACEMENT CHARACTER} (0x" in result.stdout


@pytest.mark.parametrize("command", [("verify",), ("trace", "--in")])
def test_what_is_no_public_folder_is_one_line_with_the_fix_and_exits_with_3(
    honest: PublicRun, tmp_path: Path, audit: Invoke, command: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    model = [honest.public.model] if command[0] == "trace" else []
    for name in ("missing", "empty", "file"):
        result = audit(command[0], *model, *command[1:], tmp_path / name)
        assert result.exit_code == 3
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert "Name the public folder of a run" in result.stderr


def test_a_folder_of_another_version_exits_with_3_and_a_damaged_version_fails(
    copied: PublicRun, audit: Invoke
) -> None:
    newer = copied.public.run.read_bytes().replace(b"suture-run-v1", b"suture-run-v2")
    copied.public.run.write_bytes(newer)
    assert audit("verify", copied.path).exit_code == 1, "the seal says that the file was altered"
    copied.seal()
    result = audit("verify", copied.path)
    assert result.exit_code == 3
    assert "suture-run-v2" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_paper_is_a_failure_and_no_traceback(
    copied: PublicRun, audit: Invoke, damage: bytes
) -> None:
    for path in (copied.public.run, copied.public.seal, copied.public.round(1)):
        path.write_bytes(damage)
    result = audit("verify", copied.path)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "run.json: " in result.stdout


def test_wrong_usage_exits_with_2(audit: Invoke, tmp_path: Path) -> None:
    assert audit("verify").exit_code == 2
    assert audit("verify", tmp_path, "--nonsense").exit_code == 2
    assert audit("trace", tmp_path / "missing.safetensors", "--in", tmp_path).exit_code == 2


def test_help_is_there_for_every_command_with_an_example(audit: Invoke) -> None:
    for command in ("verify", "trace", "checks", "evidence"):
        result = audit(command, "--help")
        assert result.exit_code == 0
        assert f"suture-audit {command}" in result.stdout
    assert "Exit codes: 0 all is well" in audit("--help").stdout


def test_checks_lists_what_each_proves(audit: Invoke) -> None:
    result = audit("checks")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [
        (check.name in line, check.proves in line) for check, line in zip(CHECKS, lines, strict=True)
    ] == [(True, True)] * len(CHECKS)
    assert [entry["number"] for entry in json.loads(audit("checks", "--json").stdout)] == list(range(1, 14))


# ---------------------------------------------------------------------- suture-audit trace


def test_trace_leads_from_the_file_to_the_root_with_contributors_data_sets_and_consents(
    honest: PublicRun, audit: Invoke
) -> None:
    result = audit("trace", honest.public.model, "--in", honest.path, "--json")
    assert result.exit_code == 0
    lineage = json.loads(result.stdout)
    assert [model["round"] for model in lineage["models"]] == [4, 3, 1, 0]
    for model, parent in zip(lineage["models"], lineage["models"][1:], strict=False):
        assert model["parent"] == parent["model"]
    assert lineage["models"][-1]["parent"] is None
    names = [sorted(c["name"] for c in model["contributors"]) for model in lineage["models"]]
    assert names == [list(HOLDERS), list(HOLDERS[:3]), list(HOLDERS), []]
    for contributor in lineage["models"][0]["contributors"]:
        assert contributor["dataset"] == hashlib.sha256(f"{contributor['name']}/data".encode()).hexdigest()
        assert contributor["withdrawn_block"] is None
        assert 0 < contributor["consent_block"] < lineage["models"][-1]["block"]


def test_trace_prints_a_tree_that_is_not_cut_off(honest: PublicRun, audit: Invoke) -> None:
    result = audit("trace", honest.public.model, "--in", honest.path)
    assert result.exit_code == 0
    text = result.stdout
    assert (
        text.index("round 4") < text.index("round 3") < text.index("round 1") < text.index("registered root")
    )
    for name in HOLDERS:
        assert f"{name} (0x{honest.holders[name].hex()})" in text
    assert hashlib.sha256(f"{HOLDERS[0]}/data".encode()).hexdigest() in text


def test_trace_finds_older_models_too(honest: PublicRun, audit: Invoke, tmp_path: Path) -> None:
    old = tmp_path / "old.safetensors"
    shutil.copyfile(honest.path / object_name(read_paper(honest, 1)["model"]), old)
    models = json.loads(audit("trace", old, "--in", honest.path, "--json").stdout)["models"]
    assert [model["round"] for model in models] == [1, 0]


def test_trace_shows_that_a_consent_was_withdrawn_later(
    unconsented: PublicRun, audit: Invoke, tmp_path: Path
) -> None:
    first = tmp_path / "first.safetensors"
    shutil.copyfile(unconsented.path / object_name(read_paper(unconsented, 1)["model"]), first)
    assert ", withdrawn in block " in audit("trace", first, "--in", unconsented.path).stdout
    newest = audit("trace", unconsented.public.model, "--in", unconsented.path)
    assert newest.exit_code == 1
    assert "no consent of 0x" in newest.stderr


def test_trace_says_that_the_ledger_does_not_know_a_file(
    honest: PublicRun, audit: Invoke, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"another model")
    result = audit("trace", other, "--in", honest.path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: The ledger does not know ")
    assert hashlib.sha256(b"another model").hexdigest() in result.stderr


def test_trace_does_not_wait_for_a_pipe_and_follows_a_link_to_a_model(
    honest: PublicRun, audit: Invoke, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = audit("trace", tmp_path / "pipe", "--in", honest.path)
    assert result.exit_code == 3
    assert "it is not a plain file" in result.stderr
    (tmp_path / "link").symlink_to(honest.public.model)
    assert audit("trace", tmp_path / "link", "--in", honest.path).exit_code == 0


def test_trace_does_not_show_contributors_whose_leaves_are_not_the_ledgers(
    copied: PublicRun, audit: Invoke
) -> None:
    account = copied.holders[HOLDERS[2]].hex()
    flip(copied.path / object_name(read_paper(copied, 3)["leaves"][account]), 90)
    result = audit("trace", copied.public.model, "--in", copied.path, "--json")
    assert result.exit_code == 1
    lineage = json.loads(result.stdout)
    assert [len(model["contributors"]) for model in lineage["models"]] == [4, 0, 4, 0]
    assert [(fault["round"], fault["holder"]) for fault in lineage["faults"]] == [(3, account)]


def test_trace_trusts_no_ledger_that_does_not_replay(copied: PublicRun, audit: Invoke) -> None:
    data = bytearray(copied.public.chain.read_bytes())
    at = data.index(hashlib.sha256(PublicFolder(copied.path).model.read_bytes()).digest())
    data[at] ^= 1
    copied.public.chain.write_bytes(data)
    result = audit("trace", copied.public.model, "--in", copied.path)
    assert result.exit_code == 1
    assert "ledger.sqlite" in result.stderr
