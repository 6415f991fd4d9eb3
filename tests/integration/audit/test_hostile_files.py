"""Whatever lies in a folder, an audit of it ends soon, and nothing outside of the folder is read."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.audit.chronicle import ModelEntry
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings, Verdict
from ledger.audit.papers import open_folder
from ledger.audit.trace import _chain, trace
from ledger.audit.verify import Report, verify
from ledger.papers import RunPaper, SealPaper
from tests.simulators.endless_database import endless_database
from tests.simulators.public_folder import HOLDERS, PublicRun
from tests.simulators.tampering import digest_of, object_name, read_paper, write_paper

SEAL, LEDGER = 1, 2
PATIENCE_S = 60
MEMORY = 1 << 30  # bytes above what the tests hold


@pytest.fixture(autouse=True)
def soon():
    """Fail a test that waits; a pipe that was opened, or a file without end, would keep it for ever."""
    import faulthandler
    import signal

    def give_up(number, frame):
        faulthandler.dump_traceback()
        raise AssertionError(f"the audit did not end within {PATIENCE_S} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _special(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


def _sparse(path: Path) -> None:
    """A file of 200 GB that takes no room."""
    with path.open("wb") as file:
        file.truncate(200 << 30)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
}
PLACES: dict[str, Callable[[PublicRun], str]] = {
    "run.json": lambda run: "run.json",
    "seal.json": lambda run: "seal.json",
    "ledger.sqlite": lambda run: "ledger.sqlite",
    "model.safetensors": lambda run: "model.safetensors",
    "a round's paper": lambda run: "rounds/00001.json",
    "a header": lambda run: object_name(digest_of(run, 1, "header")),
    "the terms": lambda run: object_name(digest_of(run, None, "terms")),
    "the initial model": lambda run: object_name(digest_of(run, None, "initial_model")),
}


def _failed(report: Report) -> set[int]:
    return {outcome.number for outcome in report.outcomes if outcome.verdict is Verdict.FAIL}


@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_is_no_plain_file_ends_the_audit_with_check_1(
    copied: PublicRun, place: Callable[[PublicRun], str], make: Callable[[Path], None]
) -> None:
    name = place(copied)
    _special(copied.path / name, make)
    report = verify(copied.path)
    assert _failed(report) == {SEAL}
    assert [(fault.path, fault.problem) for fault in report.outcomes[0].faults] == [
        (name, "it is not a plain file")
    ]
    assert {outcome.summary for outcome in report.outcomes[1:]} == {"the folder holds more than plain files"}
    trace(bytes(32), copied.path)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_file_with_a_hole_of_any_size_is_found_without_reading_it(
    copied: PublicRun, place: Callable[[PublicRun], str]
) -> None:
    name = place(copied)
    _sparse(copied.path / name)
    start = time.monotonic()
    report = verify(copied.path)
    assert time.monotonic() - start < 10
    assert name in {fault.path for outcome in report.outcomes for fault in outcome.faults}
    trace(bytes(32), copied.path)


@pytest.mark.parametrize("name", ["archive", "rounds", "archive/xx"])
def test_a_folder_that_is_a_link_is_not_followed(copied: PublicRun, tmp_path: Path, name: str) -> None:
    if name == "archive/xx":
        name = str(Path(object_name(digest_of(copied, 3, ("leaves", HOLDERS[0])))).parent)
    folder = copied.path / name
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    report = verify(copied.path)
    assert _failed(report) == {SEAL}
    assert name in {fault.path for fault in report.outcomes[0].faults}
    lineage = trace(digest_of_model(copied), copied.path)
    assert lineage.faults


def digest_of_model(run: PublicRun) -> bytes:
    return bytes.fromhex(digest_of(run, 4, "model"))


def test_a_sealed_ledger_larger_than_any_is_neither_copied_nor_opened(
    copied: PublicRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = copied.public.chain.stat().st_size
    monkeypatch.setattr("ledger.audit.chain.MAX_CHAIN_BYTES", size - 1)
    report = verify(copied.path)
    assert [fault.problem for fault in report.outcomes[LEDGER - 1].faults] == [
        f"the ledger cannot be read (it is larger than the {size - 1} bytes allowed)"
    ]


def test_the_audit_reads_no_more_of_an_object_than_its_kind_can_have(copied: PublicRun) -> None:
    """A holder of the folder's object makes it two gigabytes long: neither time nor memory follow."""
    name = object_name(digest_of(copied, None, "initial_model"))
    with (copied.path / name).open("r+b") as file:
        file.truncate(2 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = verify(copied.path)
    assert name in {fault.path for fault in report.outcomes[0].faults}
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


HOSTILE = {
    "many lists": b'{"a":[' + b"[]," * ((RunPaper.LIMIT - 20) // 3) + b"[]]}",
    "an open text": b'{"a":"' + b"\\" * (RunPaper.LIMIT - 20),
    "quotes": b'"' * RunPaper.LIMIT,
    "depth": b"[" * RunPaper.LIMIT,
    "a long number": b'{"a":' + b"9" * (RunPaper.LIMIT - 20) + b"}",
    "names": b"{" + b'"a":1,' * ((RunPaper.LIMIT - 20) // 6) + b'"a":1}',
    "too long": b" " * (RunPaper.LIMIT + 1),
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_paper_of_the_run_costs_little(copied: PublicRun, document: bytes) -> None:
    copied.public.run.write_bytes(document)
    copied.seal() if len(document) <= RunPaper.LIMIT else None
    start = time.monotonic()
    assert LEDGER in _failed(verify(copied.path))
    assert time.monotonic() - start < 5


@pytest.mark.slow
def test_a_hostile_seal_costs_seconds(copied: PublicRun) -> None:
    copied.public.seal.write_bytes(b'{"a":[' + b"[]," * ((SealPaper.LIMIT - 20) // 3) + b"[]]}")
    assert SEAL in _failed(verify(copied.path))


def test_a_paper_that_cannot_be_read_is_read_once(copied: PublicRun, monkeypatch: pytest.MonkeyPatch) -> None:
    write_paper(copied, 3, {**read_paper(copied, 3), "round": 5})
    copied.seal()
    asked: list[int] = []
    real = Evidence.round.__globals__["read_round"]
    monkeypatch.setattr(
        "ledger.audit.evidence.read_round",
        lambda public, number: asked.append(number) or real(public, number),
    )
    verify(copied.path)
    assert sorted(asked) == [1, 3, 4]


def test_a_lineage_that_leads_round_in_a_circle_ends_and_is_a_fault(copied: PublicRun) -> None:
    with Evidence(open_folder(copied.path)) as evidence:
        chronicle = evidence.chronicle
        one, two = (b"\x01" * 32, b"\x02" * 32)
        common = {"run": evidence.run.run, "artifact": b"\x03" * 32, "round": 1}
        chronicle.models.update(  # type: ignore[attr-defined]
            {
                one: ModelEntry(id=one, parent=two, block=9, **common),
                two: ModelEntry(id=two, parent=one, block=8, **common),
            }
        )
        findings = Findings(lambda done, total: None)
        assert [entry.id for entry in _chain(evidence, findings, b"\x03" * 32)] == [one, two]
        assert [fault.problem for fault in findings.faults] == [
            f"model 0x{two.hex()} is not newer than its parent"
        ]


def test_a_folder_with_more_entries_than_a_seal_lists_ends_the_audit(
    copied: PublicRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.seal.MAX_ENTRIES", 10)
    report = verify(copied.path)
    assert _failed(report) == {SEAL}
    assert [fault.problem for fault in report.outcomes[0].faults] == ["the folder has more than 10 entries"]


def test_a_device_in_the_folder_is_not_opened(copied: PublicRun) -> None:
    path = copied.path / "device"
    with suppress(PermissionError):
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    if not path.exists():
        pytest.skip("only the superuser makes devices")
    assert _failed(verify(copied.path)) == {SEAL}


def test_a_ledger_whose_list_of_tables_has_no_end_is_found_soon(copied: PublicRun) -> None:
    copied.public.chain.unlink()
    endless_database(copied.public.chain)
    copied.seal()
    report = verify(copied.path)
    assert _failed(report) == {LEDGER}
    assert {fault.path for fault in report.outcomes[LEDGER - 1].faults} == {"ledger.sqlite"}
