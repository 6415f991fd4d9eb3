"""``suture-node gateway``: the SuperNode's only door."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.arguments import Folder

EPILOG = (
    "Example: suture-node gateway /srv/suture/node --superlink https://superlink.example.org:9092 "
    "--root-certificates ca.crt --socket /run/suture/node.sock --port 9093"
)


def gateway(
    folder: Folder,
    superlink: Annotated[str, typer.Option(help="The SuperLink: https://HOST:PORT.", show_default=False)],
    socket: Annotated[Path, typer.Option(help="The node's socket, as given to serve.", show_default=False)],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1 for the SuperNode.", min=1, max=65535)] = 9093,
    root_certificates: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authorities for the SuperLink; default: the system's."),
    ] = None,
) -> None:
    """Pass Flower's fleet calls to the SuperLink: accepted bundles in, sealed frames out, nothing else, until SIGTERM or Ctrl-C."""
    from clients.gateway.gateway import Gateway
    from clients.gateway.holder import NodeHolder
    from clients.gateway.outgoing import OutgoingFile
    from clients.gateway.questions import Questions
    from clients.gateway.server import server
    from clients.gateway.superlink import HttpSuperLink, node_key
    from clients.node.house import open_house
    from fl_core.errors import InputError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    house = open_house(folder)
    if house.ledger is None:
        raise InputError(f"the node in {folder} follows no ledger.", fix="Join a ledger first.")
    far = HttpSuperLink(superlink, node_key(folder / "keys"), root_certificates)
    questions = Questions(folder / "gateway.sqlite")
    outgoing = OutgoingFile(folder / "outgoing.jsonl", clock=time.time)
    holder = NodeHolder(folder, socket)
    door = Gateway(holder, far, questions, outgoing, clock=time.time)
    logging.getLogger("suture.gateway").info("%s: gateway on 127.0.0.1:%d", house.name, port)
    try:
        server(door, outgoing, port).run()
    finally:
        door.close()
        far.close()
        questions.close()
        outgoing.close()
