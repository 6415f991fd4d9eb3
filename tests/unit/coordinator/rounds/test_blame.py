"""The blame opening as the coordinator's machine and real nodes see it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from clients.errors import PolicyRefusal
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, VerificationError
from fl_core.models import TensorSpec, encode_model
from fl_core.protocol.blame_messages import BlameAnswer, BlameRequest, Place
from fl_core.protocol.check_messages import encode_values
from fl_core.protocol.phases import MemberPhase, MemberStep
from ledger.notary import LedgerSigner
from ledger.records import RoundState
from tests.simulators.consortium import TERMS, Consortium
from tests.simulators.spoilt_round import NOISE

MODEL = encode_model({"a": np.zeros(9000, np.float32)})
ALLOWED = replace(
    TERMS,
    tensors=(TensorSpec("a", (9000,)),),
    initial_model=hashlib.sha256(MODEL).hexdigest(),
    blame_opening=True,
)
SPOILER = 2


class Spoilt:
    """A consortium whose round is opened; the holder at position 2 spoilt a coefficient of the second payload element."""

    def __init__(self, folder, *, garbage=None, terms=ALLOWED, positions=range(4)):
        self.consortium = c = Consortium(folder, terms=terms, model=MODEL)
        header = c.open_round()
        self.machine = m = c.machine(header)
        for position in positions:
            c.begin(position, header)
            frame = c.protect(position, header, update=np.full(9000, 0.25, "<f4").tobytes())
            spoilt = {(3, 100): NOISE} if garbage is None else garbage
            c.deliver(m, c.garbled(position, frame, spoilt) if position == SPOILER else frame)
        c.commit(m)
        for position in range(3):
            m.add_reveal(c.reveal(position, c.request(m, position)))
        self.opened = m.open()
        self.blame = m.blame(self.opened, c.ciphertexts.__getitem__)

    def request(self, position):
        return self.blame.request(self.consortium.holders[position].account)

    def ask(self, position):
        return self.consortium.blame(position, self.request(position).encode())

    def account(self, position):
        return self.consortium.holders[position].account

    def register(self, position):
        return self.consortium.holders[position].node.register


@pytest.fixture
def spoilt(tmp_path):
    spoilt = Spoilt(tmp_path)
    yield spoilt
    spoilt.consortium.close()


def test_the_machine_asks_about_one_place_and_names_the_spoiler(spoilt):
    assert spoilt.blame.place == Place(element=3, coefficient=100)
    assert {spoilt.request(position).place for position in range(4)} == {spoilt.blame.place}
    for position in range(4):
        assert spoilt.blame.spoilers() == ()
        spoilt.blame.add(spoilt.ask(position))
    assert spoilt.blame.spoilers() == (spoilt.account(SPOILER),)


def test_a_sum_that_did_not_fail_is_asked_nothing_about(tmp_path):
    honest = Spoilt(tmp_path, garbage={})
    assert honest.blame is None
    honest.consortium.close()


def test_a_failed_sum_is_asked_about_after_it_was_opened_and_before_the_round_is_over(spoilt):
    again = spoilt.machine.blame(spoilt.opened, spoilt.consortium.ciphertexts.__getitem__)
    assert again.place == spoilt.blame.place
    spoilt.machine.finalise()
    assert spoilt.machine.blame(spoilt.opened, spoilt.consortium.ciphertexts.__getitem__) is None


def test_a_second_different_answer_names_its_member_and_the_first_one_stays(spoilt):
    first = BlameAnswer.decode(spoilt.ask(0))
    spoilt.blame.add(first.encode())
    spoilt.blame.add(first.encode())
    values = (first.values[0] ^ 1, *first.values[1:])
    statement = replace(first.statement, values=digest(Label.BLAME_VALUES, encode_values(values)))
    signer = LedgerSigner(spoilt.consortium.notary, spoilt.consortium.holders[0].signer)
    second = BlameAnswer(statement=statement, values=values, signature=signer.sign(statement))
    with pytest.raises(VerificationError, match="has given another answer") as caught:
        spoilt.blame.add(second.encode())
    assert caught.value.party == spoilt.account(0).hex()
    assert dict(spoilt.blame.answers) == {spoilt.account(0): first}


def test_a_malformed_or_forged_answer_changes_nothing(spoilt):
    first = BlameAnswer.decode(spoilt.ask(0))
    with pytest.raises(DecodeError):
        spoilt.blame.add(first.encode()[:-1])
    with pytest.raises(VerificationError, match=r"blame answer \(4\)"):
        spoilt.blame.add(replace(first, signature=bytes(65)).encode())
    assert not spoilt.blame.answers
    spoilt.blame.add(first.encode())
    assert dict(spoilt.blame.answers) == {spoilt.account(0): first}


# ---------------------------------------------------------------------- the node


def test_a_node_whose_terms_allow_no_blame_opening_answers_none(tmp_path):
    spoilt = Spoilt(tmp_path, terms=replace(ALLOWED, blame_opening=False))
    with pytest.raises(PolicyRefusal, match="allow no blame opening"):
        spoilt.ask(0)
    assert spoilt.register(0).member_phase(spoilt.machine.header.digest) is MemberPhase.REVEALED
    spoilt.consortium.close()


def test_a_repeated_question_gets_the_same_bytes_even_after_a_restart(spoilt):
    first = spoilt.ask(0)
    assert spoilt.ask(0) == first
    node = spoilt.consortium.restart(0)
    assert spoilt.ask(0) == first
    assert node.random.drawn == 0


def test_the_values_are_on_disk_before_they_are_sent(spoilt):
    sent, header = spoilt.ask(0), spoilt.machine.header.digest
    assert spoilt.register(0).answer(MemberStep.BLAME, header, spoilt.blame.place.digest) == sent
    assert spoilt.register(0).member_phase(header) is MemberPhase.BLAMED


def test_one_place_in_each_round_also_after_a_restart(spoilt):
    request = spoilt.request(0)
    spoilt.ask(0)
    other = replace(request, place=Place(element=3, coefficient=101))
    for _ in range(2):
        with pytest.raises(PolicyRefusal, match="answered the blame opening for another set"):
            spoilt.consortium.blame(0, other.encode())
        spoilt.consortium.restart(0)


def test_a_request_that_fails_a_check_is_not_recorded(spoilt):
    request = spoilt.request(0)
    for changes in ({"included": request.included[1:]}, {"place": Place(element=3, coefficient=101)}):
        with pytest.raises(VerificationError, match="blame check"):
            spoilt.consortium.blame(0, replace(request, **changes).encode())
    assert BlameAnswer.decode(spoilt.ask(0)).statement.member == spoilt.account(0)


def test_a_reveal_after_a_blame_opening_is_refused_and_one_before_is_not(spoilt):
    """The member at position 3 was away at the reveal: after it helped to find the spoiler, it reveals nothing more."""
    c = spoilt.consortium
    header = spoilt.machine.header
    revealed = c.reveal(0, reveal_request(spoilt, 0))
    spoilt.ask(0)
    assert c.reveal(0, reveal_request(spoilt, 0)) == revealed
    spoilt.ask(3)
    with pytest.raises(PolicyRefusal, match="does not answer a reveal"):
        c.reveal(3, reveal_request(spoilt, 3))
    assert spoilt.register(3).member_phase(header.digest) is MemberPhase.BLAMED


def reveal_request(spoilt, position):
    """What the coordinator asked at the reveal, made again after it."""
    account, m = spoilt.account(position), spoilt.machine
    members = [a.leaf.statement.member for a in m.accepted]
    receipt = spoilt.consortium.receipt_of(m, position)
    return m._collector.request(account, members, receipt).encode()


def test_no_answer_after_the_round_is_over(spoilt):
    for state in (RoundState.ABORTED, RoundState.FINALISED):
        spoilt.consortium.facts.end(spoilt.consortium.run, 1, state)
        with pytest.raises(VerificationError):
            spoilt.ask(0)


def test_a_node_that_did_not_begin_the_round_answers_nothing(tmp_path):
    spoilt = Spoilt(tmp_path, positions=(0, 1, 2))
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        spoilt.ask(3)
    assert isinstance(BlameRequest.decode(spoilt.request(3).encode()), BlameRequest)
    spoilt.consortium.close()
