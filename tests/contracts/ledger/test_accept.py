"""``accept``: a holder consents to a run by naming its terms."""

from ledger.records import Act
from tests.contracts.harness import account, refused, word
from tests.contracts.world import World


def test_consent_is_recorded_with_the_terms(world: World) -> None:
    run = world.create_run()
    world.set_keys("ada")
    world.grant("ada")
    world.accept("ada", run)
    consent, _ = world.ledger.events()
    assert consent.values == {"run": run, "holder": account("ada"), "given": True, "accepted": 1}
    assert world.view("consent", run, account("ada")) == word("terms")
    assert world.view("runs", run)["accepted"] == 1


def test_other_terms_are_refused(world: World) -> None:
    run = world.create_run()
    world.set_keys("ada")
    with refused("terms are not the run's"):
        world.accept("ada", run, word("other terms"))


def test_consent_is_given_once(world: World, run: bytes) -> None:
    with refused("consent was given already"):
        world.accept("ada", run)


def test_consent_can_be_given_again_after_a_withdrawal(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    world.accept("ada", run)
    assert world.view("runs", run)["accepted"] == 4


def test_only_holders_consent(world: World, run: bytes) -> None:
    for who in ("rosa", "odo", "kim", "anyone"):
        with refused("account lacks the role"):
            world.accept(who, run)


def test_a_holder_without_keys_cannot_consent(world: World) -> None:
    run = world.create_run()
    with refused("caller has no keys"):
        world.accept("ada", run)


def test_an_unknown_run_cannot_be_accepted(world: World) -> None:
    world.set_keys("ada")
    with refused("run is not OPEN"):
        world.accept("ada", word("no run"))


def test_a_closing_run_takes_no_new_holders(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    world.call("rosa", "closeRun", run)
    with refused("run is not OPEN"):
        world.accept("ada", run)


def test_no_consent_is_given_while_paused(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.accept("ada", run)


def test_a_removed_holder_cannot_consent(world: World, run: bytes) -> None:
    world.call("cleo", "withdraw", run)
    world.vote(Act.REMOVE, subject=account("cleo"))
    with refused("account lacks the role"):
        world.accept("cleo", run)
