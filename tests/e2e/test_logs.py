"""Log lines of real processes: JSON, one object a line, with run, round, event and member; and nothing in them that is secret."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clients.node.house import open_house
from clients.node.relay_client import RelayClient
from coordinator.engines.ports import reserve
from coordinator.relay.server import PATH
from coordinator.store.duties import Duties
from fl_core.protocol.relay import MAX_DUTY, Answer, CallKind, Duty, DutyKind, Poll
from ledger.address import find_ledger
from tests.e2e.conftest import Commands, Kept, finished
from tests.simulators.certificates import make_certificates
from tests.simulators.founded_run import found
from tests.simulators.process_tree import becomes
from tests.simulators.secrets_of_a_run import secrets_of

pytestmark = [pytest.mark.e2e, pytest.mark.network]

FIELDS = {"time", "level", "logger", "message", "run", "round", "event", "member", "trace"}
START_S = 600.0


def lines_of(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line) <= FIELDS
    return lines


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def leaks(folder: Path, text: str) -> list[str]:
    """Return what of a run's secrets stands in a text."""
    secrets = secrets_of(folder)
    kinds = {Path(place).name for place in secrets.values()}
    assert {"passphrase", "account.json", "transport.json", "data-salt", "records.csv"} <= kinds
    assert any(place.endswith(".seed") for place in secrets.values())
    assert sum("archive" in place for place in secrets.values()) > 10
    return sorted({place for secret, place in secrets.items() if secret in text})


def test_a_relay_tells_of_answers_and_refusals_in_json(commands: Commands):
    run = found(commands.temporary / "run", rounds=1)
    certificates = make_certificates(commands.temporary / "certificates")
    [port] = reserve([None])
    relay = commands.start(
        "suture", "relay", run, "--certificate", certificates.certificate, "--key", certificates.key,
        "--port", str(port), "--json-logs",
    )  # fmt: skip
    assert becomes(lambda: listens(port), START_S)
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    for _ in range(5):  # anybody can
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"https://127.0.0.1:{port}{PATH}", b"spoken aloud", 10.0, context=trust)
        assert refused.value.code == 400
        refused.value.close()
    account = open_house(next(iter(sorted((run / "nodes").iterdir())))).account
    with closing(Duties(run / "coordinator")) as duties:
        duties.add(7, DutyKind.CHECK, account.address, b"question")
    address = find_ledger(run / "public")
    with closing(
        RelayClient(
            f"https://127.0.0.1:{port}",
            certificates.authority,
            chain_id=address.chain_id,
            contract=bytes.fromhex(address.contract),
            account=account,
        )
    ) as client:
        asked = Poll(wait_ms=0, status=b"").encode()
        duty = Duty.decode(client.call(CallKind.POLL, asked, limit=MAX_DUTY, wait_s=5.0))
        answer = Answer(number=duty.number, given=True, data=b"whispered to the coordinator")
        client.call(CallKind.ANSWER, answer.encode(), limit=0)
    relay.send_signal(signal.SIGTERM)
    done = finished(relay)
    begins, refusal, answered, ended = lines_of(done.stderr)
    assert begins["message"] == f"relay on https://127.0.0.1:{port}"
    assert (refusal["event"], refusal["level"]) == ("call-refused", "warning")
    assert "400" in refusal["message"]
    assert (answered["event"], answered["round"], answered["member"]) == (
        "duty-answered",
        7,
        f"0x{account.address.hex()}",
    )
    assert answered["message"] == "check answered (28 bytes)"
    assert ended["message"] == "interrupted"
    assert "aloud" not in done.stderr and "whispered" not in done.stderr


def test_the_log_of_a_protected_run_is_json_and_holds_no_key_no_row_and_no_value_of_a_model(
    commands: Commands,
):
    folder = commands.temporary / "kept"
    done = commands.run("suture", "demo", "--rounds", "2", "--json", "--json-logs", "--keep", folder)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    lines = lines_of(done.stderr)
    events = [json.loads(line) for line in (folder / "coordinator" / "events.jsonl").read_text().splitlines()]
    coordinators = [line for line in lines if line["logger"] == "suture.coordinator"]
    assert [line["event"] for line in coordinators] == [event["event"] for event in events]
    accounts = {f"0x{open_house(node).account.address.hex()}" for node in (folder / "nodes").iterdir()}
    contributions = [line for line in coordinators if line["event"] == "contribution"]
    assert {line["member"] for line in contributions} == accounts
    assert sorted(line["round"] for line in contributions) == [1] * 4 + [2] * 4
    assert any(line["logger"] == "suture.node" and line["round"] == 2 for line in lines)
    assert len({line["run"] for line in lines if "run" in line}) == 1
    assert leaks(folder, done.stderr) == []


@pytest.mark.slow
def test_every_process_of_a_deployed_run_logs_json_and_nothing_secret(deployed: Kept):
    folder, done = deployed.folder, deployed.result
    assert done.returncode == 0, done.stderr
    logs = folder / "deployment" / "logs"
    for name in ("helper-0-0", "gateway-0"):
        lines_of((logs / f"{name}.log").read_text())
    relay = lines_of((folder / "deployment" / "relay" / "relay.log").read_text())
    assert sum(line.get("event") == "duty-answered" and line["round"] == 1 for line in relay) == 8
    [serverapp] = [path for path in logs.glob("serverapp-*.log")]
    found_lines = [line for line in serverapp.read_text().splitlines() if line.startswith("{")]
    coordinators = [
        line for line in lines_of("\n".join(found_lines)) if line["logger"] == "suture.coordinator"
    ]
    events = (folder / "coordinator" / "events.jsonl").read_text().splitlines()
    assert [line["event"] for line in coordinators] == [json.loads(event)["event"] for event in events]
    everything = "".join(path.read_text("utf-8", "replace") for path in folder.rglob("*.log"))
    assert leaks(folder, everything + done.stderr) == []
