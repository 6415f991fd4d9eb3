"""Every sentence with which a contract refuses a call says what to do about it."""

from __future__ import annotations

import re

from ledger.errors import Reverted
from ledger.refusals import FIXES
from tests.architecture.numbered_checks import ROOT


def test_every_refusal_of_the_contracts_has_a_fix_and_no_fix_is_left_over() -> None:
    sources = (ROOT / "ledger" / "contracts").glob("*.vy")
    said = {
        line
        for path in sources
        for line in re.findall(r'"((?:training_ledger|reward_token): [^"]+)"', path.read_text())
    }
    assert len(said) > 50
    assert said == set(FIXES)


def test_a_refusal_carries_its_fix_and_an_unknown_one_none() -> None:
    assert (
        Reverted("vote", "training_ledger: caller has voted").fix == "One vote a member; wait for the others."
    )
    assert Reverted("vote", "something else").fix == ""
