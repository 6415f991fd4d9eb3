"""Privacy budgets of data sets: what holders granted, what runs have set aside and spent, and what is left.

What the numbers are: ``docs/reference/contracts.md``, "Privacy budget of a data set".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.records import DataBudget, Pledge, Run, RunState
from ledger.views.runs import Money
from ledger.views.window import Answer, Window, table

RHO = Money("rho", 6)
"""Writes budgets: amounts on the ledger are millionths of rho of zero-concentrated differential privacy [Bun16]."""


def amount_in_words(amount: int) -> str:
    """Return an amount as it is on the ledger, and in rho: ``1500000 (1.5 rho)``."""
    return f"{amount} ({RHO.write(amount)})"


def pledges(window: Window, *, run: bytes | None = None, holder: bytes | None = None) -> list[Pledge]:
    """Return what holders have set aside for runs and not settled, by run and holder in the order of consents.

    Args:
        window: The ledger.
        run: Only for this run.
        holder: Only of this holder.
    """
    pairs = dict.fromkeys(
        (bytes(event.values["run"]), bytes(event.values["holder"]))
        for event in window.reader.events("BudgetReserved")
        if run in (None, event.values["run"]) and holder in (None, event.values["holder"])
    )
    found = (window.reader.pledge(*pair) for pair in pairs)
    return [pledge for pledge in found if any(pledge.dataset)]


def data_sets(window: Window, holder: bytes | None = None) -> list[tuple[bytes, bytes]]:
    """Return the data sets that the ledger has heard of, as holder and commitment, oldest first."""
    events = [*window.reader.events("BudgetGranted"), *window.reader.events("BudgetReserved")]
    events.sort(key=lambda event: (event.block_number, event.position))
    known = dict.fromkeys((bytes(e.values["holder"]), bytes(e.values["dataset"])) for e in events)
    return [one for one in known if holder in (None, one[0])]


def budgets(window: Window, sets: Sequence[tuple[bytes, bytes]], names: Mapping[bytes, str]) -> Answer:
    """Show the budgets of data sets, and for which runs each has something set aside.

    Args:
        window: The ledger.
        sets: Holder and commitment of each.
        names: Their names in the house, by commitment, where they are known.
    """
    open_pledges = pledges(window)
    runs = {pledge.run: window.reader.run(pledge.run) for pledge in open_pledges}
    entries, lines = [], []
    for holder, dataset in sets:
        budget = window.reader.data_budget(holder, dataset)
        own = [p for p in open_pledges if (p.holder, p.dataset) == (holder, dataset)]
        entries.append(budget_json(budget, names.get(dataset), [(p, runs[p.run]) for p in own]))
        title = f"{names[dataset]}  0x{dataset.hex()}" if dataset in names else f"0x{dataset.hex()}"
        lines += [f"data set {title} of {window.name(holder)}", *_numbers(budget)]
        lines += [*_pledged([(p, runs[p.run]) for p in own]), ""]
    unit = "millionths of rho of zero-concentrated differential privacy"
    nothing = ["No privacy budget is granted, and no data set is named by a consent."]
    return Answer(
        {"unit": unit, "data_sets": entries}, [*lines, f"Amounts are {unit}."] if entries else nothing
    )


def budget_json(
    budget: DataBudget, name: str | None, pledged: Sequence[tuple[Pledge, Run]]
) -> dict[str, Any]:
    """Return a budget for programs; amounts are strings of whole numbers."""
    return {
        "holder": f"0x{budget.holder.hex()}",
        "dataset": f"0x{budget.dataset.hex()}",
        "name": name,
        "granted": str(budget.granted),
        "reserved": str(budget.reserved),
        "spent": str(budget.spent),
        "left": str(budget.free),
        "pledges": [
            {
                "run": f"0x{run.id.hex()}",
                "state": run.state.name,
                "reserved": str(run.budget - pledge.since),
                "spent": str(run.spent - pledge.since),
                "settles": over(run),
            }
            for pledge, run in pledged
        ],
    }


def over(run: Run) -> bool:
    """Return whether a run opens no more rounds, so that what is set aside for it can be settled."""
    return run.state in (RunState.CLOSING, RunState.CLOSED, RunState.STOPPED)


def _numbers(budget: DataBudget) -> list[str]:
    values = {
        "granted": budget.granted,
        "set aside": budget.reserved,
        "spent": budget.spent,
        "left": budget.free,
    }
    return [f"  {name.ljust(9)}  {amount_in_words(amount)}" for name, amount in values.items()]


def _pledged(pledged: Sequence[tuple[Pledge, Run]]) -> list[str]:
    if not pledged:
        return []
    rows = [["run", "state", "set aside", "of it spent", ""]] + [
        [
            run.id.hex()[:12],
            run.state.name,
            str(run.budget - pledge.since),
            str(run.spent - pledge.since),
            "can be settled" if over(run) else "",
        ]
        for pledge, run in pledged
    ]
    return [f"  {line}" for line in table(rows)]
