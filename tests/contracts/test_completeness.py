"""Nothing in the contracts is without a test that names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ledger.contracts
from ledger.artifacts import NAMES, load

TESTS = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_is_broken_by_some_test(name: str) -> None:
    source = Path(ledger.contracts.__path__[0], f"{name}.vy").read_text("utf-8")
    rules = re.findall(r'"(?:training_ledger|reward_token): ([^"]+)"', source)
    assert rules
    assert [rule for rule in rules if f'"{rule}"' not in TESTS] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_revert_has_a_sentence_that_names_contract_and_rule(name: str) -> None:
    source = Path(ledger.contracts.__path__[0], f"{name}.vy").read_text("utf-8")
    statements = re.findall(r"^ +(?:assert|raise) .*$", source, re.MULTILINE)
    assert statements
    prefix = {"TrainingLedger": "training_ledger", "RewardToken": "reward_token"}[name]
    assert [line for line in statements if not re.search(rf'"{prefix}: [a-z].*"$', line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_function_has_natspec_for_each_parameter(name: str) -> None:
    source = Path(ledger.contracts.__path__[0], f"{name}.vy").read_text("utf-8")
    functions = re.findall(r'def (\w+)\((.*?)\)(?: -> [^\n]+)?:\n    """(.*?)"""', source, re.DOTALL)
    assert len(functions) == len(re.findall(r"^def ", source, re.MULTILINE))
    for function, parameters, natspec in functions:
        assert "@notice" in natspec or "@dev" in natspec, function
        for parameter in re.findall(r"(\w+): ", parameters):
            assert f"@param {parameter} " in natspec, (function, parameter)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_that_changes_state_is_called_by_a_test(name: str) -> None:
    changing = [
        element["name"]
        for element in load(name).abi
        if element["type"] == "function" and element["stateMutability"] == "nonpayable"
    ]
    helpers = (Path(__file__).parent / "world.py").read_text("utf-8")
    assert [function for function in changing if f'"{function}"' not in TESTS + helpers] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_function_takes_ether(name: str) -> None:
    assert "payable" not in {element.get("stateMutability") for element in load(name).abi}


def test_the_code_fits_the_chain() -> None:
    # EIP-170: at most 24,576 bytes
    assert len(load("TrainingLedger").deployed_code({"DOMAIN": bytes(32)})) <= 24_576
