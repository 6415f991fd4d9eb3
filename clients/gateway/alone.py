"""One gateway for each node's folder: two would send what is kept there side by side, before the second finds its port taken."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from fl_core.errors import InputError

FILE = "gateway.lock"
"""A file of its own: the folder is locked by the node, and whoever closes a database's file ends SQLite's own locks on it."""

log = logging.getLogger("suture.gateway")


def run_alone(folder: Path) -> int:
    """Keep other gateways of a node's folder out until this process ends.

    Returns:
        A descriptor that holds the lock; nothing is written.

    Raises:
        InputError: A gateway runs for that folder already.
    """
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            f"another gateway runs for {folder}.", fix="Stop it first; one node has one gateway."
        ) from error
    except OSError as error:  # a file system without locks
        log.warning("%s cannot be locked (%s); see that one gateway runs only", folder, error.strerror)
    return descriptor
