"""Random histories of two runs, against a model in Python.

Every rule tries something that may or may not be allowed; the model says which, and the ledger must agree. After every
step: the ledger holds exactly what runs have in escrow plus what they promised and did not pay; nobody was paid anything
but the difference between two cumulative sums; no budget is overspent, neither a run's nor a data set's.

The mutants of the contracts are run against it: docs/reference/contract-mutants.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.errors import Reverted
from ledger.merkle import reward_leaf
from ledger.records import EMPTY_WORD, Act, Role, RoundState, RunState
from ledger.typed_data import model_id
from tests.contracts.harness import account, word
from tests.contracts.world import DELAY, FOUNDERS, HOLDERS, World, dataset_of, rewards_of

TERMS = ("first terms", "second terms")
DEPOSIT = 1_000
BUDGET = 6
FEWEST = 3
GRANT = 20
EVE = "eve"
"""A guest: admitted and removed by votes."""
OVER = (RoundState.NONE, RoundState.FINALISED, RoundState.ABORTED)


@dataclass
class RunModel:
    """What the ledger should know about one run."""

    id: bytes
    state: RunState = RunState.OPEN
    accepted: set[str] = field(default_factory=lambda: set(HOLDERS))
    rounds: list[RoundState] = field(default_factory=list)
    models: list[bytes] = field(default_factory=list)
    sums: dict[int, dict[str, int]] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    pledged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HOLDERS, 0))
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


@dataclass
class DataSetModel:
    """What the ledger should know about a holder's data set."""

    granted: int = 0
    reserved: int = 0
    spent: int = 0


runs = st.sampled_from((0, 0, 1))
names = st.sampled_from(HOLDERS)
anybody = st.sampled_from((*HOLDERS, *HOLDERS, EVE, "kim", "rosa", "odo", "anyone"))
leaders = st.sampled_from(("kim", "kim", "kim", "kim", "rosa"))


