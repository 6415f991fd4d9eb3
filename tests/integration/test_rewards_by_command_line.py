"""What holders earned in a real round, claimed with their own commands; and a node whose keys were rotated in between."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.door import Method
from clients.hospital import Hospital
from clients.node.house import open_house
from clients.node.key_files import finish_rotation, next_set, read_passphrase
from coordinator.demo.consortium import REWARD_PER_ROUND, SCRYPT_COST
from coordinator.demo.settlement import settle_rewards
from coordinator.history import settle
from coordinator.session import RoundSession
from fl_core.models.step import apply_step
from fl_core.protocol.setup import transport_key_digest
from fl_core.randomness import SystemRandomSource
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.address import find_ledger, write_address
from ledger.chain.connection import Web3Connection
from ledger.papers import PublicFolder
from ledger.records import RoundState
from ledger.signer import KeystoreSigner, read_keystore
from ledger.typed_data import KeyPossession
from ledger.writer import LedgerWriter
from tests.simulators.founded_run import RunWithNodes, copied, found, now
from tests.simulators.terminal import Terminal
from tests.unit.docs.test_docs import ROOT, shell_lines

SHARE = REWARD_PER_ROUND // 4


def play(folder: Path) -> None:
    """Play one round with all hospitals' nodes."""
    world = RunWithNodes(folder)
    try:
        session = world.open_round()
        complete(world, session, world.included(session))
    finally:
        world.close()


def cohort(folder: Path) -> int:
    """Open a round and give it up; return how many holders it would have had."""
    world = RunWithNodes(folder)
    try:
        session = world.open_round()
        settle(world.run, session.header.round)
        return len(session.header.cohort)
    finally:
        world.close()


def complete(world: RunWithNodes, session: RoundSession, requests: dict[bytes, bytes]) -> None:
    """Carry a round whose included set is committed to its model."""
    for account, request in requests.items():
        session.add_reveal(world.holders[account].call(Method.REVEAL, request))
    session.finalise(apply_step(world.run.terms.strategy, session.tensors, session.open().update))
    assert world.run.reader.round(world.run.run, session.header.round).state is RoundState.FINALISED


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = found(tmp_path_factory.mktemp("played") / "run", rounds=3)
    play(folder)
    return folder


@pytest.fixture
def run(played: Path, tmp_path: Path) -> Path:
    return copied(played, tmp_path / "run")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    yield Terminal(monkeypatch, capsys)


def as_researcher(run: Path) -> list[str]:
    office = run / "researcher"
    return [
        "--as",
        f"file:{office / 'account.json'}?passphrase-file={office / 'passphrase'}",
        "--ledger",
        str(run),
    ]


def due(terminal: Terminal, run: Path) -> dict[str, tuple[str, str]]:
    """Return what each hospital was paid and can claim, as an auditor sees it."""
    rewards = terminal.done("suture-audit", "rewards", run)["rewards"]
    return {entry["name"]: (entry["paid"], entry["due"]) for entry in rewards}


def test_a_holder_claims_what_it_earned_once(run: Path, terminal: Terminal) -> None:
    node = run / "nodes" / "cleveland"
    (shown,) = terminal.done("suture-node", "rewards", "show", node)["rewards"]
    assert (shown["earned"], shown["paid"], shown["due"]) == (str(SHARE), "0", str(SHARE))
    assert "25 SUTC" in terminal.run("suture-node", "rewards", "show", node).out
    assert terminal.done("suture-node", "rewards", "claim", node, "--dry-run")["dry_run"] is True
    assert due(terminal, run)["Cleveland"] == ("0", str(SHARE))
    terminal.sent("suture-node", "rewards", "claim", node)
    assert due(terminal, run) == {
        name: (str(SHARE), "0") if name == "Cleveland" else ("0", str(SHARE))
        for name in ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
    }
    assert terminal.sent("suture-node", "rewards", "claim", node)["transactions"] == []


def test_anybody_has_everybody_paid(run: Path, terminal: Terminal) -> None:
    terminal.sent("suture-node", "rewards", "claim", run / "nodes" / "hungary")
    pushed = terminal.sent("suture", "rewards", "push", *as_researcher(run))
    assert len(pushed["transactions"]) == 3
    assert set(due(terminal, run).values()) == {(str(SHARE), "0")}
    assert terminal.sent("suture", "rewards", "push", *as_researcher(run))["transactions"] == []


def test_rewards_of_another_document_than_the_ledgers_are_refused(run: Path, terminal: Terminal) -> None:
    public = PublicFolder(run / "public")
    rewards = json.loads(public.round(1).read_text())["rewards"]
    document = (public.archive / rewards[:2] / rewards).read_text()
    copy = run / "rewards.json"
    copy.write_text(document)
    assert terminal.done("suture-audit", "rewards", run, "--from", copy)["round"] == 1
    more = document.replace(str(SHARE), str(SHARE + 1), 1)
    assert more != document
    copy.write_text(more)
    claim = ("suture-node", "rewards", "claim", run / "nodes" / "cleveland", "--from", copy, "--yes")
    assert "not the one that round 1 has on the ledger" in terminal.refused(*claim)
    copy.write_text("{")
    assert "anew" in terminal.refused(*claim)
    told = terminal.refused(*claim[:-2], run / "nowhere", "--yes")
    assert f"cannot be read from {run / 'nowhere'}: No such file" in told and "Errno" not in told
    assert set(due(terminal, run).values()) == {("0", str(SHARE))}


