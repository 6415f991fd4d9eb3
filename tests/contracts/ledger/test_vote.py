"""``vote``: the only way to change membership, threshold, a pause or a run that is not one's own."""

import pytest

from ledger.errors import Reverted
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Role, RunState
from tests.contracts.harness import account, refused, word
from tests.contracts.world import ESCROW, FOUNDERS, World

EVE = account("eve")


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_the_vote_that_reaches_the_threshold_executes(world: World) -> None:
    assert world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("ada",)) is False
    assert world.view("member", EVE)["roles"] == 0
    assert world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("kim",)) is True
    assert world.view("member", EVE)["roles"] == Role.HOLDER
    assert world.view("memberCount") == len(FOUNDERS) + 1


def test_a_removal_that_leaves_just_enough_members_changes_no_threshold(world: World) -> None:
    members = tuple(FOUNDERS)
    world.vote(Act.THRESHOLD, info=number(len(FOUNDERS) - 1))
    world.vote(Act.REMOVE, subject=account("cleo"), voters=members[:-1])
    assert [event.name for event in world.ledger.events()] == ["Vote", "MemberRemoved"]
    assert world.view("threshold") == world.view("memberCount") == len(FOUNDERS) - 1


def test_an_admission_is_dated_by_its_block(world: World) -> None:
    world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER)
    world.set_keys("eve")  # in the same block or in a later one
    assert 0 < world.view("member", EVE)["since"] <= world.view("keysAt", EVE, 1)["block"]
    assert world.view("member", EVE)["since"] >= world.view("member", account("ada"))["since"]


def test_who_signs_with_its_own_account_can_come_back(world: World) -> None:
    """An account that is its own key belongs to nobody else; one that is another member's key is refused."""
    world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER)
    world.set_keys("eve", key="eve")
    world.vote(Act.REMOVE, subject=EVE)
    world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER)
    assert world.view("member", EVE)["roles"] == Role.HOLDER


def test_a_vote_and_what_it_executes_are_logged(world: World) -> None:
    world.vote(Act.ADMIT, subject=EVE, roles=Role.AUDITOR, info=word("why"), voters=("ada",))
    vote = world.event()
    assert (vote.name, vote.values["voter"], vote.values["votes"]) == ("Vote", account("ada"), 1)
    world.vote(Act.ADMIT, subject=EVE, roles=Role.AUDITOR, info=word("why"), voters=("ben",))
    _, admitted = world.ledger.events()
    assert admitted.values == {"member": EVE, "roles": Role.AUDITOR, "info": word("why")}


def test_only_members_vote(world: World) -> None:
    with refused("caller is not a member"):
        world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("eve",))


def test_nobody_votes_twice_for_the_same(world: World) -> None:
    world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("ada",))
    with refused("caller has voted"):
        world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("ada",))


def test_votes_for_different_roles_do_not_add_up(world: World) -> None:
    world.vote(Act.ADMIT, subject=EVE, roles=Role.HOLDER, voters=("ada",))
    assert world.vote(Act.ADMIT, subject=EVE, roles=Role.AUDITOR, voters=("ben",)) is False


@pytest.mark.parametrize(
    ("subject", "roles", "rule"),
    [
        (EMPTY_ADDRESS, Role.HOLDER, "subject is the zero address"),
        (EVE, Role(0), "roles are empty"),
        (account("cleo"), Role.AUDITOR, "subject is a member already"),
    ],
)
def test_malformed_admissions_are_refused(world: World, subject: bytes, roles: Role, rule: str) -> None:
    with refused(rule):
        world.vote(Act.ADMIT, subject=subject, roles=roles)


def test_a_members_signing_key_cannot_become_a_member(world: World) -> None:
    world.set_keys("ada", key="ada's key")
    with refused("subject is another member's key"):
        world.vote(Act.ADMIT, subject=account("ada's key"), roles=Role.HOLDER)


def test_a_removed_member_has_no_roles_and_keeps_its_epoch(world: World) -> None:
    world.set_keys("cleo")
    world.vote(Act.REMOVE, subject=account("cleo"), info=word("why"))
    assert world.ledger.events()[-1].values == {"member": account("cleo"), "info": word("why")}
    assert world.view("member", account("cleo")) == {"roles": 0, "epoch": 1, "since": 0}
    with refused("caller is not a member"):
        world.vote(Act.UNPAUSE, voters=("cleo",))


