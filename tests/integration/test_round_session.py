"""A round between the coordinator and real nodes over a real embedded chain, with one party misbehaving at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from clients.app import SEALED_STYPE, app
from clients.door import Method
from clients.errors import PolicyRefusal
from clients.node.house import open_house
from coordinator import app as server
from coordinator.app import make_server_app
from coordinator.demo.consortium import REWARD_PER_ROUND
from coordinator.demo.settlement import settle_rewards
from coordinator.engines.local import run_local
from coordinator.errors import RoundFailed
from coordinator.offered import is_genuine
from coordinator.papers import encode_blocks
from coordinator.rounds.machine import IncludedSet
from coordinator.session import RoundSession
from coordinator.store.events import Event
from coordinator.store.journal import Entry
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, SutureError, VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.models import Tensors, flatten
from fl_core.models.step import apply_step
from fl_core.protocol import envelope
from fl_core.protocol.exclusions import Reason
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Leaf, Reveal, boxes_digest
from fl_core.protocol.setup import layout_of
from fl_core.quantise import Block
from fl_core.randomness import SystemRandomSource
from fl_core.secagg import shamir
from ledger.documents import decode_rewards, encode_rewards
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.records import RoundState
from ledger.signer import Signer
from tests.simulators.founded_run import RunWithNodes, copied, found, now, opened_hospitals


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=6)


@pytest.fixture
def world(founded: Path, tmp_path: Path) -> Iterator[RunWithNodes]:
    one = RunWithNodes(copied(founded, tmp_path / "run"))
    yield one
    one.close()


def state(world: RunWithNodes, session: RoundSession) -> RoundState:
    return world.run.reader.round(world.run.run, session.header.round).state


def include(world: RunWithNodes, session: RoundSession) -> IncludedSet:
    """Carry a round from its last contribution to its included set, with the share check at all nodes that know it."""
    session.commit()
    world.check(session)
    return session.include()


def complete(world: RunWithNodes, session: RoundSession) -> Tensors:
    """Carry a round whose included set is committed to its model."""
    for account, request in session.requests():
        session.add_reveal(world.holders[account].call(Method.REVEAL, request))
    tensors = apply_step(world.run.terms.strategy, session.tensors, session.open().update)
    session.finalise(tensors)
    return tensors


# ---------------------------------------------------------------------- too few


def test_with_enough_contributions_the_round_makes_the_next_model(world: RunWithNodes) -> None:
    session = world.open_round()
    away, *present = world.holders
    world.begin(session, away)  # it has the header, but its contribution never arrives
    for account in present:
        session.accept(world.contribution(session, account))
    assert include(world, session).members == tuple(present)
    tensors = complete(world, session)
    assert state(world, session) is RoundState.FINALISED
    assert np.allclose(flatten(tensors), 0.125, atol=1e-3), "three equal updates have that mean"
    assert np.array_equal(flatten(world.model()), flatten(tensors))


def test_with_too_few_the_round_is_aborted_and_the_next_one_trains_from_the_same_model(
    world: RunWithNodes,
) -> None:
    first = world.open_round()
    for account in list(world.holders)[:2]:
        first.accept(world.contribution(first, account))
    with pytest.raises(RoundFailed, match="3 contributions, 2 arrived"):
        first.commit()
    assert state(world, first) is RoundState.OPEN, "nothing was committed"
    first.abort()
    assert state(world, first) is RoundState.ABORTED
    second = world.open_round()
    assert (second.header.round, second.header.parent) == (2, first.header.parent)
    assert second.header.artifact == first.header.artifact
    world.included(second)
    complete(world, second)
    assert state(world, second) is RoundState.FINALISED


# ---------------------------------------------------------------------- a crash right before a round is final


def note_as_if_final(world: RunWithNodes, session: RoundSession) -> None:
    """Leave the journal as a crash leaves it that comes right before a round becomes final on the ledger."""
    number, journal = session.header.round, world.run.journal
    wrong = tuple(Block(name=b.name, size=b.size, clip=4 * b.clip) for b in session.header.blocks)
    journal.write(number, Entry.BLOCKS, encode_blocks(wrong))
    journal.write(number, Entry.REWARDS, encode_rewards(world.run.run, dict.fromkeys(world.holders, 10**30)))
    session.abort()


def test_what_was_noted_about_a_round_that_never_became_final_counts_for_nothing(world: RunWithNodes) -> None:
    first = world.open_round()
    world.included(first)
    complete(world, first)
    crashed = world.open_round()
    world.included(crashed)
    note_as_if_final(world, crashed)
    third = world.open_round()
    assert third.header.parent == crashed.header.parent
    assert third.header.blocks == crashed.header.blocks, "the clips are those after the newest model"
    world.included(third)
    complete(world, third)
    earned = decode_rewards(cast(bytes, world.run.journal.read(third.header.round, Entry.REWARDS)))
    assert sum(earned.values()) == 2 * REWARD_PER_ROUND, "two rounds are final, two are paid"


def test_rewards_are_paid_also_when_the_last_round_never_became_final(world: RunWithNodes) -> None:
    first = world.open_round()
    world.included(first)
    complete(world, first)
    crashed = world.open_round()
    world.included(crashed)
    note_as_if_final(world, crashed)
    world.close()
    paid, finalised = settle_rewards(world.folder, clock=now, random=SystemRandomSource())
    assert (sum(paid.values()), finalised) == (REWARD_PER_ROUND, 1)


# ---------------------------------------------------------------------- bad frames


def test_a_frame_of_the_previous_round_is_refused_and_that_of_this_round_is_not(world: RunWithNodes) -> None:
    first = world.open_round()
    old = {account: world.contribution(first, account) for account in world.holders}
    for frame in old.values():
        first.accept(frame)
    include(world, first)
    complete(world, first)
    second = world.open_round()
    liar = next(iter(world.holders))
    with pytest.raises(VerificationError, match=r"check \(2\): the leaf is of another round") as refused:
        second.accept(old[liar])
    assert refused.value.party == liar.hex()
    for account in world.holders:
        second.accept(world.contribution(second, account))
    assert len(include(world, second).members) == len(world.holders)
    complete(world, second)


def test_a_second_frame_of_one_holder_is_refused_even_if_it_is_the_same(world: RunWithNodes) -> None:
    session = world.open_round()
    account = next(iter(world.holders))
    frame = world.contribution(session, account)
    session.accept(frame)
    with pytest.raises(VerificationError, match="has contributed"):
        session.accept(frame)


Spoil = Callable[[bytes, bytes], bytes]
"""Makes another frame of a frame and the round's header."""


