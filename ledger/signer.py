"""Signing keys: who holds them, where they come from, and what they sign.

Whoever needs a signature takes a :class:`Signer` and never sees a key. Keys live in encrypted keystore files (Web3 Secret
Storage v3, the format of geth, Besu and Foundry), are named by URI in configuration and opened by :func:`open_signer`::

    file:keys/coordinator.json?passphrase-file=secrets/coordinator
    file:keys/coordinator.json?passphrase-env=SUTURE_PASSPHRASE
    file:keys/coordinator.json
    program:keys/coordinator-hsm.json

The third form asks for the passphrase where the caller says how; a plain path means the same. A passphrase is never part of a URI.
The last one leaves the key with another program, see :mod:`ledger.program_signer`.

Key and passphrase files must be readable by their owner only. A passphrase ends before the ends of lines behind it, wherever it comes from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from eth_account import Account
from eth_account.types import TransactionDictType
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_keys.datatypes import PrivateKey

from fl_core.errors import InputError, LocalProtocolError
from fl_core.randomness import RandomSource, SystemRandomSource
from fl_core.secret import Secret
from ledger.errors import SignerError
from ledger.files import read_private
from ledger.program_signer import ProgramSigner, is_key_program, read_key_program
from ledger.typed_data import CURVE_ORDER

SCRYPT_COST = 1 << 18
"""Default N of scrypt (r = 8, p = 1): 256 MiB and about a second for each guess, as in geth's standard setting."""
MAX_SCRYPT_COST = 1 << 20
"""A keystore that asks for more is refused instead of filling the memory (1 GiB at r = 8)."""
MAX_KEYSTORE_BYTES = 16 * 1024
MAX_PASSPHRASE_BYTES = 1024

_KEY_BYTES = 32
_MAX_PBKDF2_ROUNDS = 10_000_000


