"""Nothing in the contracts is without a test that names it, nor without words that explain it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.artifacts import NAMES, load
from tests.contracts.sources import PREFIXES, sentences, source

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "contracts.md").read_text("utf-8")
TESTS = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))


def between(name: str, section: str) -> str:
    """Return a section of a source, up to the next one."""
    found = re.search(rf"^# -+ {section}\n(.*?)^# -----", source(name), re.DOTALL | re.MULTILINE)
    assert found is not None, section
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_is_broken_by_some_test(name: str) -> None:
    rules = [sentence.partition(": ")[2] for sentence in sentences(name)]
    assert rules
    assert [rule for rule in rules if f'"{rule}"' not in TESTS] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_revert_has_a_sentence_that_names_contract_and_rule(name: str) -> None:
    statements = re.findall(r"^ +(?:assert|raise|self\._require\() ?.*$", source(name), re.MULTILINE)
    assert len(statements) >= len(sentences(name))
    written = rf'"{PREFIXES[name]}: [a-z].*"$'
    required = r'self\._require\(.+, "[a-z][^"]{1,63}"\)$'
    itself = r'assert holds, concat\("training_ledger: ", rule\)$'
    forms = (written, required, itself)
    assert [line for line in statements if not any(re.search(form, line) for form in forms)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_function_has_natspec_for_each_parameter_and_result(name: str) -> None:
    functions = re.findall(r'def (\w+)\((.*?)\)( -> [^\n]+)?:\n    """(.*?)"""', source(name), re.DOTALL)
    assert len(functions) == len(re.findall(r"^def ", source(name), re.MULTILINE))
    for function, parameters, result, natspec in functions:
        assert "@notice" in natspec or "@dev" in natspec, function
        for parameter in re.findall(r"(\w+): ", parameters):
            assert f"@param {parameter} " in natspec, (function, parameter)
        assert bool(result) == ("@return" in natspec), function


def events_of(name: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each event with the comment above it and the names of its fields."""
    pattern = r"((?:^# .*\n)*)^event (\w+):\n((?:    .*\n)+)"
    for comment, event, body in re.findall(pattern, between(name, "events"), re.MULTILINE):
        yield event, comment, re.findall(r"^    (\w+): ", body, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_event_has_natspec_for_each_field(name: str) -> None:
    found = list(events_of(name))
    assert {event for event, _, _ in found} == {
        element["name"] for element in load(name).abi if element["type"] == "event"
    }
    for event, comment, fields in found:
        assert comment.startswith("# @notice "), event
        assert re.findall(r"^# @param (\w+) \S", comment, re.MULTILINE) == fields, event


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("section", ["storage", "immutables"])
def test_every_variable_is_explained_by_the_line_above_it(name: str, section: str) -> None:
    lines = between(name, section).splitlines()
    variables = [number for number, line in enumerate(lines) if re.match(r"\w+: ", line)]
    assert variables
    assert [lines[number] for number in variables if not lines[number - 1].startswith("# @dev ")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_the_layout_is_in_the_section_on_storage(name: str) -> None:
    declared = re.findall(r"^(\w+): ", between(name, "storage"), re.MULTILINE)
    assert set(load(name).storage_layout) - {"$.nonreentrant_key"} == set(declared)


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_seen_by_a_test(name: str) -> None:
    assert [event for event, _, _ in events_of(name) if f'"{event}"' not in TESTS] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_function_that_changes_state_is_called_by_a_test(name: str) -> None:
    changing = [
        element["name"]
        for element in load(name).abi
        if element["type"] == "function" and element["stateMutability"] == "nonpayable"
    ]
    helpers = (Path(__file__).parent / "world.py").read_text("utf-8")
    assert [function for function in changing if f'"{function}"' not in TESTS + helpers] == []


def described(section: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield what a section of the reference describes: a name, its parameters, and the rest of the row of the table."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert found is not None, section
    for line in found[1].splitlines():
        cells = line.strip("|").split("|")
        for name, parameters in re.findall(r"`(\w+)\((.*?)\)`", cells[0]):
            yield name, [part for part in parameters.split(", ") if part], "|".join(cells[1:])


def in_the_abi(name: str, kind: str, *mutability: str) -> dict[str, list[str]]:
    """Return functions or events of a contract with the names of their parameters."""
    return {
        element["name"]: [item["name"] for item in element["inputs"]]
        for element in load(name).abi
        if element["type"] == kind and (not mutability or element["stateMutability"] in mutability)
    }


@pytest.mark.parametrize(
    ("section", "name", "kind", "mutability"),
    [
        ("Who may do what", "TrainingLedger", "function", ("nonpayable",)),
        ("What anybody can read", "TrainingLedger", "function", ("view", "pure")),
        ("Events", "TrainingLedger", "event", ()),
        ("The reward token", "RewardToken", "function", ()),
    ],
)
def test_the_reference_has_every_function_and_event_with_its_parameters(
    section: str, name: str, kind: str, mutability: tuple[str, ...]
) -> None:
    real = in_the_abi(name, kind, *mutability)
    written = {entry: parameters for entry, parameters, _ in described(section) if entry != "__init__"}
    if name == "RewardToken":
        events = in_the_abi(name, "event")
        assert {entry: written.pop(entry) for entry in events} == events
    assert written.keys() == real.keys()
    for entry, parameters in real.items():
        if any(
            parameter.startswith("arg") for parameter in parameters
        ):  # a map's getter: its keys have no names
            assert len(written[entry]) == len(parameters), entry
        else:
            assert written[entry] == parameters, entry


def test_the_reference_says_what_of_an_event_is_indexed() -> None:
    indexed = {
        element["name"]: [item["name"] for item in element["inputs"] if item["indexed"]]
        for element in load("TrainingLedger").abi
        if element["type"] == "event"
    }
    assert {name: re.findall(r"\*(\w+)\*", rest) for name, _, rest in described("Events")} == indexed


@pytest.mark.parametrize("name", NAMES)
def test_no_function_takes_ether(name: str) -> None:
    assert "payable" not in {element.get("stateMutability") for element in load(name).abi}


def test_the_code_fits_the_chain() -> None:
    # EIP-170: at most 24,576 bytes
    assert len(load("TrainingLedger").deployed_code({"DOMAIN": bytes(32)})) <= 24_576


def test_the_table_of_pitfalls_has_every_test_of_them_once() -> None:
    folder = Path(__file__).parent
    rows = re.findall(
        r"^\|.*\| `(test_\w+)` \| (\w+)", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    tests = re.findall(r"^def (test_\w+)", (folder / "test_pitfalls.py").read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == tests
    assert {verdict for _, verdict in rows} == {"refused", "harmless", "bounded"}
