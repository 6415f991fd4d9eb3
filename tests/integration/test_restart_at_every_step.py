"""A round survives a restart of any party between any two of its steps: from what is on disk each goes on where it was.

The nodes are closed and opened anew before every single call, in every phase of their two tables. The coordinator is stopped
right before and right after every note in its journal and every transaction of its ledger: all the moments at which what is on
disk changes its meaning. (Kills with SIGKILL at random moments: ``test_kill_coordinator.py``.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.door import Method
from clients.errors import PolicyRefusal
from coordinator.context import open_run
from coordinator.history import settle
from coordinator.session import RoundSession
from coordinator.store.journal import Entry, Journal
from fl_core.models import TensorSpec, encode_model, flatten
from fl_core.models.step import apply_step
from fl_core.protocol.phases import CLIENT, MEMBER, ClientPhase, MemberPhase
from fl_core.protocol.terms import Terms
from fl_core.randomness import SystemRandomSource
from ledger.records import RoundState
from ledger.writer import LedgerWriter
from tests.simulators.consortium import TERMS, Consortium
from tests.simulators.founded_run import RunWithNodes, copied, found, now
from tests.simulators.spoilt_round import NOISE

# ---------------------------------------------------------------------- client and member

MODEL = encode_model({"a": np.zeros(9000, np.float32)})
BLAMING = replace(
    TERMS,
    tensors=(TensorSpec("a", (9000,)),),
    initial_model=hashlib.sha256(MODEL).hexdigest(),
    blame_opening=True,
)
UPDATE = np.full(9000, 0.25, "<f4").tobytes()


class Restarted:
    """A consortium whose nodes are opened anew before every call, and that notes which transitions they made."""

    def __init__(self, folder: Path, terms: Terms = BLAMING) -> None:
        self.c = Consortium(folder, terms=terms, model=MODEL)
        self.client: set[tuple[ClientPhase, ClientPhase]] = set()
        self.member: set[tuple[MemberPhase, MemberPhase]] = set()
        self.sent: dict[tuple[int, str], bytes] = {}

    def phases(self, position: int, header: bytes) -> tuple[ClientPhase, MemberPhase]:
        register = self.c.restart(position).register
        return register.client_phase(header), register.member_phase(header)

    def ask(self, position: int, what: str, header: bytes, call) -> bytes:
        """Restart, ask, restart, ask again: the same bytes, and a phase that is on disk."""
        before = self.phases(position, header)
        answer = call()
        after = self.phases(position, header)
        assert call() == answer
        assert self.phases(position, header) == after
        self.client.add((before[0], after[0]))
        self.member.add((before[1], after[1]))
        self.sent[position, what] = answer
        return answer


def test_a_node_that_restarts_before_every_call_takes_every_transition_and_sends_the_same_bytes_again(
    tmp_path: Path,
) -> None:
    r = Restarted(tmp_path)
    c, header = r.c, r.c.open_round()
    machine, digest = c.machine(header), header.digest
    for position in range(4):
        c.restart(position)
        order = c.begin(position, header)
        c.restart(position)
        assert c.begin(position, header) == order
        frame = r.ask(position, "frame", digest, lambda p=position: c.protect(p, header, update=UPDATE))
        c.deliver(machine, c.garbled(position, frame, {(3, 100): NOISE}) if position == 2 else frame)
    c.commit_accepted(machine)
    checks = {p: c.check_request(machine, p) for p in range(4)}
    for position in (0, 1, 2):  # the last one is away until the reveal
        machine.add_check(r.ask(position, "check", digest, lambda p=position: c.check(p, checks[p])))
    c.include(machine)
    reveals = {p: c.request(machine, p) for p in range(4)}
    for position in (0, 1, 3):  # and the third one from here on until the blame opening
        machine.add_reveal(r.ask(position, "reveal", digest, lambda p=position: c.reveal(p, reveals[p])))
    opened = machine.open()
    blame = machine.blame(opened, c.ciphertexts.__getitem__)
    assert blame is not None
    for position in range(4):
        asked = blame.request(c.holders[position].account).encode()
        blame.add(r.ask(position, "blame", digest, lambda p=position, a=asked: c.blame(p, a)))
    assert blame.spoilers() == (c.holders[2].account,)
    # Whatever was refused for good stays refused after a restart, and what was sent is sent again.
    with pytest.raises(PolicyRefusal, match="does not answer a reveal"):
        c.restart(2).call(Method.REVEAL, reveals[2])
    c.facts.end(c.run, 1)
    following = c.open_round(2)
    c.restart(0)
    c.begin(0, following)
    phases = r.phases(0, digest)
    assert phases == (ClientPhase.OVER, MemberPhase.BLAMED)
    r.client.add((ClientPhase.CONTRIBUTED, phases[0]))
    begun_only = r.phases(0, following.digest)[0]
    c.facts.end(c.run, 2)
    c.begin(0, c.open_round(3))
    r.client.add((begun_only, r.phases(0, following.digest)[0]))
    c.close()
    moved = {(before, after) for before, after in r.client if before is not after}
    assert moved == {(before, after) for (before, _), after in CLIENT.items()} - {
        (ClientPhase.CONTRIBUTED, ClientPhase.OPENED),  # only where weights are opened: the next test
        (ClientPhase.OPENED, ClientPhase.OVER),
    }
    asked_in = {(before, after) for before, after in r.member if before is not after}
    assert asked_in == {(before, after) for (before, _), after in MEMBER.items()} - {
        (MemberPhase.SEATED, MemberPhase.BLAMED)  # away all along: the test after the next
    }


def test_a_node_that_restarts_around_the_opening_of_its_weight_sends_the_same_bytes_again(
    tmp_path: Path,
) -> None:
    r = Restarted(tmp_path, replace(BLAMING, blame_opening=False, reward_policy="by-examples"))
    c, header = r.c, r.c.open_round()
    machine, digest = c.machine(header), header.digest
    for position in range(4):
        c.begin(position, header)
        c.deliver(machine, c.protect(position, header, update=UPDATE))
    c.commit(machine)
    for position in range(3):
        machine.add_reveal(c.reveal(position, c.request(machine, position)))
    weights = machine.weights(machine.open())
    asked = weights.request().encode()
    for position in range(4):
        weights.add(
            r.ask(position, "weight", digest, lambda p=position: c.holders[p].node.call(Method.WEIGHT, asked))
        )
    assert len(weights.weights) == 4
    c.facts.end(c.run, 1)
    c.restart(0)
    c.begin(0, c.open_round(2))
    r.client.add((ClientPhase.OPENED, r.phases(0, digest)[0]))
    assert r.client == {
        (ClientPhase.CONTRIBUTED, ClientPhase.OPENED),
        (ClientPhase.OPENED, ClientPhase.OVER),
    }
    c.close()


def test_a_member_that_was_away_until_the_blame_opening_answers_it_after_a_restart_and_nothing_before_it(
    tmp_path: Path,
) -> None:
    r = Restarted(tmp_path)
    c, header = r.c, r.c.open_round()
    machine = c.machine(header)
    for position in range(4):
        c.begin(position, header)
        frame = c.protect(position, header, update=UPDATE)
        c.deliver(machine, c.garbled(position, frame, {(3, 100): NOISE}) if position == 2 else frame)
    c.commit_accepted(machine)
    for position in range(3):
        machine.add_check(c.check(position, c.check_request(machine, position)))
    c.include(machine)
    reveal = c.request(machine, 3)
    for position in range(3):
        machine.add_reveal(c.reveal(position, c.request(machine, position)))
    blame = machine.blame(machine.open(), c.ciphertexts.__getitem__)
    assert blame is not None
    asked = blame.request(c.holders[3].account).encode()
    r.ask(3, "blame", header.digest, lambda: c.blame(3, asked))
    assert r.member == {(MemberPhase.SEATED, MemberPhase.BLAMED)}
    with pytest.raises(PolicyRefusal, match="does not answer a reveal"):
        c.restart(3).call(Method.REVEAL, reveal)
    c.close()


# ---------------------------------------------------------------------- coordinator

TRANSACTIONS = ("open_round", "commit_round", "commit_included", "finalise_round")


class Stopped(BaseException):
    """The coordinator's process is gone; not an Exception, so that nobody answers it."""


