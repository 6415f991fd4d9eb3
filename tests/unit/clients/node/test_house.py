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
from clients.node.template import node_toml
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


def fails(monkeypatch, at: str, error: BaseException) -> None:
    """Let one step of making a folder fail when it has done its work: the keystores, or a file of this name."""
    name = "create_keystore" if at == "keystore" else "write_atomically"
    act = getattr(new_house, name)

    def failing(path, *arguments, **more):
        act(path, *arguments, **more)
        if at in ("keystore", path.name):
            raise error

    monkeypatch.setattr(new_house, name, failing)


@pytest.mark.parametrize("known", [False, True], ids=["a new folder", "an empty folder"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("at", ["passphrase", "keystore", "records.csv", "node.toml"])
def test_nothing_is_left_of_an_attempt_that_found_no_room_or_was_ended(
    tmp_path, monkeypatch, known, error, at
):
    folder = tmp_path / "node"
    if known:
        folder.mkdir()
    fails(monkeypatch, at, error)
    with pytest.raises(type(error)):
        create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert folder.exists() == known and not (known and list(folder.iterdir()))
    monkeypatch.undo()
    create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert open_house(folder).name == "A"


def test_nor_of_one_that_found_no_room_for_the_keys_folder(tmp_path, monkeypatch):
    make = Path.mkdir

    def no_room(self, *arguments, **more):
        make(self, *arguments, **more)
        if self.name == "keys":
            self.rmdir()
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", no_room)
    with pytest.raises(OSError, match="No space left"):
        create_house(tmp_path / "node", "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_the_second_clears_nothing_of_the_first(tmp_path, monkeypatch):
    folder, words = tmp_path / "node", ("A", b"age\n1\n", POLICY)
    monkeypatch.setattr(new_house, "_check_empty", lambda folder: None)  # both looked before
    create_house(folder, *words, random=SystemRandomSource(), scrypt_cost=2)
    with pytest.raises(FileExistsError):
        create_house(folder, *words, random=SystemRandomSource(), scrypt_cost=2)
    assert open_house(folder).name == "A"


def test_node_toml_is_written_last_and_once_as_it_was_given(tmp_path, monkeypatch):
    """So a folder without one is known to be unfinished, whatever killed the process."""
    written, write = [], new_house.write_atomically

    def writing(path, data, mode):
        written.append(path.name)
        assert not (tmp_path / "node" / "node.toml").exists()
        assert path.name != "node.toml" or (tmp_path / "node" / "keys" / "transport.json").exists()
        write(path, data, mode)

    monkeypatch.setattr(new_house, "write_atomically", writing)
    ledger = LedgerAddress(chain="https://node.example", chain_id=5, contract="ab" * 20, code="cd" * 32)
    config = node_toml("A", POLICY, ledger)
    words = ("A", b"age\n1\n", POLICY)
    create_house(tmp_path / "node", *words, random=SystemRandomSource(), scrypt_cost=2, config=config)
    assert written[-1] == "node.toml" and (tmp_path / "node" / "node.toml").read_bytes() == config
    assert open_house(tmp_path / "node").ledger == ledger


def test_a_folder_that_was_not_filled_to_the_end_is_told_as_such(folder):
    (folder / "node.toml").unlink()
    with pytest.raises(InputError, match=r"holds keys of a node, and no node\.toml"):
        create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)


def test_the_glue_is_told_where_the_records_are_from_the_root_since_it_works_in_another_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = Path("node")
    create_house(folder, "A", b"age\n1\n", POLICY, random=SystemRandomSource(), scrypt_cost=2)
    assert open_house(folder).data["records"].path == tmp_path / "node" / "data" / "records.csv"
