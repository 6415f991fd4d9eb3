"""Encoding and decoding of calls, results and events, compiled once from a contract's ABI.

Addresses are ``bytes`` of 20 here, not checksummed text. Results and events must be the canonical encoding of their
values (they are encoded again and compared), so that nothing hides in padding or behind the last value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals, registry
from eth_typing import ABI, ABIConstructor, ABIElement, ABIEvent, ABIFunction
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)

from fl_core.errors import DecodeError, LocalProtocolError
from ledger.artifacts import load

MAX_RESULT_BYTES = 64 * 1024
"""Longest result or event data that is decoded; the longest real one is a lineage page of about 2 kilobytes."""
_MAX_REASON = 200
_SIZES = {"bytes32": 32, "address": 20}
_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string), Solidity's and Vyper's revert with a reason
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)


class _BytesAddressDecoder(AddressDecoder):
    """Decodes an address to its 20 bytes."""

    decoder_fn = staticmethod(bytes)  # type: ignore[assignment]  # the base class returns text


def _make_codec() -> ABICodec:
    ours = registry.copy()  # type: ignore[no-untyped-call]
    ours.unregister("address")
    same = BaseEquals("address")  # type: ignore[no-untyped-call]
    ours.register(same, AddressEncoder, _BytesAddressDecoder, label="address")
    return ABICodec(ours)


_CODEC = _make_codec()


def encode(types: Sequence[str], values: Sequence[object]) -> bytes:
    """Encode ``values``.

    Raises:
        LocalProtocolError: A value does not fit its type.
    """
    for kind, value in zip(types, values, strict=True):
        _check_size(kind, value)
    try:
        return _CODEC.encode(list(types), list(values))
    except (EncodingError, TypeError, ValueError) as error:
        raise LocalProtocolError(f"a value does not fit its type in the contract: {error}") from error


def _check_size(kind: str, value: object) -> None:
    """Refuse words and addresses of another length: the codec would fill them up with zeros, or take text."""
    if kind.endswith("[]"):
        for item in value if isinstance(value, Sequence) else ():
            _check_size(kind[:-2], item)
    elif kind in _SIZES and (not isinstance(value, bytes) or len(value) != _SIZES[kind]):
        raise LocalProtocolError(f"a value of type {kind} must be {_SIZES[kind]} bytes")


def decode(types: Sequence[str], data: bytes) -> tuple[object, ...]:
    """Decode the canonical encoding of values of ``types``.

    Raises:
        DecodeError: Too long, malformed or not canonical.
    """
    if len(data) > MAX_RESULT_BYTES:
        raise DecodeError(
            f"A contract's answer has {len(data)} bytes, at most {MAX_RESULT_BYTES} are accepted."
        )
    try:
        values: tuple[object, ...] = _CODEC.decode(list(types), data)
        canonical = _CODEC.encode(list(types), list(values)) == data
    except (DecodingError, EncodingError, ValueError, OverflowError) as error:
        raise DecodeError(f"A contract's answer is not ({','.join(types)}).") from error
    if not canonical:
        raise DecodeError(f"A contract's answer is not the canonical encoding of ({','.join(types)}).")
    return values


def revert_reason(output: bytes) -> str:
    """Return the sentence that a reverted call gave, or an empty string."""
    try:
        if output[:4] == _ERROR_SELECTOR:
            return str(decode(["string"], output[4:])[0])[:_MAX_REASON]
        if output[:4] == _PANIC_SELECTOR:
            return f"panic {decode(['uint256'], output[4:])[0]}"
    except DecodeError:
        pass  # a contract may revert with anything
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function of a contract.

    Attributes:
        name: Its name.
        selector: The first 4 bytes of a call.
        inputs: ABI types of its arguments.
        outputs: ABI types of its results.
    """

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, element: ABIFunction) -> Function:
        """Compile one entry of an ABI."""
        return cls(
            name=element["name"],
            selector=function_abi_to_4byte_selector(element),
            inputs=tuple(get_abi_input_types(element)),
            outputs=tuple(get_abi_output_types(element)),
        )

    def call_data(self, *arguments: object) -> bytes:
        """Encode a call."""
        if len(arguments) != len(self.inputs):
            raise LocalProtocolError(f"{self.name} takes {len(self.inputs)} arguments, not {len(arguments)}")
        return self.selector + encode(self.inputs, arguments)

    def results(self, data: bytes) -> tuple[object, ...]:
        """Decode what a call returned."""
        return decode(self.outputs, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One event of a contract.

    Attributes:
        name: Its name.
        topic: The first topic of its logs.
        indexed: Name -> ABI type of the values in topics, in order; all of fixed size.
        plain: Name -> ABI type of the values in the data, in order.
    """

    name: str
    topic: bytes
    indexed: Mapping[str, str]
    plain: Mapping[str, str]

    @classmethod
    def of(cls, element: ABIEvent) -> EventType:
        """Compile one entry of an ABI."""
        types = {item["name"]: collapse_if_tuple(item) for item in element["inputs"]}
        indexed = {item["name"] for item in element["inputs"] if item["indexed"]}
        return cls(
            name=element["name"],
            topic=event_abi_to_log_topic(element),
            indexed={name: kind for name, kind in types.items() if name in indexed},
            plain={name: kind for name, kind in types.items() if name not in indexed},
        )

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, object]:
        """Decode a log of this event to name -> value.

        Raises:
            DecodeError: It is not a log of this event.
        """
        if len(topics) != 1 + len(self.indexed) or topics[0] != self.topic:
            raise DecodeError(f"A log does not have the topics of {self.name}.")
        pairs = zip(self.indexed.items(), topics[1:], strict=True)
        values: dict[str, object] = {name: decode([kind], topic)[0] for (name, kind), topic in pairs}
        return values | dict(zip(self.plain, decode(tuple(self.plain.values()), data), strict=True))


class Interface:
    """All functions and events of one contract.

    Args:
        abi: From the artifact.
    """

    def __init__(self, abi: ABI) -> None:
        self._functions = {f.name: f for f in (Function.of(e) for e in abi if e["type"] == "function")}
        self._events = {e.name: e for e in (EventType.of(e) for e in abi if e["type"] == "event")}
        self._constructor = _constructor_types(abi)

    def function(self, name: str) -> Function:
        """Return a function by name."""
        return self._functions[name]

    def event(self, name: str) -> EventType:
        """Return an event by name."""
        try:
            return self._events[name]
        except KeyError as error:
            raise LocalProtocolError(f"the contract has no event {name!r}") from error

    def constructor_data(self, *arguments: object) -> bytes:
        """Encode constructor arguments; they follow the bytecode."""
        if len(arguments) != len(self._constructor):
            raise LocalProtocolError(f"the constructor takes {len(self._constructor)} arguments")
        return encode(self._constructor, arguments)

    def constructor_arguments(self, data: bytes) -> tuple[object, ...]:
        """Decode what follows the bytecode in a deployment.

        Raises:
            DecodeError: It is not the canonical encoding of constructor arguments.
        """
        return decode(self._constructor, data)


def _constructor_types(abi: Sequence[ABIElement]) -> tuple[str, ...]:
    constructors: list[ABIConstructor] = [e for e in abi if e["type"] == "constructor"]
    return tuple(get_abi_input_types(constructors[0])) if constructors else ()


@cache
def interface(name: str) -> Interface:
    """Return the interface of one of our contracts, by artifact name."""
    return Interface(load(name).abi)
