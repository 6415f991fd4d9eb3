"""``contributionDigest``: the contract and the Python code sign the same thing."""

from dataclasses import astuple

from tests.contracts.harness import word
from tests.contracts.world import World


def test_the_digest_is_that_of_the_typed_data(world: World) -> None:
    statement = world.contribution(word("run"), 7, "ada")
    assert world.view("contributionDigest", *astuple(statement)) == statement.digest(world.domain)