class LedgerMachine(RuleBasedStateMachine):
    """Two runs of one consortium."""

    @initialize()
    def found(self) -> None:
        self.world = World()
        self.data = {name: DataSetModel(granted=GRANT, reserved=2 * BUDGET) for name in HOLDERS}
        self.data[EVE] = DataSetModel()
        for name in HOLDERS:
            self.world.set_keys(name)
            self.world.grant(name, GRANT)
        self.runs = [
            RunModel(
                self.world.ready_run(terms=word(terms), escrow=DEPOSIT, budget=BUDGET, min_clients=FEWEST)
            )
            for terms in TERMS
        ]
        for run in self.runs:
            run.models.append(model_id(run.id, 0, word("root")))
        self.paused = False
        self.members = set(FOUNDERS)
        self.threshold = 2
        self.cast: dict[tuple[Act, bytes], set[str]] = {}
        self.epochs = dict.fromkeys(FOUNDERS, 0) | dict.fromkeys(HOLDERS, 1) | {EVE: 0}
        self.used = {f"{name}/1" for name in HOLDERS}

    # ------------------------------------------------------------------------------------------------ trying

    def attempt(self, allowed: bool, sender: str, function: str, *arguments: object) -> bool:
        """Try; the ledger must agree with the model. Return whether it happened."""
        try:
            self.world.call(sender, function, *arguments)
        except Reverted as error:
            assert not allowed, (function, error.reason)
            assert error.reason.startswith("training_ledger: "), (function, error.reason)
            return False
        assert allowed, function
        assert self.world.ledger.events(), f"{function} left no event"
        return True

    def coordinator(self, who: str, run: RunModel, *states: RoundState) -> bool:
        return who == "kim" and not self.paused and run.alive and run.latest in states

    def holder(self, name: str) -> bool:
        return name in HOLDERS or (name == EVE and EVE in self.members)

    # ------------------------------------------------------------------------------------------------ members

    def majority(self, act: Act, **proposal: bytes) -> None:
        """Let as many founders vote as are needed; the act happens."""
        self.world.vote(act, voters=tuple(FOUNDERS)[: self.threshold], **proposal)
        self.cast.clear()

    def try_vote(self, who: str, act: Act, subject: bytes, roles: Role, info: bytes, possible: bool) -> bool:
        """Vote; return whether the act happened. A new electorate has no votes."""
        voted = self.cast.setdefault((act, info), set())
        last = len(voted) + 1 >= self.threshold
        allowed = who in self.members and who not in voted and (possible or not last)
        if not self.attempt(allowed, who, "vote", int(act), subject, int(roles), info):
            return False
        voted.add(who)
        proposal = self.world.view("proposalId", int(act), subject, int(roles), info)
        if last:
            self.cast.clear()
            return True
        assert self.world.view("votes", proposal) == len(voted)
        return False

    @rule(who=anybody)
    def vote_on_the_guest(self, who: str) -> None:
        guest = EVE in self.members
        act, roles = (Act.REMOVE, Role(0)) if guest else (Act.ADMIT, Role.HOLDER)
        if self.try_vote(who, act, account(EVE), roles, EMPTY_WORD, possible=True):
            if guest:
                self.members.discard(EVE)
                self.threshold = min(self.threshold, len(self.members))
            else:
                self.members.add(EVE)

    @rule(who=anybody, again=st.booleans())
    def vote_on_what_is_the_case(self, who: str, again: bool) -> None:
        """Nobody is admitted twice, and nobody removed who is no member."""
        guest = EVE in self.members
        act, roles = (Act.ADMIT, Role.AUDITOR) if guest else (Act.REMOVE, Role(0))
        assert not self.try_vote(who, act, account(EVE), roles, word("twice"), possible=False) or again

    @rule(who=anybody, wanted=st.sampled_from((1, 2, 2, 3, 0, 9)))
    def vote_on_the_threshold(self, who: str, wanted: int) -> None:
        possible = 0 < wanted <= len(self.members)
        info = wanted.to_bytes(32, "big")
        if self.try_vote(who, Act.THRESHOLD, bytes(20), Role(0), info, possible):
            self.threshold = wanted

    @rule(who=st.sampled_from((*HOLDERS, EVE)), key=st.sampled_from(("k1", "k2", "k3", "k4")))
    def set_keys(self, who: str, key: str) -> None:
        epoch = self.epochs[who] + 1
        allowed = who in self.members and key not in self.used
        proof = self.world.possession(who, epoch, key=key)
        if self.attempt(allowed, who, "setKeys", account(key), word("bundle"), proof):
            self.epochs[who] = epoch
            self.used.add(key)
            assert self.world.view("keys", account(who))["signer"] == account(key)
            assert self.world.view("signerOf", account(key)) == account(who)

    @rule(sure=st.integers(0, 9), who=anybody)
    def pause(self, sure: int, who: str) -> None:
        if self.paused:
            self.majority(Act.UNPAUSE)
            self.paused = False
        elif sure == 0 and self.attempt(who in ("odo", "kim"), who, "pause"):
            self.paused = True

    # ------------------------------------------------------------------------------------------------ rounds

    @rule(
        index=runs, cost=st.integers(0, 4), who=leaders, skip=st.sampled_from((1, 1, 1, 1, 0, 2)), other=runs
    )
    def open_round(
        self, index: int, cost: int, who: str = "kim", skip: int = 1, other: int | None = None
    ) -> None:
        run = self.runs[index]
        allowed = (
            self.coordinator(who, run, *OVER)
            and skip == 1
            and run.state == RunState.OPEN
            and len(run.accepted) >= FEWEST
            and run.spent + cost <= BUDGET
        )
        n = len(run.rounds) + skip
        parent = self.runs[index if other is None else other].models[-1]
        if self.attempt(allowed, who, "openRound", run.id, n, parent, word(f"header {n}"), cost):
            run.rounds.append(RoundState.OPEN)
            run.cost = cost

    @rule(index=runs, count=st.integers(1, 6), who=leaders)
    def commit(self, index: int, count: int, who: str = "kim") -> None:
        run = self.runs[index]
        allowed = self.coordinator(who, run, RoundState.OPEN) and FEWEST <= count <= len(run.accepted)
        n = len(run.rounds)
        if self.attempt(allowed, who, "commitRound", run.id, n, word(f"set of {count}"), count):
            run.rounds[-1] = RoundState.COMMITTED
            run.spent += run.cost

    @rule(index=runs, count=st.integers(1, 6), who=leaders)
    def include(self, index: int, count: int, who: str = "kim") -> None:
        run = self.runs[index]
        accepted = self.world.view("round", run.id, len(run.rounds))["count"]
        allowed = self.coordinator(who, run, RoundState.COMMITTED) and FEWEST <= count <= accepted
        arguments = (run.id, len(run.rounds), word(f"set of {count}"), count, word("exclusions"))
        if self.attempt(allowed, who, "commitIncluded", *arguments):
            run.rounds[-1] = RoundState.INCLUDED

    @rule(index=runs, reward=st.integers(0, 600), lie=st.integers(0, 3), name=names, who=leaders)
    def finalise(self, index: int, reward: int, lie: int, name: str, who: str = "kim") -> None:
        run = self.runs[index]
        n = len(run.rounds)
        sums = dict(run.sums[max(run.sums)]) if run.sums else {}
        # a coordinator that lies puts more into the tree than it takes from the escrow
        sums[name] = sums.get(name, 0) + reward + (500 if lie == 0 else 0)
        root = rewards_of(run.id, sums).root if reward else bytes(32)
        allowed = self.coordinator(who, run, RoundState.INCLUDED) and reward <= run.escrow
        arguments = (run.id, n, word(f"model {n}"), word("key"), word("metrics"), root, reward)
        if self.attempt(allowed, who, "finaliseRound", *arguments):
            run.rounds[-1] = RoundState.FINALISED
            run.models.append(model_id(run.id, n, word(f"model {n}")))
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

    @rule(index=runs, sure=st.integers(0, 3), who=leaders)
    def abort(self, index: int, sure: int, who: str) -> None:
        run = self.runs[index]
        if sure:
            return
        allowed = self.coordinator(who, run, RoundState.OPEN, RoundState.COMMITTED, RoundState.INCLUDED)
        if self.attempt(allowed, who, "abortRound", run.id, len(run.rounds)):
            run.rounds[-1] = RoundState.ABORTED

    # ------------------------------------------------------------------------------------------------ rewards

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
        self.attempt(False, "anyone", "claim", run.id, n, account(name), cumulative + 1, proof)
        if self.attempt(allowed, "anyone", "claim", run.id, n, account(name), cumulative, proof):
            assert self.world.balance(account(name)) - before == amount
            run.paid[name] = cumulative

    # ------------------------------------------------------------------------------------------------ consent

    def settled(self, run: RunModel, name: str) -> None:
        """End a pledge: what was not spent is free again; an open round counts."""
        since = run.pledged.pop(name, None)
        if since is None:
            return
        used = run.spent - since + (run.cost if run.alive and run.latest == RoundState.OPEN else 0)
        self.data[name].reserved -= BUDGET - since
        self.data[name].spent += used

    @rule(index=runs, name=st.sampled_from((*HOLDERS, EVE)), terms=st.sampled_from((0, 0, 0, 1)))
    def change_consent(self, index: int, name: str, terms: int) -> None:
        run, data = self.runs[index], self.data[name]
        if name in run.accepted:
            if self.attempt(True, name, "withdraw", run.id):
                run.accepted.discard(name)
                self.settled(run, name)
            self.attempt(False, name, "withdraw", run.id)
            return
        rest = BUDGET - run.spent
        allowed = (
            not self.paused
            and run.state == RunState.OPEN
            and self.holder(name)
            and self.epochs[name] > 0
            and terms == 0
            and (rest == 0 or rest <= data.granted - data.reserved - data.spent)
        )
        agreed = word(TERMS[index] if terms == 0 else TERMS[1 - index])
        if self.attempt(allowed, name, "accept", run.id, agreed, dataset_of(name)):
            run.accepted.add(name)
            run.pledged[name] = run.spent
            data.reserved += rest
            self.attempt(False, name, "accept", run.id, agreed, dataset_of(name))

    @rule(index=runs, name=st.sampled_from((*HOLDERS, EVE)))
    def drop_consent(self, index: int, name: str) -> None:
        run = self.runs[index]
        allowed = name in run.accepted and not self.holder(name)
        if self.attempt(allowed, "anyone", "dropConsent", run.id, account(name)):
            run.accepted.discard(name)
            self.settled(run, name)

    @rule(name=st.sampled_from((*HOLDERS, EVE, EVE)), granted=st.integers(4, 30))
    def grant(self, name: str, granted: int) -> None:
        data = self.data[name]
        allowed = self.holder(name) and granted >= data.reserved + data.spent
        if self.attempt(allowed, name, "grantBudget", dataset_of(name), granted):
            data.granted = granted

    @rule(index=runs, name=st.sampled_from((*HOLDERS, EVE)))
    def settle(self, index: int, name: str) -> None:
        run = self.runs[index]
        allowed = run.state != RunState.OPEN and name in run.pledged
        if self.attempt(allowed, "anyone", "settle", run.id, account(name)):
            self.settled(run, name)

    # ------------------------------------------------------------------------------------------------ ends

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

    @rule(index=runs, sure=st.integers(0, 4), seconds=st.sampled_from((DELAY // 2, DELAY - 1, DELAY)))
    def close_and_refund(self, index: int, sure: int, seconds: int) -> None:
        self.close(index, "rosa", sure)
        self.wait(seconds)
        self.close(index, "rosa", sure)

    @rule(index=runs, sure=st.integers(0, 19))
    def stop(self, index: int, sure: int) -> None:
        run = self.runs[index]
        if sure or not run.alive:
            return
        self.majority(Act.STOP_RUN, info=run.id)
        run.state, run.escrow = RunState.STOPPED, 0

    @rule(seconds=st.sampled_from((1, DELAY // 2, DELAY)))
    def wait(self, seconds: int) -> None:
        self.world.engine.advance(seconds)

    # ------------------------------------------------------------------------------------------------ invariants

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
    def no_data_set_is_overspent(self) -> None:
        for name, data in self.data.items():
            assert self.world.view("budgetOf", account(name), dataset_of(name)) == vars(data)
            assert data.reserved + data.spent <= data.granted
            # what runs can still spend of it, and have spent, is covered by what was set aside
            assert data.reserved == sum(
                BUDGET - run.pledged[name] for run in self.runs if name in run.pledged
            )

    @invariant()
    def members_are_those_of_the_model(self) -> None:
        assert self.world.view("memberCount") == len(self.members)
        assert self.world.view("threshold") == self.threshold
        assert self.world.view("paused") == self.paused
        guest = self.world.view("member", account(EVE))
        assert (guest["roles"] == int(Role.HOLDER)) == (EVE in self.members)
        assert guest["epoch"] == self.epochs[EVE]

    @invariant()
    def the_ledger_holds_what_it_owes(self) -> None:
        owed = sum(run.escrow + run.allocated - sum(run.paid.values()) for run in self.runs)
        held = self.world.balance(self.world.ledger.address)
        paid = sum(self.world.balance(account(name)) for name in HOLDERS)
        assert held == owed
        assert held + paid + self.world.balance(account("rosa")) == DEPOSIT * len(TERMS)


LedgerMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestHistories = pytest.mark.slow(LedgerMachine.TestCase)
