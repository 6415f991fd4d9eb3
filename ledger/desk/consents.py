"""Consenting to a run's terms, taking consent back, and striking what a former holder left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fl_core.errors import InputError
from fl_core.protocol.terms import Terms
from ledger.desk.desk import Desk, Step, effects
from ledger.records import EMPTY_WORD, Run, RunState
from ledger.views.runs import Money, not_covered
from ledger.views.terms import terms_in_words
from ledger.views.window import Answer, Window, table


def listing(window: Window, holder: bytes, known: Mapping[bytes, Terms]) -> Answer:
    """Return all runs and whether a holder consents to each.

    Args:
        window: The ledger.
        holder: Whose consents.
        known: Terms documents at hand, by digest.
    """
    found = [window.reader.run(bytes(e.values["run"])) for e in window.reader.events("RunCreated")]
    entries: list[dict[str, Any]] = [
        {
            "run": f"0x{run.id.hex()}",
            "state": run.state.name,
            "title": known[run.terms].title if run.terms in known else None,
            "terms": f"0x{run.terms.hex()}",
            "consented": window.reader.consent(run.id, holder) != EMPTY_WORD,
        }
        for run in found
    ]
    rows = [["run", "state", "consent", "title"]] + [
        [e["run"][2:14], e["state"], "given" if e["consented"] else "-", e["title"] or "(terms not at hand)"]
        for e in entries
    ]
    lines = table(rows) if found else ["There is no run on this ledger yet."]
    return Answer({"holder": f"0x{holder.hex()}", "runs": entries}, lines)


def give(
    desk: Desk, run: Run, terms: Terms, dataset: Callable[[], bytes], store: Callable[[Terms], None]
) -> None:
    """Show the terms, then consent to them.

    Args:
        desk: The holder's desk.
        run: The run.
        terms: The document whose digest the ledger has.
        dataset: Returns the commitment to the holder's data set: the consent names it, and the audit compares.
        store: Keeps the document, before anything is sent.

    Raises:
        InputError: It is another document, the run takes no consents, or the holder consents already.
    """
    if terms.digest != run.terms:
        raise InputError(
            f"These are not the terms of the run: their digest is 0x{terms.digest.hex()}, on the ledger is 0x{run.terms.hex()}.",
            fix="Ask the researcher for the document of this very run.",
        )
    if run.state is not RunState.OPEN:
        raise InputError(f"The run is {run.state.name} and takes no consents.", fix="Look at `run show`.")
    me = desk.account.address
    money = Money.of(desk.reader, run.token)
    promised, deposited = terms.reward_per_round * terms.rounds, run.escrow + run.allocated
    for line in [*terms_in_words(terms, money.write), *not_covered(promised, deposited, money)]:
        desk.note(line)
    committed = dataset()
    if not desk.wishes.dry_run:
        store(terms)
    step = Step(
        f"consent to the terms 0x{terms.digest.hex()} of the run 0x{run.id.hex()} with the data set 0x{committed.hex()}",
        f"{run.id.hex()}/accept/{_changes(desk, run.id, me)}",
        lambda w, i: w.accept(run.id, terms.digest, committed, intent=i),
    )
    named = {"run": run.id, "terms": terms.digest, "dataset": committed}
    desk.act([step], extra={key: f"0x{value.hex()}" for key, value in named.items()})


def withdraw(desk: Desk, run: Run) -> None:
    """Take consent back: no further round may use the holder's data. Models made so far stay as they are."""
    me = desk.account.address
    desk.note(
        "Once it is taken back, rounds refuse your data. Models that were made with it stay; rewards stay yours."
    )
    step = Step(
        f"withdraw consent to the run 0x{run.id.hex()}",
        f"{run.id.hex()}/withdraw/{_changes(desk, run.id, me)}",
        lambda w, i: w.withdraw(run.id, intent=i),
    )
    desk.act([step], extra={"run": f"0x{run.id.hex()}"})


def drop(desk: Desk, run: Run, holder: bytes) -> None:
    """Strike the consent of an account that is no holder any more, so that the run counts holders only."""
    step = Step(
        f"strike the consent of {desk.name(holder)} to the run 0x{run.id.hex()}",
        f"{run.id.hex()}/drop/{holder.hex()}/{_changes(desk, run.id, holder)}",
        lambda w, i: w.drop_consent(run.id, holder, intent=i),
    )
    desk.act([step], extra={"run": f"0x{run.id.hex()}", "holder": f"0x{holder.hex()}"})


def _changes(desk: Desk, run: bytes, holder: bytes) -> int:
    """Return how often a holder's consent to a run changed: each change is an intent of its own."""
    return effects(desk, "Consent", run=run, holder=holder)
