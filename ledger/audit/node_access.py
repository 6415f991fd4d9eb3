"""Opening the nodes through which an audit reads an external chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fl_core.errors import InputError
from ledger.audit.light_options import pin_validators
from ledger.audit.node_reading import NodeReading
from ledger.audit.papers import open_folder
from ledger.chain.connection import Web3Connection
from ledger.chain.http import shown
from ledger.errors import ChainUnreachable
from ledger.light.verify import Pins
from ledger.records import EMPTY_ADDRESS


def open_nodes(
    urls: Sequence[str], folder: Path, *, validators: Sequence[str] = (), genesis: Path | None = None
) -> NodeReading | None:
    """Open the nodes that an auditor named; None where none was.

    Args:
        urls: Their addresses.
        folder: The public folder, or one with it inside.
        validators: Of a QBFT chain, as they were typed.
        genesis: The chain's genesis file, which names them.

    Raises:
        InputError: The folder brings a chain of its own, a node does not answer, or validators are given without a node.
        typer.BadParameter: A validator is no address.
    """
    pins = pin_validators(Pins(chain_id=1, contract=EMPTY_ADDRESS), validators, genesis, None)
    if not urls:
        if pins.validators:
            raise InputError("Validators belong to a node.", fix="Name one with --rpc.")
        return None
    if open_folder(folder).chain.exists():
        raise InputError(
            f"{folder} brings its own chain.", fix="Leave --rpc out: the chain is executed again."
        )
    connections: dict[str, Web3Connection] = {}
    for number, url in enumerate(dict.fromkeys(urls), start=1):
        if not url.startswith(("http://", "https://")):
            raise InputError(  # without the text: it may hold credentials
                f"What --rpc names as node {number} is no http(s) URL.",
                fix="Give the address of a JSON-RPC node.",
            )
        try:
            connections[f"node {number} ({shown(url)})"] = Web3Connection(url)
        except ChainUnreachable as error:
            raise InputError(
                f"{shown(url)} cannot be asked: {error.message}", fix="Try another node."
            ) from error
    chain_id = next(iter(connections.values())).chain_id
    return NodeReading(connections, replace(pins, chain_id=chain_id))