def run_app(folder: Path, spoiled: str, spoil: bytes | Spoil | None) -> list[Event]:
    """Run the ServerApp for one round against every hospital; the frame of ``spoiled`` is replaced by ``spoil``."""
    events: list[Event] = []
    hospitals = opened_hospitals(folder)

    def glue(message: Message, context: Context) -> Message:
        reply = app(message, context)
        record = reply.content.array_records.get(envelope.SEALED)
        mine = context.node_config["door"] == f"inproc:{spoiled}"
        if mine and record is not None and envelope.FRAME in record:
            frame = record[envelope.FRAME].data
            if callable(spoil):
                control = message.content.config_records[envelope.CONTROL]
                frame = spoil(frame, cast(bytes, control[envelope.HEADER]))
            elif spoil is not None:
                frame = spoil
            reply.content[envelope.SEALED] = ArrayRecord(
                {envelope.FRAME: Array("uint8", (len(frame),), SEALED_STYPE, frame)}
            )
        return cast(Message, reply)

    config = {
        **server.SETTINGS,
        server.FOLDER: str(folder.resolve()),
        server.NODES: len(hospitals),
        server.ROUNDS: 1,
        server.TRAIN_DEADLINE: 60.0,
        server.REVEAL_DEADLINE: 60.0,
        server.PROTECTION: "lattice",
    }
    try:
        doors = [{"door": hospital.serve_in_process()} for hospital in hospitals]
        run_local(make_server_app(events.append), glue, doors, config)
    finally:
        for hospital in hospitals:
            hospital.close()
    return events


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


@pytest.mark.parametrize("garbage", [b"", b"garbage", bytes(192_960)], ids=["nothing", "a word", "zeros"])
def test_garbage_of_one_holder_is_refused_by_name_and_the_others_complete_the_round(
    founded: Path, tmp_path: Path, garbage: bytes
) -> None:
    events = run_app(copied(founded, tmp_path / "run"), "Hungary", garbage)
    [refused] = of_kind(events, "contribution-refused")
    assert refused["holder"] == "Hungary"
    [done] = of_kind(events, "round-finalised")
    assert done["included"] == 3
    [committed] = of_kind(events, "sets-committed")
    assert sorted(committed["included"]) == ["Cleveland", "Switzerland", "VA Long Beach"]


