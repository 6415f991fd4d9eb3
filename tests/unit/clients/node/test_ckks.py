"""A node in the CKKS mode: the ceremony, rounds, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clients.ckks_calls import CkksOrder, CkksProtectCall
from clients.errors import NodeStateError, PolicyRefusal
from clients.node.ckks_files import CkksFiles
from fl_core.errors import DecodeError, VerificationError
from fl_core.models import decode_model, flatten
from fl_core.secagg.ckks.steps import CkksStep
from tests.simulators.ckks_run import CKKS_POLICY, INITIAL, CkksRun
from tests.simulators.consortium import MODEL, Consortium


@pytest.fixture
def run(tmp_path):
    run = CkksRun(tmp_path)
    yield run
    run.close()


def test_two_rounds_end_with_the_same_model_at_every_holder(run):
    package, parent = run.shared(), INITIAL
    for number, values in ((1, (0.1, 0.2, 0.3, 0.4)), (2, (0.4, 0.3, 0.2, 0.1))):
        place = run.place(number, parent)
        uploads = [run.upload(i, place, value) for i, value in enumerate(values)]
        total = run.summed(package, place, uploads)
        reports = [run.open(i, place, total) for i in range(4)]
        assert len({report.statement for report in reports}) == 1
        assert (reports[0].count, reports[0].counters) == (4, (28,))
        parent = reports[0].model
    data = run.ask(run.holders[2], CkksStep.HAND_OVER, run.place(2, parent).encode())
    assert np.abs(flatten(decode_model(data, 1 << 20)) - 0.5).max() < 1e-5


def test_a_round_goes_on_without_a_holder_that_dropped_out(run):
    package, place = run.shared(), run.place()
    run.begin(2, place, MODEL)  # it trained, and its upload was lost
    total = run.summed(package, place, [run.upload(i, place, 0.5) for i in (0, 1, 3)])
    assert run.open(2, place, total).count == 3


def test_a_holder_that_missed_a_sum_cannot_go_on(run):
    package, place = run.shared(), run.place()
    total = run.summed(package, place, [run.upload(i, place) for i in range(4)])
    after = run.place(2, run.open(0, place, total).model)
    run.begin(0, after)
    with pytest.raises(PolicyRefusal, match="did not make the model"):
        run.begin(1, after)


def test_a_retry_gets_the_bytes_of_the_first_time_also_after_a_restart(run):
    package, place = run.shared(), run.place()
    uploads = [run.upload(i, place) for i in range(4)]
    assert run.upload(0, place, value=0.9) == uploads[0]
    total = run.summed(package, place, uploads)
    report = run.open(0, place, total)
    run.world.restart(0)
    assert run.upload(0, place, value=0.9) == uploads[0]
    assert run.open(0, place, total) == report


def test_an_upload_of_a_round_that_is_over_is_not_given_out_again(run):
    package, place = run.shared(), run.place()
    total = run.summed(package, place, [run.upload(i, place) for i in range(4)])
    report = run.open(0, place, total)
    run.upload(0, run.place(2, report.model))
    with pytest.raises(PolicyRefusal, match="is over"):
        run.ask(
            run.holders[0],
            CkksStep.PROTECT,
            CkksProtectCall(place=place, update=bytes(20), examples=5, counters=(1,)).encode(),
        )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"allow_ckks": False}, "a key that other holders have"),
        ({"tasks": ("other",)}, "tasks"),
        ({"least_partners": 5}, "at least 5 holders"),
    ],
)
def test_a_policy_that_forbids_it_gives_no_ceremony(tmp_path, changes, reason):
    run = CkksRun(tmp_path, **changes)
    with pytest.raises(PolicyRefusal, match=reason):
        run.deal(run.plan())
    run.close()


def test_the_default_policy_allows_neither_the_mode_nor_the_release_of_a_model():
    from clients.node.policy import Policy

    policy = Policy(tasks=("heart-disease",))
    assert not policy.allow_ckks and not policy.release_ckks_model


def test_a_policy_that_changed_since_ends_the_holders_part(run):
    run.shared()
    run.upload(0, run.place())
    holder = run.holders[1]
    holder.node.close()
    holder.node = run.world.start(holder, policy=replace(CKKS_POLICY, allow_ckks=False))
    with pytest.raises(PolicyRefusal):
        run.begin(1, run.place(), MODEL)
    holder.node.close()
    holder.node = run.world.start(holder, policy=replace(CKKS_POLICY, max_rounds=0))
    with pytest.raises(PolicyRefusal, match="limit of 0 rounds"):
        run.begin(1, run.place(), MODEL)


def test_a_model_stays_with_a_holder_whose_policy_keeps_it(tmp_path):
    run = CkksRun(tmp_path, release_ckks_model=False)
    run.shared()
    run.begin(0, run.place(), MODEL)
    with pytest.raises(PolicyRefusal, match="keeps the model"):
        run.ask(run.holders[0], CkksStep.HAND_OVER, run.place().encode())
    run.close()


def test_terms_of_another_protection_give_no_ceremony(tmp_path):
    world = Consortium(tmp_path, policy=CKKS_POLICY)
    run = CkksRun(tmp_path / "other")
    run.world, run.holders = world, world.holders
    with pytest.raises(PolicyRefusal, match="another protection"):
        run.deal(run.plan())
    world.close()


def test_a_plan_that_does_not_fit_the_ledger_is_refused(run):
    plan = run.plan()
    strange = (plan.transport_keys[0], plan.transport_keys[0], *plan.transport_keys[2:])
    for changes, reason in (
        ({"chain_id": 5}, "another ledger"),
        ({"contract": bytes(20)}, "another ledger"),
        ({"transport_keys": strange}, "not the registered one"),
    ):
        with pytest.raises(VerificationError, match=reason):
            run.deal(replace(plan, **changes))
    run.world.facts.accept(run.world.run, run.holders[3].account, bytes(32))
    with pytest.raises(VerificationError, match="did not consent"):
        run.deal(plan)


def test_withdrawn_consent_ends_the_holders_part(run):
    run.shared()
    run.world.facts.accept(run.world.run, run.holders[1].account, bytes(32))
    with pytest.raises(PolicyRefusal, match="does not consent"):
        run.begin(1, run.place(), MODEL)


def test_without_a_ceremony_there_is_no_round(run):
    with pytest.raises(PolicyRefusal, match="no key of that run"):
        run.begin(0, run.place(), MODEL)
    with pytest.raises(DecodeError):
        run.holders[0].node.call(run_method(), b"\x00")


def run_method():
    from clients.door import Method

    return Method.CKKS


def test_more_examples_than_records_and_rounds_beyond_the_terms_are_refused(run):
    run.shared()
    with pytest.raises(PolicyRefusal, match="records"):
        run.upload(0, run.place(), examples=10_001)
    for number in (0, 4):
        with pytest.raises(VerificationError, match="rounds 1 to 3"):
            run.begin(0, run.place(number), MODEL)


def test_a_sum_that_is_too_small_or_not_the_coordinators_is_refused(run):
    package, place = run.shared(), run.place()
    uploads = [run.upload(i, place) for i in range(4)]
    with pytest.raises(VerificationError, match="too small"):
        run.open(0, place, run.summed(package, place, uploads[:2]))
    total = run.summed(package, place, uploads)
    with pytest.raises(VerificationError, match="signature"):
        run.open(1, place, replace(total, signature=uploads[0].signature))
    with pytest.raises(VerificationError, match="another run, round or model"):
        run.open(1, run.place(2), total)
    with pytest.raises(DecodeError):
        run.open(1, place, run.signed(package, place, (total.chunks[0][:-1],)))


def test_a_damaged_or_deleted_key_is_said_plainly(run):
    run.shared()
    run.begin(0, run.place(), MODEL)
    path = next(run.holders[0].folder.glob("ckks/*/key"))
    assert path.stat().st_mode & 0o777 == 0o600
    original = path.read_bytes()
    for bad in (original[:-1], b""):
        path.write_bytes(bad)
        with pytest.raises(NodeStateError, match="missing or damaged"):
            run.upload(0, run.place())
    path.unlink()
    with pytest.raises(NodeStateError):
        run.upload(0, run.place())
    path.write_bytes(original)
    assert run.upload(0, run.place())


def test_a_damaged_model_is_not_trained_from(run):
    run.shared()
    run.begin(0, run.place(), MODEL)
    path = next(run.holders[0].folder.glob("ckks/*/models/*"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NodeStateError):
        run.begin(0, run.place())


def test_the_order_names_the_terms_task_and_the_model_is_the_terms(run):
    run.shared()
    order = CkksOrder.decode(run.begin(0, run.place(), MODEL))
    assert order.model == MODEL
    assert "weights" not in repr(order) and CkksOrder.decode(order.encode()) == order


def test_what_was_kept_is_counted_by_rounds(tmp_path):
    files = CkksFiles(tmp_path)
    for number in (1, 2, 5):
        files.keep_upload(b"r" * 32, number, b"x")
    assert files.rounds_done(b"r" * 32, before=5) == 2
    assert (files.upload(b"r" * 32, 1), files.upload(b"r" * 32, 5)) == (b"", b"x")
    assert files.upload(b"r" * 32, 3) is None
