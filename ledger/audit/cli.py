"""``suture-audit``: what an auditor types.

Exit codes: 0 all is well; 1 a check failed, or the ledger does not know the model; 2 wrong usage; 3 the folder cannot be read
at all, or no node answers; 4 the model is proven to be absent (light); 130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP. Results go to the standard output, progress and errors to the standard error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from fl_core.errors import DecodeError, InputError
from ledger.audit import light_command, records_cli, screen
from suture_fl.commandline import explain, run
from suture_fl.interruptions import INTERRUPTIONS
from suture_fl.report import one_line, starting
from suture_fl.report import report as report_error
from suture_fl.version import Version

FAILED = 1
UNREADABLE = 3

_EPILOG = "Exit codes: 0 all is well, 1 a check failed, 2 wrong usage, 3 the folder cannot be read at all."

app = typer.Typer(
    name="suture-audit",
    help="Check a training run from its public folder: offline, without any key, trusting nobody.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def root(version: Version = False) -> None:
    """Take the options that all commands share."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoColor = Annotated[
    bool, typer.Option("--no-color", help="Print no colours; so does NO_COLOR in the environment.")
]
Rpc = Annotated[
    list[str] | None,
    typer.Option(
        "--rpc",
        metavar="URL",
        help="JSON-RPC node of an external ledger; name several, which must agree.",
        show_default=False,
    ),
]
Validators = Annotated[
    list[str] | None,
    typer.Option(
        "--validators",
        metavar="0x…",
        help="Validators of a QBFT chain that must have sealed the block.",
        show_default=False,
    ),
]
Genesis = Annotated[
    Path | None,
    typer.Option("--genesis", metavar="FILE", help="genesis.json that names them.", show_default=False),
]
_FOLDER = "The public folder, or the folder that contains it as 'public'."


@app.command(
    epilog="Examples: suture-audit verify suture-demo   |   suture-audit verify run/public --json --fail-fast"
)
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=_FOLDER)],
    as_json: AsJson = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first check that fails.")
    ] = False,
    rpc: Rpc = None,
    validators: Validators = None,
    genesis: Genesis = None,
    no_color: NoColor = False,
) -> None:
    """Make all checks on a public folder and give a verdict for each.

    DIR is the public folder, or the folder that contains it as 'public'. Every model is computed again from the archived
    ciphertexts, bit for bit. A check that builds on one that failed is skipped. Exit code 0 means that all checks were
    made and passed. A run whose ledger is an external chain needs the address of a node, or better of several.
    """
    starting(quiet=as_json)
    from ledger.audit.node_access import open_nodes
    from ledger.audit.verify import verify as audit

    errors = Console(stderr=True, no_color=no_color or None)
    try:
        with INTERRUPTIONS.something_to_tidy_up(), screen.progress(errors) as watch:
            node = open_nodes(rpc or (), folder, validators=validators or (), genesis=genesis)
            report = audit(folder, node=node, fail_fast=fail_fast, watch=watch)
    except (InputError, OSError) as error:
        _give_up(error, as_json=as_json)
    if as_json:
        _print_json(screen.report_json(report))
    else:
        screen.show_report(_console(no_color), report)
    raise typer.Exit(0 if report.passed else FAILED)


@app.command(epilog="Example: suture-audit trace model.safetensors --in suture-demo")
def trace(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A model file.", exists=True, dir_okay=False, readable=True),
    ],
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help=_FOLDER)],
    rpc: Rpc = None,
    validators: Validators = None,
    genesis: Genesis = None,
    as_json: AsJson = False,
    no_color: NoColor = False,
) -> None:
    """Show where a model file comes from: its ancestors, and who contributed to each with which data set and consent.

    MODEL is the file; it is known by its SHA-256. The chain is executed again, and the contributors are those under the
    ledger's roots; everything else is checked by verify. Exit code 1 means that the ledger does not know the file, or
    that something the lineage is read from is not sound.
    """
    starting(quiet=as_json)
    from ledger.archive import MAX_OBJECT_BYTES
    from ledger.audit.node_access import open_nodes
    from ledger.audit.trace import trace as follow
    from ledger.seal import hash_file

    try:
        with INTERRUPTIONS.something_to_tidy_up():
            node = open_nodes(rpc or (), folder, validators=validators or (), genesis=genesis)
            lineage = follow(hash_file(model.resolve(), MAX_OBJECT_BYTES).sha256, folder, node=node)
    except OSError as error:
        _give_up(InputError(f"{model} cannot be read ({error.strerror})."), as_json=as_json)
    except InputError as error:
        _give_up(error, as_json=as_json)
    if as_json:
        _print_json(screen.lineage_json(lineage))
    elif lineage.models:
        screen.show_lineage(_console(no_color), str(model), lineage)
    screen.show_faults(Console(stderr=True, no_color=no_color or None), lineage.faults)
    if not lineage.models and not lineage.faults:
        problem = (
            f"error: The ledger does not know {model} (SHA-256 {lineage.artifact.hex()}). "
            "Check that the file is unchanged and that the folder is of its run."
        )
        typer.echo(one_line(problem), err=True)
    raise typer.Exit(0 if lineage.models and not lineage.faults else FAILED)