def test_without_garbage_the_same_app_includes_all_four(founded: Path, tmp_path: Path) -> None:
    events = run_app(copied(founded, tmp_path / "run"), "Hungary", None)
    assert of_kind(events, "contribution-refused") == []
    assert of_kind(events, "round-finalised")[0]["included"] == 4


# ---------------------------------------------------------------------- bad shares


def spoiled(header: RoundHeader, data: bytes, signer: Signer, boxes: tuple[int, ...]) -> bytes:
    """Return a frame whose boxes for these seats do not open, signed by its client all the same."""
    frame = Frame.decode(data, ciphertext_bytes=layout_of(header).ciphertext_bytes)
    sealed = tuple(bytes(len(box)) if seat in boxes else box for seat, box in enumerate(frame.boxes))
    statement = replace(frame.leaf.statement, boxes=boxes_digest(sealed))
    notary = LedgerNotary(header.chain_id, header.contract)
    leaf = Leaf(statement=statement, signature=LedgerSigner(notary, signer).sign(statement))
    return replace(frame, leaf=leaf, boxes=sealed).encode()


@pytest.mark.parametrize(
    ("seats", "reason"),
    [((2,), Reason.BAD_SHARES), ((0, 1, 2, 3), Reason.WRONG_KEY)],
    ids=["one seat", "all seats"],
)
def test_a_client_with_bad_shares_is_left_out_by_name_and_the_others_make_the_model(
    world: RunWithNodes, seats: tuple[int, ...], reason: Reason
) -> None:
    session = world.open_round()
    accounts = list(world.holders)
    cheat, honest = accounts[1], [account for account in accounts if account != accounts[1]]
    for account in accounts:
        data = world.contribution(session, account, -0.5 if account == cheat else 0.125)
        mine = account == cheat
        session.accept(spoiled(session.header, data, world.holders[cheat].account, seats) if mine else data)
    included = include(world, session)
    [exclusion] = included.exclusions.excluded
    assert (exclusion.client, exclusion.reason, included.members) == (cheat, reason, tuple(honest))
    tensors = complete(world, session)
    assert np.allclose(flatten(tensors), 0.125, atol=1e-3), "the update that was left out is not in the mean"
    record = world.run.reader.round(world.run.run, session.header.round)
    assert (record.state, record.count, record.included_count) == (RoundState.FINALISED, 4, 3)
    assert record.exclusions == included.exclusions.digest
    earned = decode_rewards(cast(bytes, world.run.journal.read(session.header.round, Entry.REWARDS)))
    assert set(earned) == set(honest), "who is left out earns nothing"


def test_the_app_reports_who_was_left_out(founded: Path, tmp_path: Path) -> None:
    """The whole way over Flower's messages."""
    folder = copied(founded, tmp_path / "run")
    accounts = {node.name: open_house(node).account for node in (folder / "nodes").iterdir()}

    def spoil(frame: bytes, header: bytes) -> bytes:
        return spoiled(RoundHeader.decode(header), frame, accounts["hungary"], (0,))

    events = run_app(folder, "Hungary", spoil)
    [committed] = of_kind(events, "sets-committed")
    assert committed["excluded"] == [{"holder": "Hungary", "reason": "bad-shares"}]
    assert len(committed["included"]) == 3
    assert {event["question"] for event in of_kind(events, "answer")} == {"share check", "reveal"}
    [done] = of_kind(events, "round-finalised")
    assert (done["included"], done["liars"]) == (3, [])


# ---------------------------------------------------------------------- lying members


def lie(session: RoundSession, honest: bytes, signer: Signer) -> bytes:
    """Return an answer with other shares that the member signed all the same."""
    header, reveal = session.header, Reveal.decode(honest)
    parameters = PARAMETER_SETS[header.parameter_set]
    shares = (shamir.decode_vector(parameters, reveal.shares) + np.uint64(1)) % np.uint64(parameters.modulus)
    encoded = shamir.encode_vector(parameters, shares)
    statement = replace(reveal.statement, shares=digest(Label.SHARES, encoded))
    notary = LedgerNotary(header.chain_id, header.contract)
    signature = LedgerSigner(notary, signer).sign(statement)
    return Reveal(statement=statement, shares=encoded, signature=signature).encode()


