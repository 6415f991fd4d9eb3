"""What the tests on Besu stand on, as far as it can be tried without Besu."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.simulators.besu import ABSENT, NO_JAVA, BesuNetwork, BesuNode, find_besu, why_not


def installed(folder: Path, name: str) -> Path:
    """Put a program that does nothing but fail into a folder."""
    program = folder / name
    program.write_text("#!/bin/sh\necho no network today\nexit 3\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder that is all of the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SUTURE_BESU", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def test_what_is_missing_is_named(bare: Path, tmp_path: Path) -> None:
    assert (find_besu(), why_not()) == (None, ABSENT)
    with pytest.raises(pytest.skip.Exception, match="besu is not here"):
        BesuNetwork(tmp_path)
    besu = installed(bare, "besu")
    assert (find_besu(), why_not()) == (besu, NO_JAVA)
    installed(bare, "java")
    assert why_not() == ""


def test_a_program_that_was_named_must_be_there(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_BESU", "/nowhere/besu")
    with pytest.raises(FileNotFoundError, match="SUTURE_BESU"):
        find_besu()


@pytest.mark.network
def test_nodes_get_paths_of_this_machine_and_an_end_is_told_with_its_log(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program that ends at once in Besu's place: files, ports and the way a failure is told are real."""
    monkeypatch.setenv("PATH", f"{bare}:/bin:/usr/bin")
    monkeypatch.setenv("JAVA_HOME", "/anywhere")
    installed(bare, "besu")
    network = BesuNetwork(tmp_path)
    assert len({node.url for node in network.nodes}) == 4
    for folder, node in zip(
        sorted(p for p in network.folder.iterdir() if p.is_dir()), network.nodes, strict=True
    ):
        config = tomllib.loads((folder / "config.toml").read_text())
        assert node.url == f"http://127.0.0.1:{config['rpc-http-port']}"
        for key, value in config.items():
            if key.endswith(("-file", "-path")):
                assert Path(value).exists(), key
    with pytest.raises(RuntimeError, match="no network today"), network:
        pytest.fail("no block can have come")
    assert isinstance(network.nodes[0], BesuNode) and network.nodes[0].height() == -1
