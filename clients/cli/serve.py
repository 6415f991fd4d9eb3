"""``suture-node serve``: the process that the glue talks to."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.arguments import Folder

EPILOG = "Example: suture-node serve /srv/suture/node --socket /run/suture/node.sock"


def serve(
    folder: Folder,
    socket: Annotated[Path, typer.Option(help="Unix socket for the glue; only its owner can connect.")],
    glue_user: Annotated[
        str | None, typer.Option(help="User that the SuperNode runs as; needs root. Default: the node's own.")
    ] = None,
) -> None:
    """Answer the glue's calls on a Unix socket until SIGTERM, SIGHUP or Ctrl-C."""
    from clients.node.house import open_house, open_node
    from clients.node.separation import glue_user as find_user
    from clients.node.separation import separate, share_socket
    from clients.node.server import NodeServer
    from fl_core.randomness import SystemRandomSource

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    user = None if glue_user is None else find_user(glue_user)
    os.umask(0o077)
    node = open_node(open_house(folder), clock=lambda: int(time.time()), random=SystemRandomSource())
    server = NodeServer(node, socket, tidy=node.prekeys.sweep)
    if user is not None:
        separate(folder, user.pw_gid)
        share_socket(socket, user.pw_gid)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    logging.getLogger("suture.node").info("%s answers on %s", node.name, socket)
    stop.wait()
    server.close()
    node.close()
