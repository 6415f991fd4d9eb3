"""``suture parameters`` prints what the constants give."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from coordinator.cli import cli
from fl_core.errors import InputError
from fl_core.lattice.parameters import PACKINGS, PARAMETER_SETS
from fl_core.secagg.layout import Layout, valid_layouts
from tests.architecture.sources import ROOT
from tests.security_estimate import ESTIMATOR_COMMIT


def run(*arguments: str):
    return CliRunner().invoke(cli, ["parameters", *arguments])


def combinations(*arguments: str) -> list[dict]:
    result = run("--json", *arguments)
    assert result.exit_code == 0
    return json.loads(result.stdout)["combinations"]


def test_every_valid_combination_is_listed_once_and_one_is_the_default():
    listed = [(row["packing"], row["parameter_set"]) for row in combinations()]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {(c.packing.name, c.params.name) for c in valid_layouts(1)}
    defaults = [row for row in combinations() if row["default"]]
    assert [(row["packing"], row["parameter_set"]) for row in defaults] == [("PACK15", "P4096")]


def test_the_bytes_are_those_of_the_layout():
    for row in combinations("--parameters", "11000000"):
        layout = Layout(
            params=PARAMETER_SETS[row["parameter_set"]], packing=PACKINGS[row["packing"]], length=11_000_000
        )
        assert row["ciphertext_bytes"] == layout.ciphertext_bytes
        assert row["bytes_per_parameter"] == layout.ciphertext_bytes / 11_000_000
        payload = Fraction(row["payload_bytes_per_parameter"])
        assert payload == Fraction(layout.element_bytes, layout.values_per_element)
        assert row["bytes_per_parameter"] > payload


def test_the_default_has_the_documented_figures():
    (row,) = (row for row in combinations() if row["default"])
    assert (row["payload_bytes_per_parameter"], row["max_clients"], row["security_bits"]) == ("3", 64, 294)
    assert -39 < row["refused_log2"] < -38
    assert -69 < row["misread_log2"] <= -68


def test_the_options_filter_by_clients_and_by_bits():
    assert {row["max_clients"] for row in combinations("--clients", "65")} == {1024}
    assert {row["max_clients"] for row in combinations("--clients", "64")} == {64, 1024}
    assert {row["value_bits"] for row in combinations("--bits", "12")} == {12}


def test_the_text_marks_the_default_names_the_source_and_has_no_colours_in_a_pipe():
    text = run("--parameters", "11000000").stdout
    (line,) = (line for line in text.splitlines() if line.startswith("* ") and "PACK15" in line)
    assert line.split()[1:] == ["15", "64", "3.000", "3.005", "2^-68", "2^-38", "294", "PACK15", "P4096"]
    assert "MATZOV" in text
    assert f"(commit {ESTIMATOR_COMMIT[:12]})" in text
    assert "docs/explanation/parameters.md" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("arguments", [("--bits", "9"), ("--clients", "1025")])
def test_what_no_packing_fits_is_an_error_that_says_what_there_is(arguments):
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    assert "8, 12, 15, 16, 20 bits" in result.exception.fix
    assert "1024 clients" in result.exception.fix


@pytest.mark.parametrize(
    "arguments", [("--bits", "0"), ("--parameters", "0"), ("--clients", "many"), ("--bit",)]
)
def test_wrong_usage_has_its_own_exit_code(arguments):
    assert run(*arguments).exit_code == 2


def test_the_command_fails_with_one_line_and_exit_code_1():
    program = "import sys; from coordinator.cli import main; sys.argv = ['suture', 'parameters', '--bits', '9']; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_the_help_has_an_example():
    assert "suture parameters --clients 200" in " ".join(run("--help").stdout.split())
