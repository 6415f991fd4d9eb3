"""Tokens that misbehave, compiled when a test asks for them."""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path

from ledger.artifacts import Artifact, parse
from ledger.artifacts.compile import compile_source, render
from tests.contracts.harness import Contract
from tests.contracts.world import World


class Mood(IntEnum):
    """What an ``OddToken`` does when it should move tokens."""

    HONEST = 1
    TAKES_FEE = 2
    ANSWERS_NO = 4
    REVERTS = 8
    REENTERS = 16
    BURNS_GAS = 32
    BLOCKS_TARGET = 64


@cache
def compiled(name: str) -> Artifact:
    """Compile a contract of ``tests/contracts/tokens``."""
    source = Path(__file__).parent.joinpath("tokens", f"{name}.vy").read_text("utf-8")
    return parse(render(compile_source(source, name)))


def odd_token(world: World) -> Contract:
    """Deploy a token that is honest until ``become`` is called."""
    return Contract.deploy(world.engine, "rosa", compiled("OddToken"))


def quiet_token(world: World) -> Contract:
    """Deploy a token whose transfers return nothing."""
    return Contract.deploy(world.engine, "rosa", compiled("QuietToken"))


def become(token: Contract, mood: Mood) -> None:
    """Change what the token does."""
    token.call("rosa", "become", int(mood))