def test_a_removed_member_that_comes_back_never_reuses_an_epoch(world: World) -> None:
    world.set_keys("cleo")
    world.vote(Act.REMOVE, subject=account("cleo"))
    world.vote(Act.ADMIT, subject=account("cleo"), roles=Role.HOLDER)
    world.set_keys("cleo")
    assert world.view("member", account("cleo"))["epoch"] == 2


def test_who_is_not_a_member_cannot_be_removed(world: World) -> None:
    with refused("subject is not a member"):
        world.vote(Act.REMOVE, subject=EVE)


def test_removal_lowers_a_threshold_that_nobody_could_reach(world: World) -> None:
    everybody = tuple(FOUNDERS)
    world.vote(Act.THRESHOLD, info=number(len(everybody)))
    world.vote(Act.REMOVE, subject=account("dan"), voters=everybody)
    assert world.view("threshold") == len(everybody) - 1
    assert [event.name for event in world.ledger.events()] == ["Vote", "MemberRemoved", "ThresholdSet"]


def test_the_threshold_is_set_within_the_membership(world: World) -> None:
    world.vote(Act.THRESHOLD, info=number(3))
    assert world.view("threshold") == 3
    assert world.ledger.events()[-1].values == {"threshold": 3}


@pytest.mark.parametrize("wanted", [0, len(FOUNDERS) + 1, 2**32 + 1, 2**255])
def test_a_threshold_outside_the_membership_is_refused(world: World, wanted: int) -> None:
    with refused("threshold is out of range"):
        world.vote(Act.THRESHOLD, info=number(wanted))


def test_a_vote_unpauses(world: World) -> None:
    world.call("odo", "pause")
    world.vote(Act.UNPAUSE)
    assert world.view("paused") is False
    assert world.ledger.events()[-1].values == {"by": account("ben"), "paused": False}


def test_what_is_not_paused_cannot_be_unpaused(world: World) -> None:
    with refused("ledger is not paused"):
        world.vote(Act.UNPAUSE)


def test_a_vote_stops_a_run_and_refunds_it(world: World, run: bytes) -> None:
    world.vote(Act.STOP_RUN, info=run)
    assert world.view("runs", run)["state"] == RunState.STOPPED
    assert world.balance(account("rosa")) == ESCROW
    assert [event.name for event in world.ledger.events()] == ["Vote", "RunClosed", "Refunded"]


def test_a_run_without_escrow_can_be_stopped(world: World) -> None:
    run = world.create_run(escrow=0)
    world.vote(Act.STOP_RUN, info=run)
    assert [event.name for event in world.ledger.events()] == ["Vote", "RunClosed"]


def test_a_run_that_is_closing_can_be_stopped(world: World, run: bytes) -> None:
    world.call("rosa", "closeRun", run)
    world.vote(Act.STOP_RUN, info=run)
    assert world.view("runs", run)["state"] == RunState.STOPPED
    assert world.balance(account("rosa")) == ESCROW


def test_a_run_stops_once(world: World, run: bytes) -> None:
    world.vote(Act.STOP_RUN, info=run)
    with refused("run is not OPEN or CLOSING"):
        world.vote(Act.STOP_RUN, info=run)


def test_an_unknown_run_cannot_be_stopped(world: World) -> None:
    with refused("run is not OPEN or CLOSING"):
        world.vote(Act.STOP_RUN, info=word("no run"))


@pytest.mark.parametrize("act", [0, int(Act.ADMIT | Act.REMOVE)])
def test_a_vote_names_exactly_one_act(world: World, act: int) -> None:
    world.call("ada", "vote", act, EVE, 1, EMPTY_WORD)
    with refused("act is unknown"):
        world.call("ben", "vote", act, EVE, 1, EMPTY_WORD)


def test_an_act_that_is_no_bit_of_the_flag_is_refused(world: World) -> None:
    with pytest.raises(Reverted):
        world.call("ada", "vote", 32, EVE, 1, EMPTY_WORD)


def test_every_executed_act_starts_an_era(world: World) -> None:
    world.vote(Act.THRESHOLD, info=number(2))
    world.vote(Act.THRESHOLD, info=number(2))
    assert world.view("era") == 2
