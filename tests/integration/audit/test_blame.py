"""A round whose sum somebody spoilt: it is finalised, the paper names the spoiler, and the audit gets the same name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fl_core.models import TensorSpec, decode_model, flatten
from fl_core.protocol.header import RoundHeader
from ledger.audit.findings import Verdict
from ledger.audit.verify import verify
from tests.simulators.public_folder import HOLDERS, Consortium, PublicRun
from tests.simulators.spoilt_round import NOISE
from tests.simulators.tampering import failures, object_name, read_paper, write_paper

SPECS = (TensorSpec("weight", (9000,)),)
SPOILER = HOLDERS[2]


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> PublicRun:
    consortium = Consortium(
        tmp_path_factory.mktemp("spoilt") / "run", rewards=False, specs=SPECS, blame_opening=True
    )
    consortium.play(garbage={SPOILER: {(2, 100): NOISE}})
    consortium.play()
    return consortium.close()


@pytest.fixture
def copied(spoilt: PublicRun, tmp_path: Path) -> PublicRun:
    shutil.copytree(spoilt.path, tmp_path / "public")
    return spoilt.moved(tmp_path / "public")


def test_the_round_is_finalised_with_the_spoilt_element_as_zero_update(spoilt: PublicRun) -> None:
    data = (spoilt.path / object_name(str(read_paper(spoilt, 1)["model"]))).read_bytes()
    first = flatten(decode_model(data, len(data)))
    assert not first[:4096].any()
    assert np.count_nonzero(first[4096:]) > 4000


def test_the_paper_names_the_spoiler_and_the_audit_passes(spoilt: PublicRun) -> None:
    paper = read_paper(spoilt, 1)
    assert paper["blamed"] == [spoilt.holders[SPOILER].hex()]
    assert len(paper["blames"]) == 4
    report = verify(spoilt.path)
    assert report.passed, [outcome for outcome in report.outcomes if outcome.verdict is not Verdict.PASS]


def test_the_spoiler_is_left_out_of_the_next_round(spoilt: PublicRun) -> None:
    header = [
        RoundHeader.decode(
            (spoilt.path / object_name(str(read_paper(spoilt, number)["header"]))).read_bytes()
        )
        for number in (1, 2)
    ]
    spoiler = spoilt.holders[SPOILER]
    assert spoiler in header[0].cohort
    assert spoiler not in header[1].cohort
    assert len(header[1].cohort) == 3
    assert read_paper(spoilt, 2)["blamed"] == []


@pytest.mark.parametrize("named", [[], [HOLDERS[0]], [SPOILER, HOLDERS[0]]], ids=["nobody", "another", "two"])
def test_another_name_than_the_members_values_give_fails_check_9(
    copied: PublicRun, spoilt: PublicRun, named: list[str]
) -> None:
    paper = read_paper(copied, 1)
    paper["blamed"] = sorted(copied.holders[name].hex() for name in named)
    write_paper(copied, 1, paper)
    copied.seal()
    found = failures(copied, spoilt)
    assert set(found) == {9}
    assert "names others than the paper says" in found[9][0].problem


def test_a_name_for_a_round_whose_sum_did_not_fail_fails_check_9(
    copied: PublicRun, spoilt: PublicRun
) -> None:
    paper = read_paper(copied, 2)
    paper["blamed"] = [copied.holders[HOLDERS[0]].hex()]
    write_paper(copied, 2, paper)
    copied.seal()
    found = failures(copied, spoilt)
    assert set(found) == {9}
    assert "did not fail" in found[9][0].problem


def test_without_the_terms_leave_nobody_is_asked_and_the_round_is_finalised_all_the_same(
    tmp_path: Path,
) -> None:
    consortium = Consortium(tmp_path / "run", rewards=False, specs=SPECS)
    consortium.play(garbage={SPOILER: {(2, 100): NOISE}})
    run = consortium.close()
    paper = read_paper(run, 1)
    assert (paper["blamed"], paper["blames"]) == ([], {})
    assert verify(run.path).passed


def test_with_fewer_than_t_answers_nobody_is_named(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run", rewards=False, specs=SPECS, blame_opening=True)
    consortium.play(garbage={SPOILER: {(2, 100): NOISE}}, mute=HOLDERS[:2])
    run = consortium.close()
    paper = read_paper(run, 1)
    assert (paper["blamed"], len(paper["blames"])) == ([], 2)
    assert verify(run.path).passed