def test_who_earned_nothing_has_nothing_to_claim_and_no_round_no_rewards(
    run: Path, terminal: Terminal, tmp_path: Path
) -> None:
    fresh = found(tmp_path / "fresh", rounds=3)
    assert terminal.done("suture-audit", "rewards", fresh)["round"] == 0
    assert terminal.sent("suture-node", "rewards", "claim", fresh / "nodes" / "hungary")["transactions"] == []


def test_a_node_with_rotated_keys_takes_part_in_the_next_round_and_the_audit_agrees(
    run: Path, terminal: Terminal
) -> None:
    node = run / "nodes" / "cleveland"
    before = terminal.done("suture-node", "keys", "show", node)["registered"]
    terminal.sent("suture-node", "keys", "rotate", node)
    after = terminal.done("suture-node", "keys", "show", node)["registered"]
    assert (before["number"], after["number"]) == (1, 2) and before["signer"] != after["signer"]
    assert (
        cohort(run) == 3
    )  # a key of the newest block is not older than the beacon: the holder is left out once
    play(run)
    settle_rewards(run, clock=now, random=SystemRandomSource())
    checks = terminal.run("suture-audit", "verify", run, "--json").json["checks"]
    faults = [fault for check in checks if check["verdict"] != "pass" for fault in check["faults"]]
    # the folder is not sealed, and no node has looked at the newest blocks; all that was signed and paid is sound
    assert {fault["path"] for fault in faults} == {"seal.json", "ledger.sqlite"}
    assert {check["name"] for check in checks if check["verdict"] != "pass"} == {
        "seal",
        "members",
        "checkpoints",
    }


def test_a_round_under_way_is_finished_with_the_keys_that_it_began_with(run: Path) -> None:
    world = RunWithNodes(run)
    try:
        session = world.open_round()
        requests = world.included(session)
        rotate(world, "cleveland")
        (restarted,) = [hospital for hospital in world._hospitals if hospital.name == "Cleveland"]
        restarted.close()
        world._hospitals.remove(restarted)
        again = Hospital(run / "nodes" / "cleveland", clock=now, random=SystemRandomSource())
        again.serve_in_process()
        world._hospitals.append(again)
        complete(world, session, requests)
        following = world.open_round()  # with the new key, and a prekey that it signed
        complete(world, following, world.included(following))
    finally:
        world.close()


def test_a_node_that_was_not_restarted_is_left_out(run: Path) -> None:
    world = RunWithNodes(run)
    try:
        (account,) = [account for account, holder in world.holders.items() if holder.name == "Cleveland"]
        rotate(world, "cleveland")
        for _ in range(
            2
        ):  # in the second round the new key is older than the beacon; what the node signs is still the old one's
            session = world.open_round()
            assert account not in session.header.cohort and len(session.header.cohort) == 3
            settle(world.run, session.header.round)
    finally:
        world.close()


def rotate(world: RunWithNodes, name: str) -> None:
    """What ``suture-node keys rotate`` does, on the chain that this process has open."""
    folder = world.folder / "nodes" / name
    passphrase = read_passphrase(folder)
    files = next_set(folder, passphrase, random=SystemRandomSource(), scrypt_cost=SCRYPT_COST)
    new = KeystoreSigner(files.signer, passphrase)
    transport = TransportPrivateKey.from_seed(read_keystore(files.transport, passphrase))
    encryption = transport_key_digest(transport.public)
    account = open_house(folder).account
    statement = KeyPossession(member=account.address, epoch=2, encryption=encryption)
    possession = new.sign_digest(statement.digest(world.run.reader.domain()))
    connection = Web3Connection(world.run.chain)
    writer = LedgerWriter(connection, world.run.reader.address, account, folder / "outbox.sqlite")
    writer.set_keys(new.address, encryption, possession, intent="keys/2")
    writer.close()
    finish_rotation(folder, 2)


def test_the_page_on_claiming_rewards_runs_as_written(
    run: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    write_address(run / "ledger.toml", find_ledger(run / "public"))
    (run / "node").symlink_to(run / "nodes" / "cleveland")
    (run / "keys").mkdir()
    shutil.copy(run / "coordinator" / "account.json", run / "keys" / "coordinator.json")
    commands = [shlex.split(line) for line in shell_lines(ROOT / "docs/how-to/claim-rewards.md")]
    assert len(commands) == 6
    for program, *words in commands:
        shown = terminal.run(program, *words)
        assert shown.code == 0, (words, shown.err)
    assert due(terminal, run)["Cleveland"] == (str(SHARE), "0")
