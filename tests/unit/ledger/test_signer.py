"""Keys are made, found, opened and used without being shown; every mistake says how to mend it."""

from __future__ import annotations

import json
import pickle
import resource
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from fl_core.errors import InputError, LocalProtocolError, VerificationError
from fl_core.secret import Secret
from ledger.errors import SignerError
from ledger.signer import MAX_SCRYPT_COST, KeySigner, create_keystore, open_signer
from ledger.typed_data import recover, verify

COST = 2  # scrypt's smallest: these keys guard nothing
KEY = bytes(range(1, 33))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Drawer:
    """Gives prepared bytes instead of random ones."""

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)

    def secret(self, size: int) -> Secret:
        value = self.values.pop(0)
        assert len(value) == size
        return Secret(value)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    create_keystore(path, Secret(b"open sesame"), source=Drawer(KEY), scrypt_cost=COST)
    return path


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("open sesame\n")
    path.chmod(0o600)
    return path


def test_a_signature_has_the_one_accepted_form_and_belongs_to_the_address() -> None:
    signer = KeySigner(Secret(KEY))
    for number in range(50):
        digest = number.to_bytes(32, "big")
        signature = signer.sign_digest(digest)
        assert len(signature) == 65
        assert signature[64] in (27, 28)
        assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
        verify(digest, signature, signer.address)
        assert recover(digest, signature) == signer.address
        assert signer.sign_digest(digest) == signature
    with pytest.raises(VerificationError):
        verify(bytes(32), signer.sign_digest(b"\x01" * 32), signer.address)


def test_the_signature_is_the_one_that_eth_account_makes() -> None:
    theirs = Account.unsafe_sign_hash(b"\x11" * 32, KEY).signature
    assert KeySigner(Secret(KEY)).sign_digest(b"\x11" * 32) == bytes(theirs)
    assert to_checksum_address(KeySigner(Secret(KEY)).address) == Account.from_key(KEY).address