class Signer(Protocol):
    """Signs with one key that stays where it is."""

    @property
    def address(self) -> bytes:
        """Address of the key, 20 bytes."""
        ...

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes; return r, s, v: 65 bytes, s in the lower half of the order, v 27 or 28."""
        ...

    def sign_transaction(self, transaction: Mapping[str, object]) -> bytes:
        """Sign a transaction, given by the field names of JSON-RPC; return its raw bytes."""
        ...


class KeySigner:
    """A :class:`Signer` whose key is in this process.

    Args:
        key: 32 bytes, a number in [1, order of secp256k1).

    Raises:
        SignerError: It is no key.
    """

    def __init__(self, key: Secret) -> None:
        if len(key) != _KEY_BYTES or not 0 < int.from_bytes(key.reveal(), "big") < CURVE_ORDER:
            raise SignerError("A signing key is 32 bytes, a number between 0 and the order of secp256k1.")
        self._key = key
        self._address: bytes = PrivateKey(key.reveal()).public_key.to_canonical_address()

    @property
    def address(self) -> bytes:
        """Address of the key, 20 bytes."""
        return self._address

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes; see :class:`Signer`. Deterministic (RFC 6979)."""
        if len(digest) != 32:
            raise LocalProtocolError(f"a digest has 32 bytes, not {len(digest)}")
        signature = PrivateKey(self._key.reveal()).sign_msg_hash(digest)
        if signature.s > CURVE_ORDER // 2:
            raise SignerError("The signing library gave a signature with a high s.")
        return signature.to_bytes()[:64] + bytes([27 + signature.v])

    def sign_transaction(self, transaction: Mapping[str, object]) -> bytes:
        """Sign a transaction; see :class:`Signer`."""
        signed = Account.sign_transaction(cast(TransactionDictType, dict(transaction)), self._key.reveal())
        return bytes(signed.raw_transaction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(address=0x{self._address.hex()})"


class KeystoreSigner(KeySigner):
    """A signer whose key came from a keystore file.

    Args:
        path: The file.
        passphrase: What it was encrypted with.

    Raises:
        InputError: The file is missing, readable by others, damaged, or the passphrase is wrong; says how to mend it.
    """

    def __init__(self, path: Path, passphrase: Secret) -> None:
        super().__init__(read_keystore(path, passphrase))


def read_keystore(path: Path, passphrase: Secret) -> Secret:
    """Return the 32 bytes that a keystore file holds.

    Args:
        path: The file.
        passphrase: What it was encrypted with.

    Raises:
        InputError: The file is missing, readable by others, damaged, or the passphrase is wrong; says how to mend it.
    """
    document = _parse(path, read_private(path, MAX_KEYSTORE_BYTES, "keystore"))
    try:
        key = Secret(decode_keyfile_json(document, passphrase.reveal()))
    except (ValueError, KeyError, TypeError) as error:
        if str(error) == "MAC mismatch":
            raise InputError(
                f"The passphrase does not open the keystore {path}.",
                fix="Give the passphrase it was made with.",
            ) from None
        raise _damaged(path) from None  # the cause could quote the file
    named = str(document.get("address", "")).lower().removeprefix("0x")
    if named and named != KeySigner(key).address.hex():
        raise _damaged(path)
    return key


def create_keystore(
    path: Path,
    passphrase: Secret,
    *,
    source: RandomSource | None = None,
    scrypt_cost: int = SCRYPT_COST,
) -> bytes:
    """Make a key, write it encrypted to a new file that only its owner can read, and return its address.

    Args:
        path: The file; must not exist.
        passphrase: At least one byte.
        source: Where the key comes from; the operating system by default.
        scrypt_cost: N of scrypt, a power of two from 2 to :data:`MAX_SCRYPT_COST`. Small values are for tests.

    Raises:
        InputError: The file exists, its folder does not, or the passphrase is empty.
    """
    if not 0 < len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise InputError(f"A passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes.", fix="Choose another one.")
    if not 2 <= scrypt_cost <= MAX_SCRYPT_COST or scrypt_cost & (scrypt_cost - 1):
        raise LocalProtocolError(f"scrypt's N is a power of two up to {MAX_SCRYPT_COST}, not {scrypt_cost}")
    key = _fresh_key(source or SystemRandomSource())
    document = create_keyfile_json(
        key.reveal(), passphrase.reveal(), version=3, kdf="scrypt", iterations=scrypt_cost
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise InputError(
            f"The keystore {path} exists already.", fix="Choose a new file; keys are not overwritten."
        ) from error
    except OSError as error:
        raise InputError(
            f"The keystore {path} cannot be written: {error.strerror}.", fix="Make its folder first."
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(
            missing_ok=True
        )  # a part of a keystore is no key, and would be in the way of the next attempt
        raise
    return KeySigner(key).address


def open_keystore(path: Path, passphrase_file: Path) -> Signer:
    """Open a keystore file with the passphrase that is in another file.

    Raises:
        InputError: One of them is not usable; says how to mend it.
    """
    passphrase = read_private(passphrase_file, MAX_PASSPHRASE_BYTES, "passphrase file").rstrip(b"\r\n")
    if not passphrase:
        raise InputError(
            f"There is no passphrase in {passphrase_file}.", fix="Put the keystore's passphrase there."
        )
    return KeystoreSigner(path, Secret(passphrase))


Ask = Callable[[str], Secret]
"""Asks a person for a passphrase; gets the words to ask with."""


def open_signer(uri: str, ask: Ask | None = None) -> Signer:
    """Open the key that ``uri`` names; see the module docstring for the forms.

    Args:
        uri: The signer's URI, or the path of a keystore.
        ask: Asks for a passphrase that the URI does not say where to find; without it such a URI is refused.

    Raises:
        InputError: The URI, a file or the passphrase is not usable; says how to mend it.
    """
    scheme, path, query = _parts(uri)
    return _SCHEMES[scheme](path, query, ask)


def keystore_of(uri: str) -> Path:
    """Return the keystore file that a signer's URI names, or the file of a key's program; nothing is opened.

    Raises:
        InputError: It names none.
    """
    return _parts(uri)[1]


def keystore_address(path: Path) -> bytes | None:
    """Return the address that a keystore file, or the file of a key's program, says it holds, without opening it.

    Returns:
        20 bytes; None when it does not say.

    Raises:
        InputError: The file is missing, readable by others or neither of the two.
    """
    content = read_private(path, MAX_KEYSTORE_BYTES, "keystore")
    if _names_a_program(content):
        return read_key_program(path).address
    named = str(_parse(path, content).get("address", ""))
    try:
        address = bytes.fromhex(named.removeprefix("0x"))
    except ValueError:
        raise _damaged(path) from None
    return address if len(address) == 20 else None


def _parts(uri: str) -> tuple[str, Path, str]:
    """Split a signer's URI into scheme, path and query."""
    if ":" not in uri and "?" not in uri:
        return "file", Path(uri), ""
    parts = urlsplit(uri)
    if parts.scheme not in _SCHEMES or parts.netloc or parts.fragment or not parts.path:
        raise InputError(f"A signer is named by one of {_FORMS}.", fix="Mend the signer's URI.")
    return parts.scheme, Path(unquote(parts.path)), parts.query


def passphrase_of(uri: str) -> tuple[Path, Secret | None]:
    """Return the keystore that a signer's URI names, and the passphrase that it leads to; None where a person is asked.

    Raises:
        InputError: The URI is none, its key is another program's, or there is no passphrase where it says.
    """
    scheme, path, query = _parts(uri)
    if scheme != "file":
        raise InputError(
            f"The key of {uri} is another program's, which makes it.", fix="Name a keystore: file:KEYSTORE."
        )
    return path, _passphrase(query)


def _open_file(path: Path, query: str, ask: Ask | None) -> Signer:
    passphrase = _passphrase(query)
    if passphrase is None:
        if ask is None:
            raise InputError(f"There is nobody to ask for the passphrase of {path}.", fix=_NAME_A_SOURCE)
        _parse(path, read_private(path, MAX_KEYSTORE_BYTES, "keystore"))  # so that nobody is asked in vain
        passphrase = ask(f"Passphrase of {path}")
    return KeystoreSigner(path, passphrase)


def _open_program(path: Path, query: str, _: Ask | None) -> Signer:
    if query:
        raise InputError(
            f"A signer is named by one of {_FORMS}.", fix="Leave out what follows the file's name."
        )
    return ProgramSigner(read_key_program(path))


def _names_a_program(content: bytes) -> bool:
    try:
        return is_key_program(json.loads(content))
    except (ValueError, RecursionError):
        return False


def _passphrase(query: str) -> Secret | None:
    match parse_qsl(query, keep_blank_values=True):
        case [] if not query:
            return None
        case [("passphrase-file", name)] if name:
            found = read_private(Path(name), MAX_PASSPHRASE_BYTES, "passphrase file").rstrip(b"\r\n")
        case [("passphrase-env", name)] if name:
            found = os.environb.get(name.encode(), b"").rstrip(b"\r\n")
        case _:
            raise InputError(f"A signer is named by one of {_FORMS}.", fix=_NAME_A_SOURCE)
    if not found:
        raise InputError(f"There is no passphrase in {name}.", fix="Put the keystore's passphrase there.")
    return Secret(found)


_NAME_A_SOURCE = "Name one source of the passphrase: passphrase-file or passphrase-env."
_FORMS = (
    "file:KEYSTORE?passphrase-file=FILE, file:KEYSTORE?passphrase-env=VARIABLE, file:KEYSTORE, program:FILE"
)
_SCHEMES: Mapping[str, Callable[[Path, str, Ask | None], Signer]] = {
    "file": _open_file,
    "program": _open_program,
}


def _fresh_key(source: RandomSource) -> Secret:
    """Draw a key by rejection: a number in [1, order)."""
    while True:
        key = source.secret(_KEY_BYTES)
        if 0 < int.from_bytes(key.reveal(), "big") < CURVE_ORDER:
            return key


def _parse(path: Path, content: bytes) -> dict[str, object]:
    """Parse a keystore and refuse key derivations that would take all memory or all day."""
    try:
        document = json.loads(content)
        crypto = document["crypto"]
        parameters = crypto["kdfparams"]
        if crypto["kdf"] == "scrypt":
            bounded = parameters["n"] * parameters["r"] * parameters["p"] <= 8 * MAX_SCRYPT_COST
        else:
            bounded = parameters["c"] <= _MAX_PBKDF2_ROUNDS
        if document["version"] != 3 or not bounded:
            raise ValueError("unsupported")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path) from error
    return cast(dict[str, object], document)


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is not a keystore of version 3 that can be used.", fix="Restore it from a copy."
    )
