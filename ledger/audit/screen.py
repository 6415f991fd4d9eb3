"""How results look: lines for people, JSON for programs.

Everything that comes from the audited folder is shown as plain text: control characters are replaced, and nothing is read
as markup. Lines are not broken, so that they can be searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text
from rich.tree import Tree

from ledger.audit.checks.table import CHECKS, Check
from ledger.audit.findings import Fault, Outcome, Verdict

if TYPE_CHECKING:  # these bring the cryptography along, which the list of checks can do without
    from ledger.audit.logbook import LogbookReport
    from ledger.audit.trace import Ancestor, Contributor, Lineage
    from ledger.audit.verify import Report, Watch

_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.SKIPPED: "yellow"}
_NAMES = {check.number: check.name for check in CHECKS}
_WIDTH = max(len(name) for name in _NAMES.values())

_TREE_WIDTH = 1000
"""Characters that a line of a tree may have: terminals break long lines, rich would cut them off."""

Json = dict[str, object]


def plain(text: str) -> str:
    """Return ``text`` without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def holder(account: str, names: Mapping[str, str]) -> str:
    """Return name and address of an account."""
    name = plain(names.get(account, ""))
    return f"{name} (0x{account})" if name else f"0x{account}"


# ---------------------------------------------------------------------- the list of checks


def show_checks(console: Console) -> None:
    """Print the table of checks."""
    for check in CHECKS:
        console.print(
            Text.assemble(f"{check.number:>2}  ", (f"{check.name:<{_WIDTH}}", "bold"), f"  {check.proves}"),
            soft_wrap=True,
        )


def checks_json() -> list[Json]:
    """Return the table of checks."""
    return [{"number": c.number, "name": c.name, "proves": c.proves, "needs": list(c.needs)} for c in CHECKS]


# ---------------------------------------------------------------------- the result of an audit


def show_report(console: Console, report: Report) -> None:
    """Print verdicts and faults."""
    console.print(Text(f"folder  {plain(str(report.folder))}"), soft_wrap=True)
    if report.run:
        console.print(Text(f"run     0x{report.run}"), soft_wrap=True)
    console.print()
    for outcome in report.outcomes:
        console.print(_line(outcome), soft_wrap=True)
        for fault in outcome.faults:
            console.print(Text(f"             {_fault(fault, report.names)}"), soft_wrap=True)
        if outcome.more_faults:
            console.print(Text(f"             and {outcome.more_faults} more"), soft_wrap=True)
    console.print()
    console.print(_conclusion(report), soft_wrap=True)


def _line(outcome: Outcome) -> Text:
    return Text.assemble(
        f"{outcome.number:>2}  ",
        (f"{outcome.verdict.name:<7}", _STYLES[outcome.verdict]),
        f"  {_NAMES[outcome.number]:<{_WIDTH}}  ",
        plain(outcome.summary),
    )


def _fault(fault: Fault, names: Mapping[str, str]) -> str:
    where = [f"round {fault.round}"] if fault.round else []
    where += [holder(fault.holder, names)] if fault.holder else []
    return f"{', '.join([*where, plain(fault.path)])}: {plain(fault.problem)}"


def _conclusion(report: Report) -> Text:
    count = {verdict: sum(o.verdict is verdict for o in report.outcomes) for verdict in Verdict}
    if report.passed:
        return Text(f"All {count[Verdict.PASS]} checks passed.", style=_STYLES[Verdict.PASS])
    failed = ", ".join(
        f"{o.number} ({_NAMES[o.number]})" for o in report.outcomes if o.verdict is Verdict.FAIL
    )
    counts = f"{count[Verdict.PASS]} passed, {count[Verdict.SKIPPED]} skipped"
    return Text(f"FAILED: check {failed}; {counts}.", style=_STYLES[Verdict.FAIL])


def report_json(report: Report) -> Json:
    """Return the result of an audit."""
    return {
        "format": "suture-audit-v1",
        "folder": str(report.folder),
        "run": report.run,
        "passed": report.passed,
        "checks": [
            {
                "number": o.number,
                "name": _NAMES[o.number],
                "verdict": o.verdict.value,
                "summary": o.summary,
                "milliseconds": o.milliseconds,
                "faults": [_fault_json(fault, report.names) for fault in o.faults],
                "more_faults": o.more_faults,
            }
            for o in report.outcomes
        ],
    }


def _fault_json(fault: Fault, names: Mapping[str, str]) -> Json:
    return {
        "path": fault.path,
        "round": fault.round or None,
        "holder": fault.holder or None,
        "name": names.get(fault.holder),
        "problem": fault.problem,
    }


