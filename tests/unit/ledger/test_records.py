"""Records of the ledger."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import ledger.contracts
from fl_core.errors import LocalProtocolError
from ledger.records import Act, Head, Keys, Member, Model, Receipt, Role, RoundState, RunState

SOURCE = Path(ledger.contracts.__path__[0], "TrainingLedger.vy").read_text("utf-8")


def flag_of_the_contract(name: str) -> dict[str, int]:
    block = re.search(rf"^flag {name}:\n((?:    \w+\n)+)", SOURCE, re.MULTILINE)
    assert block is not None
    return {member: 1 << bit for bit, member in enumerate(block[1].split())}


def states_of_the_contract(prefix: str) -> dict[str, int]:
    found = re.findall(rf"^{prefix}_(\w+): constant\(uint8\) = (\d+)$", SOURCE, re.MULTILINE)
    return {name: int(value) for name, value in found}


def test_roles_and_acts_are_the_bits_of_the_contract() -> None:
    assert {role.name: role.value for role in Role} == flag_of_the_contract("Role")
    assert {act.name: act.value for act in Act} == flag_of_the_contract("Act")


def test_states_are_the_numbers_of_the_contract() -> None:
    assert {state.name: state.value for state in RunState if state} == states_of_the_contract("RUN")
    assert {state.name: state.value for state in RoundState if state} == states_of_the_contract("ROUND")


def test_a_record_is_checked_and_cannot_change() -> None:
    member = Member(address=bytes(20), roles=Role.HOLDER | Role.AUDITOR, epoch=1, since=2)
    with pytest.raises(FrozenInstanceError):
        member.epoch = 2  # type: ignore[misc]
    assert Role.AUDITOR in member.roles


def test_a_record_with_a_field_of_another_size_does_not_exist() -> None:
    Head(number=0, hash=bytes(32), timestamp=0)
    with pytest.raises(LocalProtocolError, match=r"Head\.hash must have 32 bytes, it has 31"):
        Head(number=0, hash=bytes(31), timestamp=0)
    with pytest.raises(LocalProtocolError, match=r"Head\.number must not be negative"):
        Head(number=-1, hash=bytes(32), timestamp=0)
    with pytest.raises(LocalProtocolError, match=r"Keys\.signer must have 20 bytes"):
        Keys(epoch=1, signer=bytes(32), encryption=bytes(32), block=1)
    with pytest.raises(LocalProtocolError, match=r"Model\.artifact"):
        Model(
            id=bytes(32),
            run=bytes(32),
            round=1,
            parent=bytes(32),
            artifact=b"",
            metrics=bytes(32),
            aggregate_key=bytes(32),
        )


def test_only_a_deployment_has_a_contract_address() -> None:
    receipt = Receipt(tx_hash=bytes(32), block_number=1, block_hash=bytes(32), gas_used=21_000)
    assert receipt.contract is None
    with pytest.raises(LocalProtocolError, match=r"Receipt\.contract must have 20 bytes"):
        Receipt(tx_hash=bytes(32), block_number=1, block_hash=bytes(32), gas_used=1, contract=bytes(32))
