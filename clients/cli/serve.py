"""``suture-node serve``: the process that the glue talks to."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clients.cli.house_processes import Outside
    from clients.node.house import House
    from clients.node.relay_client import Duties
    from clients.node.service import Node

from clients.cli.arguments import Folder

EPILOG = "Example: suture-node serve /srv/suture/node --socket /run/suture/node.sock"


def serve(
    folder: Folder,
    socket: Annotated[Path, typer.Option(help="Unix socket for the glue; only its owner can connect.")],
    glue_user: Annotated[
        str | None, typer.Option(help="User that the SuperNode runs as; needs root. Default: the node's own.")
    ] = None,
    relay: Annotated[str | None, typer.Option(help="Relay to fetch duties from: https://HOST:PORT.")] = None,
    relay_certificates: Annotated[
        Path | None, typer.Option(help="PEM file of the authorities for the relay; default: the system's.")
    ] = None,
    superlink: Annotated[
        str | None,
        typer.Option(help="Also run gateway and SuperNode for this SuperLink: https://HOST:PORT."),
    ] = None,
    root_certificates: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authorities for the SuperLink; default: the system's."),
    ] = None,
    gateway_port: Annotated[
        int, typer.Option(help="The gateway's port on 127.0.0.1.", min=1, max=65535)
    ] = 9093,
    supernode_port: Annotated[
        int, typer.Option(help="The SuperNode's own port on 127.0.0.1.", min=1, max=65535)
    ] = 9094,
    metrics: Annotated[
        str | None,
        typer.Option(help="Serve Prometheus metrics at this loopback address, e.g. 127.0.0.1:9464."),
    ] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Write log lines as JSON.")] = False,
) -> None:
    """Answer the glue's calls on a Unix socket until SIGTERM, SIGHUP or Ctrl-C."""
    from clients.cli.house_processes import Outside
    from clients.node.json_log import log_to_stderr
    from clients.node.separation import glue_user as find_user

    log_to_stderr(as_json=json_logs)
    user = None if glue_user is None else find_user(glue_user)
    ids = None if user is None else (user.pw_uid, user.pw_gid)
    os.umask(0o077)
    outside = None
    if superlink is not None:
        outside = Outside(
            superlink=superlink,
            certificates=root_certificates,
            gateway_port=gateway_port,
            supernode_port=supernode_port,
            user=ids,
        )
    _serve(folder, socket, ids, None if relay is None else (relay, relay_certificates), outside, metrics)


def _serve(
    folder: Path,
    socket: Path,
    user: tuple[int, int] | None,
    relay: tuple[str, Path | None] | None,
    outside: Outside | None,
    metrics: str | None,
) -> None:
    """Open the node and serve it until a signal comes."""
    from clients.cli.house_processes import children, keep_running
    from clients.node.house import open_house, open_node
    from clients.node.metrics import Metrics, MetricsServer
    from clients.node.separation import separate, share_socket
    from clients.node.server import NodeServer
    from fl_core.randomness import SystemRandomSource

    house = open_house(folder)
    node = open_node(house, clock=lambda: int(time.time()), random=SystemRandomSource())
    counted = Metrics(folder, node.logbook.total, int(time.time()))
    scraped = None if metrics is None else MetricsServer(counted, metrics)
    server = NodeServer(node, socket, tidy=node.prekeys.sweep, observe=counted.observe)
    if user is not None:
        separate(folder, user[1])
        share_socket(socket, user[1])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    duties = None if relay is None else _duties(node, house, *relay)
    server.start()
    logging.getLogger("suture.node").info("%s answers on %s", node.name, socket)
    if outside is None:
        stop.wait()
    else:
        keep_running(folder, children(folder, socket, outside), stop)
    if duties is not None:
        duties.close()
    server.close()
    if scraped is not None:
        scraped.close()
    node.close()


def _duties(node: Node, house: House, url: str, certificates: Path | None) -> Duties:
    """Start to answer duties from the relay."""
    from clients.node.relay_client import Duties, RelayClient
    from fl_core.errors import InputError

    if house.ledger is None:
        raise InputError("this node follows no ledger.", fix="Join a ledger before you name a relay.")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    contract = bytes.fromhex(house.ledger.contract)
    client = RelayClient(
        url, certificates, chain_id=house.ledger.chain_id, contract=contract, account=house.account
    )
    duties = Duties(client, node)
    duties.start()
    return duties
