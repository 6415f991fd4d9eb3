"""The node: what it does for its glue, what it refuses, and what it never does twice."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

import numpy as np
import pytest

from clients.calls import BeginCall, Order
from clients.door import Method
from clients.errors import NodeStateError, PolicyRefusal
from clients.node.times import decode_times
from fl_core.errors import DecodeError, InputError, LocalProtocolError, VerificationError
from fl_core.protocol import envelope
from fl_core.protocol.messages import Frame
from fl_core.protocol.prekeys import SignedPrekey, check_prekey
from fl_core.protocol.setup import layout_of
from tests.simulators.consortium import MODEL, POLICY, TERMS, Consortium

# ---------------------------------------------------------------------- begin


def test_a_round_that_meets_every_rule_begins_with_an_order_from_the_terms(consortium):
    header, holder = consortium.open_round(), consortium.holders[0]
    assert consortium.begin(0, header) == Order(
        header=header.digest.hex(),
        round=1,
        task=TERMS.task,
        settings=TERMS.task_settings,
        data=str(holder.folder / "data.csv"),
        holder=holder.name,
    )


def test_beginning_again_gives_the_same_order(consortium):
    header = consortium.open_round()
    assert consortium.begin(0, header) == consortium.begin(0, header)
    consortium.restart(0)
    assert consortium.begin(0, header)


def test_a_header_that_fails_a_check_is_not_remembered(consortium):
    header = consortium.open_round(threshold=2)
    with pytest.raises(VerificationError, match=r"header check \(6\)"):
        consortium.begin(0, header)
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.protect(0, header)


def test_another_model_than_the_ledgers_is_refused(consortium):
    with pytest.raises(VerificationError, match=r"header check \(3\)"):
        consortium.begin(0, consortium.open_round(), model=MODEL + b"\0")


def test_the_nodes_own_clock_decides_about_the_deadline(consortium):
    header = consortium.open_round()
    consortium.now = header.deadline + 1
    with pytest.raises(VerificationError, match=r"header check \(4\)"):
        consortium.begin(0, header)


def test_terms_that_the_holder_never_accepted_are_refused(consortium):
    header = consortium.open_round()
    holder = consortium.holders[0]
    holder.node.close()
    holder.node = consortium.start(holder, terms={})
    with pytest.raises(PolicyRefusal, match="not accepted the terms"):
        consortium.begin(0, header)


def test_another_data_set_than_the_pledged_one_is_refused_and_the_pledged_one_is_not(consortium):
    header, holder = consortium.open_round(), consortium.holders[0]
    here = holder.node.data_of(TERMS.task).commitment
    consortium.facts.pledges[header.run, holder.account] = b"\x77" * 32
    with pytest.raises(PolicyRefusal, match=rf"{here.hex()[:16]}, pledged for this run was 7777777777777777"):
        consortium.begin(0, header)
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.protect(0, header)
    consortium.facts.pledges[header.run, holder.account] = here
    assert consortium.begin(0, header)


def test_a_policy_that_says_no_is_told_to_the_glue_and_nothing_is_remembered(consortium):
    header, holder = consortium.open_round(), consortium.holders[0]
    holder.node.close()
    holder.node = consortium.start(holder, policy=replace(POLICY, least_partners=4))
    with pytest.raises(PolicyRefusal, match="sums of at least 4 holders"):
        consortium.begin(0, header)
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.protect(0, header)


def test_a_second_header_for_a_round_is_refused_even_after_a_fork_of_the_ledger(consortium):
    first = consortium.open_round()
    consortium.begin(0, first)
    consortium.protect(0, first)
    consortium.facts.fork(first.beacon_number)
    second = consortium.open_round(
        beacon=consortium.facts.block_hash(first.beacon_number), beacon_number=first.beacon_number
    )
    assert second.digest != first.digest
    for _ in range(2):
        with pytest.raises(PolicyRefusal, match="another header was accepted for round 1"):
            consortium.begin(0, second)
        consortium.restart(0)


def test_the_limit_of_rounds_counts_earlier_rounds_and_lets_the_last_one_be_retried(tmp_path):
    consortium = Consortium(tmp_path, policy=replace(POLICY, max_rounds=1))
    first = consortium.open_round(1)
    consortium.begin(0, first)
    frame = consortium.protect(0, first)
    consortium.begin(0, first)
    assert consortium.protect(0, first) == frame
    second = consortium.open_round(2)
    with pytest.raises(PolicyRefusal, match="limit of 1 rounds"):
        consortium.begin(0, second)
    consortium.close()


def test_a_malformed_header_is_a_decode_error(consortium):
    call = BeginCall(header=b"nonsense", model=MODEL)
    with pytest.raises(DecodeError):
        consortium.holders[0].node.call(Method.BEGIN, call.encode())


# ---------------------------------------------------------------------- protect


def test_the_frame_is_the_holders_signed_contribution(consortium):
    header, holder = consortium.open_round(), consortium.holders[1]
    consortium.begin(1, header)
    frame = Frame.decode(consortium.protect(1, header), ciphertext_bytes=layout_of(header).ciphertext_bytes)
    assert frame.leaf.statement.member == holder.account
    consortium.notary.verify(frame.leaf.statement, frame.leaf.signature, holder.account)


@pytest.mark.parametrize(
    ("beyond", "level", "share"),
    [(0, "INFO", "0.000 %"), (1, "WARNING", "20.000 %"), (5, "WARNING", "100.000 %")],
)
def test_the_share_that_was_clipped_is_told_to_the_holder_and_to_nobody_else(
    consortium, caplog, beyond, level, share
):
    header = consortium.open_round()
    consortium.begin(0, header)
    update = np.array([7.0] * beyond + [0.25] * (5 - beyond), "<f4").tobytes()
    with caplog.at_level("INFO", logger="suture.node"):
        frame = consortium.protect(0, header, update=update)
        assert consortium.protect(0, header, update=update) == frame
    told = [record for record in caplog.records if "clipped" in record.getMessage()]
    assert [(r.levelname, r.getMessage()) for r in told] == [
        (level, f"round 1: {share} of the update's values were clipped")
    ]


def test_the_node_tells_the_gateway_how_long_a_round_took_by_its_own_clock(consortium):
    header, node = consortium.open_round(), consortium.holders[0].node
    consortium.begin(0, header)
    time.sleep(0.05)
    frame = hashlib.sha256(consortium.protect(0, header)).digest()
    told = node.call(Method.TIMES, frame)
    times = decode_times(told)
    assert times[envelope.TRAIN_MS] >= 50 and times[envelope.PROTECT_MS] > 0
    consortium.protect(0, header)
    assert node.call(Method.TIMES, frame) == told, "a retry seals nothing"
    assert decode_times(node.call(Method.TIMES, bytes(32))) == {}


def test_a_retry_with_another_update_gets_the_bytes_of_the_first_even_after_a_restart(consortium):
    header = consortium.open_round()
    consortium.begin(0, header)
    first = consortium.protect(0, header)
    other = np.full(5, -0.5, "<f4").tobytes()
    assert consortium.protect(0, header, update=other, examples=1) == first
    node = consortium.restart(0)
    assert consortium.protect(0, header, update=other) == first
    assert node.random.drawn == 0  # nothing is encrypted again


def test_prekeys_that_are_not_those_of_the_seats_are_refused(consortium):
    header = consortium.open_round()
    consortium.begin(0, header)
    prekeys = consortium.protect_call(header).prekeys
    for wrong in (prekeys[::-1], prekeys[:-1], (*prekeys, prekeys[0]), ()):
        with pytest.raises(VerificationError, match=r"seat check \(1\): not the prekeys of the committee"):
            consortium.protect(0, header, prekeys=wrong)
    forged = replace(SignedPrekey.decode(prekeys[0]), signature=bytes(65)).encode()
    with pytest.raises(VerificationError, match=r"seat check \(2\)"):
        consortium.protect(0, header, prekeys=(forged, *prekeys[1:]))
    with pytest.raises(DecodeError):
        consortium.protect(0, header, prekeys=(b"", *prekeys[1:]))
    assert consortium.protect(0, header)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"examples": 0}, LocalProtocolError),
        ({"counters": ()}, LocalProtocolError),
        ({"counters": (1 << 15,)}, LocalProtocolError),
        ({"counters": (1 << 60,)}, LocalProtocolError),
        ({"update": bytes(16)}, LocalProtocolError),
        ({"update": np.full(5, np.nan, "<f4").tobytes()}, InputError),
    ],
)
def test_what_the_glue_got_wrong_stores_nothing(consortium, changes, error):
    header = consortium.open_round()
    consortium.begin(0, header)
    with pytest.raises(error):
        consortium.protect(0, header, **changes)
    assert consortium.protect(0, header)


def test_the_frame_of_an_earlier_round_is_dropped_when_a_later_one_begins(consortium):
    first = consortium.open_round(1)
    consortium.begin(0, first)
    consortium.protect(0, first)
    consortium.facts.end(consortium.run, 1)
    second = consortium.open_round(2)
    consortium.begin(0, second)
    with pytest.raises(PolicyRefusal, match="this round is over"):
        consortium.protect(0, first)
    assert consortium.protect(0, second)


# ---------------------------------------------------------------------- prekeys


def prekey(consortium, position):
    status = json.loads(consortium.holders[position].node.call(Method.STATUS, b""))
    return SignedPrekey.decode(bytes.fromhex(status["prekey"]))


def test_a_round_that_begins_makes_the_next_prekey_and_one_that_begins_again_does_not(consortium):
    first = prekey(consortium, 0)
    header = consortium.open_round()
    consortium.begin(0, header)
    second = prekey(consortium, 0)
    consortium.begin(0, header)
    assert prekey(consortium, 0).digest == second.digest
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.digest != second.digest


@pytest.mark.parametrize("named", ["unknown", "erased"])
def test_a_seat_that_names_a_prekey_that_the_node_does_not_have_is_refused_and_nothing_changes(
    consortium, named
):
    first = consortium.open_round(1)
    consortium.begin(0, first)
    consortium.facts.end(consortium.run, 1)
    second = consortium.open_round(2)
    consortium.begin(0, second)  # this erases the prekey of round 1
    consortium.facts.end(consortium.run, 2)
    honest = consortium.plan(3).committee
    old = first.committee[0] if named == "erased" else replace(honest[0], transport_key=b"\x66" * 32)
    newest = prekey(consortium, 0)
    third = consortium.open_round(3, committee=(old, *honest[1:]))
    with pytest.raises(PolicyRefusal, match="no such prekey, or has erased it"):
        consortium.begin(0, third)
    assert prekey(consortium, 0).digest == newest.digest
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.protect(0, third)
    consortium.facts.end(consortium.run, 3)
    assert consortium.begin(0, consortium.open_round(4)).round == 4


def test_a_refused_round_erases_nothing(consortium):
    first = consortium.open_round(1)
    machine = consortium.contributed(first)
    consortium.commit_accepted(machine)
    header = consortium.plan(2)
    with pytest.raises(VerificationError):
        consortium.begin(0, header)  # it is not on the ledger
    assert consortium.check(0, consortium.check_request(machine, 0))


def test_a_second_round_may_name_a_prekey_that_still_exists(consortium):
    first = consortium.open_round(1)
    consortium.begin(0, first)
    consortium.facts.end(consortium.run, 1)
    again = consortium.open_round(2, committee=first.committee)
    assert consortium.begin(0, again).round == 2
    assert prekey(consortium, 0).epoch == 2


# ---------------------------------------------------------------------- the rest


def test_the_status_is_public_facts(consortium):
    holder = consortium.holders[0]
    status = json.loads(holder.node.call(Method.STATUS, b"ignored"))
    assert status.keys() == {"name", "account", "transport", "prekey"}
    assert (status["name"], status["account"]) == (holder.name, holder.account.hex())
    assert status["transport"] == holder.node.transport.public.hex()
    prekey = SignedPrekey.decode(bytes.fromhex(status["prekey"]))
    check_prekey(prekey, signer=holder.account, notary=consortium.notary)
    assert (prekey.member, prekey.epoch) == (holder.account, 1)
    assert json.loads(holder.node.call(Method.STATUS, b"")) == status


def test_a_node_without_a_ledger_has_no_prekey_to_offer(consortium):
    holder = consortium.holders[0]
    holder.node.close()
    node = consortium.start(holder, reader=None)
    assert json.loads(node.call(Method.STATUS, b"")).keys() == {"name", "account", "transport"}
    node.close()
    holder.node = consortium.start(holder)


def test_a_run_without_protection_needs_the_policys_permission(consortium):
    holder = consortium.holders[0]
    with pytest.raises(PolicyRefusal, match="without encryption"):
        holder.node.call(Method.PLAIN, b"heart-disease")
    open_handed = consortium.start(holder, policy=replace(POLICY, allow_plaintext=True))
    order = Order.decode(open_handed.call(Method.PLAIN, b"heart-disease"))
    assert (order.header, order.round, order.settings, order.task) == ("", 0, {}, "heart-disease")
    for task in (b"other", b"\xff\xfe"):
        with pytest.raises(PolicyRefusal):
            open_handed.call(Method.PLAIN, task)
    with pytest.raises(DecodeError, match="at most 256 bytes"):
        open_handed.call(Method.PLAIN, b"x" * 257)
    open_handed.close()


def test_a_node_without_a_ledger_begins_nothing(consortium):
    header, holder = consortium.open_round(), consortium.holders[0]
    node = consortium.start(holder, reader=None)
    with pytest.raises(NodeStateError, match="knows no ledger"):
        node.call(Method.BEGIN, BeginCall(header=header.encode(), model=MODEL).encode())
    node.close()


def test_a_node_does_not_print_its_keys(consortium):
    shown = repr(consortium.holders[0].node)
    assert "redacted" in shown
    assert "_key" not in shown
