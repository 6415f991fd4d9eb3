"""``dropConsent``: the consent of somebody who is no longer a holder does not count."""

from ledger.records import EMPTY_WORD, Act, Role
from tests.contracts.harness import account, refused
from tests.contracts.world import World


def test_anyone_strikes_the_consent_of_a_removed_member(world: World, run: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("dan"))
    world.call("anyone", "dropConsent", run, account("dan"))
    assert world.ledger.events()[0].values == {
        "run": run,
        "holder": account("dan"),
        "given": False,
        "accepted": 3,
    }
    assert world.view("consent", run, account("dan")) == EMPTY_WORD


def test_a_member_that_came_back_in_another_role_holds_nothing(world: World, run: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("dan"))
    world.vote(Act.ADMIT, subject=account("dan"), roles=Role.AUDITOR)
    world.call("anyone", "dropConsent", run, account("dan"))


def test_a_holders_consent_is_its_own(world: World, run: bytes) -> None:
    with refused("account is still a holder"):
        world.call("kim", "dropConsent", run, account("dan"))


def test_there_must_be_a_consent(world: World, run: bytes) -> None:
    with refused("consent was not given"):
        world.call("anyone", "dropConsent", run, account("anyone"))
