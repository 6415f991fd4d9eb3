"""``suture-node consent``: which runs may use the holder's data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.home import HomeDesk, HomeWindow, acting, reading
from clients.node.accepted import accepted_terms, store_terms
from clients.node.data_sets import committed
from clients.node.explain import examine
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
    """Read a run's terms in plain words, then consent to them; every rule of your policy is asked first.

    The consent names the data set that your policy has for the run's task; audits compare your contributions with it.
    """
    found = desk.run(run)
    document = _document(desk, found, terms)
    if document.digest == found.terms:
        _ask_policy(desk, found, document)
    folder = desk.folder
    consents.give(
        desk,
        found,
        document,
        lambda: _data_set(desk, document),
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


def _ask_policy(desk: HomeDesk, run: Run, terms: Terms) -> None:
    """Show each rule of the policy that refuses the run, as ``policy check`` does.

    Raises:
        InputError: One does.
    """
    found = examine(desk.folder, terms, run.id, now=int(time.time()))
    for refused in found.refusals:
        desk.note(f"NO {refused.rule}: demands {refused.demands}; the run says {refused.says}")
    if found.refusals:
        raise InputError(
            f"Your policy forbids this run: {'; '.join(ruling.reason for ruling in found.refusals)}.",
            fix=f"If you want it all the same, change [policy] in {desk.folder / 'node.toml'} first.",
        )
    desk.note(f"Your policy allows this run: {len(found.rulings)} rules were asked.")


def _data_set(desk: HomeDesk, terms: Terms) -> bytes:
    """Return the commitment to the data set that the node will use for the terms' task; opens no key."""
    name = desk.config.policy.data_set(terms.task)
    manifest = committed(desk.folder, name)
    desk.note(f"Data set: {name!r}, {manifest.records} records, commitment 0x{manifest.commitment.hex()}")
    return manifest.commitment


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
