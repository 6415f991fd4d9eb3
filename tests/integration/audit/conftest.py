"""Public folders for the audit's tests: built once, copied for each test that changes one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.simulators.public_folder import (
    PublicRun,
    dishonest_run,
    disputed_run,
    honest_run,
    misstated_run,
    unconsented_run,
)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    return honest_run(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture(scope="session")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    return disputed_run(tmp_path_factory.mktemp("disputed") / "run")


@pytest.fixture(scope="session")
def dishonest(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    return dishonest_run(tmp_path_factory.mktemp("dishonest") / "run")


@pytest.fixture(scope="session")
def unconsented(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    return unconsented_run(tmp_path_factory.mktemp("unconsented") / "run")


@pytest.fixture(scope="session")
def misstated(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    return misstated_run(tmp_path_factory.mktemp("misstated") / "run")


@pytest.fixture
def copied(honest: PublicRun, tmp_path: Path) -> PublicRun:
    """A copy of the honest folder, to be tampered with."""
    return honest.moved(Path(shutil.copytree(honest.path, tmp_path / "public")))
