"""Every state change is an event that says what happened: one history, and all that it logged."""

from __future__ import annotations

from typing import Any

from ledger.records import EMPTY_WORD, Act, Role
from ledger.typed_data import model_id
from tests.contracts.engines import START
from tests.contracts.harness import account, word
from tests.contracts.world import DELAY, ESCROW, FOUNDERS, World, dataset_of, rewards_of

ADA, DAN, EVE, KIM, ODO, ROSA = (account(name) for name in ("ada", "dan", "eve", "kim", "odo", "rosa"))
NONE = Role(0)
TWO = (2).to_bytes(32, "big")


def test_the_foundation_is_on_record(world: World) -> None:
    told = [(event.name, event.values) for event in world.ledger.events()]
    assert told == [
        *(
            ("MemberAdmitted", {"member": account(name), "roles": int(roles), "info": EMPTY_WORD})
            for name, roles in FOUNDERS.items()
        ),
        ("ThresholdSet", {"threshold": 2}),
    ]


def test_every_vote_and_its_act_are_on_record(world: World) -> None:
    def vote(act: Act, subject: bytes = bytes(20), roles: Role = NONE, info: bytes = word("why")) -> Any:
        proposal = world.view("proposalId", int(act), subject, int(roles), info)
        for voter, count in (("ada", 1), ("ben", 2)):
            world.vote(act, subject=subject, roles=roles, info=info, voters=(voter,))
            event, *act_events = [(event.name, event.values) for event in world.ledger.events()]
            assert event == (
                "Vote",
                {
                    "proposal": proposal,
                    "voter": account(voter),
                    "act": int(act),
                    "subject": subject,
                    "roles": int(roles),
                    "info": info,
                    "votes": count,
                },
            )
            assert bool(act_events) == (count == 2)
        return act_events

    both = Role.HOLDER | Role.AUDITOR
    assert vote(Act.ADMIT, EVE, both) == [
        ("MemberAdmitted", {"member": EVE, "roles": int(both), "info": word("why")})
    ]
    assert vote(Act.REMOVE, EVE) == [("MemberRemoved", {"member": EVE, "info": word("why")})]
    assert vote(Act.THRESHOLD, info=TWO) == [("ThresholdSet", {"threshold": 2})]
    world.call("odo", "pause")
    assert [(event.name, event.values) for event in world.ledger.events()] == [
        ("Paused", {"by": ODO, "paused": True})
    ]
    assert vote(Act.UNPAUSE) == [("Paused", {"by": account("ben"), "paused": False})]
    run = world.create_run()
    assert vote(Act.STOP_RUN, info=run) == [
        ("RunClosed", {"run": run, "state": 4}),
        ("Refunded", {"run": run, "sponsor": ROSA, "amount": ESCROW}),
    ]


def test_a_removal_that_lowers_the_threshold_says_so(world: World) -> None:
    world.vote(Act.THRESHOLD, info=(7).to_bytes(32, "big"))
    everybody = tuple(FOUNDERS)
    world.vote(Act.REMOVE, subject=DAN, voters=everybody)
    assert [(event.name, event.values) for event in world.ledger.events()][1:] == [
        ("MemberRemoved", {"member": DAN, "info": EMPTY_WORD}),
        ("ThresholdSet", {"threshold": 6}),
    ]


def test_a_runs_life_is_on_record(world: World) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def tell(sender: str, function: str, *arguments: Any) -> None:
        world.call(sender, function, *arguments)
        told.extend((event.name, event.values) for event in world.ledger.events())

    statement = world.possession("ada", 1, key="ada/1")
    tell("ada", "setKeys", account("ada/1"), word("bundle"), statement)
    tell("ada", "grantBudget", dataset_of("ada"), 30)
    run = world.create_run(min_clients=1, budget=20)
    (created,) = world.ledger.events()
    told.append((created.name, created.values))
    tell("ada", "accept", run, word("terms"), dataset_of("ada"))
    tell("kim", "registerRoot", run, word("root"), word("root metrics"))
    root, artifact = model_id(run, 0, word("root")), word("artifact")
    tell("kim", "openRound", run, 1, root, word("header"), 3)
    tell("kim", "commitRound", run, 1, word("V"), 1)
    tell("kim", "commitIncluded", run, 1, word("V"), 1, word("exclusions"))
    tree = rewards_of(run, {"ada": 40, "ben": 2})
    tell("kim", "finaliseRound", run, 1, artifact, word("key"), word("metrics"), tree.root, 42)
    world.claim(run, 1, "ada", 40, tree)
    told.extend((event.name, event.values) for event in world.ledger.events())
    tell("kim", "openRound", run, 2, model_id(run, 1, artifact), word("header 2"), 4)
    tell("kim", "abortRound", run, 2)
    tell("ada", "objection", run, 2, word("reason"))
    tell("kim", "closeRun", run)
    closes_at = world.engine.timestamp + DELAY
    tell("anyone", "settle", run, ADA)
    world.engine.advance(DELAY)
    tell("rosa", "closeRun", run)
    tell("ada", "withdraw", run)
    assert closes_at >= START + DELAY
    of_run, of_ada = {"run": run}, {"run": run, "holder": ADA}
    assert told == [
        ("KeysSet", {"member": ADA, "signer": account("ada/1"), "epoch": 1, "encryption": word("bundle")}),
        ("BudgetGranted", {"holder": ADA, "dataset": dataset_of("ada"), "granted": 30}),
        (
            "RunCreated",
            {
                "run": run,
                "sponsor": ROSA,
                "coordinator": KIM,
                "terms": word("terms"),
                "token": world.token.address,
                "escrow": ESCROW,
            },
        ),
        ("Consent", {**of_ada, "given": True, "accepted": 1}),
        ("BudgetReserved", {**of_ada, "dataset": dataset_of("ada"), "amount": 20}),
        (
            "RootRegistered",
            {**of_run, "artifact": word("root"), "model": root, "metrics": word("root metrics")},
        ),
        ("RoundOpened", {**of_run, "round": 1, "parent": root, "header": word("header"), "cost": 3}),
        ("RoundCommitted", {**of_run, "round": 1, "root": word("V"), "count": 1, "spent": 3}),
        (
            "RoundIncluded",
            {**of_run, "round": 1, "root": word("V"), "count": 1, "exclusions": word("exclusions")},
        ),
        (
            "RoundFinalised",
            {
                **of_run,
                "round": 1,
                "artifact": artifact,
                "model": model_id(run, 1, artifact),
                "parent": root,
                "aggregateKey": word("key"),
                "metrics": word("metrics"),
                "rewardsRoot": tree.root,
                "reward": 42,
            },
        ),
        ("Claimed", {**of_run, "account": ADA, "amount": 40}),
        (
            "RoundOpened",
            {
                **of_run,
                "round": 2,
                "parent": model_id(run, 1, artifact),
                "header": word("header 2"),
                "cost": 4,
            },
        ),
        ("RoundAborted", {**of_run, "round": 2}),
        ("Objection", {**of_run, "round": 2, "member": ADA, "reason": word("reason")}),
        ("RunClosing", {**of_run, "closesAt": closes_at}),
        ("BudgetSettled", {**of_ada, "dataset": dataset_of("ada"), "spent": 3}),
        ("RunClosed", {**of_run, "state": 3}),
        ("Refunded", {**of_run, "sponsor": ROSA, "amount": ESCROW - 42}),
        ("Consent", {**of_ada, "given": False, "accepted": 0}),
    ]