class Stops:
    """Ends the coordinator at one moment of a round: before or after its n-th note or transaction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.at, self.seen = at, 0
        self.moments: list[str] = []
        monkeypatch.setattr(Journal, "write", self._around(Journal.write, lambda a: f"journal {a[1].value}"))
        for name in TRANSACTIONS:
            method = getattr(LedgerWriter, name)
            monkeypatch.setattr(LedgerWriter, name, self._around(method, lambda a, name=name: name))

    def _moment(self, name: str) -> None:
        self.moments.append(name)
        self.seen += 1
        if self.seen == self.at:
            raise Stopped(name)

    def _around(self, method, name):
        def wrapped(this, *arguments, **named):
            self._moment(f"before {name(arguments)}")
            result = method(this, *arguments, **named)
            self._moment(f"after {name(arguments)}")
            return result

        return wrapped


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=6)


@pytest.fixture
def world(founded: Path, tmp_path: Path) -> Iterator[RunWithNodes]:
    one = RunWithNodes(copied(founded, tmp_path / "run"))
    yield one
    one.close()


def whole_round(world: RunWithNodes) -> RoundSession:
    session = world.open_round()
    for account, request in world.included(session).items():
        session.add_reveal(world.holders[account].call(Method.REVEAL, request))
    session.finalise(apply_step(world.run.terms.strategy, session.tensors, session.open().update))
    return session


def reopened(world: RunWithNodes) -> None:
    """Start the coordinator anew on its folder, as its process does."""
    world.run.close()
    world.run = open_run(world.folder, clock=now, random=SystemRandomSource())
    settle(world.run, world.run.reader.run(world.run.run).opened)


def moments_of_a_round(world: RunWithNodes) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        stops = Stops(patch, at=0)
        whole_round(world)
    return stops.moments


def stopped_at(world: RunWithNodes, moment: int) -> None:
    """Stop the coordinator at a moment of round 1, start it anew, check, and let it make the next model."""
    with pytest.MonkeyPatch.context() as patch:
        stops = Stops(patch, at=moment)
        with pytest.raises(Stopped):
            whole_round(world)
    reopened(world)
    reader, run, where = world.run.reader, world.run.run, stops.moments[-1]
    opened = reader.run(run).opened
    assert opened == (
        0 if where in ("before journal header", "after journal header", "before open_round") else 1
    )
    final = stops.moments.count("after finalise_round") == 1
    if opened:
        assert reader.round(run, 1).state is (RoundState.FINALISED if final else RoundState.ABORTED), where
    assert world.run.public.round(1).exists() == final
    parent = world.run.reader.run(run).finalised
    session = whole_round(world)
    assert session.header.round == opened + 1
    assert reader.run(run).finalised == parent + 1
    assert np.allclose(flatten(world.model()), 0.125 * (parent + 1), atol=2e-3)


def test_the_moments_of_a_round_are_every_note_and_every_transaction_once(world: RunWithNodes) -> None:
    moments = moments_of_a_round(world)
    notes = [entry.value for entry in Entry]
    names = [*(f"journal {note}" for note in notes), *TRANSACTIONS]
    assert sorted(moments) == sorted(f"{when} {name}" for name in names for when in ("before", "after"))
    assert moments[:4] == [
        "before journal header",
        "after journal header",
        "before open_round",
        "after open_round",
    ]


LAST = 2 * (len(Entry) + len(TRANSACTIONS))
FEW = (4, 8, 14, 25, LAST)
"""After the open, after the first commit, after the second one, around the last transaction, at the very end."""


@pytest.mark.parametrize(
    "moment",
    [pytest.param(m, marks=() if m in FEW else pytest.mark.slow) for m in range(1, LAST + 1)],
)
def test_a_coordinator_that_stops_at_any_moment_goes_on_from_its_disk(
    world: RunWithNodes, moment: int
) -> None:
    stopped_at(world, moment)
