"""Runs that pay by examples: the audit divides again, and names a false, a missing and a foreign weight."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fl_core.protocol.weights import WeightOpening
from ledger.archive import Archive
from ledger.audit.findings import Verdict
from ledger.audit.verify import verify
from ledger.documents import decode_rewards
from tests.simulators.public_folder import HOLDERS, REWARD, Consortium, PublicRun
from tests.simulators.tampering import object_name, read_paper, write_paper

SILENT, LIAR = HOLDERS[1], HOLDERS[0]


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    """Three rounds: all open, one does not, one lies about its weight."""
    consortium = Consortium(tmp_path_factory.mktemp("paid") / "run", policy="by-examples")
    consortium.play()
    consortium.play(unopened=[SILENT])
    consortium.play(claimed={LIAR: -1})
    consortium.play()
    return consortium.close()


@pytest.fixture
def copied(paid: PublicRun, tmp_path: Path) -> PublicRun:
    shutil.copytree(paid.path, tmp_path / "public")
    return paid.moved(tmp_path / "public")


def earned(run: PublicRun, number: int) -> dict[bytes, int]:
    return decode_rewards((run.path / object_name(str(read_paper(run, number)["rewards"]))).read_bytes())


def said(run: PublicRun) -> list[str]:
    return [
        fault.problem
        for outcome in verify(run.path).outcomes
        if outcome.number == 11
        for fault in outcome.faults
    ]


def test_the_audit_passes_and_counts_the_weights_that_were_not_opened(paid: PublicRun) -> None:
    report = verify(paid.path)
    assert report.passed, [outcome for outcome in report.outcomes if outcome.verdict is not Verdict.PASS]
    (rewards,) = (outcome for outcome in report.outcomes if outcome.number == 11)
    assert "1 weights were not opened" in rewards.summary


def test_who_opens_no_weight_earns_nothing_and_the_others_share_all(paid: PublicRun) -> None:
    first, second = earned(paid, 1), earned(paid, 2)
    assert sum(first.values()) == REWARD
    assert len(set(first.values())) > 1, "holders with other numbers of examples earn other sums"
    silent = paid.holders[SILENT]
    assert second[silent] == first[silent]
    assert sum(second.values()) == 2 * REWARD


def test_a_false_weight_pays_nobody_for_the_round_and_the_model_is_made_all_the_same(paid: PublicRun) -> None:
    paper = read_paper(paid, 3)
    assert paper["rewards"] == ""
    assert paper["model"]
    assert sum(earned(paid, 4).values()) == 3 * REWARD


@pytest.mark.parametrize("lie", ["fewer", "removed", "another's"])
def test_the_audit_names_a_weight_that_the_coordinator_altered(copied: PublicRun, lie: str) -> None:
    paper = read_paper(copied, 1)
    weights = dict(paper["weights"])  # type: ignore[call-overload]
    mine, other = sorted(weights)[:2]
    if lie == "removed":
        del weights[mine]
    elif lie == "another's":
        weights[mine] = weights[other]
    else:
        opening = WeightOpening.decode((copied.path / object_name(weights[mine])).read_bytes())
        more = WeightOpening(
            header=opening.header, member=opening.member, units=opening.units - 1, salt=opening.salt
        )
        weights[mine] = Archive(copied.public.archive).put(more.encode()).hex()
    write_paper(copied, 1, {**paper, "weights": weights})
    copied.seal()
    expected = {
        "removed": "the ledger has the root of another division",
        "another's": "check (2): the opening is of another client",
        "fewer": "check (4): not the weight that the leaf commits to",
    }[lie]
    assert any(expected in problem for problem in said(copied)), said(copied)
