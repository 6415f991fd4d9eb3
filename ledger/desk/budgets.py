"""Granting a data set's privacy budget, and settling what runs that are over set aside of it."""

from __future__ import annotations

from collections.abc import Sequence

from fl_core.errors import InputError
from ledger.desk.desk import Desk, Step, effects
from ledger.records import Pledge, RoundState, Run, RunState
from ledger.views.budgets import amount_in_words, over, pledges
from ledger.views.window import Answer

MAX_GRANT = 2**128 - 1
"""Most that anybody may need: the budget of a run has 128 bits."""


def grant(desk: Desk, dataset: bytes, name: str, amount: int) -> None:
    """Set how much runs may ever spend of one of the account's data sets.

    Args:
        desk: The holder's desk.
        dataset: Commitment to the data set.
        name: What the holder calls it.
        amount: The new cap, in millionths of rho.

    Raises:
        InputError: It is less than runs have spent or set aside.
    """
    budget = desk.reader.data_budget(desk.account.address, dataset)
    taken = budget.reserved + budget.spent
    if amount < taken:
        raise InputError(
            f"Of the data set {name!r} {taken} are taken: runs have spent {budget.spent} and set aside {budget.reserved}. "
            f"Its budget cannot be {amount}.",
            fix=f"Grant at least {taken}; settling a run that is over, or withdrawing from one, frees what it did not spend.",
        )
    named = {"dataset": f"0x{dataset.hex()}", "granted": str(amount), "before": str(budget.granted)}
    if amount == budget.granted:
        said = f"The data set {name!r} has a budget of {amount_in_words(amount)} already."
        desk.show(Answer({"dry_run": desk.wishes.dry_run, "transactions": [], **named}, [said]))
        return
    earlier = effects(desk, "BudgetGranted", holder=desk.account.address, dataset=dataset)
    words = f"grant the data set {name!r} (0x{dataset.hex()}) a privacy budget of {amount_in_words(amount)}"
    step = Step(
        f"{words}; until now {amount_in_words(budget.granted)}, {taken} of it taken",
        f"budget/{dataset.hex()}/grant/{earlier}/{amount}",
        lambda w, i: w.grant_budget(dataset, amount, intent=i),
    )
    desk.act([step], extra=named)


def settle(desk: Desk, run: Run, holder: bytes | None) -> None:
    """Free what a run that is over set aside and did not spend; anybody may ask. Consents stay.

    Args:
        desk: Anybody's desk.
        run: The run.
        holder: Whose data set; None for those of all holders.

    Raises:
        InputError: The run can still open rounds.
    """
    if not over(run):
        raise InputError(
            f"The run is {run.state.name} and can open rounds: they may still spend what is set aside.",
            fix="Settle it when it is closing or over; a holder that wants its budget back before withdraws its consent.",
        )
    found = pledges(desk, run=run.id, holder=holder)
    if not found:
        desk.show(
            Answer({"dry_run": desk.wishes.dry_run, "transactions": []}, ["There is nothing to settle."])
        )
        return
    desk.act(_steps(desk, run, found), extra={"run": f"0x{run.id.hex()}"})


def _steps(desk: Desk, run: Run, found: Sequence[Pledge]) -> list[Step]:
    waits = _cost_under_way(desk, run)
    steps = []
    for pledge in found:
        reserved, spent = run.budget - pledge.since, run.spent - pledge.since + waits
        earlier = effects(desk, "BudgetSettled", run=run.id, holder=pledge.holder)
        words = f"settle the run 0x{run.id.hex()} for the data set 0x{pledge.dataset.hex()} of {desk.name(pledge.holder)}"
        steps.append(
            Step(
                f"{words}: {spent} of {reserved} are spent, {reserved - spent} are free again",
                f"{run.id.hex()}/settle/{pledge.holder.hex()}/{earlier}",
                lambda w, i, holder=pledge.holder: w.settle(run.id, holder, intent=i),  # type: ignore[misc]
            )
        )
    return steps


def _cost_under_way(desk: Desk, run: Run) -> int:
    """Return what a round that is open would spend; settling counts it as spent, for holders may have answered it."""
    if run.state is not RunState.CLOSING or not run.opened:
        return 0
    latest = desk.reader.round(run.id, run.opened)
    return latest.cost if latest.state is RoundState.OPEN else 0
