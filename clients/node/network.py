"""The section ``[network]`` of ``node.toml``: where the node's partners are, whom it trusts for them, and which ports it uses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clients.node.house import read_node_toml
from fl_core.errors import InputError

MAX_PORT = 65535
GATEWAY_PORT, SUPERNODE_PORT = 9093, 9094
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the section says; everything is optional.

    Attributes:
        superlink: ``host:port`` or ``https://host:port`` of the SuperLink's fleet interface, or empty.
        relay: URL of the relay beside the coordinator, or empty.
        ca: File with the certificates that vouch for both; the system's where it is empty.
        insecure: Whether the SuperLink speaks without TLS, as on loopback.
        node_key: File with the key by which the SuperLink knows this node, ``keys/supernode.pem`` where it is empty.
        gateway_port: The gateway's port on 127.0.0.1.
        supernode_port: The SuperNode's own port on 127.0.0.1.

    Raises:
        ValueError: A value has another type, or a port is none.
    """

    superlink: str = ""
    relay: str = ""
    ca: str = ""
    insecure: bool = False
    node_key: str = ""
    gateway_port: int = GATEWAY_PORT
    supernode_port: int = SUPERNODE_PORT

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value).__name__ != field.type:
                raise ValueError(f"{field.name} is no {_KINDS[str(field.type)]}")
            if field.name.endswith("_port") and not 1 <= value <= MAX_PORT:
                raise ValueError(f"{field.name} lies between 1 and {MAX_PORT}")
        if self.gateway_port == self.supernode_port:
            raise ValueError("gateway_port and supernode_port are the same")

    @property
    def superlink_url(self) -> str:
        """The SuperLink's address as a URL, or empty."""
        if not self.superlink or "://" in self.superlink:
            return self.superlink
        return f"{'http' if self.insecure else 'https'}://{self.superlink}"


_KINDS = {"str": "text", "bool": "true or false", "int": "whole number"}


def read_network(config: dict[str, Any], folder: Path) -> Network:
    """Read the section of a parsed ``node.toml`` in ``folder``; files in it may be given relative to the folder.

    Raises:
        InputError: It is malformed.
    """
    section = config.get("network", {})
    known = [field.name for field in fields(Network)]
    for name in section if isinstance(section, dict) else ():
        if name not in known:
            near = [f"Did you mean {one!r}? " for one in get_close_matches(name, known, 1)]
            raise InputError(
                f"[network] in {folder / 'node.toml'} has no key {name!r}.",
                fix=f"{''.join(near)}Its keys: {', '.join(known)}.",
            )
    try:
        network = Network(**section)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"[network] in {folder / 'node.toml'} is not valid ({error}).",
            fix=f"Its keys: {', '.join(known)}.",
        ) from error
    values = {name: getattr(network, name) for name in Network.__slots__}
    for name in ("ca", "node_key"):
        if values[name]:
            values[name] = str(folder / Path(values[name]).expanduser())
    return Network(**values)


def check_address(url: str) -> str:
    """Return the address of a SuperLink without a trailing slash.

    Raises:
        InputError: It is not ``https://HOST:PORT``; plain HTTP is for this machine only.
    """
    if not _names_superlink(url):
        raise InputError(
            f"{url!r} is no address of a SuperLink.",
            fix="Use https://HOST:PORT; http:// is accepted for this machine only.",
        )
    return url.rstrip("/")


def _names_superlink(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a bracket or a port that is none
        return False
    plain = parts.scheme == "http" and parts.hostname in _LOCAL
    bare = parts.path in ("", "/") and not parts.query
    return (parts.scheme == "https" or plain) and bool(parts.hostname) and port != 0 and bare


def load_network(folder: Path) -> Network:
    """Read the section of the ``node.toml`` in ``folder``.

    Raises:
        InputError: It is no node's folder, or the section is malformed.
    """
    return read_network(read_node_toml(folder / "node.toml"), folder)


def key_path(folder: Path, network: Network) -> Path:
    """Return where the key lies by which the SuperLink knows the node; ``.pub`` beside it is what the coordinator enrols."""
    return Path(network.node_key) if network.node_key else folder / "keys" / "supernode.pem"
