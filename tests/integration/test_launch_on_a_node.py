"""Launching where the ledger is behind a JSON-RPC node: what a wrong, absent or stopped node does to launch, relay and run."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.node.relay_client import RelayClient, RelayError
from coordinator.context import open_run
from coordinator.engines.ports import reserve
from coordinator.launch.drive import drive
from coordinator.launch.state import Step
from coordinator.launch.watch import Watch
from coordinator.relay.callers import AWAY_S
from coordinator.relay.open import open_relay
from fl_core.errors import InputError
from fl_core.protocol.relay import MAX_DUTY, CallKind, Poll
from fl_core.randomness import SystemRandomSource
from ledger.address import find_ledger
from ledger.errors import ChainUnreachable, WrongChain
from ledger.signer import open_signer
from tests.simulators.anvil import Anvil
from tests.simulators.certificates import make_certificates
from tests.simulators.launch_office import created, launch_office, prepared, runs
from tests.simulators.office import Office
from tests.simulators.process_tree import becomes
from tests.simulators.relay_service import relaying
from tests.simulators.terminal import Terminal

pytestmark = [pytest.mark.anvil, pytest.mark.slow, pytest.mark.network]

SECRET = "open-sesame"


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    with Anvil() as one:
        yield one


@pytest.fixture
def office(
    tmp_path: Path, anvil: Anvil, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Office:
    """An office whose ledger's URL holds a password, which anvil does not ask for."""
    return launch_office(
        tmp_path, Terminal(monkeypatch, capsys), anvil.url.replace("://", f"://user:{SECRET}@")
    )


def changed(file: Path, old: str, new: str) -> Callable[[], None]:
    """Change a file, and return what puts it back."""
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))
    return lambda: file.write_text(before) and None


def opened(folder: Path) -> None:
    """Open a run as its coordinator does, and close it."""
    open_run(folder, clock=lambda: int(time.time()), random=SystemRandomSource()).close()


def test_a_launch_puts_the_run_on_the_node_and_leaves_no_password_in_what_is_public(office):
    folder = created(office)
    [run] = runs(office)
    assert run["run"] == f"0x{folder.read().run}"
    assert SECRET in (folder.path / "coordinator" / "ledger.toml").read_text()
    public = [path for path in (folder.path / "public").rglob("*") if path.is_file()]
    assert public and not any(SECRET.encode() in path.read_bytes() for path in public)
    opened(folder.path)
    assert not (folder.path / "public" / "ledger.sqlite").exists()


def test_a_node_that_stops_while_consents_are_waited_for_is_waited_for(office, anvil, monkeypatch):
    folder, said = prepared(office), []
    monkeypatch.setattr("ledger.address.PATIENCE_S", 0.0)

    def say(line: str) -> None:
        said.append(line)
        if "of 3 holders consent" in line:
            anvil.stop()  # whoever asks is refused at once

    with pytest.raises(ChainUnreachable):
        drive(folder, timeout_s=3.0, say=say)
    assert folder.read().step == Step.CREATED.value
    away = [line for line in said if "Waiting for it." in line]
    assert len(away) == 1 and anvil.url in away[0] and SECRET not in "".join(said)


def test_watching_goes_on_while_the_node_is_away(office, monkeypatch):
    folder = created(office)
    ledger = Path(folder.read().ledger)
    back = changed(ledger, str(find_ledger(ledger).chain), f"http://user:{SECRET}@127.0.0.1:1")
    monkeypatch.setattr("ledger.address.PATIENCE_S", 0.0)
    ticks = iter(range(0, 1000, 20))
    slept = iter([lambda: None, back])
    told = Watch(folder, clock=lambda: next(ticks), sleep=lambda _: next(slept, lambda: None)()).events()
    away = next(told)
    assert away["event"] == "ledger-unanswered" and "http://127.0.0.1:1 did not" in away["reason"]
    assert next(told) == {"event": "launch-stopped", "step": "created"}, (
        "nobody goes on with it, and that needs no node"
    )
    assert next(told) == {"event": "consents", "accepted": 0, "wanted": 3}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chain_id = 4242", "chain_id = 4243", "serves chain 4242, asked for was 4243"),
        ('code = "0x', f'code = "0x{"00" * 32}" # 0x', "has the hash"),
        ('contract = "0x', f'contract = "0x{"11" * 20}" # 0x', "There is no contract at 0x1111"),
        ("127.0.0.1", "127.0.0.1:1/", "http://127.0.0.1:1 did not answer"),
    ],
)
def test_a_wrong_or_absent_node_is_told_at_the_start_of_launch_and_relay(
    office, monkeypatch, old, new, words
):
    monkeypatch.setattr("ledger.address.PATIENCE_S", 0.0)
    changed(office.ledger, old, new)
    monkeypatch.setattr("coordinator.engines.control.FlowerControl.runs", lambda self, name: [])
    code = 5 if "answer" in words else 1
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", "--yes", code=code)
    assert words in line and SECRET not in line
    assert not (office.folder / "run" / "launch").exists()
    with (
        pytest.raises((WrongChain, ChainUnreachable)) as refused,
        open_relay(office.folder / "run", office.ledger),
    ):
        pass
    told = f"{refused.value.message} {refused.value.fix}"
    assert words in told and refused.value.fix and SECRET not in told
    assert not (office.folder / "run" / "coordinator").exists()


