"""What ``suture-audit light`` does: reads its options, asks the nodes, shows what came of it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from fl_core.errors import InputError
from ledger.archive import MAX_OBJECT_BYTES
from ledger.audit import light_options as options
from ledger.audit.light_asked import Asked
from ledger.audit.light_screen import result_json, show_result
from ledger.chain.connection import Web3Connection
from ledger.chain.http import shown
from ledger.chain.ports import Proving
from ledger.errors import ChainUnreachable
from ledger.light.records import Subject
from ledger.light.result import look_up
from ledger.light.verify import LightVerification, Pins
from ledger.seal import hash_file
from suture_fl.report import report as report_error

PRESENT, FAILED, UNREADABLE, ABSENT = 0, 1, 3, 4
"""Exit codes."""


def run_light(asked: Asked, *, as_json: bool, no_color: bool) -> int:
    """Verify, show, and return the exit code."""
    try:
        pins, urls = _pins(asked)
        subject = _subject(asked.model, asked.run)
        connections, away = _connect(urls, asked.timeout)
    except InputError as error:
        report_error(error.message, fix=error.fix, kind=type(error).__name__, as_json=as_json)
        return UNREADABLE
    verification = LightVerification(connections, pins, now=int(time.time()))
    verification.nodes.away.update(away)
    result = look_up(verification, subject)
    if as_json:
        sys.stdout.write(json.dumps(result_json(result, pins, subject), indent=1) + "\n")
    else:
        show_result(Console(no_color=no_color or None, highlight=False), result)
        if result.fix:
            Console(stderr=True, no_color=no_color or None).print(Text(result.fix), soft_wrap=True)
    if not result.passed:
        return FAILED
    return PRESENT if result.models else ABSENT


def _pins(asked: Asked) -> tuple[Pins, list[str]]:
    """Return what the auditor believes, and the nodes to ask."""
    pins, named = options.ledger_pins(asked.ledger, asked.chain_id, asked.contract)
    urls = list(dict.fromkeys([*asked.rpc, *named]))
    if not urls:
        raise typer.BadParameter("Name at least one node with --rpc.")
    if asked.at_least is not None and asked.at_least > len(urls):
        raise typer.BadParameter(f"--at-least {asked.at_least} needs as many nodes; {len(urls)} are named.")
    pins = replace(
        _who_vouches(pins, asked),
        genesis=b"" if asked.genesis_hash is None else options.word(asked.genesis_hash, "--genesis-hash"),
        seen=None if asked.seen is None else options.seen_block(asked.seen),
        at_least=asked.at_least or len(urls),
        height=asked.block,
        max_lag=asked.max_lag,
        max_age_s=asked.max_age,
        trust_node=asked.trust_node,
    )
    return pins, urls


def _who_vouches(pins: Pins, asked: Asked) -> Pins:
    """Add the validators and witnesses that the auditor believes."""
    witnesses = options.addresses(asked.witness, "--witness")
    if bool(witnesses) != (asked.checkpoints is not None):
        raise typer.BadParameter("--witness and --checkpoints go together.")
    return replace(
        options.pin_validators(pins, asked.validators, asked.genesis, asked.epoch_length),
        witnesses=witnesses,
        checkpoints=() if asked.checkpoints is None else options.read_checkpoints(asked.checkpoints),
        witnesses_needed=asked.witnesses_needed or 2 * len(witnesses) // 3 + 1,
    )


def _subject(model: str, run: str | None) -> Subject:
    """Return what is looked for."""
    searched = b"" if run is None else options.word(run, "--run")
    path = Path(model)
    if model.startswith("0x") and not path.exists():
        return Subject(model=options.word(model, "MODEL"), run=searched)
    try:
        return Subject(artifact=hash_file(path.resolve(), MAX_OBJECT_BYTES).sha256, run=searched)
    except OSError as error:
        raise InputError(f"{model} cannot be read ({error.strerror}).", fix="Check the path.") from error


def _connect(urls: list[str], timeout: float) -> tuple[dict[str, Proving], dict[str, str]]:
    """Return the nodes that answer, and why others do not."""
    connections: dict[str, Proving] = {}
    away: dict[str, str] = {}
    for number, url in enumerate(urls, start=1):
        name = f"node {number} ({shown(url)})"
        try:
            connections[name] = Web3Connection(url, timeout_s=timeout)
        except ChainUnreachable as error:
            away[name] = error.message
    if not connections:
        reasons = "; ".join(f"{name}: {why}" for name, why in away.items())
        raise InputError(f"No node can be asked. {reasons}", fix="Check the --rpc addresses.")
    return connections, away
