"""Attacks on the CKKS mode: on the key ceremony, on sums, and the two that this mode cannot stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clients.errors import PolicyRefusal
from fl_core.errors import DecodeError, VerificationError
from fl_core.secagg.ckks.binding import tenseal
from fl_core.secagg.ckks.ceremony import PARAMETERS, box_info, check_package, deal
from fl_core.secagg.ckks.keys import HolderKey, PublicContext
from fl_core.secret import Secret
from tests.simulators.ckks_run import INITIAL, LENGTH, CkksRun, deadly
from tests.simulators.consortium import MODEL


@pytest.fixture
def run(tmp_path):
    run = CkksRun(tmp_path)
    yield run
    run.close()


def key_of(run, position):
    folder = run.holders[position].folder
    return HolderKey.load(PARAMETERS, 4, Secret(next(folder.glob("ckks/*/key")).read_bytes()))


def test_ckks_the_coordinator_never_has_the_key(run):
    """Nothing that passes through the coordinator holds the key, and where a key is offered to it, it refuses."""
    package, place = run.shared(), run.place()
    uploads = [run.upload(i, place) for i in range(4)]
    total = run.summed(package, place, uploads)
    passed = [package.encode(), total.encode(), *(u.encode() for u in uploads)]
    passed += [run.open(i, place, total).encode() for i in range(4)]
    secret = key_of(run, 0).secret().reveal()
    body = secret[secret.index(b"\x28\xb5\x2f\xfd", 100) :]  # the compressed key itself, after the parameters
    for data in passed:
        assert all(body[at : at + 16] not in data for at in range(0, len(body) - 16, 16))
    with pytest.raises(DecodeError, match="a key stays with the holders"):
        PublicContext.decode(PARAMETERS, 4, secret)
    context = tenseal().context_from(package.context, 1)
    assert not context.has_secret_key()
    with pytest.raises(ValueError, match="secret"):
        tenseal().ckks_vector_from(context, total.chunks[0]).decrypt()


def test_ckks_a_sealed_key_opens_in_its_run_and_for_its_receiver_only(run):
    package, plan = run.shared(), run.plan()
    holder = run.holders[1]
    info = box_info(plan, 1, package.context, package.commitment)
    assert holder.transport.open(info, package.boxes[0]) == key_of(run, 0).secret()
    elsewhere = [
        box_info(replace(plan, run=bytes(32)), 1, package.context, package.commitment),
        box_info(replace(plan, chain_id=7), 1, package.context, package.commitment),
        box_info(replace(plan, cohort=plan.cohort[:3], transport_keys=plan.transport_keys[:3]), 1, package.context, package.commitment),
        box_info(plan, 2, package.context, package.commitment),
        box_info(plan, 1, package.context, bytes(32)),
    ]  # fmt: skip
    for other in elsewhere:
        with pytest.raises(VerificationError, match="does not open"):
            holder.transport.open(other, package.boxes[0])
    with pytest.raises(VerificationError, match="does not open"):
        run.holders[2].transport.open(info, package.boxes[0])


def test_ckks_a_holder_outside_of_the_cohort_gets_no_key(run):
    plan = run.plan((0, 1, 2))
    package = run.deal(plan)
    with pytest.raises(VerificationError, match="not in the plan"):
        run.take(3, plan, package)
    assert len(package.boxes) == 2
    for box in package.boxes:
        for position in (1, 2):
            with pytest.raises(VerificationError):
                run.holders[3].transport.open(
                    box_info(plan, position, package.context, package.commitment), box
                )
    swapped = replace(plan, transport_keys=(*plan.transport_keys[:2], run.holders[3].transport.public))
    with pytest.raises(VerificationError, match="not the registered one"):
        run.take(1, swapped, package)


def test_ckks_a_second_ceremony_for_a_run_is_refused(run):
    package, plan = run.shared(), run.plan()
    assert run.deal(plan) == package, "a retry gets the same bytes"
    smaller = run.plan((0, 1, 2))
    with pytest.raises(PolicyRefusal, match="has taken place"):
        run.deal(smaller)
    _, second = deal(plan, me=plan.dealer, sign=run.holders[0].signer.sign_digest)
    for position in (0, 1, 2, 3):
        with pytest.raises(PolicyRefusal, match="with another key"):
            run.take(position, plan, second)
    run.world.restart(1)
    with pytest.raises(PolicyRefusal):
        run.take(1, plan, second)


def test_ckks_a_dealer_cannot_give_holders_different_keys(run):
    """The package is signed as a whole and commits to one key; a package for one holder names another commitment."""
    plan, dealer = run.plan(), run.holders[0]
    _, package = deal(plan, me=plan.dealer, sign=dealer.signer.sign_digest)
    _, other = deal(plan, me=plan.dealer, sign=dealer.signer.sign_digest)
    mixed = replace(package, boxes=(package.boxes[0], other.boxes[1], package.boxes[2]))
    with pytest.raises(VerificationError):
        run.take(1, plan, mixed)
    signed = replace(mixed, signature=dealer.signer.sign_digest(mixed.signed))
    assert run.take(1, plan, signed) == signed.signed
    with pytest.raises(VerificationError, match="does not open"):
        run.take(2, plan, signed)
    assert package.signed != other.signed, "the coordinator compares what holders say they took"


def test_ckks_a_second_sum_of_a_round_is_refused(run):
    package, place = run.shared(), run.place()
    uploads = [run.upload(i, place) for i in range(4)]
    run.open(0, place, run.summed(package, place, uploads))
    with pytest.raises(PolicyRefusal, match="another sum"):
        run.open(0, place, run.summed(package, place, uploads[:3]))
    run.world.restart(0)
    with pytest.raises(PolicyRefusal, match="another sum"):
        run.open(0, place, run.summed(package, place, uploads[1:]))


def test_ckks_a_node_trains_from_no_model_that_others_sent(run):
    run.shared()
    crafted = MODEL[:-4] + b"\x00\x00\x80\x3f"
    with pytest.raises(VerificationError, match="the terms name"):
        run.begin(0, run.place(), crafted)
    with pytest.raises(PolicyRefusal, match="did not make the model"):
        run.begin(0, run.place(2, b"\x55" * 32))
    assert run.begin(0, run.place(1, INITIAL), MODEL)


def test_ckks_one_upload_multiplied_passes_for_a_sum(run):
    """Nobody can check what was added: three times one upload has the count and the weight of three."""
    package, place = run.shared(), run.place()
    victim = run.upload(3, place, 0.75)
    run.begin(0, place, MODEL)
    run.begin(1, place, MODEL)
    report = run.open(0, place, run.summed(package, place, [victim] * 3))
    assert report.count == 3
    with pytest.raises(VerificationError, match="too small"):
        run.open(1, place, run.summed(package, place, [victim]))


def test_ckks_any_holder_opens_any_upload(run):
    run.shared()
    victim = run.upload(3, run.place(), 0.75)
    opened = key_of(run, 0).decrypt(victim.chunks, LENGTH)
    assert np.abs(opened[-5:] - 0.75 * 0.5).max() < 1e-4


def test_ckks_parameters_that_end_a_process_never_reach_seals_parser(run):
    """The dealer signs a package whose context, or key, would end the coordinator and every other node."""
    plan, dealer = run.plan(), run.holders[0]
    _, honest = deal(plan, me=dealer.account, sign=dealer.signer.sign_digest)
    context = deadly(honest.context)
    assert context != honest.context
    package = replace(honest, context=context)
    package = replace(package, signature=dealer.signer.sign_digest(package.signed))
    with pytest.raises(DecodeError, match="not the one of CKKS2048"):
        check_package(plan, package, verify=lambda digest, signature: None)
    with pytest.raises(DecodeError, match="not the one of CKKS2048"):
        run.take(1, plan, package)
    secret = HolderKey.generate(PARAMETERS, 4).secret().reveal()
    assert HolderKey.load(PARAMETERS, 4, Secret(secret)).secret().reveal() == secret
    with pytest.raises(VerificationError, match="not one of this parameter set"):
        HolderKey.load(PARAMETERS, 4, Secret(deadly(secret)))
