"""Runs: their terms' digest, escrow, rounds and state; and what is left of the closing delay."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

from fl_core.errors import DecodeError, InputError
from ledger.errors import LedgerError
from ledger.reader import LedgerReader
from ledger.records import EMPTY_ADDRESS, Run, RunState
from ledger.views.window import Answer, Window, duration, facts, table, utc

_EXACT = Context(prec=120, rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class Money:
    """Writes and reads amounts of one token.

    Attributes:
        symbol: The token's name for people.
        decimals: How many places a token is divided into.
    """

    symbol: str = "units"
    decimals: int = 0

    @classmethod
    def of(cls, reader: LedgerReader, token: bytes) -> Money:
        """Return the money of a token; plain units where there is none, or where it does not tell its form."""
        if token != EMPTY_ADDRESS:
            with suppress(LedgerError, DecodeError):
                return cls(*reader.token_form(token))
        return cls()

    def write(self, units: int) -> str:
        """Return an amount for people, exactly."""
        whole = _EXACT.scaleb(Decimal(units), -self.decimals)
        text = f"{whole:f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {self.symbol}"

    def read(self, text: str) -> int:
        """Return the units of an amount like ``1500`` or ``0.5``.

        Raises:
            InputError: It is no amount, or has more places than the token.
        """
        try:
            units = _EXACT.scaleb(Decimal(text), self.decimals)
            # asked before it is made a whole number: that of a large exponent fills the memory
            whole = int(units) if 0 <= units < 2**256 else -1
        except ArithmeticError:
            whole, units = -1, Decimal(0)
        if whole != units:
            raise InputError(
                f"{text!r} is no amount of {self.symbol}.",
                fix=f"Give a number with at most {self.decimals} places.",
            )
        return whole


def runs(window: Window) -> Answer:
    """List the runs of a ledger."""
    found = [window.reader.run(bytes(e.values["run"])) for e in window.reader.events("RunCreated")]
    rows = [["run", "state", "rounds", "consents", "sponsor"]] + [
        [
            r.id.hex()[:12],
            r.state.name,
            f"{r.finalised} of {r.max_rounds}",
            str(r.accepted),
            window.name(r.sponsor),
        ]
        for r in found
    ]
    data = {"runs": [run_json(r) for r in found]}
    return Answer(data, table(rows) if found else ["There is no run on this ledger yet."])


def not_covered(promised: int, deposited: int, money: Money) -> list[str]:
    """Return what people are told where a run's terms promise more than was deposited; nothing where they do not."""
    if promised <= deposited:
        return []
    return [
        f"note: the terms promise {money.write(promised)} in all, and {money.write(deposited)} are deposited: no more can be paid"
    ]


def run_json(run: Run) -> dict[str, Any]:
    """Return a run for programs; amounts are strings of token units."""
    return {
        "run": f"0x{run.id.hex()}",
        "state": run.state.name,
        "sponsor": f"0x{run.sponsor.hex()}",
        "coordinator": f"0x{run.coordinator.hex()}",
        "token": f"0x{run.token.hex()}",
        "terms": f"0x{run.terms.hex()}",
        "min_clients": run.min_clients,
        "max_rounds": run.max_rounds,
        "opened": run.opened,
        "finalised": run.finalised,
        "accepted": run.accepted,
        "closing_delay": run.closing_delay,
        "closes_at": run.closes_at,
        "budget": str(run.budget),
        "spent": str(run.spent),
        "escrow": str(run.escrow),
        "allocated": str(run.allocated),
        "claimed": str(run.claimed),
    }


def run(window: Window, found: Run) -> Answer:
    """Show one run."""
    money = Money.of(window.reader, found.token)
    values: dict[str, object] = {
        "run": f"0x{found.id.hex()}",
        "state": state_in_words(found, window.now()),
        "terms": f"0x{found.terms.hex()}",
        "sponsor": window.name(found.sponsor),
        "coordinator": window.name(found.coordinator),
        "rounds": f"{found.finalised} of {found.max_rounds} finalised, {found.opened} opened",
        "consents": f"{found.accepted} holders; a round needs {found.min_clients}",
        "closing delay": duration(found.closing_delay),
        "escrow": f"{money.write(found.escrow)} not promised yet",
        "rewards": f"{money.write(found.allocated)} promised, {money.write(found.claimed)} of it paid",
        "privacy budget": f"{found.spent} of {found.budget} spent" if found.budget else "none",
    }
    return Answer(run_json(found), facts(values))


def state_in_words(found: Run, now: int) -> str:
    """Return a run's state, for people."""
    if found.state is RunState.CLOSING:
        left = found.closes_at - now
        wait = f"in {duration(left)}" if left > 0 else "now"
        return f"CLOSING since it was asked to; can be closed {wait} (from {utc(found.closes_at)})"
    words = {RunState.STOPPED: "STOPPED by vote", RunState.CLOSED: "CLOSED", RunState.OPEN: "OPEN"}
    return words.get(found.state, found.state.name)