def test_a_run_opens_on_another_node_of_its_chain_and_on_no_other_ledger(office, anvil):
    folder = created(office)
    own = folder.path / "coordinator" / "ledger.toml"
    changed(own, f"user:{SECRET}@", "")
    opened(folder.path)
    back = changed(own, "chain_id = 4242", "chain_id = 4243")
    with pytest.raises(InputError, match=r"the run is on contract .* on chain 4242"):
        opened(folder.path)
    with pytest.raises(InputError, match="on chain 4242"), open_relay(folder.path):
        pass
    back()
    with Anvil() as empty:
        changed(own, anvil.url, empty.url)
        with pytest.raises(WrongChain, match="There is no contract"):
            opened(folder.path)


def test_a_relay_without_blocks_is_opened_before_the_launch_by_its_ledger_and_after_it_by_itself(office):
    with open_relay(office.folder / "run", office.ledger) as relay:
        assert relay.blocks is None and relay.callers.ledger[0] == 4242
    folder = created(office)
    for named in (None, office.ledger):
        with open_relay(folder.path, named) as again:
            assert again.callers.ledger == relay.callers.ledger
    with (
        pytest.raises(InputError, match="there is no folder"),
        open_relay(office.folder / "rum", office.ledger),
    ):
        pass


def test_while_the_node_hangs_callers_of_the_relay_are_told_to_come_again_and_one_of_them_waits(
    office, anvil, tmp_path
):
    folder = created(office)
    certificates, [port] = make_certificates(tmp_path / "certificates"), reserve([None])
    address = find_ledger(office.ledger)

    def client() -> RelayClient:
        return RelayClient(
            f"https://127.0.0.1:{port}", certificates.authority, chain_id=address.chain_id,
            contract=bytes.fromhex(address.contract), account=open_signer(office.uri("alder")),
        )  # fmt: skip

    def status(one: RelayClient) -> int:
        with pytest.raises(RelayError) as refused:
            one.call(CallKind.POLL, Poll(wait_ms=0, status=b"").encode(), limit=MAX_DUTY)
        return refused.value.status

    first, second = client(), client()
    with relaying(folder.path, certificates, port):
        assert status(first) == 403, "no keys are registered for it"
        anvil.freeze()
        try:
            assert status(first) == 503
            began = time.monotonic()
            assert status(second) == 503
            assert time.monotonic() - began < AWAY_S, "it did not ask the node"
        finally:
            anvil.thaw()
        time.sleep(AWAY_S)
        assert status(first) == 403
    first.close()
    second.close()


def mines_late(anvil: Anvil) -> None:
    """Make a block a while after a transaction waits for one."""
    if becomes(lambda: int(anvil.ask("txpool_status")["pending"], 16), 60.0):
        time.sleep(2.5)
        anvil.mine()


def test_a_chain_without_blocks_for_longer_than_a_minute_is_waited_for_by_a_run(office, anvil, monkeypatch):
    folder = created(office)
    monkeypatch.setattr("ledger.outbox.UNTOLD_S", 0.5)
    run = open_run(folder.path, clock=lambda: int(time.time()), random=SystemRandomSource())
    assert run.writer._outbox._timeout_s >= 600.0  # type: ignore[attr-defined]
    anvil.automine(False)
    mining = threading.Thread(target=mines_late, args=(anvil,), daemon=True)
    mining.start()
    artifact = hashlib.sha256(b"another").digest()
    run.writer.register_root(run.run, artifact, bytes(32), intent="another root")
    mining.join(60.0)
    run.close()
    events = (folder.path / "coordinator" / "events.jsonl").read_text()
    assert '"ledger-away"' in events and "registerRoot is not in a block 1 deep" in events