def test_a_member_that_lies_is_named_and_its_lie_costs_nothing(world: RunWithNodes) -> None:
    session = world.open_round()
    requests = world.included(session)
    liar, *_ = requests
    for account, request in requests.items():
        answer = world.holders[account].call(Method.REVEAL, request)
        session.add_reveal(lie(session, answer, world.holders[liar].account) if account == liar else answer)
    aggregate = session.open()
    assert (session.liars, aggregate.count) == ((liar,), 4)
    session.finalise(apply_step(world.run.terms.strategy, session.tensors, aggregate.update))
    assert state(world, session) is RoundState.FINALISED
    assert np.allclose(flatten(world.model()), 0.125, atol=1e-3)


def test_answers_that_do_not_combine_end_the_round_and_no_second_sum_is_ever_opened(
    world: RunWithNodes,
) -> None:
    session = world.open_round()
    requests = world.included(session)
    answers = {account: world.holders[account].call(Method.REVEAL, requests[account]) for account in requests}
    liar, *_, away = answers
    for account, answer in answers.items():
        if account != away:
            mine = lie(session, answer, world.holders[liar].account) if account == liar else answer
            session.add_reveal(mine)
    with pytest.raises(VerificationError, match="of 3 answers no 3 combine"):
        session.open()
    session.abort()
    number = session.header.round
    assert state(world, session) is RoundState.ABORTED
    assert world.run.journal.read(number, Entry.KEY) is None, "no aggregate key was ever noted"
    with pytest.raises(LocalProtocolError):
        session.open()
    with pytest.raises(SutureError, match=r"no more answers|not in a round"):
        session.add_reveal(answers[away])
    for account, request in requests.items():
        with pytest.raises(VerificationError, match="is over"):
            world.holders[account].call(Method.REVEAL, request)
    following = world.open_round()
    assert following.header.parent == session.header.parent
    world.included(following)
    complete(world, following)
    assert state(world, following) is RoundState.FINALISED


def test_a_member_that_answers_twice_is_believed_the_first_time_only(world: RunWithNodes) -> None:
    session = world.open_round()
    requests = world.included(session)
    liar = next(iter(requests))
    honest = world.holders[liar].call(Method.REVEAL, requests[liar])
    session.add_reveal(honest)
    session.add_reveal(honest)  # the same answer again is what a repeated message brings
    with pytest.raises(VerificationError, match="another answer") as refused:
        session.add_reveal(lie(session, honest, world.holders[liar].account))
    assert refused.value.party == liar.hex()
    complete(world, session)
    assert state(world, session) is RoundState.FINALISED


def test_an_answer_for_the_previous_round_is_refused(world: RunWithNodes) -> None:
    first = world.open_round()
    requests = world.included(first)
    member = next(iter(requests))
    old = world.holders[member].call(Method.REVEAL, requests[member])
    complete(world, first)
    second = world.open_round()
    world.included(second)
    with pytest.raises(VerificationError, match="another round or set"):
        second.add_reveal(old)
    with pytest.raises((DecodeError, VerificationError)):
        second.add_reveal(old[:-1])
    complete(world, second)


def test_a_node_refuses_a_request_for_a_round_that_it_never_began(world: RunWithNodes) -> None:
    session = world.open_round()
    away, *present = world.holders
    for account in present:
        session.accept(world.contribution(session, account))
    session.commit()
    asked = dict(session.check_requests())
    with pytest.raises(PolicyRefusal, match="no header"):
        world.holders[away].call(Method.CHECK, asked[away])
    for account in present:
        session.add_check(world.holders[account].call(Method.CHECK, asked[account]))
    session.include()
    with pytest.raises(PolicyRefusal, match="no header"):
        world.holders[away].call(Method.REVEAL, dict(session.requests())[away])
    assert state(world, session) is RoundState.INCLUDED


def test_a_prekey_is_genuine_if_the_key_signed_it_that_is_registered_for_its_member(world):
    world.open_round()
    [first, second, *_] = world.run.prekeys.values()
    assert is_genuine(first, world.run.reader)
    for forged in (
        replace(first, epoch=first.epoch + 1),
        replace(first, member=second.member),
        replace(first, signature=second.signature),
    ):
        assert not is_genuine(forged, world.run.reader)
