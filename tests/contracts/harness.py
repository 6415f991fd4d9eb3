"""Accounts by name, and contracts called by their ABI, for tests.

Everything goes through :meth:`Contract.call`, which encodes by the checked-in ABI and turns a revert into
:class:`ledger.errors.Reverted` with the contract's own sentence; :func:`refused` expects one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from ledger.artifacts import Artifact
from ledger.errors import Reverted
from tests.contracts.engines import Engine, Log, Outcome

_ERROR = keccak(text="Error(string)")[:4]


def word(text: str) -> bytes:
    """Return a digest-like word that stands for ``text``."""
    return keccak(text=text)


@cache
def private_key(name: str) -> PrivateKey:
    """Return the key called ``name``, always the same one."""
    return PrivateKey(word(f"key of {name}"))


@cache
def account(name: str) -> bytes:
    """Return the address of the key called ``name``."""
    return bytes(private_key(name).public_key.to_canonical_address())


def sign(name: str, digest: bytes) -> bytes:
    """Return the signature of the key called ``name``: r, s, v with v of 27 or 28."""
    signature = private_key(name).sign_msg_hash(digest)
    r, s, v = (int(part) for part in (signature.r, signature.s, signature.v))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + v])


def type_of(parameter: Any) -> str:
    """Return the canonical ABI type of a parameter, tuples spelt out."""
    if parameter["type"].startswith("tuple"):
        inner = ",".join(type_of(component) for component in parameter["components"])
        return f"({inner}){parameter['type'][5:]}"
    return str(parameter["type"])


def plain(parameter: Any, value: Any) -> Any:
    """Return a decoded value in our form: addresses as 20 bytes, structs as dictionaries."""
    if parameter["type"] == "tuple":
        pairs = zip(parameter["components"], value, strict=True)
        return {component["name"]: plain(component, part) for component, part in pairs}
    if parameter["type"] == "address":
        return bytes.fromhex(value[2:])
    return value


@dataclass(frozen=True)
class Event:
    """One decoded log."""

    name: str
    values: dict[str, Any]


def reason_of(output: bytes) -> str:
    """Return the sentence in the revert data Error(string), or "" when there is none."""
    return str(decode(["string"], output[4:])[0]) if output[:4] == _ERROR else ""


class Contract:
    """One deployed contract, called by ABI."""

    def __init__(self, engine: Engine, artifact: Artifact, address: bytes) -> None:
        self.engine = engine
        self.artifact = artifact
        self.address = address
        self.last: Outcome

    @classmethod
    def deploy(cls, engine: Engine, sender: str, artifact: Artifact, *arguments: Any) -> Contract:
        """Deploy a contract with constructor arguments.

        Raises:
            Reverted: The constructor refused.
        """
        constructors: list[Any] = [element for element in artifact.abi if element["type"] == "constructor"]
        types = [type_of(parameter) for constructor in constructors for parameter in constructor["inputs"]]
        outcome = engine.execute(private_key(sender), b"", artifact.bytecode + encode(types, arguments))
        if not outcome.success:
            raise Reverted("constructor", reason_of(outcome.output))
        contract = cls(engine, artifact, outcome.output)
        contract.last = outcome
        return contract

    def call(self, sender: str, function: str, *arguments: Any) -> Any:
        """Call ``function`` as the account called ``sender``; a single return value comes alone.

        Raises:
            Reverted: With the contract's sentence, or "" when it gave none. Nothing changed then.
        """
        abi: Any = self.artifact.function(function)
        types = [type_of(parameter) for parameter in abi["inputs"]]
        selector = keccak(text=f"{function}({','.join(types)})")[:4]
        outcome = self.engine.execute(private_key(sender), self.address, selector + encode(types, arguments))
        if not outcome.success:
            raise Reverted(function, reason_of(outcome.output))
        self.last = outcome
        outputs = abi["outputs"]
        values = decode([type_of(parameter) for parameter in outputs], outcome.output)
        results = [plain(parameter, value) for parameter, value in zip(outputs, values, strict=True)]
        return results[0] if len(results) == 1 else results or None

    def view(self, function: str, *arguments: Any) -> Any:
        """Call a view as nobody in particular; ``last`` stays what it was."""
        last = self.last
        result = self.call("anyone", function, *arguments)
        self.last = last
        return result

    def events(self) -> list[Event]:
        """Return what this contract logged in the last call or deployment, decoded, in order."""
        return [self._decode(log) for log in self.last.logs if log.address == self.address]

    def _decode(self, log: Log) -> Event:
        for abi in self.artifact.abi:
            if abi["type"] != "event":
                continue
            inputs: Any = abi["inputs"]
            signature = f"{abi['name']}({','.join(type_of(parameter) for parameter in inputs)})"
            if keccak(text=signature) == log.topics[0]:
                return Event(abi["name"], _values(inputs, log))
        raise AssertionError("a log without an event in the ABI")


def _values(inputs: Any, log: Log) -> dict[str, Any]:
    topics = iter(log.topics[1:])
    rest = [parameter for parameter in inputs if not parameter["indexed"]]
    data = iter(decode([type_of(parameter) for parameter in rest], log.data))
    found = {}
    for parameter in inputs:
        value = decode([type_of(parameter)], next(topics))[0] if parameter["indexed"] else next(data)
        found[parameter["name"]] = plain(parameter, value)
    return found


@contextmanager
def refused(rule: str, contract: str = "training_ledger") -> Iterator[None]:
    """Expect that the contract refuses, with exactly this sentence."""
    with pytest.raises(Reverted) as caught:
        yield
    assert caught.value.reason == f"{contract}: {rule}"