@contextmanager
def progress(console: Console) -> Iterator[Watch]:
    """Show a bar for the check at work while the block runs; only on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1)

        def watch(check: Check, done: int, total: int) -> None:
            bar.update(
                task, description=f"{check.number:>2}  {check.name:<{_WIDTH}}", completed=done, total=total
            )

        yield watch


# ---------------------------------------------------------------------- a lineage


def show_lineage(console: Console, file: str, lineage: Lineage) -> None:
    """Print the lineage as a tree, newest model first."""
    tree = Tree(Text.assemble((plain(file), "bold"), f"  SHA-256 {lineage.artifact.hex()}"))
    for ancestor in lineage.models:
        branch = tree.add(_model(ancestor))
        for contributor in ancestor.contributors:
            branch.add(_contributor(contributor))
        if not ancestor.here:
            branch.add(Text(f"of run 0x{ancestor.entry.run.hex()}, whose papers are not in this folder"))
    options = console.options.update(width=_TREE_WIDTH)
    for line in console.render_lines(tree, options, pad=False):
        console.print(Text.assemble(*((piece.text, piece.style or "") for piece in line)), soft_wrap=True)


def _model(ancestor: Ancestor) -> Text:
    entry = ancestor.entry
    what = f"round {entry.round}" if entry.round else "registered root"
    return Text.assemble((what, "bold cyan"), f"  model 0x{entry.id.hex()}  block {entry.block}")


def _contributor(contributor: Contributor) -> Text:
    account = contributor.account.hex()
    withdrawn = f", withdrawn in block {contributor.withdrawn}" if contributor.withdrawn else ""
    return Text(
        f"{holder(account, {account: contributor.name})}  data set 0x{contributor.dataset.hex()}"
        f"  consent in block {contributor.consent}{withdrawn}"
    )


def show_faults(console: Console, faults: Sequence[Fault]) -> None:
    """Print what is wrong, one line for each fault."""
    for fault in faults:
        console.print(Text.assemble(("FAULT  ", _STYLES[Verdict.FAIL]), _fault(fault, {})), soft_wrap=True)


def lineage_json(lineage: Lineage) -> Json:
    """Return a lineage."""
    return {
        "format": "suture-lineage-v1",
        "artifact": lineage.artifact.hex(),
        "run": lineage.run.hex(),
        "known": bool(lineage.models),
        "models": [_ancestor_json(ancestor) for ancestor in lineage.models],
        "faults": [_fault_json(fault, {}) for fault in lineage.faults],
    }


def logbook_json(report: LogbookReport) -> Json:
    """Return what was found about a logbook."""
    return {
        "format": "suture-logbook-report-v1",
        "holder": report.holder.hex(),
        "name": report.name,
        "passed": not report.faults,
        "entries": report.entries,
        "head": report.head.hex(),
        "anchors": {str(number): entries for number, entries in report.anchors.items()},
        "weights_lost": list(report.weights_lost),
        "torn": report.torn,
        "faults": [_fault_json(fault, {}) for fault in report.faults],
    }


def show_logbook(console: Console, report: LogbookReport) -> None:
    """Print what was found about a logbook."""
    if report.faults:
        return
    newest = max(report.anchors.values(), default=0)
    console.print(
        Text(
            f"The logbook of {holder(report.holder.hex(), {report.holder.hex(): report.name})} has {report.entries} "
            f"entries. {len(report.anchors)} signed contributions cover the first {newest} of them; the last "
            f"{report.entries - newest} are not signed for yet."
        ),
        soft_wrap=True,
    )
    for number in report.weights_lost:
        console.print(Text(lost_weight(number)), soft_wrap=True)
    if report.torn:
        words = f"The file's last {report.torn} bytes are no whole line, as a crash leaves them; they are no entry."
        console.print(Text(words), soft_wrap=True)


def lost_weight(number: int) -> str:
    """Return what is said of an opened weight that the papers of a round do not have."""
    return (
        f"The weight that was opened in round {number} is not in the papers, so the round did not pay this holder: the answer was "
        "lost on its way or withheld. Ask the coordinator."
    )


def _ancestor_json(ancestor: Ancestor) -> Json:
    entry = ancestor.entry
    return {
        "model": entry.id.hex(),
        "run": entry.run.hex(),
        "round": entry.round,
        "parent": entry.parent.hex() if entry.round else None,
        "artifact": entry.artifact.hex(),
        "block": entry.block,
        "contributors": [
            {
                "account": c.account.hex(),
                "name": c.name,
                "dataset": c.dataset.hex(),
                "consent_block": c.consent,
                "withdrawn_block": c.withdrawn or None,
            }
            for c in ancestor.contributors
        ],
    }
