"""Every sentence with which a contract refuses a call says what to do about it."""

from __future__ import annotations

from ledger.errors import Reverted
from ledger.refusals import FIXES
from tests.contracts.sources import PREFIXES, sentences


def test_every_refusal_of_the_contracts_has_a_fix_and_no_fix_is_left_over() -> None:
    said = {sentence for name in PREFIXES for sentence in sentences(name)}
    assert len(said) > 50
    assert said == set(FIXES)


def test_a_refusal_carries_its_fix_and_an_unknown_one_none() -> None:
    assert (
        Reverted("vote", "training_ledger: caller has voted").fix == "One vote a member; wait for the others."
    )
    assert Reverted("vote", "something else").fix == ""
