"""Opening the node through which an audit reads an external chain."""

from __future__ import annotations

from pathlib import Path

from fl_core.errors import InputError
from ledger.address import shown
from ledger.audit.papers import open_folder
from ledger.chain.connection import Web3Connection
from ledger.errors import ChainUnreachable


def open_node(rpc: str | None, folder: Path) -> Web3Connection | None:
    """Open the node that an auditor named; None where none was.

    Raises:
        InputError: The folder brings a chain of its own, or the node does not answer.
    """
    if rpc is None:
        return None
    if open_folder(folder).chain.exists():
        raise InputError(
            f"{folder} brings its own chain.", fix="Leave --rpc out: the chain is executed again."
        )
    if not rpc.startswith(("http://", "https://")):
        raise InputError(f"{rpc!r} is no http(s) URL.", fix="Give the address of a JSON-RPC node.")
    try:
        return Web3Connection(rpc)
    except ChainUnreachable as error:
        raise InputError(f"{shown(rpc)} cannot be asked: {error.message}", fix="Try another node.") from error
