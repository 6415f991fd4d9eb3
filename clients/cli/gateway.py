"""``suture-node gateway``: the SuperNode's only door."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.arguments import Folder
from suture_fl.log_option import JsonLogs

EPILOG = (
    "Example: suture-node gateway /srv/suture/node --superlink https://superlink.example.org:9092 "
    "--root-certificates ca.crt --socket /run/suture/node.sock --port 9093"
)


def gateway(
    folder: Folder,
    socket: Annotated[Path, typer.Option(help="The node's socket, as given to serve.", show_default=False)],
    superlink: Annotated[
        str | None,
        typer.Option(help="The SuperLink: https://HOST:PORT. Default: node.toml's.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port for the SuperNode. Default: node.toml's, or 9093.", min=1, max=65535),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address or name to listen on. Another one only in a network that nothing but the SuperNode is in: a container's."
        ),
    ] = "127.0.0.1",
    root_certificates: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authorities for the SuperLink; default: node.toml's, or the system's."
        ),
    ] = None,
    supervised: Annotated[
        bool,
        typer.Option(
            "--supervised",
            help="Leave messages whose time is over to suture-node serve, which runs the SuperNode and kills it.",
        ),
    ] = False,
    json_logs: JsonLogs = False,
) -> None:
    """Pass Flower's fleet calls to the SuperLink: accepted bundles in, sealed frames out, nothing else, until SIGTERM or Ctrl-C."""
    from clients.cli.home import followed
    from clients.gateway.alone import run_alone
    from clients.gateway.gateway import Gateway
    from clients.gateway.holder import NodeHolder
    from clients.gateway.outgoing import OutgoingFile
    from clients.gateway.questions import Questions
    from clients.gateway.server import server
    from clients.gateway.superlink import HttpSuperLink, node_key
    from clients.node.house import open_house
    from clients.node.logbook import Logbook
    from clients.node.network import key_path, load_network
    from fl_core.errors import InputError
    from suture_fl.json_log import log_to_stderr
    from suture_fl.processes import write_no_core

    write_no_core()
    log_to_stderr(as_json=json_logs)
    followed(folder)
    house = open_house(folder)
    network = load_network(folder)
    url, port = superlink or network.superlink_url, port or network.gateway_port
    if not url:
        raise InputError(
            "no SuperLink is named.", fix="Give --superlink, or superlink in [network] of node.toml."
        )
    authority = root_certificates or (Path(network.ca) if network.ca else None)
    far = HttpSuperLink(url, node_key(key_path(folder, network)), authority)
    lock = run_alone(folder)
    questions = Questions(folder / "gateway.sqlite")
    logbook = Logbook(folder, house.account.address, clock=lambda: int(time.time()))
    outgoing = OutgoingFile(folder, logbook, clock=time.time)
    holder = NodeHolder(folder, socket)
    door = Gateway(holder, far, questions, outgoing, clock=time.time)
    logging.getLogger("suture.gateway").info("%s: gateway on %s:%d", house.name, host, port)
    if not supervised:
        door.overdue.start()
    try:
        server(door, outgoing, port, host).run()
    finally:
        door.close()
        far.close()
        questions.close()
        outgoing.close()
        logbook.close()
        os.close(lock)
