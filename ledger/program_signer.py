"""A key that another program holds: a hardware module, a key service, a signing server with a person at it.

The file that a URI ``program:FILE`` names says whose key it is and what to run; it is the owner's only, since who writes it decides
what runs::

    {"address": "0x…", "command": ["/srv/hsm/sign", "--slot", "3"], "timeout_s": 60}

For each signature the program is started anew. It gets one JSON document on its standard input and prints the signature in
hexadecimal digits: r and s, 64 bytes, and if it likes v. ``transaction`` is there when it is one, so that the program, or the person
behind it, can see what is signed; it computes the digest itself if it trusts us with nothing::

    {"version": 1, "address": "0x…", "digest": "0x…", "transaction": {…}}

Numbered checks of what it does; nothing else of it is believed:

(1) it ends by itself within its time, with status 0;
(2) it prints no more than :data:`MAX_ANSWER` bytes;
(3) they are the digits of 64 or 65 bytes;
(4) r and s lie in range; a high s is turned into the low one, which is the same signature (EIP-2);
(5) the key that signed is the address's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from eth_account._utils.signing import (
    sign_transaction_dict,
)  # what Account.sign_transaction calls, given a key
from eth_account.types import TransactionDictType
from eth_keys.datatypes import PrivateKey, Signature

from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError, LocalProtocolError, VerificationError
from ledger.errors import SignerError
from ledger.files import read_private
from ledger.typed_data import CURVE_ORDER, recover

MAX_FILE = 16 * 1024  # bytes
MAX_ANSWER = 1024  # bytes
MAX_COMPLAINT = 300  # characters of what the program says when it fails
TIMEOUT_S, MAX_TIMEOUT_S = 60, 3600
_FORM = '{"address": "0x…", "command": ["PROGRAM", …], "timeout_s": 60}'


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProgram:
    """What a file says.

    Attributes:
        address: Whose key it is, 20 bytes.
        command: What to run.
        timeout_s: Longest wait for one signature, in seconds.
    """

    address: bytes
    command: tuple[str, ...]
    timeout_s: int


def is_key_program(document: object) -> bool:
    """Return whether a JSON document is such a file, and no keystore."""
    return isinstance(document, dict) and "command" in document


def read_key_program(path: Path) -> KeyProgram:
    """Read the file.

    Raises:
        InputError: It is missing, readable by others or does not have the form; says how to mend it.
    """
    content = read_private(path, MAX_FILE, "file of a key's program")
    try:
        document: Any = read_json(content, limit=MAX_FILE, what="file of a key's program")
        address, command = document["address"], document["command"]
        timeout_s = document.get("timeout_s", TIMEOUT_S)
        found = bytes.fromhex(address.removeprefix("0x"))
        if (
            set(document) - {"address", "command", "timeout_s"}
            or len(found) != 20
            or type(command) is not list
            or not command
            or not all(type(word) is str and word and "\0" not in word for word in command)
            or not Path(command[0]).is_absolute()
            or type(timeout_s) is not int
            or not 0 < timeout_s <= MAX_TIMEOUT_S
        ):
            raise ValueError("another form")
    except (DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not say whose key it is and what to run.",
            fix=f"Write {_FORM}, with the program's whole path.",
        ) from error
    return KeyProgram(address=found, command=tuple(command), timeout_s=timeout_s)


class ProgramSigner:
    """A :class:`~ledger.signer.Signer` whose key another program holds.

    Args:
        program: Whose key, and what to run.
    """

    def __init__(self, program: KeyProgram) -> None:
        self._program = program

    @property
    def address(self) -> bytes:
        """Address of the key, 20 bytes; every signature is checked against it."""
        return self._program.address

    @property
    def program(self) -> str:
        """The program that signs."""
        return self._program.command[0]

    @property
    def can_be_run(self) -> bool:
        """Whether the program is there for us; it is not asked."""
        return os.path.isfile(self.program) and os.access(self.program, os.X_OK)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes; see :class:`~ledger.signer.Signer`.

        Raises:
            SignerError: The program gave no signature of this key.
        """
        return self._signed(digest, None)

    def sign_transaction(self, transaction: Mapping[str, object]) -> bytes:
        """Sign a transaction; see :class:`~ledger.signer.Signer`.

        Raises:
            SignerError: The program gave no signature of this key.
        """
        key = cast(
            PrivateKey, _Key(self, transaction)
        )  # the encoder asks it for a signature of the hash only
        return bytes(sign_transaction_dict(key, cast(TransactionDictType, dict(transaction)))[3])

    def __repr__(self) -> str:
        return f"ProgramSigner(address=0x{self.address.hex()}, program={self._program.command[0]!r})"

    def _signed(self, digest: bytes, transaction: Mapping[str, object] | None) -> bytes:
        if len(digest) != 32:
            raise LocalProtocolError(f"a digest has 32 bytes, not {len(digest)}")
        asked: dict[str, object] = {
            "version": 1,
            "address": f"0x{self.address.hex()}",
            "digest": f"0x{digest.hex()}",
        }
        if transaction is not None:
            asked["transaction"] = {name: _shown(value) for name, value in transaction.items()}
        answer = self._ask(json.dumps(asked).encode() + b"\n")
        try:
            values = bytes.fromhex(answer.decode("ascii").strip().removeprefix("0x"))
        except ValueError:
            values = b""
        if len(values) not in (64, 65):  # (3)
            raise self._bad("printed no signature: 64 or 65 bytes in hexadecimal digits are one")
        return self._canonical(digest, values)

    def _ask(self, request: bytes) -> bytes:
        command, seconds = list(self._program.command), self._program.timeout_s
        try:
            done = subprocess.run(command, input=request, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise self._bad(f"gave no answer within {seconds} seconds") from None  # (1)
        except OSError as error:
            raise self._bad(f"cannot be started: {error.strerror}") from error
        if done.returncode != 0:  # (1)
            said = "".join(c if c.isprintable() else " " for c in done.stderr.decode(errors="replace"))
            raise self._bad(f"ended with status {done.returncode}: {said.strip()[-MAX_COMPLAINT:]}")
        if len(done.stdout) > MAX_ANSWER:  # (2)
            raise self._bad(f"printed more than {MAX_ANSWER} bytes")
        return done.stdout

    def _canonical(self, digest: bytes, values: bytes) -> bytes:
        """Return r, low s and the v that belongs to the address."""
        r, s = int.from_bytes(values[:32], "big"), int.from_bytes(values[32:64], "big")
        if not 0 < r < CURVE_ORDER or not 0 < s < CURVE_ORDER:  # (4)
            raise self._bad("printed numbers that are no signature")
        low = min(s, CURVE_ORDER - s)
        for v in (27, 28):
            signature = values[:32] + low.to_bytes(32, "big") + bytes([v])
            try:
                if recover(digest, signature) == self.address:  # (5)
                    return signature
            except VerificationError:
                continue
        raise self._bad(f"signed with another key than that of 0x{self.address.hex()}")

    def _bad(self, what: str) -> SignerError:
        return SignerError(f"The program {self._program.command[0]} {what}.")


class _Key:
    """What the encoder of transactions takes for a key."""

    def __init__(self, signer: ProgramSigner, transaction: Mapping[str, object]) -> None:
        self._signer = signer
        self._transaction = transaction

    def sign_msg_hash(self, digest: bytes) -> Signature:
        found = self._signer._signed(bytes(digest), self._transaction)
        return Signature(found[:64] + bytes([found[64] - 27]))


def _shown(value: object) -> object:
    """Return a field of a transaction as JSON-RPC writes it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return f"0x{bytes(value).hex()}" if isinstance(value, bytes | bytearray) else value
