"""The demo's last page: accuracy, rewards, lineage, the audit's verdicts, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from coordinator.demo.options import DemoOptions, Protection
from coordinator.demo.run import DemoResult
from fl_core.models import model_digest
from ledger.audit.checks.table import CHECKS
from ledger.audit.findings import Verdict
from ledger.audit.trace import Lineage, trace
from ledger.audit.verify import Report
from ledger.papers import PublicFolder

TOKEN = 10**18

_NO_AUDIT = {
    Protection.NONE: "This run was not protected: no ledger, nothing to audit.",
    Protection.CKKS: "The ledger has members, keys and consent, but no round of this run: nothing to audit, nobody is paid.",
}


def print_summary(
    console: Console,
    options: DemoOptions,
    result: DemoResult,
    report: Report | None,
    seconds: Mapping[str, float],
) -> None:
    """Print the summary."""
    console.print()
    console.print(_accuracy(result, options.plain))
    if report is None:
        console.print(f"[bold red]{_NO_AUDIT[options.protection]}[/]")
        console.print(f"Model        {options.folder}/model.safetensors")
        return
    model = PublicFolder(options.folder / "public").model
    console.print(_rewards(result))
    console.print("\n[bold]Lineage[/]")
    console.print(_lineage(trace(model_digest(model.read_bytes()), options.folder)))
    _print_audit(console, report)
    console.print(
        f"\nTime         {seconds['run']:.1f} s for the run, {seconds['audit']:.1f} s for the audit"
    )
    folder = shlex.quote(str(options.folder))
    console.print(
        f"Folder       {options.folder}  (yours to keep or delete)", highlight=False, soft_wrap=True
    )
    console.print(f"Audit again  suture-audit verify {folder}", highlight=False, soft_wrap=True)
    console.print(
        f"Lineage      suture-audit trace {shlex.quote(str(model))} --in {folder}",
        highlight=False,
        soft_wrap=True,
    )


def _accuracy(result: DemoResult, plain: bool) -> Table:
    accuracy = result.accuracy
    table = Table(
        title=f"Accuracy on {accuracy['test_examples']} patients held back",
        title_justify="left",
        min_width=44,
    )
    table.add_column("Model")
    table.add_column("Accuracy", justify="right")
    federated = "Federated, updates in the clear" if plain else "Federated, updates encrypted"
    table.add_row(federated, f"{accuracy['federated']:.3f}", style="bold")
    table.add_row("All data in one place", f"{accuracy['pooled']:.3f}")
    for name, value in cast(Mapping[str, float], accuracy["local"]).items():
        table.add_row(f"{name} alone", f"{value:.3f}")
    table.caption = "Only a demo on public data can know this table."
    return table


def _rewards(result: DemoResult) -> Table:
    table = Table(title="Tokens earned and paid", title_justify="left", min_width=44)
    table.add_column("Hospital")
    table.add_column("Tokens", justify="right")
    for name, amount in result.rewards.items():
        table.add_row(name, f"{amount / TOKEN:,.2f}")
    return table


def _lineage(lineage: Lineage) -> Tree:
    """Return the models from the newest to the root, one line each; `suture-audit trace` shows each contribution."""
    tree = Tree("model.safetensors")
    for ancestor in lineage.models:
        names = ", ".join(contributor.name for contributor in ancestor.contributors)
        number = ancestor.entry.round
        origin = f"round {number:>3}  from {names}" if number else "registered root"
        tree.add(f"{ancestor.entry.artifact.hex()[:12]}  {origin}", highlight=False)
    return tree


def _print_audit(console: Console, report: Report) -> None:
    count = len(report.outcomes)
    if report.passed:
        console.print(f"\n[bold green]Audit        {count} of {count} checks pass[/]")
        return
    names = {check.number: check.name for check in CHECKS}
    bad = [outcome for outcome in report.outcomes if outcome.verdict is not Verdict.PASS]
    console.print(f"\n[bold red]Audit        {len(bad)} of {count} checks do not pass[/]")
    for outcome in bad:
        problems = [f"{fault.path}: {fault.problem}" for fault in outcome.faults] or [outcome.summary]
        for problem in problems:
            console.print(
                f"  ({outcome.number}) {names[outcome.number]}: {problem}", style="red", highlight=False
            )
