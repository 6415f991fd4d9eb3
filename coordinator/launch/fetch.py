"""Fetches a run's model and papers: a sealed, audited copy of the public folder that appears as a whole or not at all.

The run's own public folder stays as it is: members go on leaving checkpoints in it, and a relay reads it. The copy is made while
nobody else writes the chain, sealed by the coordinator's key, audited, and then renamed to where it belongs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.context import RunContext, open_run
from coordinator.errors import EngineError
from coordinator.history import newest_finalised, newest_model, publish
from coordinator.launch.state import LaunchFolder, LaunchState
from coordinator.launch.underway import under_way
from coordinator.store.presence import somebody_at_work
from coordinator.vouching import Support, vouching
from fl_core.errors import InputError, VerificationError
from fl_core.randomness import SystemRandomSource
from ledger.address import LedgerAddress, find_ledger
from ledger.audit.findings import Verdict
from ledger.audit.node_reading import NodeReading
from ledger.audit.verify import verify
from ledger.chain.connection import Web3Connection
from ledger.files import write_atomically
from ledger.papers import PublicFolder
from ledger.seal import list_files, write_seal

POLL_S = 0.5
READABLE = 0o755
_PIECE = 1 << 20  # bytes
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched.

    Attributes:
        folder: The sealed folder.
        model: The model file in it.
        artifact: SHA-256 of the model file.
        model_id: The model's id on the ledger.
        round: The round that made it.
        support: How many members vouch for the chain's newest block.
        audited: How many checks of the audit passed; 0 where it was left out.
    """

    folder: Path
    model: Path
    artifact: bytes
    model_id: bytes
    round: int
    support: Support
    audited: int


def fetch(folder: LaunchFolder, target: Path, *, timeout_s: float, audit: bool, say: Say) -> Fetched:
    """Copy, seal and audit a run's papers.

    Args:
        folder: The run's folder.
        target: The folder to make.
        timeout_s: How long to wait for members to co-sign the newest block of an embedded chain.
        audit: Whether the copy is audited before it appears.
        say: Told what goes on.

    Raises:
        InputError: ``target`` is there, no round made a model, or a round is under way; nothing was written.
        VerificationError: The audit found something; nothing was written.
        LedgerError: The chain is busy, or does not answer: the run goes on, or try again.
    """
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} exists already.", fix="Name a folder that does not exist yet.")
    if not target.parent.is_dir():
        raise InputError(f"There is no folder {target.parent}.", fix="Make it, or name another target.")
    state = folder.read()
    with folder.alone():
        _check_at_rest(folder, state)
        half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            found = _copy(folder, half, timeout_s, say)
            passed = _audited(state, half, say) if audit else 0
            half.chmod(READABLE)
            half.rename(target)
            _settle_name(target.parent)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
    number, model, artifact, support = found
    return Fetched(
        folder=target, model=PublicFolder(target).model, artifact=artifact, model_id=model, round=number,
        support=support, audited=passed,
    )  # fmt: skip


def _check_at_rest(folder: LaunchFolder, state: LaunchState) -> None:
    """Refuse while a program works on the run or the SuperLink has it under way; a SuperLink that is away is no hindrance."""
    if somebody_at_work(folder.path / "coordinator"):
        raise InputError(
            "The run is under way: a program works on it.", fix="Wait for its end: suture watch shows it."
        )
    try:
        numbers = under_way(state)
    except EngineError:
        return
    if numbers:
        raise InputError(
            f"Flower's run {numbers[-1]} is under way.", fix="Wait for its end: suture watch shows it."
        )


def _copy(folder: LaunchFolder, half: Path, timeout_s: float, say: Say) -> tuple[int, bytes, bytes, Support]:
    """Copy what is finished into ``half`` and seal it; return round, model id, artifact and support."""
    run = open_run(folder.path, clock=lambda: int(time.time()), random=SystemRandomSource())
    try:
        number = newest_finalised(run)
        if number == 0:
            raise InputError("No round of this run made a model yet.", fix=f"suture status {folder.path}")
        publish(run, number)
        model, artifact = newest_model(run, number)
        public = PublicFolder(half)
        checkpoints, support = _supported(run, timeout_s, say)
        for name, data in checkpoints.items():
            write_atomically(public.checkpoints / name, data)
        if run.chain is not None:
            run.chain.copy_to(public.chain)
        say("copying and sealing the papers")
        for name in _finished(run.public):
            _copy_file(run.public.path / name, half / name)
        domain, account, run_id = run.reader.domain(), run.account, run.run
    finally:
        run.close()
    write_seal(public, run=run_id, domain=domain, signer=account)
    return number, model, artifact, support


def _finished(public: PublicFolder) -> list[str]:
    """Return the papers' names: not the chain, not checkpoints, no earlier seal, nothing half-written."""
    chain, checkpoints = public.chain.name, f"{public.checkpoints.name}/"
    return [
        name
        for name in list_files(public.path).files
        if not name.startswith((chain, checkpoints)) and not Path(name).name.startswith(".")
    ]


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, _PIECE)
        written.flush()
        os.fsync(written.fileno())


def _supported(run: RunContext, timeout_s: float, say: Say) -> tuple[dict[str, bytes], Support]:
    """Return the checkpoints that hold, when enough members have signed the newest block; nodes that run do it within seconds."""
    run.vouch()
    end, told = time.monotonic() + timeout_s, False
    while True:
        checkpoints, support = vouching(run)
        if support.signed >= support.needed:
            return checkpoints, support
        if time.monotonic() >= end:
            raise InputError(
                f"{support.signed} of {support.witnesses} members co-signed block {support.number}, "
                f"{support.needed} are needed for an audit to pass.",
                fix="Ask holders to run their nodes, which sign within seconds; then fetch again.",
            )
        if not told:
            say(f"waiting for {support.needed} members to co-sign block {support.number}")
            told = True
        time.sleep(POLL_S)


def _audited(state: LaunchState, half: Path, say: Say) -> int:
    """Audit the copy; return how many checks passed."""
    say("auditing: every aggregate is recomputed from the archived ciphertexts")
    address = find_ledger(Path(state.ledger))
    report = verify(half, node=_node(address))
    for outcome in report.outcomes:
        if outcome.verdict is not Verdict.PASS:
            found = (
                f"{outcome.faults[0].path}: {outcome.faults[0].problem}"
                if outcome.faults
                else outcome.summary
            )
            raise VerificationError(
                f"The audit's check {outcome.number} did not pass: {found}.",
                fix="Nothing was fetched. Look closer: suture fetch --no-audit, then suture-audit verify.",
            )
    return len(report.outcomes)


def _node(address: LedgerAddress) -> NodeReading | None:
    return None if address.path is not None else NodeReading({"the node": Web3Connection(address.chain)})


def _settle_name(folder: Path) -> None:
    """Have a new name in a folder be on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
