"""Who validates, and where: one host for each validator, with its node key or with the public half of one made elsewhere."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eth_keys.datatypes import PrivateKey, PublicKey
from eth_utils.exceptions import ValidationError

from fl_core.errors import InputError
from fl_core.randomness import RandomSource
from fl_core.secret import Secret
from ledger.typed_data import CURVE_ORDER

P2P_PORT, RPC_PORT = 30303, 8545
MAX_HOSTS = 100
LEAST_FOR_FAULTS = 4
"""Fewest validators that tolerate one that lies or is down: n of 3f + 1."""
_KEY_SIZE, _PUBLIC_SIZE = 32, 64
_HOST = re.compile(
    r"(?P<address>\[[0-9a-fA-F:]+\]|[0-9.]+)(?::(?P<port>\d{1,5}))?(?:=(?P<key>(?:0x)?[0-9a-fA-F]{128}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One validator.

    Attributes:
        address: IP address at which the others reach it.
        port: TCP port at which the others reach it.
        rpc_port: Port of its JSON-RPC, on loopback.
        public_key: Of its node, 64 bytes.
        key: Its node key, where it was made here.
    """

    address: str
    port: int
    rpc_port: int
    public_key: bytes
    key: Secret | None

    @property
    def enode(self) -> str:
        """Where and who it is, as nodes write it."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"enode://{self.public_key.hex()}@{shown}:{self.port}"

    @property
    def validator(self) -> bytes:
        """Its address as a validator, 20 bytes."""
        return bytes(PublicKey(self.public_key).to_canonical_address())


def new_key(random: RandomSource) -> Secret:
    """Return a fresh node key, 32 bytes."""
    while True:
        key = random.secret(_KEY_SIZE)
        if 0 < int.from_bytes(key.reveal(), "big") < CURVE_ORDER:  # all but one in 2^127 are
            return key


def public_key_of(key: Secret) -> bytes:
    """Return the public half of a node key, 64 bytes."""
    return bytes(PrivateKey(key.reveal()).public_key.to_bytes())


def read_hosts(texts: Sequence[str], random: RandomSource) -> tuple[Host, ...]:
    """Read hosts as a person names them: ``IP``, ``IP:PORT``, ``[IPV6]:PORT``, each with ``=PUBLICKEY`` if it has a key.

    Raises:
        InputError: One is malformed, or two are the same.
    """
    if not 1 <= len(texts) <= MAX_HOSTS:
        raise InputError(
            f"A network has 1 to {MAX_HOSTS} hosts, not {len(texts)}.", fix="Name one for each member."
        )
    hosts: list[Host] = []
    for text in texts:
        rpc_port = RPC_PORT + sum(host.address == _address(text)[0] for host in hosts)
        hosts.append(_host(text, rpc_port, random))
    for what, values in (
        ("address and port", [(host.address, host.port) for host in hosts]),
        ("public key", [host.public_key for host in hosts]),
    ):
        if len(set(values)) != len(values):
            raise InputError(f"Two hosts have the same {what}.", fix="Each validator has its own.")
    return tuple(hosts)


def read_accounts(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Read accounts as a person names them, without doubles, in order.

    Raises:
        InputError: One is malformed.
    """
    for text in texts:
        if not re.fullmatch("(0x)?[0-9a-fA-F]{40}", text):
            raise InputError(f"{text!r} is no account.", fix="An account is 0x and 40 hexadecimal digits.")
    return tuple(dict.fromkeys(bytes.fromhex(text.removeprefix("0x")) for text in texts))


def _address(text: str) -> tuple[str, re.Match[str]]:
    found = _HOST.fullmatch(text)
    try:
        if found is None:
            raise ValueError("no match")
        return str(ipaddress.ip_address(found["address"].strip("[]"))), found
    except ValueError as error:
        raise InputError(
            f"{text!r} is no host.",
            fix="Write IP, IP:PORT or IP:PORT=PUBLICKEY, as in 10.0.0.1:30303; node permissions take no names.",
        ) from error


def _host(text: str, rpc_port: int, random: RandomSource) -> Host:
    address, found = _address(text)
    port = int(found["port"] or P2P_PORT)
    if not 0 < port < 1 << 16:
        raise InputError(f"{port} is no port.", fix="Ports are 1 to 65535.")
    key = None if found["key"] else new_key(random)
    public = bytes.fromhex(found["key"].removeprefix("0x")) if key is None else public_key_of(key)
    try:
        PublicKey(public).to_canonical_address()
        _check_on_curve(public)
    except (ValidationError, ValueError) as error:
        raise InputError(
            f"The public key of {address} is no point of the curve.", fix="Copy it again."
        ) from error
    return Host(address=address, port=port, rpc_port=rpc_port, public_key=public, key=key)


def _check_on_curve(public: bytes) -> None:
    """Refuse a point that is not on secp256k1 (SEC 2 v2, section 2.4.1): y^2 = x^3 + 7."""
    prime = 2**256 - 2**32 - 977
    x, y = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    if x >= prime or y >= prime or (y * y - x * x * x - 7) % prime:
        raise ValueError("not on the curve")