def test_a_transaction_is_signed_by_the_address() -> None:
    fields = {"nonce": 0, "gas": 21_000, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0, "chainId": 5, "value": 0, "data": b"",
                  "to": "0x" + "00" * 20}  # fmt: skip
    raw = KeySigner(Secret(KEY)).sign_transaction(fields)
    assert Account.recover_transaction(raw) == Account.from_key(KEY).address


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_digests_of_32_bytes_are_signed(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        KeySigner(Secret(KEY)).sign_digest(bytes(size))


@pytest.mark.parametrize("key", [b"", bytes(32), bytes(31), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_what_is_no_key_is_refused_without_being_shown(key: bytes) -> None:
    with pytest.raises(SignerError) as caught:
        KeySigner(Secret(key))
    assert key.hex() not in str(caught.value) or not key


def test_a_signer_shows_its_address_and_nothing_else(keystore: Path, passphrase: Path) -> None:
    signer = open_signer(f"file:{keystore}?passphrase-file={passphrase}")
    assert repr(signer) == f"KeystoreSigner(address=0x{signer.address.hex()})"
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    for private in (KEY.hex(), "sesame"):
        assert private not in repr(vars(signer))


def test_a_keystore_opens_with_its_passphrase_from_a_file_or_the_environment(
    keystore: Path, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "open sesame")
    for query in (f"passphrase-file={passphrase}", "passphrase-env=KEYSTORE_PASSPHRASE"):
        assert open_signer(f"file:{keystore}?{query}").address == KeySigner(Secret(KEY)).address


def test_the_end_of_a_line_behind_a_passphrase_is_none_of_it(
    keystore: Path, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", "open sesame\n")
    passphrase.write_text("open sesame\r\n")
    for query in (f"passphrase-file={passphrase}", "passphrase-env=KEYSTORE_PASSPHRASE"):
        assert open_signer(f"file:{keystore}?{query}").address == KeySigner(Secret(KEY)).address


def test_a_path_with_spaces_is_written_percent_encoded(keystore: Path, passphrase: Path) -> None:
    moved = keystore.rename(keystore.with_name("my key.json"))
    uri = f"file:{str(moved).replace(' ', '%20')}?passphrase-file={passphrase}"
    assert open_signer(uri).address == KeySigner(Secret(KEY)).address


def test_a_keystore_is_readable_by_its_owner_only_and_by_other_programs(keystore: Path) -> None:
    assert keystore.stat().st_mode & 0o777 == 0o600
    document = json.loads(keystore.read_text())
    assert document["version"] == 3
    assert document["crypto"]["kdf"] == "scrypt"
    assert document["crypto"]["kdfparams"]["n"] == COST
    assert bytes(Account.decrypt(document, "open sesame")) == KEY
    assert KEY.hex() not in keystore.read_text()


def test_a_keystore_is_never_overwritten(keystore: Path) -> None:
    before = keystore.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        create_keystore(keystore, Secret(b"x"), scrypt_cost=COST)
    assert keystore.read_bytes() == before


def test_a_keystore_that_finds_no_room_leaves_nothing_in_the_way_of_the_next_attempt(tmp_path):
    path, before = tmp_path / "key.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))  # bytes that a file may have
    try:
        with pytest.raises(OSError, match="File too large"):
            create_keystore(path, Secret(b"x"), scrypt_cost=COST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not path.exists()
    create_keystore(path, Secret(b"x"), scrypt_cost=COST)


def test_keys_are_drawn_again_until_they_are_in_range(tmp_path: Path) -> None:
    source = Drawer(bytes(32), b"\xff" * 32, KEY)
    address = create_keystore(tmp_path / "key.json", Secret(b"x"), source=source, scrypt_cost=COST)
    assert address == KeySigner(Secret(KEY)).address
    assert source.values == []


def test_two_new_keys_differ(tmp_path: Path) -> None:
    addresses = {create_keystore(tmp_path / n, Secret(b"x"), scrypt_cost=COST) for n in "ab"}
    assert len(addresses) == 2


def test_bad_wishes_for_a_keystore_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="passphrase"):
        create_keystore(tmp_path / "a", Secret(b""), scrypt_cost=COST)
    with pytest.raises(InputError, match="folder"):
        create_keystore(tmp_path / "no" / "a", Secret(b"x"), scrypt_cost=COST)
    for cost in (0, 1, 3, 2 * MAX_SCRYPT_COST):
        with pytest.raises(LocalProtocolError, match="power of two"):
            create_keystore(tmp_path / "a", Secret(b"x"), scrypt_cost=cost)


def test_a_wrong_passphrase_says_so_and_shows_none(keystore: Path, passphrase: Path) -> None:
    passphrase.write_text("open barley")
    with pytest.raises(InputError, match="passphrase does not open") as caught:
        open_signer(f"file:{keystore}?passphrase-file={passphrase}")
    assert "barley" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_files_that_others_can_reach_are_refused_with_the_command_that_mends_it(
    keystore: Path, passphrase: Path, mode: int
) -> None:
    uri = f"file:{keystore}?passphrase-file={passphrase}"
    for path in (keystore, passphrase):
        path.chmod(mode)
        with pytest.raises(InputError, match=f"chmod 600 {path}"):
            open_signer(uri)
        path.chmod(0o600)
    open_signer(uri)


def test_missing_files_and_variables_say_what_is_missing(
    keystore: Path, passphrase: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(InputError, match=r"no keystore .*nowhere"):
        open_signer(f"file:{nowhere}?passphrase-file={passphrase}")
    with pytest.raises(InputError, match=r"no passphrase file .*nowhere"):
        open_signer(f"file:{keystore}?passphrase-file={nowhere}")
    with pytest.raises(InputError, match="no passphrase in UNSET_VARIABLE"):
        open_signer(f"file:{keystore}?passphrase-env=UNSET_VARIABLE")
    with pytest.raises(InputError, match="cannot be read"):
        open_signer(f"file:{tmp_path}?passphrase-file={passphrase}")
    passphrase.write_text("\n")
    with pytest.raises(InputError, match="no passphrase in"):
        open_signer(f"file:{keystore}?passphrase-file={passphrase}")


def test_nobody_is_asked_for_the_passphrase_of_a_keystore_that_is_not_there(tmp_path: Path) -> None:
    def ask(words: str) -> Secret:
        raise AssertionError(words)

    with pytest.raises(InputError, match=r"no keystore .*nowhere"):
        open_signer(str(tmp_path / "nowhere"), ask)


BAD_URIS = ["", "key.json", "vault:key", "file:key", "file:key?", "file:key?passphrase=x", "file:key?passphrase-file=",
            "file:key?passphrase-file=a&passphrase-env=b", "file://host/key?passphrase-file=a",
            "file:key?passphrase-file=a#b"]  # fmt: skip


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_uri_of_another_form_is_refused_with_the_forms_there_are(uri: str) -> None:
    with pytest.raises(InputError, match="passphrase-file"):
        open_signer(uri)


def document_with(keystore: Path, **changes: object) -> str:
    document = json.loads(keystore.read_text())
    for name, value in changes.items():
        target = document["crypto"]["kdfparams"] if name in ("n", "r", "p") else document
        target[name] = value
    return json.dumps(document)


@pytest.mark.parametrize("changes", [
    {"n": 1 << 30}, {"r": 1 << 30}, {"p": 1 << 30}, {"n": "many"}, {"version": 4}, {"crypto": {}},
    {"address": "00" * 20},
])  # fmt: skip
def test_a_keystore_that_is_damaged_or_greedy_is_refused(
    keystore: Path, passphrase: Path, changes: dict[str, object]
) -> None:
    keystore.write_text(document_with(keystore, **changes))
    with pytest.raises(InputError, match="not a keystore"):
        open_signer(f"file:{keystore}?passphrase-file={passphrase}")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"{" * 5000, b"\xff\xfe", b" " * 20_000])
def test_a_file_that_is_no_keystore_is_refused(keystore: Path, passphrase: Path, content: bytes) -> None:
    keystore.write_bytes(content)
    with pytest.raises(InputError):
        open_signer(f"file:{keystore}?passphrase-file={passphrase}")
