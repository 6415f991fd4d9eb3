"""Attacks on rewards by examples: false weights, false questions, false divisions. One test for each row of README.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clients.door import Method
from clients.errors import PolicyRefusal
from coordinator.rounds.weights import WeightMachine
from fl_core.errors import VerificationError
from fl_core.protocol.messages import Frame, Leaf
from fl_core.protocol.weights import WeightOpening, commit_weight
from ledger.audit.verify import verify
from ledger.notary import LedgerSigner
from ledger.rewards import RoundFacts, allocate
from tests.simulators.consortium import TERMS, Consortium
from tests.simulators.public_folder import HOLDERS, Lie
from tests.simulators.public_folder import Consortium as PublicConsortium

REWARD = 1000
EXAMPLES = (100, 200, 300, 400)
UNITS = (3277, 6553, 9830, 13106)
"""What those numbers of examples weigh under the cap of 1000."""


@pytest.fixture
def consortium(tmp_path):
    consortium = Consortium(tmp_path, terms=replace(TERMS, reward_policy="by-examples"))
    yield consortium
    consortium.close()


Signed = Callable[[Consortium, int, bytes], bytes]


def to_the_sum(
    consortium: Consortium, number: int = 1, signed: Signed = lambda c, p, frame: frame
) -> WeightMachine:
    """Play a round until weights are asked for; ``signed`` changes the frame of a holder that cheats."""
    header = consortium.open_round(number)
    machine = consortium.machine(header)
    for position, examples in enumerate(EXAMPLES):
        consortium.begin(position, header)
        frame = consortium.protect(position, header, examples=examples)
        consortium.deliver(machine, signed(consortium, position, frame))
    consortium.commit(machine)
    for position in range(3):
        machine.add_reveal(consortium.reveal(position, consortium.request(machine, position)))
    return machine.weights(machine.open())


def opened(consortium: Consortium, weights: WeightMachine, position: int) -> WeightOpening:
    answer = consortium.holders[position].node.call(Method.WEIGHT, weights.request().encode())
    return WeightOpening.decode(answer)


def signed_commitment(consortium: Consortium, position: int, frame: bytes, commitment: bytes) -> bytes:
    """A holder signs a leaf with another commitment to its weight than the one that its node made."""
    whole = Frame.decode(frame, ciphertext_bytes=consortium.layout.ciphertext_bytes)
    statement = replace(whole.leaf.statement, weight=commitment)
    signature = LedgerSigner(consortium.notary, consortium.holders[position].signer).sign(statement)
    return replace(whole, leaf=Leaf(statement=statement, signature=signature)).encode()


def paid(weights: WeightMachine) -> dict[bytes, int]:
    """What the round pays each account."""
    facts = RoundFacts(included=weights.clients, weights=weights.weights, weights_fit=weights.fit())
    return allocate("by-examples", facts, REWARD, {}).earned


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (lambda mine: replace(mine, units=mine.units + 1), 4),
        (lambda mine: replace(mine, units=32767), 3),
        (lambda mine: replace(mine, salt=bytes(32)), 4),
    ],
    ids=["one unit more", "more than anybody can have", "another salt"],
)
def test_a_weight_that_the_leaf_does_not_commit_to(consortium, lie, check):
    """The liar is named, and the weight that it committed to is still taken."""
    weights = to_the_sum(consortium)
    mine = opened(consortium, weights, 0)
    with pytest.raises(VerificationError, match=rf"check \({check}\)") as refused:
        weights.add(lie(mine).encode())
    assert refused.value.party == consortium.holders[0].account.hex()
    assert weights.weights == {}
    weights.add(mine.encode())


def test_replay_of_another_clients_opened_weight(consortium):
    """Openings are public: a thief repeats one, as it is or as its own, also after its leaf copied the victim's commitment."""
    leaves: list[Leaf] = []

    def copied(c: Consortium, position: int, frame: bytes) -> bytes:
        leaves.append(Frame.decode(frame, ciphertext_bytes=c.layout.ciphertext_bytes).leaf)
        return frame if position < 3 else signed_commitment(c, 3, frame, leaves[0].statement.weight)

    weights = to_the_sum(consortium, signed=copied)
    victim, thief = consortium.holders[0].account, consortium.holders[3].account
    victims = opened(consortium, weights, 0)
    weights.add(victims.encode())
    assert weights.weights == {victim: UNITS[0]}, "whoever sends it, it counts for its own client"
    with pytest.raises(VerificationError, match=r"check \(4\)") as refused:
        weights.add(replace(victims, member=thief).encode())
    assert refused.value.party == thief.hex()
    assert weights.weights == {victim: UNITS[0]}


def test_replay_of_an_opened_weight_of_another_round(consortium):
    """The commitment binds the header: a good weight of one round opens nothing in the next."""
    old = opened(consortium, to_the_sum(consortium), 0)
    later = to_the_sum(consortium, 2)
    with pytest.raises(VerificationError, match=r"check \(1\)"):
        later.add(old.encode())
    with pytest.raises(VerificationError, match=r"check \(4\)"):
        later.add(replace(old, header=later.request().header).encode())


