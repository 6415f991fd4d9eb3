"""The small file that names a ledger: what it must say, where it is wrong, and what it pins."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fl_core.errors import InputError
from ledger.address import LedgerAddress, code_hash, find_ledger, open_ledger, shown, write_address
from ledger.chain.connection import Web3Connection
from ledger.errors import WrongChain
from tests.unit.ledger.embedded_world import CHAIN_ID
from tests.unit.ledger.ledger_world import LedgerWorld

GOOD = [
    'chain = "https://node.example/v3/key"',
    "chain_id = 7",
    f'contract = "0x{"ab" * 20}"',
    f'code = "{"cd" * 32}"',
]


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("# comment\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def world(tmp_path: Path) -> LedgerWorld:
    world = LedgerWorld(tmp_path)
    world.chain.close()
    return world


def address_of(world: LedgerWorld, **changes: object) -> LedgerAddress:
    values = {
        "chain": f"embedded:{world.folder / 'ledger.sqlite'}",
        "chain_id": CHAIN_ID,
        "contract": world.address.hex(),
    }
    return LedgerAddress(**{**values, **changes})


def test_a_file_names_a_ledger(tmp_path: Path) -> None:
    address = find_ledger(written(tmp_path / "ledger.toml", GOOD))
    assert (address.chain_id, address.contract, address.code, address.confirmations) == (
        7,
        "ab" * 20,
        "cd" * 32,
        1,
    )
    assert address.path is None
    assert find_ledger(tmp_path) == address


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*GOOD[:1], "chain_id = 'x'", *GOOD[2:]], "line 3: 'chain_id' is a whole number"),
        ([*GOOD[:1], "chain_id = true", *GOOD[2:]], "line 3: 'chain_id' is a whole number"),
        ([*GOOD[:2], 'contract = "0x12"', GOOD[3]], "line 4: a contract's address has 40"),
        ([*GOOD[:3], 'code = "0xzz"'], "line 5: non-hexadecimal"),
        (['chain = "ftp://node"', *GOOD[1:]], "line 2: a chain is embedded:PATH or the http"),
        ([*GOOD, "confirmations = 0"], "line 6: confirmations are 1 to"),
        ([*GOOD, "colour = 1"], "line 6: 'colour' means nothing here"),
        (GOOD[:2], "does not say 'contract'"),
        ([*GOOD, "="], "is not valid TOML"),
    ],
)
def test_a_wrong_line_is_named_with_a_fix(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_ledger(written(tmp_path / "ledger.toml", lines))
    assert message in caught.value.message and caught.value.fix


def test_credentials_in_a_url_are_never_shown(tmp_path: Path) -> None:
    lines = ['chain = "https://user:hunter2@node.example:8545/v3/key?token=t"', *GOOD[1:]]
    address = find_ledger(written(tmp_path / "ledger.toml", lines))
    assert "hunter2" not in str(address) + repr(address) and "/v3/key" not in str(address)
    assert shown(address.chain) == "https://node.example:8545"


@pytest.mark.parametrize(
    ("chain", "secret"),
    [
        ("https://user:hunter2@node.example", True),
        ("https://node.example/v3/key", True),
        ("https://node.example/?token=t", True),
        ("https://node.example:8545/", False),
        ("embedded:chains/ledger.sqlite", False),
    ],
)
def test_a_file_whose_url_may_hold_credentials_is_its_owners_and_a_copy_that_others_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, chain: str, secret: bool
) -> None:
    path = tmp_path / "ledger.toml"
    write_address(path, LedgerAddress(chain=chain, chain_id=5, contract="11" * 20))
    assert stat.S_IMODE(path.stat().st_mode) == (0o600 if secret else 0o644)
    find_ledger(path)
    assert not caplog.messages
    path.chmod(0o640)
    find_ledger(path)  # is not refused
    find_ledger(path)
    assert len(caplog.messages) == (1 if secret else 0)  # once in a process
    for said in caplog.messages:
        assert f"chmod 600 {path}" in said and "hunter2" not in said


def test_a_place_that_names_no_ledger_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="ledger"):
            find_ledger(place)


def test_a_relative_chain_lies_beside_its_file_and_what_is_written_is_read(world: LedgerWorld) -> None:
    address = address_of(world, code="ab" * 32)
    write_address(world.folder / "ledger.toml", address)
    assert "embedded:ledger.sqlite" in (world.folder / "ledger.toml").read_text()
    assert find_ledger(world.folder / "ledger.toml") == address


def test_a_ledger_opens_only_with_the_pinned_chain_contract_and_code(world: LedgerWorld) -> None:
    opened = open_ledger(address_of(world))
    found = code_hash(opened.connection, world.address).hex()
    opened.close()
    open_ledger(address_of(world, code=found)).close()
    with pytest.raises(WrongChain, match="pinned is"):
        open_ledger(address_of(world, code="00" * 32))
    with pytest.raises(WrongChain, match="asked for"):
        open_ledger(address_of(world, chain_id=1))
    with pytest.raises(WrongChain):
        open_ledger(address_of(world, contract="11" * 20))


def test_a_missing_chain_is_not_made(world: LedgerWorld, tmp_path: Path) -> None:
    missing = tmp_path / "other.sqlite"
    with pytest.raises(InputError, match="no chain"):
        open_ledger(address_of(world, chain=f"embedded:{missing}"), write=True)
    assert not missing.exists()


def test_a_ledger_open_for_writing_lets_go_when_it_is_the_wrong_one(world: LedgerWorld) -> None:
    with pytest.raises(WrongChain):
        open_ledger(address_of(world, code="00" * 32), write=True)
    opened = open_ledger(address_of(world), write=True)
    assert isinstance(opened.connection, Web3Connection)
    opened.close()
