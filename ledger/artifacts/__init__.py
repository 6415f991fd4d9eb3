"""The compiled contracts, checked in as JSON, so that nobody needs a compiler to use or to audit them.

``load("TrainingLedger")`` reads one artifact. The JSON files are made by ``python -m ledger.artifacts.compile`` from
``ledger/contracts``; with ``--check`` the same command proves that they still follow from the sources.

Code on the chain is the artifact's ``runtime`` followed by the values of its immutables, each a word of 32 bytes at the
offset that ``immutables`` gives; :meth:`Artifact.deployed_code` puts the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypedDict, cast

from eth_typing import ABI, ABIElement, ABIEvent, ABIFunction

from ledger.errors import ArtifactError

NAMES = ("RewardToken", "TrainingLedger")
"""The contracts there are."""


class ArtifactDocument(TypedDict):
    """The JSON form, one key per field of :class:`Artifact`; byte strings are hexadecimal with ``0x``."""

    name: str
    compiler: str
    evm_version: str
    source_sha256: str
    abi: list[dict[str, object]]
    method_identifiers: dict[str, str]
    storage_layout: dict[str, int]
    immutables: dict[str, int]
    bytecode: str
    runtime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One compiled contract.

    Attributes:
        name: Its name, also of the source file.
        compiler: The compiler and its version, as in "vyper 0.4.3".
        evm_version: The fork it was compiled for.
        source_sha256: SHA-256 of the source file, 32 bytes.
        abi: Functions, events and constructor, in source order.
        method_identifiers: Signature -> 4-byte selector.
        storage_layout: Variable -> slot. Of a map, an entry lies at keccak256(slot . key): slot first, as Vyper does.
        immutables: Immutable -> offset of its word behind ``runtime``.
        bytecode: What a deployment sends, before the encoded constructor arguments.
        runtime: Code on the chain, before the immutables.
    """

    name: str
    compiler: str
    evm_version: str
    source_sha256: bytes
    abi: ABI
    method_identifiers: Mapping[str, bytes]
    storage_layout: Mapping[str, int]
    immutables: Mapping[str, int]
    bytecode: bytes
    runtime: bytes

    def function(self, name: str) -> ABIFunction:
        """Return the one function called ``name`` (the contracts overload nothing).

        Raises:
            ArtifactError: There is no such function.
        """
        return cast(ABIFunction, self._element("function", name))

    def event(self, name: str) -> ABIEvent:
        """Return the event called ``name``.

        Raises:
            ArtifactError: There is no such event.
        """
        return cast(ABIEvent, self._element("event", name))

    def deployed_code(self, immutables: Mapping[str, bytes]) -> bytes:
        """Return the code that a deployment with these immutables leaves on the chain.

        Args:
            immutables: Name -> word of 32 bytes, for exactly the names in ``self.immutables``.

        Raises:
            ArtifactError: A name is missing, unknown, or its value is not a word.
        """
        if immutables.keys() != self.immutables.keys():
            raise ArtifactError(f"{self.name} has the immutables {sorted(self.immutables)}.")
        words = [immutables[name] for name in sorted(self.immutables, key=self.immutables.__getitem__)]
        if any(len(word) != 32 for word in words):
            raise ArtifactError("An immutable is a word of 32 bytes.")
        return self.runtime + b"".join(words)

    def _element(self, kind: str, name: str) -> ABIElement:
        for element in self.abi:
            if element["type"] == kind and element.get("name") == name:
                return element
        raise ArtifactError(f"{self.name} has no {kind} {name!r}.")


@cache
def load(name: str) -> Artifact:
    """Read one artifact that comes with the package.

    Args:
        name: One of :data:`NAMES`.

    Raises:
        ArtifactError: There is no such contract, or its file is damaged.
    """
    if name not in NAMES:
        raise ArtifactError(f"There is no contract {name!r}; there are {', '.join(NAMES)}.")
    return parse(resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8"))


def parse(text: str) -> Artifact:
    """Read an artifact from its JSON form.

    Raises:
        ArtifactError: The text is not an artifact.
    """
    try:
        document = cast(ArtifactDocument, json.loads(text))
        return Artifact(
            name=document["name"],
            compiler=document["compiler"],
            evm_version=document["evm_version"],
            source_sha256=bytes.fromhex(document["source_sha256"]),
            abi=cast(ABI, tuple(document["abi"])),
            method_identifiers={key: _unhex(value) for key, value in document["method_identifiers"].items()},
            storage_layout=document["storage_layout"],
            immutables=document["immutables"],
            bytecode=_unhex(document["bytecode"]),
            runtime=_unhex(document["runtime"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"The text is not a contract artifact: {error!r}.") from error


def _unhex(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("expected 0x")
    return bytes.fromhex(text[2:])
