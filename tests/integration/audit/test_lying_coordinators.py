"""What a coordinator puts on the ledger in good form, and is false, is found by recomputing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_core.protocol.exclusions import Exclusion, Exclusions, Reason
from ledger.audit.papers import read_round
from ledger.records import EMPTY_WORD, Act, Role
from tests.simulators.check_numbers import (
    AGGREGATES,
    ANSWERS,
    LEAVES,
    LEDGER,
    MEMBERS,
    MODELS,
    REWARDS,
    ROUNDS,
    TERMS,
)
from tests.simulators.public_folder import HOLDERS, Consortium, PublicRun, dataset_of, insecure_key
from tests.simulators.tampering import (
    digest_of,
    failures,
    object_name,
    read_paper,
    substitute,
    write_paper,
)

ALDER, BIRCH, CEDAR, DAMSON = HOLDERS

# ---------------------------------------------------------------------- coordinators that lie on the ledger


def test_lies_on_the_ledger_are_found_by_recomputing(dishonest: PublicRun) -> None:
    found = failures(dishonest, dishonest)
    assert found.keys() == {AGGREGATES, MODELS, REWARDS}
    papers = {number: read_round(dishonest.public, number) for number in range(1, 7)}
    assert [(fault.round, fault.path) for fault in found[MODELS]] == [(2, object_name(papers[2].model.hex()))]
    assert [(fault.round, fault.path) for fault in found[AGGREGATES]] == [
        (3, object_name(papers[3].metrics.hex())),
        (6, object_name(papers[6].header.hex())),
    ]
    assert found[REWARDS][0].round == 4
    assert found[REWARDS][0].problem == "the ledger has the root of another division"
    assert found[REWARDS][0].path == object_name(papers[4].rewards.hex())


def test_an_initial_model_that_is_not_on_the_ledger_is_found(tmp_path: Path) -> None:
    run = Consortium(tmp_path / "run", registered=False).close()
    found = failures(run, run)
    name = object_name(digest_of(run, None, "initial_model"))
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {TERMS: [name]}


def test_first_clips_that_are_not_those_of_the_terms_are_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.begin_with_clips(2.0)
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    name = object_name(digest_of(run, 1, "header"))
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {ROUNDS: [name]}


def test_a_round_that_does_not_train_from_the_newest_model_is_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.play()
    consortium.play_from_root()
    run = consortium.close()
    found = failures(run, run)
    assert found.keys() == {MODELS}
    name = object_name(digest_of(run, 2, "model"))
    assert [(fault.path, fault.round) for fault in found[MODELS]] == [(name, 2), ("model.safetensors", 0)]


def test_an_address_with_other_code_is_not_taken_for_the_ledger(copied: PublicRun, honest: PublicRun) -> None:
    paper = read_paper(copied, None)
    write_paper(copied, None, {**paper, "contract": paper["token"]})
    (fault,) = failures(copied, honest)[LEDGER]
    assert fault.path == "run.json"
    assert "is not this version's TrainingLedger" in fault.problem


def test_terms_that_differ_in_one_word_are_found_by_the_digest_on_the_ledger(
    copied: PublicRun, honest: PublicRun
) -> None:
    name = substitute(copied, None, "terms", lambda document: document.replace(b"A test run", b"A best run"))
    copied.seal()
    (faults,) = failures(copied, honest).values()
    assert (name, "the ledger has the digest of other terms") in {(f.path, f.problem) for f in faults}


def test_another_key_and_another_reward_on_the_ledger_are_found(misstated: PublicRun) -> None:
    found = failures(misstated, misstated)
    assert found.keys() == {ANSWERS, REWARDS}
    paper = read_round(misstated.public, 1)
    assert [fault.path for fault in found[ANSWERS]] == [object_name(paper.aggregate_key.hex())]
    assert [fault.path for fault in found[REWARDS]] == [object_name(paper.rewards.hex())]


def test_the_data_of_a_holder_that_had_withdrawn_is_found(unconsented: PublicRun) -> None:
    found = failures(unconsented, unconsented)
    assert found.keys() == {MEMBERS, ROUNDS}
    account = unconsented.holders[ALDER].hex()
    assert [(fault.round, fault.holder) for fault in found[MEMBERS]] == [(2, account)]
    assert [fault.round for fault in found[ROUNDS]] == [2]


# ---------------------------------------------------------------------- consent and roles


def _change_roles(consortium: Consortium, name: str, roles: Role) -> None:
    """Have the others remove a holder and admit it again."""
    account = insecure_key(name).address
    voters = [consortium.holders[insecure_key(other).address].writer for other in HOLDERS if other != name][
        :2
    ]
    for act, given in ((Act.REMOVE, Role(0)), (Act.ADMIT, roles)):
        for writer in voters:
            writer.vote(act, account, given, EMPTY_WORD, intent=f"{act.name} {name} {roles}")


@pytest.mark.parametrize("roles", [Role.AUDITOR, Role.HOLDER], ids=["an auditor now", "a holder again"])
def test_the_consent_of_an_earlier_membership_does_not_count(tmp_path: Path, roles: Role) -> None:
    consortium = Consortium(tmp_path / "run", careful=False)
    _change_roles(consortium, CEDAR, roles)
    account = insecure_key(CEDAR).address
    assert consortium.reader.consent(consortium.context.run, account) == EMPTY_WORD
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    assert found.keys() == {MEMBERS, ROUNDS}
    assert [(fault.round, fault.holder) for fault in found[MEMBERS]] == [(1, account.hex())]


def test_a_coordinator_asks_nobody_whose_consent_does_not_count_and_everybody_who_consents_again(
    tmp_path: Path,
) -> None:
    consortium = Consortium(tmp_path / "run")
    account = insecure_key(CEDAR).address
    _change_roles(consortium, CEDAR, Role.AUDITOR)
    consortium.play(away=(CEDAR,))
    _change_roles(consortium, CEDAR, Role.HOLDER | Role.AUDITOR)
    consortium.play(away=(CEDAR,))
    holder = consortium.holders[account]
    holder.writer.withdraw(consortium.context.run, intent="withdraw")
    holder.writer.accept(consortium.context.run, consortium.context.terms.digest, intent="accept again")
    consortium.play()
    run = consortium.close()
    assert failures(run, run) == {}
    assert [account.hex() in read_paper(run, number)["leaves"] for number in (1, 2, 3)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("named", ["own", "none", "another"])
def test_a_contribution_names_the_data_set_of_the_consent_if_that_names_one(
    tmp_path: Path, named: str
) -> None:
    dataset = {"own": dataset_of(CEDAR), "none": EMPTY_WORD, "another": dataset_of("another")}[named]
    consortium = Consortium(tmp_path / "run")
    account, run = insecure_key(CEDAR).address, consortium.context.run
    writer = consortium.holders[account].writer
    writer.withdraw(run, intent="withdraw")
    writer.accept(run, consortium.context.terms.digest, dataset, intent="accept again")
    consortium.play()
    found = failures(folder := consortium.close(), folder)
    assert found.keys() == ({LEAVES} if named == "another" else set())
    assert [(f.round, f.holder, f.problem) for f in found.get(LEAVES, ())] == (
        [(1, account.hex(), "the leaf names another data set than the holder's consent")]
        if named == "another"
        else []
    )


# ---------------------------------------------------------------------- reasons for leaving somebody out


def test_a_holder_that_is_left_out_for_a_reason_that_the_answers_do_not_give_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = insecure_key(CEDAR).address
    reason = Exclusion(client=client, reason=Reason.WRONG_KEY, disputed_by=())
    monkeypatch.setattr(
        "coordinator.rounds.machine.judge", lambda *_, **__: Exclusions(excluded=(reason,), unreliable=())
    )
    consortium = Consortium(tmp_path / "run")
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    assert {number: [fault.problem for fault in faults] for number, faults in found.items()} == {
        ANSWERS: ["the share check leaves out others than the document says"]
    }


@pytest.mark.parametrize("document", [b"[NaN]", b"{}", b""])
def test_what_is_no_document_of_exclusions_is_found(
    copied: PublicRun, honest: PublicRun, document: bytes
) -> None:
    name = substitute(copied, 1, "exclusions", lambda _: document)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {LEAVES}
    assert name in {fault.path for fault in found[LEAVES]}  # rounds without exclusions share the document
