"""Every hospital's logbook against the public folder of a real run, as it is and tampered with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.node.house import open_house
from ledger.audit.logbook import LogbookReport, verify_logbook
from ledger.logbook import Entry, Kind, first_head, head_after
from tests.e2e.conftest import Commands, Kept

pytestmark = pytest.mark.e2e
Lines = list[bytes]


def node(kept: Kept) -> Path:
    return min((kept.folder / "nodes").iterdir())


def test_the_logbooks_of_a_run_agree_with_what_was_signed_and_archived(kept: Kept) -> None:
    for folder in sorted((kept.folder / "nodes").iterdir()):
        report = verify_logbook(folder / "logbook.jsonl", kept.folder)
        assert report.faults == ()
        assert report.holder == open_house(folder).account.address
        lines = (folder / "logbook.jsonl").read_bytes().splitlines(keepends=True)
        kinds = [Entry.decode(line).kind for line in lines]
        assert [k for k in kinds if k not in ("checkpoint", "prekey")][:2] == ["transaction", "transaction"]
        assert "checkpoint" in kinds
        assert kinds.count("frame") == kinds.count("check") == kinds.count("reveal") == 2
        first, second = report.anchors.values()
        assert 2 <= first < second < report.entries


def test_the_command_says_how_much_is_signed_for(kept: Kept, commands: Commands) -> None:
    file = node(kept) / "logbook.jsonl"
    result = commands.run("suture-audit", "logbook", file, "--in", kept.folder, "--json")
    said = json.loads(result.stdout)
    assert (result.returncode, said["passed"], said["faults"]) == (0, True, [])


def rewritten(lines: Lines, account: bytes, change: Callable[[list[Entry]], list[Entry]]) -> Lines:
    """Change entries as their holder could: with every head after them made again."""
    from dataclasses import replace

    head, made = first_head(account), []
    for n, entry in enumerate(change([Entry.decode(line) for line in lines]), 1):
        made.append(replace(entry, n=n, previous=head.hex()).encode())
        head = head_after(made[-1])
    return made


def without(kind: Kind, number: int) -> Callable[[list[Entry]], list[Entry]]:
    return lambda entries: [e for e in entries if (e.kind, e.round) != (kind.value, number)]


def swapped(entries: list[Entry]) -> list[Entry]:
    return [entries[1], entries[0], *entries[2:]]


def other_time(entries: list[Entry]) -> list[Entry]:
    from dataclasses import replace

    return [replace(entries[0], time=entries[0].time - 60), *entries[1:]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_time, "binds another head"),
        (swapped, "binds another head"),
        (lambda entries: entries[1:], "names a head of entries that come after it"),
        (without(Kind.FRAME, 1), "round 1 is not in the logbook"),
        (without(Kind.REVEAL, 1), "(reveal) of round 1 is not in the logbook"),
        (without(Kind.CHECK, 2), "(check) of round 2 is not in the logbook"),
        (lambda entries: entries[:5], "round 2 is not in the logbook"),
    ],
)
def test_a_holder_cannot_rewrite_what_it_signed_for(
    kept: Kept,
    tmp_path: Path,
    change: Callable[[list[Entry]], list[Entry]],
    problem: str,
) -> None:
    file = node(kept) / "logbook.jsonl"
    account = open_house(file.parent).account.address
    lines = file.read_bytes().splitlines(keepends=True)
    assert rewritten(lines, account, list) == lines
    forged = tmp_path / "logbook.jsonl"
    forged.write_bytes(b"".join(rewritten(lines, account, change)))
    report: LogbookReport = verify_logbook(forged, kept.folder)
    assert any(problem in fault.problem for fault in report.faults), report.faults


def test_a_line_that_a_crash_cut_off_is_told_and_no_fault_of_the_holder(
    kept: Kept, tmp_path: Path, commands: Commands
) -> None:
    file = tmp_path / "logbook.jsonl"
    file.write_bytes((node(kept) / "logbook.jsonl").read_bytes() + b'{"anchor":')
    said = commands.run("suture-audit", "logbook", file, "--in", kept.folder)
    assert said.returncode == 0 and "last 10 bytes are no whole line" in said.stdout
    report = verify_logbook(file, kept.folder)
    assert (report.faults, report.torn) == ((), 10)
    file.write_bytes(file.read_bytes() + b"\n")
    assert any("was altered" in fault.problem for fault in verify_logbook(file, kept.folder).faults)


def test_what_comes_after_the_newest_anchor_can_be_cut_off_only_where_the_folder_does_not_have_it(
    kept: Kept, tmp_path: Path
) -> None:
    """The reveal of the last round is archived, so even the tail is held; a later line is not."""
    lines = (node(kept) / "logbook.jsonl").read_bytes().splitlines(keepends=True)
    cut = tmp_path / "logbook.jsonl"
    cut.write_bytes(b"".join(lines[:-1]))
    report = verify_logbook(cut, kept.folder)
    last = Entry.decode(lines[-1])
    assert bool(report.faults) == (last.kind in ("check", "reveal", "frame"))


def test_a_logbook_of_nobody_in_the_folder_is_an_input_error(
    kept: Kept, tmp_path: Path, commands: Commands
) -> None:
    empty = tmp_path / "logbook.jsonl"
    empty.write_bytes(b"")
    result = commands.run("suture-audit", "logbook", empty, "--in", kept.folder)
    assert result.returncode == 3
    assert result.stderr.startswith("error: ") and "--holder" in result.stderr
