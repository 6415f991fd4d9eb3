"""Which protection the demo's options name, and that the weaker one says so where it is chosen."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from coordinator.cli import cli
from coordinator.cli.demo import _protection
from coordinator.demo.options import Protection
from fl_core.errors import InputError


@pytest.mark.parametrize(
    ("name", "plain", "expected"),
    [
        (None, False, Protection.LATTICE),
        ("lattice", False, Protection.LATTICE),
        ("ckks", False, Protection.CKKS),
        ("none", False, Protection.NONE),
        (None, True, Protection.NONE),
        ("none", True, Protection.NONE),
    ],
)
def test_the_options_name_one_protection(name, plain, expected):
    assert _protection(name, plain) is expected


@pytest.mark.parametrize(("name", "plain"), [("ckks", True), ("lattice", True), ("CKKS", False), ("", False)])
def test_contradictions_and_unknown_names_are_refused(name, plain):
    with pytest.raises(InputError, match="--p"):
        _protection(name, plain)


def test_the_help_says_what_is_weaker_about_ckks():
    shown = CliRunner().invoke(cli, ["demo", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    words = " ".join(re.sub(r"[^\w' ]", " ", shown).split())
    assert "any holder could open another holder's upload" in words
    assert "no audit of the aggregate from ciphertexts" in words
