"""What the demo does differently in the CKKS mode: terms, a warning, and how many rounds made a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coordinator.store.events import EventTail
from fl_core.protocol.terms import Terms
from fl_core.secagg.ckks.ceremony import PARAMETERS

PACKING = "FLAT"
"""The whole update as one vector, and not each tensor by itself."""

WARNING = (
    "CKKS: the coordinator sees neither updates nor the aggregate, but the trust is weaker: any holder could open"
    " another holder's upload if it got the bytes; no audit of the aggregate from ciphertexts; rounds are not on the"
    " ledger. Use the default unless a blind coordinator is what you need."
)


def ckks_terms(terms: Terms) -> Terms:
    """Return the terms of a run in the CKKS mode: holders who accept them accept that mode."""
    return replace(terms, parameter_set=PARAMETERS.name, packing=PACKING)


def ckks_rounds(folder: Path) -> int:
    """Return how many rounds made a model that a holder handed over; 0 where the holders kept it."""
    if not (folder / "model.safetensors").exists():
        return 0
    events = EventTail(folder / "coordinator" / "events.jsonl").new()
    return sum(event["event"] == "round-finalised" for event in events)
