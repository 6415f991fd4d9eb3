"""What the demo tells the ServerApp."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator import app
from coordinator.demo.options import Engine
from coordinator.demo.run import run_config
from tests.simulators.founded_run import options


@pytest.mark.parametrize("engine", Engine)
def test_every_engine_gives_the_server_app_every_setting_that_it_reads(
    tmp_path: Path, engine: Engine
) -> None:
    config = run_config(replace(options(tmp_path), engine=engine), 4)
    assert config.keys() == app.SETTINGS.keys()
    assert config[app.FOLDER] == str(tmp_path.resolve())
