"""``suture-node consent``: which runs may use the holder's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.home import HomeDesk, HomeWindow, acting, reading
from clients.node.house import accepted_terms, open_house, store_terms
from clients.node.policy import Policy
from fl_core.errors import InputError, SutureError
from fl_core.protocol.terms import MAX_TERMS, Terms
from ledger.address import LedgerAddress, run_paper
from ledger.archive import Archive
from ledger.desk import consents
from ledger.desk.runs import RunId, read_terms
from ledger.records import Run
from ledger.views.binding import at

app = typer.Typer(no_args_is_help=True)

WhichRun = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id or the beginning of it.", show_default=False)
]


@app.command(name="list", epilog="Example: suture-node consent list node")
@at(reading)
def listing(window: HomeWindow) -> None:
    """List the runs of the ledger, and whether you consent to each."""
    known = accepted_terms(window.folder)
    published = _published(window.address)
    if published is not None:
        known[published.digest] = published
    window.show(consents.listing(window, window.me, known))


@app.command(epilog="Example: suture-node consent give node 1f2e --terms terms.json")
@at(acting)
def give(
    desk: HomeDesk,
    run: RunId = None,
    terms: Annotated[
        Path | None,
        typer.Option(
            help="The run's terms document. By default the one in the folder that the ledger's chain is in.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read a run's terms in plain words, then consent to them; your policy is asked first."""
    found = desk.run(run)
    document = _document(desk, found, terms)
    if document.digest == found.terms and (problems := objections(desk.config.policy, document)):
        raise InputError(
            f"Your policy forbids this run: {'; '.join(problems)}.",
            fix=f"If you want it all the same, change [policy] in {desk.folder / 'node.toml'} first.",
        )
    folder = desk.folder
    consents.give(
        desk,
        found,
        document,
        lambda: open_house(folder).manifest.commitment,
        lambda accepted: store_terms(folder, accepted),
    )


@app.command(epilog="Example: suture-node consent withdraw node 1f2e --yes")
@at(acting)
def withdraw(desk: HomeDesk, run: RunId = None) -> None:
    """Take consent back; works always, also while the ledger is paused. Further rounds refuse your data."""
    consents.withdraw(desk, desk.run(run))


@app.command(epilog="Example: suture-node consent drop node 1f2e 0x4fe3...")
@at(acting)
def drop(
    desk: HomeDesk,
    run: WhichRun,
    account: Annotated[str, typer.Argument(help="Who is no holder any more.", show_default=False)],
) -> None:
    """Strike the consent of an account that is no holder any more, so that a run counts holders only."""
    consents.drop(desk, desk.run(run), desk.account_of(account))


def objections(policy: Policy, terms: Terms) -> list[str]:
    """Return why a policy would refuse every round of a run; empty when it would not."""
    problems = []
    if terms.task not in policy.tasks:
        problems.append(f"it allows the tasks {list(policy.tasks)}, not {terms.task!r}")
    if terms.parameter_set not in policy.parameter_sets and not policy.allow_ckks:
        problems.append(f"it does not allow the parameter set {terms.parameter_set!r}")
    if terms.n_min < policy.least_partners:
        problems.append(
            f"it wants sums of at least {policy.least_partners} holders, the terms allow {terms.n_min}"
        )
    return problems


def _document(desk: HomeDesk, run: Run, path: Path | None) -> Terms:
    """Return the terms document: the named one, one that is at hand, or the published one.

    Raises:
        InputError: There is none.
    """
    if path is not None:
        return read_terms(path)
    known, published = accepted_terms(desk.folder), _published(desk.address)
    if run.terms in known:
        return known[run.terms]
    if published is None or published.digest != run.terms:
        raise InputError(
            "The terms document of this run is not at hand; only its digest is on the ledger.",
            fix="Ask the researcher for it, and name it with --terms.",
        )
    return published


def _published(address: LedgerAddress) -> Terms | None:
    """Return the terms in the public folder around an embedded chain, if there are any."""
    public = address.public
    if public is None:
        return None
    try:
        return Terms.decode(Archive(public.archive).get(bytes.fromhex(run_paper(public).terms), MAX_TERMS))
    except (SutureError, ValueError):
        return None  # the digest on the ledger decides; a damaged paper is a missing one
