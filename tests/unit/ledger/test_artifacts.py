"""The checked-in contract artifacts."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from ledger.artifacts import NAMES, load, parse
from ledger.artifacts.compile import ARTIFACTS, CONTRACTS, compile_source, main, stale
from ledger.errors import ArtifactError

TEXT = resources.files("ledger.artifacts").joinpath("RewardToken.json").read_text("utf-8")


@pytest.mark.slow
def test_the_artifacts_follow_from_the_sources() -> None:
    assert main(["--check"]) == 0


def test_the_check_notices_an_artifact_that_is_missing_or_differs(tmp_path: Path) -> None:
    assert stale(ARTIFACTS, ["RewardToken"]) == []
    assert stale(tmp_path, ["RewardToken"]) == ["RewardToken"]
    tmp_path.joinpath("RewardToken.json").write_text(TEXT.replace("shanghai", "prague"), "utf-8")
    assert stale(tmp_path, ["RewardToken"]) == ["RewardToken"]


@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_names_its_source_and_compiler(name: str) -> None:
    artifact = load(name)
    assert artifact.name == name
    assert (artifact.compiler, artifact.evm_version) == ("vyper 0.4.3", "shanghai")
    assert artifact.source_sha256 == hashlib.sha256((CONTRACTS / f"{name}.vy").read_bytes()).digest()


@pytest.mark.parametrize("name", NAMES)
def test_selectors_are_the_hashes_of_the_signatures(name: str) -> None:
    artifact = load(name)
    assert all(keccak(text=key)[:4] == value for key, value in artifact.method_identifiers.items())
    functions = {element["name"] for element in artifact.abi if element["type"] == "function"}
    assert functions == {signature.partition("(")[0] for signature in artifact.method_identifiers}


def test_functions_and_events_are_found_by_name() -> None:
    artifact = load("TrainingLedger")
    assert [parameter["name"] for parameter in artifact.function("openRound")["inputs"]] == [
        "run",
        "n",
        "parent",
        "header",
        "cost",
    ]
    assert artifact.event("RoundOpened")["type"] == "event"
    with pytest.raises(ArtifactError, match="no function 'RoundOpened'"):
        artifact.function("RoundOpened")
    with pytest.raises(ArtifactError, match="no event 'openRound'"):
        artifact.event("openRound")


def test_deployed_code_is_the_runtime_followed_by_the_immutables() -> None:
    token = load("RewardToken")
    minter, cap = bytes([1]) * 32, bytes([2]) * 32
    assert token.deployed_code({"CAP": cap, "MINTER": minter}) == token.runtime + minter + cap
    for wrong in ({}, {"CAP": cap}, {"CAP": cap, "MINTER": minter, "X": cap}, {"CAP": cap, "MINTER": b""}):
        with pytest.raises(ArtifactError):
            token.deployed_code(wrong)


def test_an_unknown_contract_is_refused() -> None:
    for name in ("Nothing", "../TrainingLedger", ""):
        with pytest.raises(ArtifactError, match="There is no contract"):
            load(name)


@pytest.mark.parametrize("key", json.loads(TEXT))
def test_an_artifact_without_one_of_its_keys_is_refused(key: str) -> None:
    parse(TEXT)
    document: dict[str, Any] = json.loads(TEXT)
    del document[key]
    with pytest.raises(ArtifactError):
        parse(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "null", TEXT[:-10], TEXT.replace('"0x', '"')])
def test_a_text_that_is_no_artifact_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError):
        parse(text)


def test_a_source_with_another_compiler_or_fork_is_refused() -> None:
    source = (CONTRACTS / "RewardToken.vy").read_text("utf-8")
    with pytest.raises(ArtifactError, match="pin the compiler"):
        compile_source(source.replace("version 0.4.3", "version ~=0.4.3"), "RewardToken")
    with pytest.raises(ArtifactError, match="evm-version shanghai"):
        compile_source(source.replace("shanghai", "cancun"), "RewardToken")
