"""What must hold of a run after a kill, whoever was killed: ledger, nodes, files and audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from clients.node.logbook import read_logbook
from clients.node.register_view import contradictions, read_register
from coordinator.history import MAX_MODEL_BYTES, earned
from coordinator.store.events import EventTail
from ledger.audit.findings import Verdict
from ledger.audit.logbook import verify_logbook
from ledger.audit.node_reading import NodeReading
from ledger.audit.verify import verify
from ledger.records import RoundState
from tests.crash_matrix.plaintext import MUST_BE_TAPPED, rows_of, search
from tests.simulators.founded_run import coordinator_of
from tests.simulators.tap import read_tap


def check_ledger(folder: Path, *, fewest: int, per_round: int) -> int:
    """No model is lost or doubled: what was said to be final is, each model follows the one before, each reward is paid once.

    Args:
        folder: The run's folder; nobody works on it, and its rewards were claimed.
        fewest: How many models there must be at least.
        per_round: What a round pays, in the token's smallest unit.

    Returns:
        How many models there are.
    """
    events = list(EventTail(folder / "coordinator" / "events.jsonl").new())
    said = [event["round"] for event in events if event["event"] == "round-finalised"]
    assert len(said) == len(set(said)), "no round is said to be final twice"
    with coordinator_of(folder) as run:
        state = run.reader.run(run.run)
        rounds = {n: run.reader.round(run.run, n) for n in range(1, state.opened + 1)}
        assert {record.state for record in rounds.values()} <= {RoundState.FINALISED, RoundState.ABORTED}
        made = [n for n, record in rounds.items() if record.state is RoundState.FINALISED]
        assert set(said) <= set(made) and state.finalised == len(made) >= fewest
        parents = [rounds[n].parent for n in made]
        assert parents[1:] == [rounds[n].model for n in made[:-1]], "the models are one line"
        assert len({rounds[n].model for n in made}) == len(made)
        for n in made:
            run.archive.get(run.reader.model(rounds[n].model).artifact, MAX_MODEL_BYTES)
        due = earned(run)
        assert sum(due.values()) == len(made) * per_round
        assert all(run.reader.claimed(run.run, account) == amount for account, amount in due.items())
    return len(made)


def check_nodes(nodes: Iterable[Path], *, opens_weights: bool) -> None:
    """No second answer, and no weight where nobody may ask for one: by register and logbook."""
    for node in nodes:
        entries = [entry for entry, _ in read_logbook(node)]
        assert contradictions(entries, read_register(node)) == []
        answers = defaultdict(set)
        for entry in entries:
            if entry.kind in ("frame", "check", "reveal", "blame", "weight"):
                answers[entry.run, entry.round, entry.kind].add(entry.digest)
        assert all(len(digests) == 1 for digests in answers.values())
        assert any(kind == "reveal" for _, _, kind in answers)
        assert any(kind == "weight" for _, _, kind in answers) == opens_weights


def check_plaintext(place: Path, tap: Path, nodes: Iterable[Path]) -> int:
    """No update, no integer of one, no round secret, no seed and no patient's row lies below ``place``, but for the rows in each
    holder's own data set; return how many were looked for."""
    nodes, tapped = list(nodes), read_tap(tap)
    assert tapped.keys() >= MUST_BE_TAPPED and all(tapped.values()), "there is something to look for"
    rows = rows_of(nodes)
    assert rows, "there are rows to look for"
    assert (found := search(tap, nodes, [place])) == [], found
    return sum(map(len, tapped.values())) + len(rows)


def check_audit(folder: Path, nodes: Iterable[Path], node: NodeReading | None = None) -> None:
    """The audit of a sealed folder passes; on an embedded chain so does that of each logbook.

    Args:
        folder: The sealed folder, or the one that contains it.
        nodes: Folders of the holders' nodes.
        node: A chain of its own that is asked; None for an embedded one.
    """
    report = verify(folder, node=node)
    assert report.passed, [one for one in report.outcomes if one.verdict is not Verdict.PASS]
    if node is None:
        for place in nodes:
            logbook = verify_logbook(place / "logbook.jsonl", folder)
            assert logbook.faults == (), logbook.faults
