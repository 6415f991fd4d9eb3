"""Random histories of two runs, against a model in Python.

Every rule tries something that may or may not be allowed; the model says which, and the ledger must agree. After every
step: the ledger holds exactly what runs have in escrow plus what they promised and did not pay; nobody was paid anything
but the difference between two cumulative sums; no budget is overspent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.errors import Reverted
from ledger.merkle import reward_leaf
from ledger.records import Act, RoundState, RunState
from ledger.typed_data import model_id
from tests.contracts.harness import account, word
from tests.contracts.world import DELAY, HOLDERS, World, dataset_of, rewards_of

TERMS = ("first terms", "second terms")
DEPOSIT = 1_000
BUDGET = 6
FEWEST = 3


@dataclass
class RunModel:
    """What the ledger should know about one run."""

    id: bytes
    state: RunState = RunState.OPEN
    accepted: set[str] = field(default_factory=lambda: set(HOLDERS))
    rounds: list[RoundState] = field(default_factory=list)
    sums: dict[int, dict[str, int]] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    escrow: int = DEPOSIT
    allocated: int = 0
    spent: int = 0
    cost: int = 0
    closes_at: int = 0

    @property
    def latest(self) -> RoundState:
        return self.rounds[-1] if self.rounds else RoundState.NONE

    @property
    def alive(self) -> bool:
        return self.state in (RunState.OPEN, RunState.CLOSING)


runs = st.sampled_from((0, 0, 1))
names = st.sampled_from(HOLDERS)


class LedgerMachine(RuleBasedStateMachine):
    """Two runs of one consortium."""

    @initialize()
    def found(self) -> None:
        self.world = World()
        self.runs = [
            RunModel(
                self.world.ready_run(terms=word(terms), escrow=DEPOSIT, budget=BUDGET, min_clients=FEWEST)
            )
            for terms in TERMS
        ]
        self.paused = False

    def attempt(self, allowed: bool, sender: str, function: str, *arguments: object) -> bool:
        """Try; the ledger must agree with the model. Return whether it happened."""
        try:
            self.world.call(sender, function, *arguments)
        except Reverted as error:
            assert not allowed, (function, error.reason)
            assert error.reason.startswith("training_ledger: "), (function, error.reason)
            return False
        assert allowed, function
        return True

    def coordinator(self, run: RunModel, *states: RoundState) -> bool:
        return not self.paused and run.alive and run.latest in states

    @rule(index=runs, cost=st.integers(0, 4))
    def open_round(self, index: int, cost: int) -> None:
        run = self.runs[index]
        over = (RoundState.NONE, RoundState.FINALISED, RoundState.ABORTED)
        allowed = (
            self.coordinator(run, *over)
            and run.state == RunState.OPEN
            and len(run.accepted) >= FEWEST
            and run.spent + cost <= BUDGET
        )
        n = len(run.rounds) + 1
        parent = model_id(run.id, 0, word("root"))
        if self.attempt(allowed, "kim", "openRound", run.id, n, parent, word(f"header {n}"), cost):
            run.rounds.append(RoundState.OPEN)
            run.cost = cost

    @rule(index=runs, count=st.integers(1, 5))
    def commit(self, index: int, count: int) -> None:
        run = self.runs[index]
        allowed = self.coordinator(run, RoundState.OPEN) and FEWEST <= count <= len(run.accepted)
        n = len(run.rounds)
        if self.attempt(allowed, "kim", "commitRound", run.id, n, word(f"set of {count}"), count):
            run.rounds[-1] = RoundState.COMMITTED
            run.spent += run.cost

    @rule(index=runs, count=st.integers(1, 5))
    def include(self, index: int, count: int) -> None:
        run = self.runs[index]
        accepted = self.world.view("round", run.id, len(run.rounds))["count"]
        allowed = self.coordinator(run, RoundState.COMMITTED) and FEWEST <= count <= accepted
        arguments = (run.id, len(run.rounds), word(f"set of {count}"), count, word("exclusions"))
        if self.attempt(allowed, "kim", "commitIncluded", *arguments):
            run.rounds[-1] = RoundState.INCLUDED

    @rule(index=runs, reward=st.integers(0, 600), lie=st.integers(0, 3), name=names)
    def finalise(self, index: int, reward: int, lie: int, name: str) -> None:
        run = self.runs[index]
        n = len(run.rounds)
        sums = dict(run.sums[max(run.sums)]) if run.sums else {}
        # a coordinator that lies puts more into the tree than it takes from the escrow
        sums[name] = sums.get(name, 0) + reward + (500 if lie == 0 else 0)
        root = rewards_of(run.id, sums).root if reward else bytes(32)
        allowed = self.coordinator(run, RoundState.INCLUDED) and reward <= run.escrow
        arguments = (run.id, n, word(f"model {n}"), word("key"), word("metrics"), root, reward)
        if self.attempt(allowed, "kim", "finaliseRound", *arguments):
            run.rounds[-1] = RoundState.FINALISED
            run.escrow -= reward
            run.allocated += reward
            if reward:
                run.sums[n] = sums

    @rule(
        index=runs,
        cost=st.integers(0, 3),
        count=st.sampled_from((3, 3, 2, 4)),
        reward=st.integers(1, 150),
        lie=st.integers(0, 3),
        name=names,
        paid_at_once=st.booleans(),
        steps=st.sampled_from((4, 4, 4, 3, 2)),
    )
    def play_a_paid_round(
        self,
        index: int,
        cost: int,
        count: int,
        reward: int,
        lie: int,
        name: str,
        paid_at_once: bool,
        steps: int,
    ) -> None:
        """Take the steps in order, so that histories get as far as claims; each step may still be refused."""
        self.open_round(index, cost)
        self.commit(index, 3)
        if steps > 2:
            self.include(index, count)
        if steps > 3:
            self.finalise(index, reward, lie, name)
        if paid_at_once:
            self.claim(index, 0, name)

    @rule(index=runs, sure=st.integers(0, 3))
    def abort(self, index: int, sure: int) -> None:
        run = self.runs[index]
        if sure:
            return
        allowed = self.coordinator(run, RoundState.OPEN, RoundState.COMMITTED, RoundState.INCLUDED)
        if self.attempt(allowed, "kim", "abortRound", run.id, len(run.rounds)):
            run.rounds[-1] = RoundState.ABORTED

    @precondition(lambda self: any(run.sums for run in self.runs))
    @rule(index=runs, back=st.sampled_from((0, 0, 1, 2)), name=names)
    def claim(self, index: int, back: int, name: str) -> None:
        """Claim from the latest paid round or an earlier one, twice: the second time there is nothing left."""
        run = self.runs[index]
        n = sorted(run.sums, reverse=True)[min(back, len(run.sums) - 1)] if run.sums else 0
        if n == 0 or name not in run.sums[n]:
            return
        for _ in range(2):
            self.claim_once(run, n, name)

    def claim_once(self, run: RunModel, n: int, name: str) -> None:
        cumulative = run.sums[n][name]
        amount = cumulative - run.paid.get(name, 0)
        allowed = 0 < amount <= run.allocated - sum(run.paid.values())
        before = self.world.balance(account(name))
        proof = rewards_of(run.id, run.sums[n]).proof(reward_leaf(run.id, account(name), cumulative))
        if self.attempt(allowed, "anyone", "claim", run.id, n, account(name), cumulative, proof):
            assert self.world.balance(account(name)) - before == amount
            run.paid[name] = cumulative

    @rule(index=runs, name=names)
    def change_consent(self, index: int, name: str) -> None:
        run = self.runs[index]
        if name in run.accepted:
            if self.attempt(True, name, "withdraw", run.id):
                run.accepted.discard(name)
        elif self.attempt(
            not self.paused and run.state == RunState.OPEN,
            name,
            "accept",
            run.id,
            word(TERMS[index]),
            dataset_of(name),
        ):
            run.accepted.add(name)

    @rule(index=runs, who=st.sampled_from(("rosa", "kim", "ada")), sure=st.integers(0, 3))
    def close(self, index: int, who: str, sure: int) -> None:
        run = self.runs[index]
        if sure:
            return
        due = run.state == RunState.OPEN or self.world.engine.timestamp >= run.closes_at
        free = run.latest not in (RoundState.COMMITTED, RoundState.INCLUDED)
        if self.attempt(run.alive and free and due and who != "ada", who, "closeRun", run.id):
            if run.state == RunState.OPEN:
                run.state, run.closes_at = RunState.CLOSING, self.world.engine.timestamp + DELAY
            else:
                run.state, run.escrow = RunState.CLOSED, 0

    @rule(index=runs, sure=st.integers(0, 4), seconds=st.sampled_from((DELAY // 2, DELAY)))
    def close_and_refund(self, index: int, sure: int, seconds: int) -> None:
        self.close(index, "rosa", sure)
        self.wait(seconds)
        self.close(index, "rosa", sure)

    @rule(index=runs, sure=st.integers(0, 19))
    def stop(self, index: int, sure: int) -> None:
        run = self.runs[index]
        if sure or not run.alive:
            return
        self.world.vote(Act.STOP_RUN, info=run.id)
        run.state, run.escrow = RunState.STOPPED, 0

    @rule(sure=st.integers(0, 9))
    def pause(self, sure: int) -> None:
        if self.paused:
            self.world.vote(Act.UNPAUSE)
            self.paused = False
        elif sure == 0:
            self.world.call("odo", "pause")
            self.paused = True

    @rule(seconds=st.sampled_from((1, DELAY // 2, DELAY)))
    def wait(self, seconds: int) -> None:
        self.world.engine.advance(seconds)

    @invariant()
    def records_are_those_of_the_model(self) -> None:
        for run in self.runs:
            record = self.world.view("runs", run.id)
            assert (record["state"], record["opened"]) == (run.state, len(run.rounds))
            assert record["accepted"] == len(run.accepted)
            assert record["finalised"] == run.rounds.count(RoundState.FINALISED)
            assert (record["escrow"], record["allocated"]) == (run.escrow, run.allocated)
            assert record["claimed"] == sum(run.paid.values()) <= run.allocated
            assert record["spent"] == run.spent <= BUDGET
            if run.rounds:
                assert self.world.view("round", run.id, len(run.rounds))["state"] == run.latest

    @invariant()
    def the_ledger_holds_what_it_owes(self) -> None:
        owed = sum(run.escrow + run.allocated - sum(run.paid.values()) for run in self.runs)
        held = self.world.balance(self.world.ledger.address)
        paid = sum(self.world.balance(account(name)) for name in HOLDERS)
        assert held == owed
        assert held + paid + self.world.balance(account("rosa")) == DEPOSIT * len(TERMS)


LedgerMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestHistories = pytest.mark.slow(LedgerMachine.TestCase)