def test_a_weight_larger_than_the_encrypted_one(consortium):
    """A holder commits to more than it encrypted: with everybody there the sum tells, nobody is paid, and nobody is named."""
    liar, salt, more = consortium.holders[0].account, bytes(range(32)), UNITS[0] + 5000

    def claimed(c: Consortium, position: int, frame: bytes) -> bytes:
        if position:
            return frame
        header = Frame.decode(frame, ciphertext_bytes=c.layout.ciphertext_bytes).leaf.statement.header
        return signed_commitment(c, 0, frame, commit_weight(header, liar, salt, more))

    weights = to_the_sum(consortium, signed=claimed)
    lie = WeightOpening(header=weights.request().header, member=liar, units=more, salt=salt)
    weights.add(lie.encode())
    for position in (1, 2):
        weights.add(opened(consortium, weights, position).encode())
    gained = paid(weights)
    assert sum(gained.values()) == REWARD
    honest = allocate(
        "by-examples",
        RoundFacts(included=weights.clients, weights=dict(zip(weights.clients, UNITS, strict=True))),
        REWARD,
        {},
    ).earned
    missing = consortium.holders[3].account
    assert gained[liar] - honest[liar] <= honest[missing], (
        "with one missing it gains what that one loses, at most"
    )
    weights.add(opened(consortium, weights, 3).encode())
    assert not weights.fit()
    assert set(paid(weights).values()) == {0}


def test_two_different_answers_about_one_weight(consortium):
    """A node gives the bytes of its first answer for ever, also after a restart; whoever makes others is refused."""
    weights = to_the_sum(consortium)
    first = opened(consortium, weights, 0)
    consortium.restart(0)
    assert opened(consortium, weights, 0) == first
    weights.add(first.encode())
    for other in (replace(first, units=first.units + 1), replace(first, salt=bytes(32))):
        with pytest.raises(VerificationError, match=r"check \(4\)"):
            weights.add(other.encode())
    assert weights.weights == {first.member: UNITS[0]}, "the first answer stands"


def test_weights_asked_about_a_set_that_is_not_the_ledgers(consortium):
    """Somebody left out, somebody's contribution exchanged, another round: no node opens anything."""
    weights = to_the_sum(consortium)
    honest = weights.request()
    me = consortium.holders[0].account
    exchanged = tuple((m, bytes(32) if m != me else d) for m, d in honest.included)
    for request, check in (
        (replace(honest, included=honest.included[:3]), 2),
        (replace(honest, included=honest.included[1:]), 2),
        (replace(honest, included=exchanged), 2),
    ):
        with pytest.raises(VerificationError, match=rf"check \({check}\)"):
            consortium.holders[0].node.call(Method.WEIGHT, request.encode())
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        consortium.holders[0].node.call(Method.WEIGHT, replace(honest, header=bytes(32)).encode())

    first = opened(consortium, weights, 0)
    smaller = honest.included[:3]
    facts = consortium.facts
    facts.commit_included(
        consortium.run, 1, consortium.notary.root(smaller), 3
    )  # a ledger that was made to lie
    with pytest.raises(PolicyRefusal, match="another set of this round"):
        consortium.holders[0].node.call(Method.WEIGHT, replace(honest, included=smaller).encode())
    facts.commit_included(consortium.run, 1, consortium.notary.root(honest.included), 4)
    assert opened(consortium, weights, 0) == first


def most_to(name: str) -> Callable[[dict[bytes, int]], dict[bytes, int]]:
    """A coordinator's friend takes one unit of everybody else."""

    def divided(cumulative: dict[bytes, int]) -> dict[bytes, int]:
        friend = max(cumulative) if name == "last" else min(cumulative)
        return {a: n + (len(cumulative) - 1 if a == friend else -1) for a, n in cumulative.items()}

    return divided


def equally(cumulative: dict[bytes, int]) -> dict[bytes, int]:
    """The small are paid as the large."""
    total, count = sum(cumulative.values()), len(cumulative)
    return {a: total // count + (i < total % count) for i, a in enumerate(sorted(cumulative))}


@pytest.mark.parametrize(
    "division", [most_to("first"), most_to("last"), equally], ids=["first", "last", "equal"]
)
def test_rewards_divided_by_other_weights_than_the_opened_ones(tmp_path: Path, division):
    """The ledger takes any root; whoever audits the folder divides again, and the false round is named."""
    consortium = PublicConsortium(tmp_path / "run", policy="by-examples")
    consortium.play()
    consortium.lie(Lie(cumulative=division))
    run = consortium.close()
    [rewards] = [outcome for outcome in verify(run.path).outcomes if outcome.number == 11]
    assert [(fault.round, fault.problem) for fault in rewards.faults][:1] == [
        (2, "the ledger has the root of another division")
    ]


def test_a_weight_that_a_coordinator_loses_is_not_paid(tmp_path: Path):
    """Open: the papers cannot tell a holder that did not answer from one whose answer was lost; the others share its part."""
    consortium = PublicConsortium(tmp_path / "run", policy="by-examples")
    consortium.play(unopened=[HOLDERS[0]])
    run = consortium.close()
    report = verify(run.path)
    [rewards] = [outcome for outcome in report.outcomes if outcome.number == 11]
    assert report.passed
    assert "1 weights were not opened" in rewards.summary
