"""How the result of a light verification looks."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ledger.audit.screen import plain
from ledger.light.records import ProvenModel, Subject
from ledger.light.result import LightResult
from ledger.light.table import CHECKS, Verdict
from ledger.light.verify import Pins

_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.SKIPPED: "yellow"}
_WIDTH = max(len(check.name) for check in CHECKS)

Json = dict[str, object]


def show_result(console: Console, result: LightResult) -> None:
    """Print verdicts and what was proven."""
    for name, why in result.away.items():
        console.print(Text(f"    away     {plain(name)}: {plain(why)}"), soft_wrap=True)
    for outcome in result.outcomes:
        line = Text.assemble(
            f"{outcome.check.number:>2}  ",
            (f"{outcome.verdict.name:<7}", _STYLES[outcome.verdict]),
            f"  {outcome.check.name:<{_WIDTH}}  {plain(outcome.summary)}",
        )
        console.print(line, soft_wrap=True)
    console.print()
    for model in result.models:
        for name, value in _fields(model).items():
            console.print(Text(f"{name:<14}{value}"), soft_wrap=True)
    console.print(_conclusion(result), soft_wrap=True)


def _conclusion(result: LightResult) -> Text:
    if not result.passed:
        failed = next(o.check for o in result.outcomes if o.verdict is Verdict.FAIL)
        return Text(f"FAILED: check {failed.number} ({failed.name}).", style=_STYLES[Verdict.FAIL])
    assert result.block is not None
    where = f"in block {result.block}"
    if result.models:
        return Text(f"The model is on the ledger {where}.", style=_STYLES[Verdict.PASS])
    return Text(f"The model is not on the ledger {where}.", style="bold yellow")


def _fields(model: ProvenModel) -> dict[str, str]:
    record = model.record
    return {
        "model": f"0x{model.id.hex()}",
        "run": f"0x{record.run.hex()}",
        "round": str(record.round),
        "parent": f"0x{model.parent.hex()}",
        "artifact": f"0x{record.artifact.hex()}",
        "metrics": f"0x{record.metrics.hex()}",
        "aggregate key": f"0x{record.aggregate_key.hex()}",
    }


def result_json(result: LightResult, pins: Pins, subject: Subject) -> Json:
    """Return the result for programs."""
    block = result.block
    return {
        "format": "suture-light-v1",
        "chain_id": pins.chain_id,
        "contract": pins.contract.hex(),
        "artifact": subject.artifact.hex() or None,
        "passed": result.passed,
        "known": result.known,
        "block": None
        if block is None
        else {
            "number": block.number,
            "hash": block.hash.hex(),
            "state_root": block.header.state_root.hex(),
            "timestamp": block.header.timestamp,
        },
        "vouched_by": list(result.vouchers),
        "models": [_model_json(model) for model in result.models],
        "checks": [
            {
                "number": o.check.number,
                "name": o.check.name,
                "verdict": o.verdict.value,
                "summary": o.summary,
            }
            for o in result.outcomes
        ],
        "away": result.away,
        "fix": result.fix or None,
    }


def _model_json(model: ProvenModel) -> Json:
    return {
        "model": model.id.hex(),
        "run": model.record.run.hex(),
        "round": model.record.round,
        "parent": model.parent.hex() if model.record.round else None,
        "artifact": model.record.artifact.hex(),
        "metrics": model.record.metrics.hex(),
        "aggregate_key": model.record.aggregate_key.hex(),
    }
