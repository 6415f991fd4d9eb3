"""What the documents say about the code is what the code says."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from itertools import product

import pytest

from clients import calls, door
from fl_core import codec
from fl_core.protocol import (
    blame_messages,
    check_messages,
    exclusions,
    header,
    messages,
    prekeys,
    terms,
    weights,
)
from fl_core.protocol.blame_messages import BlameRequest
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, RevealRequest
from fl_core.protocol.phases import TRANSITIONS, Phase, Step
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.statements import BlameStatement, CheckStatement, Contribution, RevealStatement
from fl_core.protocol.weights import WeightOpening, WeightRequest
from ledger import checkpoints, documents, papers
from ledger.chain.embedded import block
from tests.architecture import numbered_checks
from tests.architecture.numbered_checks import CHECKS, ROOT

WIRE = (ROOT / "docs" / "explanation" / "wire-format.md").read_text()
PROTOCOL = numbered_checks.PAGE.read_text()


# ---------------------------------------------------------------------- protocol.md


@pytest.mark.parametrize("heading", CHECKS)
def test_the_numbered_checks_on_the_page_are_those_of_the_code(heading):
    function, code = CHECKS[heading]
    listed = numbered_checks.of_docstring(function)
    assert [number for number, _ in listed] == list(range(1, len(listed) + 1))
    assert numbered_checks.of_page(heading) == listed
    assert set().union(*map(numbered_checks.performed, code)) == {number for number, _ in listed}


def test_the_clients_lettered_steps_on_the_page_are_those_of_the_code():
    on_page = dict(re.findall(r"^- \((\w)\) (.*)$", PROTOCOL, re.MULTILINE))
    assert on_page == numbered_checks.letters_of_client()
    assert list(on_page) == ["a", "b", "c", "d", "e"]


def test_every_step_that_the_code_cites_has_a_section_and_every_section_a_number():
    cited = set()
    for path in (ROOT / "fl_core" / "protocol").glob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        for words in re.findall(
            r"(?:[Ss]tep|Steps) ([\d, and a-e]+?)(?:[a-e]\b)? of the protocol", " ".join(docstring.split())
        ):
            cited |= {int(number) for number in re.findall(r"\d+", words)}
    headings = [int(number) for number in re.findall(r"^## Step (\d+):", PROTOCOL, re.MULTILINE)]
    assert headings == list(range(1, 10))
    assert cited <= set(headings)
    assert {2, 3, 4, 5, 6, 7, 8, 9} <= cited


def test_the_diagram_names_the_range_of_every_list_of_checks():
    for heading, words in (
        ("Header checks", "header"),
        ("Seat checks", "seat"),
        ("Blame checks", "blame"),
        ("Blame answer checks", "blame answer"),
        ("Weight request checks", "weight request"),
        ("Weight opening checks", "weight opening"),
        ("Weight sum checks", "weight sum"),
        ("Contribution checks", "contribution"),
        ("Share checks", "share"),
        ("Check answer checks", "check answer"),
        ("Reveal checks", "reveal"),
        ("Answer checks", "answer"),
    ):
        assert f"{words} checks 1-{len(numbered_checks.of_page(heading))}" in PROTOCOL


def test_the_picture_of_the_phases_is_the_table():
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", PROTOCOL, re.MULTILINE))
    assert drawn == {(before.value, after.value, step.value) for (before, step), after in TRANSITIONS.items()}
    assert len(drawn) < len(list(product(Phase, Step)))


# ---------------------------------------------------------------------- wire-format.md


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    text = re.split(rf"^#+ {heading}\n", WIRE, flags=re.MULTILINE)[1]
    lines = text[text.index("|") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_limit_on_the_page_is_the_codes_and_none_is_missing():
    modules = (
        header, messages, prekeys, check_messages, blame_messages, exclusions, terms, weights, calls, papers, documents, codec, door,
            block, checkpoints,
    )  # fmt: skip
    code = {
        name: value for module in modules for name, value in vars(module).items() if name.startswith("MAX_")
    }
    page = {cells[0].strip("`"): int(cells[1]) for cells in table("Limits")}
    assert page == {name: code[name] for name in page}
    assert set(code) - set(page) == {
        "MAX_MODEL",
    }  # of the door's payloads, below MAX_PAYLOAD


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Round header", [f.name for f in fields(RoundHeader)]),
        ("Leaf", [*(f.name for f in fields(Contribution)), "signature"]),
        ("Frame", [f.name for f in fields(Frame)]),
        ("Check request", [f.name for f in fields(CheckRequest)]),
        ("Check answer", [*(f.name for f in fields(CheckStatement)), "list", "signature"]),
        ("Prekey", [f.name for f in fields(SignedPrekey)]),
        ("Blame request", [f.name for f in fields(BlameRequest)]),
        ("Blame answer", [*(f.name for f in fields(BlameStatement)), "list", "signature"]),
        ("Weight request", [f.name for f in fields(WeightRequest)]),
        ("Weight opening", [f.name for f in fields(WeightOpening)]),
        ("Reveal request", [f.name for f in fields(RevealRequest)]),
        ("Reveal", [*(f.name for f in fields(RevealStatement)), "sum", "signature"]),
    ],
)
def test_the_fields_of_a_message_on_the_page_are_those_of_the_code_in_order(heading, names):
    assert [cells[0].strip("`") for cells in table(heading)] == ["version", *names]


def test_the_sizes_on_the_page_add_up_to_the_size_of_a_leaf():
    from tests.simulators.dry_round import DryRound

    leaf = DryRound(4).prepare(0).frame.leaf
    sizes = [20 if cells[1] == "address" else int(cells[1].split()[0]) for cells in table("Leaf")]
    assert sum(sizes) == len(leaf.encode())


def test_the_methods_of_the_door_on_the_page_are_those_of_the_code():
    rows = table("The door between glue and node")
    assert {cells[0].strip("`"): int(cells[1]) for cells in rows} == {m.name: m.value for m in door.Method}


def test_the_version_on_the_page_is_the_codes():
    assert f"a version other than {header.VERSION};" in WIRE


# ---------------------------------------------------------------------- adversarial/README.md


def test_every_attack_in_the_table_has_its_test_and_every_test_its_row():
    folder = ROOT / "tests" / "adversarial"
    written = {
        name
        for path in folder.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    rows = [
        line.split("|") for line in (folder / "README.md").read_text().splitlines() if line.startswith("| ")
    ][1:]
    named = [cells[3].strip().strip("`") for cells in rows]
    assert len(named) == len(set(named))
    assert set(named) == written


def test_every_row_has_a_verdict():
    text = (ROOT / "tests" / "adversarial" / "README.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    assert all(re.match(r" (refused|detected|not yet|open)\b", cells[4]) for cells in rows)


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_files_that_the_two_pages_name_exist():
    for text in (WIRE, PROTOCOL):
        for path in re.findall(r"`((?:fl_core|clients|coordinator|ledger|tests)/[\w/.-]+)`", text):
            assert (ROOT / path).exists(), path
