"""What the demo refuses before it writes anything."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.demo.holders import bundled_csv
from coordinator.demo.preflight import (
    MAX_FOUNDERS,
    MAX_HOSPITALS,
    check_count,
    check_folder,
    check_names,
    preflight,
)
from fl_core.errors import InputError
from tests.simulators.founded_run import options

ROOT = Path(__file__).parents[4]
NOBODY = 65534


def test_a_folder_that_does_not_exist_or_is_empty_will_do(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder")
    check_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 300, "File name too long"),
        (os.fsdecode(b"k/a\xffb"), "not UTF-8 text"),
        ("file", "not a folder"),
        ("file/below", "Not a directory"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=problem) as refused:
        check_folder(tmp_path / name)
    assert "--keep" in refused.value.fix


def test_a_folder_that_others_may_write_to_is_refused_and_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InputError, match="may write to it"):
        check_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(InputError, match="others own"):
        check_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_below_one_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(InputError, match="Permission denied"):
        check_folder(closed / "new")


def test_the_limit_on_hospitals_is_the_contracts_limit_on_founders() -> None:
    source = (ROOT / "ledger" / "contracts" / "TrainingLedger.vy").read_text()
    (limit,) = re.findall(r"^MAX_FOUNDERS: constant\(uint256\) = (\d+)$", source, re.MULTILINE)
    assert int(limit) == MAX_FOUNDERS


def test_too_many_hospitals_are_refused_but_not_in_a_plain_run(tmp_path: Path) -> None:
    check_count(MAX_HOSPITALS, options(tmp_path))
    check_count(MAX_HOSPITALS + 1, options(tmp_path, plain=True))
    with pytest.raises(InputError, match="14 hospitals were chosen") as refused:
        check_count(MAX_HOSPITALS + 1, options(tmp_path))
    assert refused.value.fix == "Choose --hospitals 13 or fewer."


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31m"])
def test_a_name_that_is_no_line_is_refused(name: str) -> None:
    check_names(["[bold]Köln 🏥"])
    with pytest.raises(InputError, match="not a name"):
        check_names([name])


def test_one_hospital_by_two_spellings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names Cleveland twice"):
        preflight(options(tmp_path, hospitals="cleveland,Cleveland,Hungary"))


def test_the_csv_is_read_once(tmp_path: Path) -> None:
    """What was read counts; the file may have been a pipe."""
    files = preflight(replace(options(tmp_path), data=tmp_path / "gone.csv"))
    assert list(files) == ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]


def test_blank_lines_are_passed_over_and_a_file_without_patients_is_refused(tmp_path: Path) -> None:
    table = bundled_csv().read_bytes()
    chosen = options(tmp_path)
    assert preflight(replace(chosen, table=table + b"\n\n")) == preflight(chosen)
    with pytest.raises(InputError, match="has no patients") as refused:
        preflight(replace(chosen, table=table.split(b"\n")[0] + b"\n"))
    assert refused.value.fix
