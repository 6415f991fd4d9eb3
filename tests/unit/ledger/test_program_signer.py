"""Keys that another program holds. The programs here are real ones: scripts that are started for each signature."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from fl_core.errors import InputError
from fl_core.secret import Secret
from ledger.errors import SignerError
from ledger.program_signer import ProgramSigner
from ledger.signer import KeySigner, keystore_address, keystore_of, open_signer, passphrase_of
from ledger.typed_data import CURVE_ORDER, verify

KEY = bytes(range(1, 33))
DIGEST = bytes(range(32))
LEGACY = {
    "to": "0x" + "11" * 20,
    "value": 5,
    "gas": 21000,
    "gasPrice": 0,
    "nonce": 3,
    "chainId": 20260,
    "data": b"\x01",
}
DYNAMIC = {
    "to": "0x" + "11" * 20,
    "value": 5,
    "gas": 21000,
    "maxFeePerGas": 7,
    "maxPriorityFeePerGas": 2,
    "nonce": 3,
    "chainId": 1,
    "data": "0x",
}

SIGN = f"""
import json, sys
from coincurve import PrivateKey
asked = json.loads(sys.stdin.readline())
open({{seen!r}}, "a").write(json.dumps(asked) + "\\n")
made = PrivateKey({KEY!r}).sign_recoverable(bytes.fromhex(asked["digest"][2:]), hasher=None)
r, s = made[:32], int.from_bytes(made[32:64], "big")
"""


class Module:
    """A hardware module as far as a signer can tell: a program, and a file that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, folder / "seen"
        self.file, self.program = folder / "key.json", folder / "hsm-sign"
        self.address = KeySigner(Secret(KEY)).address

    def does(self, code: str, **more: object) -> ProgramSigner:
        self.program.write_text(f"#!{sys.executable}\n" + SIGN.format(seen=str(self.seen)) + code)
        self.program.chmod(0o700)
        return self.signer(command=[str(self.program)], **more)

    def signer(self, **fields: object) -> ProgramSigner:
        self.write(json.dumps({"address": f"0x{self.address.hex()}", **fields}))
        found = open_signer(f"program:{self.file}")
        assert isinstance(found, ProgramSigner)
        return found

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def asked(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.seen.read_text().splitlines()]


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module(tmp_path)


LOW = "print((r + s.to_bytes(32, 'big')).hex())"
HIGH = f"print('0x' + (r + ({CURVE_ORDER} - s).to_bytes(32, 'big')).hex())"
WITH_V = "print((r + s.to_bytes(32, 'big') + b'\\x63').hex().upper())"


@pytest.mark.parametrize("code", [LOW, HIGH, WITH_V], ids=["low s", "high s", "with a v of its own"])
def test_a_signature_of_a_program_is_that_of_the_key_itself(module: Module, code: str) -> None:
    signer = module.does(code)
    signature = signer.sign_digest(DIGEST)
    verify(DIGEST, signature, module.address)
    assert signature == KeySigner(Secret(KEY)).sign_digest(DIGEST)
    assert module.asked() == [
        {"version": 1, "address": f"0x{module.address.hex()}", "digest": f"0x{DIGEST.hex()}"}
    ]


@pytest.mark.parametrize("transaction", [LEGACY, DYNAMIC], ids=["legacy", "dynamic fee"])
def test_a_transaction_is_signed_as_by_the_key_itself_and_the_program_sees_it(
    module: Module, transaction: dict[str, object]
) -> None:
    signer = module.does(LOW)
    assert signer.sign_transaction(transaction) == KeySigner(Secret(KEY)).sign_transaction(transaction)
    [asked] = module.asked()
    assert asked["transaction"]["value"] == "0x5"
    assert set(asked["transaction"]) == set(transaction)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "sys.stderr.write('the token is\\x1b[31m locked'); sys.exit(3)",
            "ended with status 3: the token is",
        ),
        ("print('x' * 2000)", "more than 1024 bytes"),
        ("print('no')", "printed no signature"),
        ("print((r + bytes(31)).hex())", "printed no signature"),
        ("print(bytes(64).hex())", "no signature"),
        ("print((b'\\xff' * 64).hex())", "no signature"),
        ("print((r[::-1] + s.to_bytes(32, 'big')).hex())", "signed with another key"),
        ("import time; time.sleep(60)", "no answer within 1 seconds"),
    ],
)
def test_what_is_no_signature_of_the_key_is_refused(module: Module, code: str, said: str) -> None:
    signer = module.does(code, timeout_s=1 if "sleep" in code else 30)
    with pytest.raises(SignerError, match=said) as refused:
        signer.sign_digest(DIGEST)
    assert "\x1b" not in str(refused.value)


def test_a_signature_by_another_key_is_refused_for_a_transaction_too(module: Module) -> None:
    module.address = bytes(20)
    with pytest.raises(SignerError, match="signed with another key"):
        module.does(LOW).sign_transaction(LEGACY)


def test_a_program_that_is_not_there_is_named(module: Module) -> None:
    with pytest.raises(SignerError, match="/nowhere/hsm cannot be started: No such file"):
        module.signer(command=["/nowhere/hsm"]).sign_digest(DIGEST)


@pytest.mark.parametrize(
    "document",
    [
        {"address": "0x" + "00" * 20},
        {"address": "0x00", "command": ["/bin/true"]},
        {"address": 5, "command": ["/bin/true"]},
        {"address": "0x" + "00" * 20, "command": []},
        {"address": "0x" + "00" * 20, "command": "/bin/true"},
        {"address": "0x" + "00" * 20, "command": ["bin/true"]},
        {"address": "0x" + "00" * 20, "command": ["/bin/true", ""]},
        {"address": "0x" + "00" * 20, "command": ["/bin/true"], "timeout_s": 0},
        {"address": "0x" + "00" * 20, "command": ["/bin/true"], "timeout_s": 1.5},
        {"address": "0x" + "00" * 20, "command": ["/bin/true"], "time": 5},
        ["command"],
    ],
)
def test_a_file_that_says_something_else_is_refused_with_its_form(module: Module, document: object) -> None:
    module.write(json.dumps(document))
    with pytest.raises(InputError, match="does not say whose key it is") as refused:
        open_signer(f"program:{module.file}")
    assert '"command"' in str(refused.value.fix)


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_file_that_others_can_read_is_refused(module: Module) -> None:
    module.does(LOW)
    module.file.chmod(module.file.stat().st_mode | stat.S_IRGRP)
    with pytest.raises(InputError, match="Others can read"):
        open_signer(f"program:{module.file}")


def test_the_account_is_known_without_the_program(module: Module) -> None:
    signer = module.does("sys.exit(1)")
    assert keystore_of(f"program:{module.file}") == module.file
    assert keystore_address(module.file) == module.address == signer.address
    assert not module.seen.exists()


def test_there_is_no_passphrase_and_no_query(module: Module) -> None:
    module.does(LOW)
    with pytest.raises(InputError, match="another program's"):
        passphrase_of(f"program:{module.file}")
    with pytest.raises(InputError, match="program:FILE"):
        open_signer(f"program:{module.file}?passphrase-env=X")


def test_what_is_shown_of_a_signer_is_address_and_program(module: Module) -> None:
    shown = repr(module.does(LOW))
    assert module.address.hex() in shown and str(module.program) in shown
