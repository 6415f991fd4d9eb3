"""``suture-node serve``: the process that the glue talks to."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clients.cli.house_processes import Outside
    from clients.node.house import House
    from clients.node.relay_client import RelayClient

from clients.cli.arguments import Folder
from suture_fl.log_option import JsonLogs

EPILOG = "Example: suture-node serve /srv/suture/node --socket /run/suture/node.sock --glue-user suture-glue"


def serve(
    folder: Folder,
    socket: Annotated[Path, typer.Option(help="Unix socket for the glue; only its owner can connect.")],
    glue_user: Annotated[
        str | None,
        typer.Option(
            help="User that the SuperNode, and the training code with it, runs as. Needs root, or with --alone "
            "membership of that user's group."
        ),
    ] = None,
    same_user: Annotated[
        bool,
        typer.Option(
            "--same-user",
            help="Run the SuperNode as the node's own user, who can read the keys: for practice, or for code that you trust as your own.",
        ),
    ] = False,
    relay: Annotated[
        str | None, typer.Option(help="Relay for duties and blocks: https://HOST:PORT. Default: node.toml's.")
    ] = None,
    relay_certificates: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authorities for the relay; default: node.toml's, or the system's."
        ),
    ] = None,
    superlink: Annotated[
        str | None,
        typer.Option(
            help="Also run gateway and SuperNode for this SuperLink: https://HOST:PORT. Default: node.toml's."
        ),
    ] = None,
    root_certificates: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authorities for the SuperLink; default: node.toml's, or the system's."
        ),
    ] = None,
    gateway_port: Annotated[
        int | None,
        typer.Option(
            help="The gateway's port on 127.0.0.1. Default: node.toml's, or 9093.", min=1, max=65535
        ),
    ] = None,
    supernode_port: Annotated[
        int | None,
        typer.Option(
            help="The SuperNode's own port on 127.0.0.1. Default: node.toml's, or 9094.", min=1, max=65535
        ),
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone", help="Run the node only: gateway and SuperNode have containers of their own."
        ),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(help="Serve Prometheus metrics at this address, e.g. 127.0.0.1:9464."),
    ] = None,
    json_logs: JsonLogs = False,
) -> None:
    r"""Answer the glue's calls on a Unix socket until SIGTERM, SIGHUP or Ctrl-C.

    With a SuperLink, gateway and SuperNode run beside it and are started
    again when they die. With a relay, the node answers duties over outward
    connections only. Both can stand in \[network] of node.toml.
    """
    from clients.cli.home import followed
    from clients.cli.house_processes import Outside
    from clients.node.network import check_address, load_network
    from clients.node.separation import glue_user as find_user
    from suture_fl.json_log import log_to_stderr
    from suture_fl.processes import write_no_core

    write_no_core()
    log_to_stderr(as_json=json_logs)
    user = None if glue_user is None else find_user(glue_user)
    ids = None if user is None else (user.pw_uid, user.pw_gid)
    os.umask(0o077)
    network = load_network(folder)
    authority = Path(network.ca) if network.ca else None
    outside, url = None, "" if alone else superlink or network.superlink_url
    if url:
        _expect_a_user(glue_user, same_user=same_user)
        outside = Outside(
            superlink=check_address(url),
            certificates=root_certificates or authority,
            gateway_port=gateway_port or network.gateway_port,
            supernode_port=supernode_port or network.supernode_port,
            user=ids,
        )
        followed(folder)  # else the gateway would end at once, again and again
    place = relay or network.relay
    _serve(folder, socket, ids, (place, relay_certificates or authority) if place else None, outside, metrics)


def _expect_a_user(glue_user: str | None, *, same_user: bool) -> None:
    """Check that it is said as whom the SuperNode runs.

    Raises:
        InputError: It is not said, or twice.
    """
    from fl_core.errors import InputError

    if glue_user is not None and same_user:
        raise InputError("--glue-user and --same-user contradict each other.", fix="Leave one of them out.")
    if glue_user is None and not same_user:
        raise InputError(
            "it is not said as whom the SuperNode runs: as this node's user, the bundles that you accept could read the keys.",
            fix="Give it a user of its own: start serve as root with --glue-user NAME. Or run it in a container of its own (--alone). "
            "For practice, or for code that you trust as your own, add --same-user.",
        )


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
    from clients.gateway.outgoing import OutgoingFile
    from clients.node.house import open_house, open_node
    from clients.node.metrics import Metrics, MetricsServer
    from clients.node.relay_client import Duties
    from clients.node.separation import separate, share_socket
    from clients.node.server import NodeServer, serve_alone
    from fl_core.randomness import SystemRandomSource
    from suture_fl.stopping import Stop

    house = open_house(folder)
    serve_alone(folder)
    client = None if relay is None else _relay_client(house, *relay)
    node = open_node(house, clock=lambda: int(time.time()), random=SystemRandomSource(), relay=client)
    counted = Metrics(folder, node.logbook.total, int(time.time()))
    scraped = None if metrics is None else MetricsServer(counted, metrics)
    server = NodeServer(node, socket, tidy=node.prekeys.sweep, observe=counted.observe)
    if user is not None:
        separate(folder, user[1])
        share_socket(socket, user[1])
    stop = Stop().on_signals()
    duties = None if client is None else Duties(client, node)
    if duties is not None:
        duties.start()
    server.start()
    logging.getLogger("suture.node").info("%s answers on %s", node.name, socket)
    if outside is None:
        stop.wait()
    else:
        outgoing = OutgoingFile(folder, node.logbook, clock=time.time)
        keep_running(folder, children(folder, socket, outside), stop, outgoing.record)
        outgoing.close()
    if duties is not None:
        duties.close()
    server.close()
    if scraped is not None:
        scraped.close()
    node.close()
    # the lock ends with the process: a call that was left behind may still use the folder


def _relay_client(house: House, url: str, certificates: Path | None) -> RelayClient:
    """Return what calls the relay as the holder."""
    from clients.node.relay_client import RelayClient
    from fl_core.errors import InputError

    if house.ledger is None:
        raise InputError("this node follows no ledger.", fix="Join a ledger before you name a relay.")
    return RelayClient(
        url,
        certificates,
        chain_id=house.ledger.chain_id,
        contract=bytes.fromhex(house.ledger.contract),
        account=house.newest_signer,
        member=house.account.address,
    )
