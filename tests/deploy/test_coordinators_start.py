"""The coordinator's relay, started by the compose file's own command before its run is launched: hospitals follow the ledger over it and consent."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.engines.ports import reserve
from tests.deploy.tools import COMPOSE, ROOT, program
from tests.simulators.patience import patient
from tests.simulators.process_tree import MARK, becomes, end_marked

pytestmark = [pytest.mark.e2e, pytest.mark.network]

START_S, COMMAND_S = 120.0, 300.0
RUN, LEDGER = "/coordinator/runs/heart", "/coordinator/ledger.toml"
SUTURE = [sys.executable, "-P", "-c", "from coordinator.cli import main; main()"]


def relay_command(**variables: str) -> list[str]:
    """Return the relay's command as docker-compose reads it."""
    done = subprocess.run(
        [program("docker-compose"), "--file", COMPOSE / "coordinator.yaml", "config", "--format", "json"],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return list(json.loads(done.stdout)["services"]["relay"]["command"])


def suture(*words: object) -> str:
    done = subprocess.run(
        [*SUTURE, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=patient(COMMAND_S),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders as the containers have them: certificates, and a ledger whose chain lies in the folder of a run that nobody launched."""
    home = tmp_path_factory.mktemp("home")
    coordinator, run = home / "coordinator", home / RUN.lstrip("/")
    (run / "public").mkdir(parents=True)
    suture("certificates", home / "certificates", "--name", "localhost")
    secret = home / "secret"
    secret.write_text("not for production")
    secret.chmod(0o600)
    key = f"file:{home}/key.json?passphrase-file={secret}"
    account = json.loads(suture("keys", "new", key, "--json"))["account"]
    chain = f"embedded:{run}/public/ledger.sqlite"
    founder = ("--founder", f"{account}=coordinator", "--threshold", 1)
    suture("ledger", "create", coordinator / "ledger.toml", "--as", key, "--chain", chain, *founder, "--yes")
    return home


def started(home: Path, command: list[str], mark: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a container's command on this machine; return its process and port."""
    words = [word.replace("/coordinator", f"{home}/coordinator") for word in command]
    words = [word.replace("/certificates", f"{home}/certificates") for word in words]
    words[words.index("--host") + 1] = "127.0.0.1"
    [port] = reserve([None])
    with (home / "relay.log").open("wb") as log:
        process = subprocess.Popen(
            [*SUTURE, *words, "--port", str(port)],
            cwd=ROOT, env={**os.environ, MARK: mark}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    return process, port


@pytest.mark.parametrize("ledger", [LEDGER, ""], ids=["ledger named", "no ledger named"])
def test_the_relay_starts_before_the_launch_where_the_ledger_is_named(home: Path, ledger: str) -> None:
    mark = secrets.token_hex(8)
    process, port = started(home, relay_command(RUN=RUN, LEDGER=ledger), mark)
    ask = [*SUTURE, "alive", f"https://localhost:{port}", "--ca", str(home / "certificates" / "ca.crt")]

    def healthy() -> bool:
        return subprocess.run(ask, cwd=ROOT, capture_output=True, check=False).returncode == 0

    try:
        assert becomes(lambda: process.poll() is not None or healthy(), START_S)
        said = (home / "relay.log").read_text()
        assert (process.poll() is None) == bool(ledger), said
        if not ledger:
            assert "Before the launch name the consortium's ledger with --ledger." in said
    finally:
        end_marked(mark)
        process.kill()
        process.wait()


def test_paths_with_spaces_are_one_word_and_no_ledger_is_no_word() -> None:
    named = relay_command(RUN="/coordinator/a run", LEDGER="/coordinator/a ledger.toml")
    without = relay_command(RUN="/coordinator/a run")
    assert named[:2] == without[:2] == ["relay", "/coordinator/a run"]
    assert named == [*without, "--ledger", "/coordinator/a ledger.toml"]
    assert all(without)
