"""Chains that replay, hold the genuine code, and are not what they seem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.node.ledger_access import follow_embedded
from ledger.address import LedgerAddress
from ledger.artifacts import load
from ledger.audit.verify import verify
from ledger.creation import contract_address
from ledger.errors import BlockRefused, WrongChain
from ledger.outbox import Outbox
from tests.simulators import public_folder
from tests.simulators.forged_ledger import ForgedConsortium, init_code
from tests.simulators.public_folder import CHAIN_ID, Consortium, PublicRun, insecure_key
from tests.simulators.tampering import failures

LEDGER = 2


def _problems(run: PublicRun) -> list[str]:
    found = failures(run, run, replayed=False)
    assert found.keys() == {LEDGER}
    return [fault.problem for fault in found[LEDGER]]


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    consortium = ForgedConsortium(tmp_path_factory.mktemp("forged") / "run", careful=False)
    consortium.play()
    consortium.play()
    return consortium.close()


def test_members_that_a_constructor_of_the_coordinators_own_invented_are_found(forged: PublicRun) -> None:
    (problem,) = _problems(forged)
    assert problem.startswith("Block 1 holds a transaction that has no place here: it creates a contract")
    assert not verify(forged.path).passed


def test_a_node_does_not_follow_a_ledger_that_a_constructor_of_somebody_else_made(
    forged: PublicRun, honest: PublicRun, tmp_path: Path
) -> None:
    def address(run: PublicRun, contract: bytes) -> LedgerAddress:
        chain = f"embedded:{run.public.chain}"
        return LedgerAddress(chain=chain, chain_id=CHAIN_ID, contract=contract.hex())

    with pytest.raises(BlockRefused, match="it creates a contract with other code"):
        follow_embedded(address(forged, forged.contract), tmp_path / "forged", None, clock=lambda: 0)
    with pytest.raises(WrongChain, match=r"There is no contract at 0x0{40}"):
        follow_embedded(address(honest, bytes(20)), tmp_path / "none", None, clock=lambda: 0)
    token = bytes.fromhex(json.loads(honest.public.run.read_text())["token"])
    with pytest.raises(WrongChain, match="is not this version's TrainingLedger"):
        follow_embedded(address(honest, token), tmp_path / "other", None, clock=lambda: 0)
    follow_embedded(address(honest, honest.contract), tmp_path / "honest", None, clock=lambda: 0).close()


def test_a_constructor_that_logs_nothing_is_found_by_a_node_as_well(tmp_path: Path) -> None:
    class Quiet(ForgedConsortium):
        def forge(self, run: bytes, terms: bytes) -> bytes:
            return b""

        def __post_init__(self) -> None:
            try:
                super().__post_init__()
            except Exception:  # noqa: BLE001 - whatever fails, the file is closed
                self.chain.close()

    run = Quiet(tmp_path / "run")
    chain = f"embedded:{run.public.chain}"
    address = LedgerAddress(chain=chain, chain_id=CHAIN_ID, contract=run.contract.hex())
    with pytest.raises(BlockRefused, match="it creates a contract with other code"):
        follow_embedded(address, tmp_path / "copy", None, clock=lambda: 0)


def _send(consortium: Consortium, to: bytes | None, data: bytes, intent: str) -> None:
    sender = insecure_key("somebody")
    outbox = Outbox(consortium.folder / "coordinator" / "somebody.outbox", consortium.connection, sender)
    try:
        outbox.submit(intent, to, data, intent)
    finally:
        outbox.close()


def test_a_contract_of_somebodys_own_on_the_chain_is_found_before_it_is_executed(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    _send(consortium, None, init_code(b"", b"\x00"), "deploy")
    (problem,) = _problems(consortium.close())
    assert "it creates a contract with other code" in problem


def test_bytes_behind_a_constructors_arguments_are_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    artifact = load("RewardToken")
    arguments = b"\x01".rjust(32, b"\0") * 2
    _send(consortium, None, artifact.bytecode + arguments, "an honest token")
    _send(consortium, None, artifact.bytecode + arguments + b"\0", "and one with a byte more")
    (problem,) = _problems(consortium.close())
    assert "the arguments of the new RewardToken are not canonical" in problem


def test_a_call_of_an_address_without_a_contract_of_ours_is_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    _send(consortium, b"\x05".rjust(20, b"\0"), b"", "call a precompiled contract")
    (problem,) = _problems(consortium.close())
    assert "it calls 0x0000000000000000000000000000000000000005" in problem


def test_a_token_that_is_no_token_of_ours_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = contract_address(insecure_key("coordinator").address, 0)
    monkeypatch.setattr(public_folder, "deploy_token", lambda *args, **kwargs: contract)
    assert _problems(Consortium(tmp_path / "run", rewards=False).close()) == [
        "the token is not this version's RewardToken"
    ]
