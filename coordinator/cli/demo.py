"""``suture demo``: a consortium on one machine, from founding to audit."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coordinator.demo.options import Protection
from fl_core.errors import InputError
from suture_fl.interruptions import INTERRUPTIONS
from suture_fl.json_log import log_to_stderr
from suture_fl.log_option import JsonLogs
from suture_fl.report import starting

EXIT_AUDIT_FAILED = 3

EPILOG = (
    "Examples: suture demo | suture demo --plain | suture demo --protection ckks | suture demo --drop 7 --keep runs/one"
    " | suture demo --engine deployment --rounds 3"
)


def demo(
    engine: Annotated[
        str,
        typer.Option(
            help="'local' runs in this process; 'deployment' starts real Flower processes on loopback."
        ),
    ] = "local",
    hospitals: Annotated[
        str, typer.Option(help="How many of the four hospitals, or their names separated by commas.")
    ] = "4",
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of rounds. 15 by default, 2 with --engine deployment.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Decides the order of training examples, never the encryption.")
    ] = 42,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Folder for everything the demo makes. A new temporary folder by default.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with a column 'hospital'. The UCI data that ships with Suture by default."
        ),
    ] = None,
    protection: Annotated[
        str | None,
        typer.Option(
            help="'lattice' (default), 'ckks' or 'none'. With 'ckks' not even the coordinator sees the aggregate, but any"
            " holder could open another holder's upload if it got the bytes, and there is no audit of the aggregate from"
            " ciphertexts: use the default unless a blind coordinator is what you need.",
            show_default=False,
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Same as --protection none: no protection and no ledger, updates in the clear, for comparison only.",
        ),
    ] = False,
    drop: Annotated[
        int, typer.Option(min=0, help="Round in the middle of which the last hospital dies.")
    ] = 0,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the SuperLink (deployment). A free one by default."),
    ] = None,
    ledger_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="JSON-RPC node of a chain with free gas: the ledger goes there instead of into a file.",
            show_default=False,
        ),
    ] = None,
    rewards: Annotated[
        str,
        typer.Option(
            help="'equal' (default) or 'by-examples'. With 'by-examples' each hospital's number of examples becomes public."
        ),
    ] = "equal",
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write training curves for TensorBoard into this folder, round by round; needs the extra 'curves'.",
            show_default=False,
        ),
    ] = None,
    json_logs: JsonLogs = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Train a heart disease model across four real hospitals, protected, on a ledger, and audit the result.

    Everything happens on this machine: four hospitals with 920 patients
    (Cleveland, Hungary, Switzerland, VA Long Beach), a coordinator, a
    researcher who pays, and an auditor. The engine 'local' takes about 15
    seconds for 15 rounds. The engine 'deployment' runs the same app with
    real processes and takes about 20 seconds a round, hence fewer rounds.
    """
    starting(quiet=as_json or json_logs)
    if json_logs:
        log_to_stderr(as_json=True)
    from coordinator.demo.options import ROUNDS, DemoOptions, Engine
    from coordinator.demo.preflight import check_import_names, check_python, preflight

    check_python()
    check_import_names()
    from coordinator.demo.holders import bundled_csv, read_csv

    if engine not in {kind.value for kind in Engine}:
        raise InputError(f"--engine is 'local' or 'deployment', not {engine!r}.")
    kind = Engine(engine)
    csv = bundled_csv() if data is None else data
    options = DemoOptions(
        engine=kind,
        hospitals=hospitals,
        rounds=ROUNDS[kind] if rounds is None else rounds,
        seed=seed,
        folder=_temporary_folder() if keep is None else keep,
        data=csv,
        table=read_csv(csv),
        protection=_protection(protection, plain),
        drop=drop,
        port=port,
        ledger_url=ledger_url,
        curves=curves,
        rewards=_rewards(rewards, _protection(protection, plain)),
    )
    preflight(options)  # also what the demo begins with; here before seconds of imports
    from coordinator.demo.show import show_demo

    looked_after = _folder_is_looked_after(options.folder, made_here=keep is None)
    with INTERRUPTIONS.something_to_tidy_up(), looked_after:
        audited = show_demo(options, as_json=as_json)
    if not audited:
        raise typer.Exit(EXIT_AUDIT_FAILED)


def _protection(name: str | None, plain: bool) -> Protection:
    """Return the protection that the options name.

    Raises:
        InputError: There is none of that name, or the options contradict each other.
    """
    if name is not None and name not in {kind.value for kind in Protection}:
        raise InputError(f"--protection is 'lattice', 'ckks' or 'none', not {name!r}.")
    if plain and name not in (None, Protection.NONE.value):
        raise InputError(f"--plain means --protection none, which contradicts --protection {name}.")
    return Protection.NONE if plain else Protection(name or Protection.LATTICE.value)


def _rewards(policy: str, protection: Protection) -> str:
    """Return the reward policy that the options name.

    Raises:
        InputError: There is none of that name, or the protection pays nothing by it.
    """
    from fl_core.protocol.terms import BY_EXAMPLES
    from ledger.rewards import RewardPolicy

    if policy not in {known.value for known in RewardPolicy}:
        raise InputError(f"--rewards is 'equal' or 'by-examples', not {policy!r}.")
    if policy == BY_EXAMPLES and protection is not Protection.LATTICE:
        raise InputError("--rewards by-examples needs --protection lattice: nothing is paid without it.")
    return policy


def _temporary_folder() -> Path:
    """Return where a new temporary folder will be; the demo makes it, and nobody else can guess its name."""
    return Path(tempfile.gettempdir()) / f"suture-demo-{secrets.token_hex(8)}"


@contextmanager
def _folder_is_looked_after(folder: Path, *, made_here: bool) -> Iterator[None]:
    """Leave no unnamed temporary folder behind: an interrupted run's is removed, a failed run's is named."""
    try:
        yield
    except KeyboardInterrupt:
        if made_here:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:
        if made_here and folder.is_dir():
            error.add_note(f"What was made so far, keys included, is in {folder}; delete it when done.")
        raise
