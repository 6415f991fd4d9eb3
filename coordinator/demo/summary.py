"""The demo's last page: accuracy, rewards, lineage, the audit's verdicts, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from coordinator.demo.hints import command, safe_path
from coordinator.demo.options import DemoOptions, Protection
from coordinator.demo.run import DemoResult
from fl_core.models import model_digest
from ledger.audit.checks.table import CHECKS
from ledger.audit.findings import Verdict
from ledger.audit.node_reading import NodeReading
from ledger.audit.trace import Lineage, trace
from ledger.audit.verify import Report
from ledger.chain.connection import Web3Connection
from ledger.chain.http import shown
from ledger.papers import PublicFolder
from suture_fl.report import one_line

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
        _say(console, f"Model        {one_line(str(options.folder))}/model.safetensors")
        return
    model = PublicFolder(options.folder / "public").model
    console.print(_rewards(result))
    console.print("\n[bold]Lineage[/]")
    url = options.ledger_url
    node = None if url is None else NodeReading({"the node": Web3Connection(url)})
    console.print(_lineage(trace(model_digest(model.read_bytes()), options.folder, node=node)))
    _print_audit(console, report)
    console.print(
        f"\nTime         {seconds['run']:.1f} s for the run, {seconds['audit']:.1f} s for the audit"
    )
    folder = safe_path(options.folder)
    rpc = [] if url is None else ["--rpc", shown(url)]  # without what may be secret in it
    _say(console, f"Folder       {one_line(str(options.folder))}  (yours to keep or delete)")
    _say(console, f"Audit again  {command('suture-audit', 'verify', folder, *rpc)}")
    _say(console, f"Lineage      {command('suture-audit', 'trace', safe_path(model), '--in', folder, *rpc)}")


def _say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no line breaks of rich's."""
    console.print(Text(text), soft_wrap=True)


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
        table.add_row(Text(f"{one_line(name)} alone"), f"{value:.3f}")
    table.caption = "Only a demo on public data\ncan know this table."
    return table


def _rewards(result: DemoResult) -> Table:
    table = Table(title="Tokens earned and paid", title_justify="left", min_width=44)
    table.add_column("Hospital")
    table.add_column("Tokens", justify="right")
    for name, amount in result.rewards.items():
        table.add_row(Text(one_line(name)), f"{amount / TOKEN:,.2f}")
    return table


def _lineage(lineage: Lineage) -> Tree:
    """Return the models from the newest to the root, one line each; `suture-audit trace` shows each contribution."""
    tree = Tree("model.safetensors")
    for ancestor in lineage.models:
        names = ", ".join(contributor.name for contributor in ancestor.contributors)
        number = ancestor.entry.round
        origin = f"round {number:>3}  from {names}" if number else "registered root"
        tree.add(Text(one_line(f"{ancestor.entry.artifact.hex()[:12]}  {origin}")))
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
            line = one_line(f"({outcome.number}) {names[outcome.number]}: {problem}")
            console.print(Text(f"  {line}", style="red"))
