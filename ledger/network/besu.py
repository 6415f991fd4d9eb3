"""What one Besu node needs beside its key and the genesis file: configuration, peers, permissions, and a compose file.

Each node listens to the others on its port and answers JSON-RPC on loopback only. It talks to the hosts of the network and
nobody else (node permissions), and takes transactions of listed accounts only, where any are listed (account permissions).
States of old blocks are kept (FOREST), so that proofs about them can be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ledger.network.hosts import Host

IMAGE = "hyperledger/besu:26.9.0"
KEY, GENESIS, CONFIG, PEERS, PERMISSIONS, COMPOSE = (
    "key", "genesis.json", "config.toml", "static-nodes.json", "permissions.toml", "compose.yaml",
)  # fmt: skip
_MOUNT = "/network"


def _toml(values: dict[str, object]) -> bytes:
    """Return a TOML file of strings, numbers, truths and lists of strings, all of which look as in JSON."""
    return "".join(f"{key}={json.dumps(value)}\n" for key, value in values.items()).encode()


def config(host: Host, *, accounts: bool) -> bytes:
    """Return a node's configuration.

    Args:
        host: The node's.
        accounts: Whether accounts are listed.
    """
    return _toml(
        {
            "data-path": f"{_MOUNT}/data",
            "genesis-file": f"{_MOUNT}/{GENESIS}",
            "node-private-key-file": f"{_MOUNT}/{KEY}",
            "data-storage-format": "FOREST",
            "sync-mode": "FULL",
            "min-gas-price": 0,
            "tx-pool": "sequenced",
            "p2p-host": host.address,
            "p2p-port": host.port,
            "nat-method": "NONE",
            "discovery-enabled": False,
            "static-nodes-file": f"{_MOUNT}/{PEERS}",
            "permissions-nodes-config-file-enabled": True,
            "permissions-nodes-config-file": f"{_MOUNT}/{PERMISSIONS}",
            "permissions-accounts-config-file-enabled": accounts,
            "permissions-accounts-config-file": f"{_MOUNT}/{PERMISSIONS}",
            "rpc-http-enabled": True,
            "rpc-http-host": "127.0.0.1",
            "rpc-http-port": host.rpc_port,
            "rpc-http-api": ["ETH", "NET", "WEB3", "QBFT"],
            "host-allowlist": ["localhost", "127.0.0.1"],
        }
    )


def peers(host: Host, hosts: Sequence[Host]) -> bytes:
    """Return whom a node keeps a connection to: all the others."""
    return json.dumps([other.enode for other in hosts if other != host], indent=1).encode() + b"\n"


def permissions(hosts: Sequence[Host], accounts: Sequence[bytes]) -> bytes:
    """Return whom a node talks to, and whose transactions it takes."""
    values: dict[str, object] = {"nodes-allowlist": [host.enode for host in hosts]}
    if accounts:
        values["accounts-allowlist"] = [f"0x{account.hex()}" for account in accounts]
    return _toml(values)


def compose(host: Host, image: str) -> bytes:
    """Return a compose file that runs the node in a container, with the host's network and the caller's user."""
    name = f"besu-{host.address}-{host.port}".replace(":", "-").replace(".", "-")
    return f"""\
# docker compose up -d   (with BESU_USER="$(id -u):$(id -g)", who must own this folder: the key is readable by its owner only)
services:
  besu:
    container_name: {json.dumps(name)}
    image: {json.dumps(image)}
    command: ["--config-file={_MOUNT}/{CONFIG}"]
    user: "${{BESU_USER:?set it to the output of id -u, a colon, and that of id -g}}"
    network_mode: host
    restart: unless-stopped
    volumes:
      - ".:{_MOUNT}"
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
""".encode()
