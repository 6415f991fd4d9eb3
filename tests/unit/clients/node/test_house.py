"""A node's folder: any name survives it, and damage is told in one line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clients.cli.home import home_account
from clients.errors import NodeStateError
from clients.node import new_house
from clients.node.house import open_house, open_node
from clients.node.key_files import given_passphrase
from clients.node.logbook import Logbook
from clients.node.new_house import create_house, write_config
from clients.node.policy import Policy
from fl_core.errors import InputError, SutureError
from fl_core.randomness import SystemRandomSource
from ledger.address import LedgerAddress
from ledger.logbook import Kind

POLICY = Policy(tasks=("heart-disease",))
NAMES = ["Köln", "🏥 \U0010ffff", 'a"b\\c', "tab\tdel\x7f\x00\x1b", "a\nb", "[policy]", "\x85\u2028"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    house = tmp_path / "node"
    create_house(house, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    return house


@pytest.mark.parametrize("name", NAMES)
def test_every_name_and_path_is_read_as_it_was_written(folder: Path, name: str) -> None:
    ledger = LedgerAddress(chain=f"embedded:{folder}/{name}", chain_id=1, contract="00" * 20)
    write_config(folder, name, POLICY, ledger)
    house = open_house(folder)
    assert (house.name, house.ledger, house.policy) == (name, ledger, POLICY)


@pytest.mark.parametrize("salt", [b"", b"xyz", b"\xff\xfe", b"00" * 31, b"00" * 33])
def test_a_damaged_salt_is_named_with_a_fix_and_not_quoted(folder: Path, salt: bytes) -> None:
    (folder / "keys" / "data-salt").write_bytes(salt)
    with pytest.raises(InputError, match="data-salt is damaged") as refused:
        open_house(folder)
    assert "copy" in refused.value.fix
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_passphrase_file_is_none(
    folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container engine leaves one where it mounts a secret into a bind mount."""
    kept = folder / "keys" / "passphrase"
    passphrase, account = kept.read_bytes(), open_house(folder).account.address
    kept.write_bytes(content)
    monkeypatch.delenv("SUTURE_NODE_PASSPHRASE", raising=False)
    with pytest.raises(InputError, match="is missing or empty") as refused:
        open_house(folder)
    assert "SUTURE_NODE_PASSPHRASE" in refused.value.fix
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE", passphrase.decode())
    assert open_house(folder).account.address == home_account(folder).signer.address == account
    kept.write_bytes(b"another")  # one that is there comes first
    for opening in (lambda: open_house(folder), lambda: home_account(folder).signer):
        with pytest.raises(SutureError, match="does not open"):
            opening()


def test_the_environment_can_name_a_file_with_the_passphrase(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, say, where a container or systemd puts it."""
    account = open_house(folder).account.address
    elsewhere = tmp_path / "passphrase"
    (folder / "keys" / "passphrase").rename(elsewhere)
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE_FILE", str(elsewhere))
    monkeypatch.setenv("SUTURE_NODE_PASSPHRASE", "another")
    assert open_house(folder).account.address == home_account(folder).signer.address == account
    elsewhere.write_bytes(elsewhere.read_bytes() + b"\r\n")
    assert open_house(folder).account.address == home_account(folder).signer.address == account
    elsewhere.chmod(0o640)
    for opening in (lambda: open_house(folder), lambda: home_account(folder).signer, given_passphrase):
        with pytest.raises(InputError, match="Others can read the passphrase file"):
            opening()
    elsewhere.chmod(0o600)
    elsewhere.write_bytes(b"\n")
    with pytest.raises(InputError, match="which SUTURE_NODE_PASSPHRASE_FILE names, is empty"):
        open_house(folder)
    elsewhere.unlink()
    with pytest.raises(
        InputError, match=r"There is no passphrase file that SUTURE_NODE_PASSPHRASE_FILE names"
    ):
        open_house(folder)


def test_a_folder_is_private(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "keys").stat().st_mode) == 0o700


def test_a_node_does_not_start_with_a_register_that_is_older_than_its_logbook(folder: Path) -> None:
    house = open_house(folder)
    open_node(house, clock=lambda: 1, random=SystemRandomSource()).close()
    logbook = Logbook(folder, house.account.address, clock=lambda: 1)
    logbook.append(Kind.REVEAL, b"an answer", to="members", run=bytes(32), number=3)
    logbook.close()
    with pytest.raises(
        NodeStateError, match=r"register\.sqlite was restored.*the reveal of round 3"
    ) as refused:
        open_node(house, clock=lambda: 1, random=SystemRandomSource())
    assert "Rotate the node's keys" in refused.value.fix


@pytest.mark.parametrize("known", [False, True], ids=["a new folder", "an empty folder"])
@pytest.mark.parametrize("at", ["keystore", "records", "config"])
def test_nothing_is_left_of_an_attempt_that_found_no_room(tmp_path, monkeypatch, known, at):
    folder, step = tmp_path / "node", {"keystore": 0, "records": 1, "config": 2}[at]
    if known:
        folder.mkdir()
    name = ("create_keystore", "write_atomically", "write_config")[step]
    act = getattr(new_house, name)

    def no_room(*arguments, **more):
        if at == "records" and Path(arguments[0]).name != "records.csv":
            return act(*arguments, **more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_house, name, no_room)
    with pytest.raises(OSError, match="No space left"):
        create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert folder.exists() == known and not (known and list(folder.iterdir()))
    monkeypatch.undo()
    create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert open_house(folder).name == "A"


def test_a_folder_that_was_not_filled_to_the_end_is_told_as_such(folder):
    (folder / "node.toml").unlink()
    with pytest.raises(InputError, match=r"holds keys of a node, and no node\.toml"):
        create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