@app.command(epilog="Example: suture-audit logbook logbook.jsonl --in suture-demo")
def logbook(
    file: Annotated[Path, typer.Argument(metavar="LOGBOOK", help="A node's logbook.jsonl.")],
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help=_FOLDER)],
    holder: Annotated[
        str, typer.Option(help="Account of the holder; by default the one that the logbook begins from.")
    ] = "",
    as_json: AsJson = False,
    no_color: NoColor = False,
) -> None:
    """Check the logbook that a holder has shown you against what the holder signed.

    LOGBOOK is a node's list of everything that left its house. Each line binds all before it, and each contribution binds
    the newest line of its time, under a root on the ledger. Exit code 1 means that a line was altered, removed, added or
    moved after it was signed for, or that something in the folder is missing from the logbook.
    """
    starting(quiet=as_json)
    from ledger.audit.logbook import verify_logbook

    try:
        account = bytes.fromhex(holder.removeprefix("0x"))
    except ValueError:
        raise typer.BadParameter(f"{holder!r} is no account.", param_hint="--holder") from None
    try:
        with INTERRUPTIONS.something_to_tidy_up():
            found = verify_logbook(file.resolve(), folder, account or None)
    except (InputError, OSError) as error:
        _give_up(error, as_json=as_json)
    if as_json:
        _print_json(screen.logbook_json(found))
    else:
        screen.show_logbook(_console(no_color), found)
    screen.show_faults(Console(stderr=True, no_color=no_color or None), found.faults)
    raise typer.Exit(FAILED if found.faults else 0)


@app.command(epilog="Example: suture-audit checks --json")
def checks(as_json: AsJson = False, no_color: NoColor = False) -> None:
    """List the checks: number, name, and what it means that the check passes."""
    if as_json:
        _print_json(screen.checks_json())
    else:
        screen.show_checks(_console(no_color))


@app.command(
    epilog="Example: suture-audit evidence node/chain/evidence/00000017-rewrite-840131a87bab5e60.json"
)
def evidence(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file of evidence, as nodes keep them.")],
    as_json: AsJson = False,
) -> None:
    """Check a node's evidence that somebody showed two histories of a ledger, and say whom it convicts.

    Two checkpoints with one height, two blocks and one key convict that key before anybody. Everything else shows what a node
    saw. Exit code 1 means that the file does not hold what it says.
    """
    starting(quiet=as_json)
    from fl_core.errors import VerificationError
    from ledger.misconduct import check_evidence, read_evidence

    try:
        paper = read_evidence(path)
    except DecodeError as error:
        _give_up(InputError(error.message, fix="Name a file of a node's chain/evidence."), as_json=as_json)
    try:
        found = check_evidence(paper)
    except VerificationError as error:
        report_error(f"{path}: {error.message}", fix="", kind=type(error).__name__, as_json=as_json)
        raise typer.Exit(FAILED) from error
    signer = "" if found.signer is None else f"0x{found.signer.hex()}"
    if as_json:
        values = {"kind": found.kind.value, "number": found.number, "signer": signer, "party": paper.party}
        _print_json({"format": "suture-audit-evidence-v1", "contract": paper.contract, **values})
    else:
        verdict = f"the key {signer} signed both" if signer else "it convicts nobody by itself"
        typer.echo(
            one_line(f"{found.kind.value} at block {found.number} of ledger 0x{paper.contract}: {verdict}")
        )


app.command(name="light", epilog=light_command.EPILOG)(light_command.light)
for _command, _example in (
    (records_cli.members, records_cli.MEMBERS),
    (records_cli.votes, records_cli.VOTES),
    (records_cli.consents, records_cli.CONSENTS),
    (records_cli.objections, records_cli.OBJECTIONS),
    (records_cli.budgets, records_cli.BUDGETS),
    (records_cli.rewards, records_cli.REWARDS),
):
    app.command(epilog=_example)(_command)


def _console(no_color: bool) -> Console:
    return Console(no_color=no_color or None, highlight=False)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _give_up(error: InputError | OSError, *, as_json: bool) -> NoReturn:
    message, fix = (error.message, error.fix) if isinstance(error, InputError) else explain(error)
    report_error(message, fix=fix, kind=type(error).__name__, as_json=as_json)
    raise typer.Exit(UNREADABLE)


def main() -> None:
    """Run ``suture-audit``; one line for an error, no traceback for what a person can mend."""
    run(app)


if __name__ == "__main__":
    main()
