"""The whole main job on a real Ethereum node: training, rewards, audit, lineage, light verification."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from threading import Timer

import pytest

from tests.e2e.conftest import TIMEOUT_S, Commands
from tests.simulators.anvil import Anvil
from tests.simulators.patience import output_of, patient

pytestmark = [pytest.mark.anvil, pytest.mark.e2e, pytest.mark.network]


@pytest.fixture
def node() -> Iterator[Anvil]:
    with Anvil(chain_id=31337) as one:
        yield one


@pytest.mark.slow
def test_a_run_whose_ledger_is_an_external_chain(commands: Commands, node: Anvil) -> None:
    folder = commands.temporary / "run"
    demo = commands.run(
        "suture", "demo", "--rounds", "2", "--ledger-url", node.url, "--keep", folder, "--json"
    )
    assert demo.returncode == 0, demo.stderr
    document = json.loads(demo.stdout)
    assert (document["finalised"], document["audit"]["passed"]) == (2, True)
    assert len(document["rewards"]) == 4
    assert not (folder / "public" / "ledger.sqlite").exists()

    offline = commands.run("suture-audit", "verify", folder)
    assert offline.returncode == 1
    assert "name a node with --rpc" in offline.stdout
    audit = commands.run("suture-audit", "verify", folder, "--rpc", node.url)
    assert audit.returncode == 0, audit.stdout
    assert "external chain, not executed again: 3 model records proven" in audit.stdout
    assert "events proven from headers; one node's word for block" in audit.stdout
    model = folder / "public" / "model.safetensors"
    trace = commands.run("suture-audit", "trace", model, "--in", folder, "--rpc", node.url)
    assert (trace.returncode, trace.stdout.count("consent in block")) == (0, 8)
    ledger = folder / "coordinator" / "ledger.toml"
    light = commands.run("suture-audit", "light", model, "--ledger", ledger, "--trust-node")
    assert light.returncode == 0, light.stdout

    lying = folder / "public" / "run.json"
    lying.write_text(lying.read_text().replace('"chain_id": 31337', '"chain_id": 31338'))
    wrong = commands.run("suture-audit", "verify", folder, "--rpc", node.url)
    assert "the node serves chain 31337, the run is on chain 31338" in wrong.stdout


@pytest.mark.slow
def test_a_node_that_is_away_for_a_while_costs_nothing_but_time(commands: Commands, node: Anvil) -> None:
    folder = commands.temporary / "run"
    process = commands.start(
        "suture", "demo", "--rounds", "4", "--ledger-url", node.url, "--keep", folder, "--json"
    )
    events = folder / "coordinator" / "events.jsonl"

    end = time.monotonic() + patient(TIMEOUT_S)
    while not (events.exists() and "round-finalised" in events.read_text()):
        assert process.poll() is None and time.monotonic() < end, "the first round did not end"
        time.sleep(0.05)
    node.freeze()
    thaw = Timer(13.0, node.thaw)  # longer than one request may take
    thaw.start()
    out, err = output_of(process, TIMEOUT_S)
    thaw.join()
    assert process.returncode == 0, err
    document = json.loads(out)
    assert (document["finalised"], document["audit"]["passed"]) == (4, True)


def test_a_node_that_the_demo_cannot_use_is_refused_before_anything_is_written(commands: Commands) -> None:
    folder = commands.temporary / "run"
    with Anvil(base_fee=None) as dear:
        for url, words in (
            (dear.url, "wants money for gas"),
            ("http://127.0.0.1:1", "cannot be used"),
            ("ftp://127.0.0.1", "no http(s) URL"),
        ):
            result = commands.run("suture", "demo", "--ledger-url", url, "--keep", folder)
            assert result.returncode == 1
            assert words in result.stderr
            assert len(result.stderr.splitlines()) == 1
            assert not folder.exists()
    plain = commands.run("suture", "demo", "--plain", "--ledger-url", "http://127.0.0.1:1")
    assert (plain.returncode, "needs a protected run" in plain.stderr) == (1, True)
