"""The one door of the benchmarks: the list, a run, its file, and what goes wrong."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import FAILED, USAGE, main
from benchmarks.cases import all_cases
from benchmarks.machine import PACKAGES
from benchmarks.measurement import BenchmarkError, Case, Measurement

ROOT = Path(__file__).parents[3]


def counting() -> Case:
    """A benchmark whose figure is 3, then 1, then 2; its peer is always twice that."""
    values: Iterator[float] = itertools.cycle([3.0, 1.0, 2.0])

    def run() -> list[Measurement]:
        value = next(values)
        detail = {"constant": 7}
        return [
            Measurement(
                id="count_s", value=value, unit="s", goal=2.0, peers={"double": 2 * value}, detail=detail
            ),
            Measurement(id="bytes", value=5000, unit="bytes"),
        ]

    return Case(name="count", measures="how it counts", ids=("count_s", "bytes"), run=run)


def failing() -> Case:
    def run() -> list[Measurement]:
        raise BenchmarkError("nothing can be measured.")

    return Case(name="fail", measures="nothing", ids=("nothing",), run=run)


def run(*arguments: str) -> int:
    cases = (counting(), failing())
    return main(arguments, {case.name: case for case in cases})


def test_without_a_name_it_lists_name_purpose_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert all(part in out for part in ("count ", "how it counts", "count_s, bytes", "fail ", "nothing"))


def test_an_unknown_name_is_an_error_that_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cuont") == USAGE == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: there is no benchmark 'cuont'; there are: count, fail.\n"


def test_a_benchmark_that_cannot_be_made_is_one_line_and_writes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fail", "--json", str(tmp_path / "figures.json")) == FAILED == 1
    assert capsys.readouterr().err == "error: nothing can be measured.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_table_shows_value_goal_verdict_and_the_ratio_to_each_peer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("count") == 0
    lines = capsys.readouterr().out.splitlines()
    [figure] = [line for line in lines if line.startswith("count_s")]
    assert figure.split() == ["count_s", "3.000", "s", "2", "MISSED"]
    [peer] = [line for line in lines if line.startswith("  double")]
    assert peer.split() == ["double", "6.000", "s", "0.50", "x"]
    [size] = [line for line in lines if line.startswith("bytes")]
    assert size.split() == ["bytes", "5,000", "bytes"]


def test_a_goal_that_is_reached_exactly_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("count", "--repeat", "3") == 0
    assert " met" in capsys.readouterr().out


def test_the_file_is_a_list_of_figures_with_medians_samples_ratios_and_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert run("count", "--repeat", "3", "--json", str(path)) == 0
    figures = json.loads(path.read_bytes())
    assert [set(figure) for figure in figures] == [{"id", "value", "unit", "goal", "detail"}] * 2
    first, second = figures
    assert (first["id"], first["value"], first["unit"], first["goal"]) == ("count_s", 2.0, "s", 2.0)
    detail = first["detail"]
    assert (detail["samples"], detail["constant"], detail["met"]) == ([3.0, 1.0, 2.0], 7, True)
    assert detail["peers"] == {"double": {"value": 4.0, "ratio": 0.5}}
    assert (second["goal"], second["detail"]["met"]) == (None, None)
    machine = detail["machine"]
    assert machine["cores"] >= 1 and machine["cpu"] and machine["python"].count(".") == 2
    assert set(machine["versions"]) == set(PACKAGES)
    assert machine["versions"]["numpy"]


@pytest.mark.parametrize("repeats", ["0", "-1", "1.5", "many", "101"])
def test_a_number_of_repeats_that_makes_no_sense_is_wrong_usage(repeats: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run("count", "--repeat", repeats)
    assert ended.value.code == USAGE


def test_a_benchmark_must_give_the_figures_that_it_announces(capsys: pytest.CaptureFixture[str]) -> None:
    other = Case(name="count", measures="x", ids=("count_s",), run=counting().run)
    assert main(["count"], {"count": other}) == FAILED
    assert "other figures than it announces" in capsys.readouterr().err


def test_every_benchmark_has_ids_of_its_own() -> None:
    cases = all_cases()
    ids = [name for case in cases.values() for name in case.ids]
    assert len(ids) == len(set(ids))
    assert list(cases) == [case.name for case in cases.values()]
    assert cases["demo"].ids == ("demo_wall_s", "round_overhead_s", "audit_s", "demo_folder_bytes")


def test_the_module_lists_the_benchmarks() -> None:
    command = [sys.executable, "-m", "benchmarks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo_wall_s" in done.stdout


@pytest.mark.parametrize("name", all_cases())
def test_the_page_lists_every_figure_of_every_benchmark_and_no_other(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text()
    (section,) = re.findall(rf"^## `{name}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[a-z0-9_]+`(?:, `[a-z0-9_]+`)*) \| [^|]+ \|", section, re.MULTILINE)
    listed = [id for row in rows for id in re.findall(r"`([a-z0-9_]+)`", row)]
    assert listed == list(all_cases()[name].ids)
