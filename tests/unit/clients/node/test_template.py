"""The node.toml that a node begins with explains every rule, and is read as the policy it was made from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from clients.node.config import FILE, read_config
from clients.node.policy import Policy
from clients.node.template import MEANINGS, follow_ledger, node_toml
from ledger.address import LedgerAddress


def test_every_rule_is_explained_and_nothing_else() -> None:
    assert set(MEANINGS) == {field.name for field in fields(Policy)}


def test_what_is_written_is_read_and_a_ledger_is_added_to_it(tmp_path: Path) -> None:
    policy = Policy(tasks=("a", "b"), least_partners=5)
    (tmp_path / FILE).write_bytes(node_toml('A "quoted" name', policy))
    config = read_config(tmp_path)
    assert (config.name, config.policy, config.ledger) == ('A "quoted" name', policy, None)
    address = LedgerAddress(chain="https://node.example", chain_id=5, contract="ab" * 20, code="cd" * 32)
    follow_ledger(tmp_path, address)
    follow_ledger(tmp_path, address)
    assert read_config(tmp_path).ledger == address
    assert (tmp_path / FILE).read_text().count("[ledger]") == 1
    assert (tmp_path / FILE).read_bytes() == node_toml('A "quoted" name', policy, address)
