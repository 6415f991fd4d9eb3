"""The policy's answer about a run, rule by rule, from files alone: no key is opened and nothing is changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clients.node.accepted import accepted_terms
from clients.node.data_sets import commitment_of
from clients.node.decisions import Ruling, ask_of, rulings
from clients.node.house import ledger_at_hand, load_policy
from clients.node.policy import DAY_S, Usage
from clients.node.register_view import Contributed, read_register
from fl_core.errors import InputError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.terms import Terms
from ledger.address import open_ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What every rule says about a run.

    Attributes:
        title: The run's title.
        rulings: One for each rule that concerns it.
    """

    title: str
    rulings: tuple[Ruling, ...]

    @property
    def refusals(self) -> tuple[Ruling, ...]:
        """The rules that refuse the run; none when the policy allows it."""
        return tuple(ruling for ruling in self.rulings if not ruling.allowed)


def explain(folder: Path, terms: Terms | None, run: str, *, now: int) -> Explanation:
    """Ask the policy in a node's folder about a run's next round.

    Args:
        folder: The node's folder.
        terms: The run's terms, or None to look ``run`` up.
        run: Beginning of the id of a run on the node's ledger; its terms are those that the holder accepted.
        now: Unix time in seconds.

    Raises:
        InputError: It is no node's folder, or the run is not known here.
        NodeStateError: The register or an accepted terms document is damaged.
    """
    found = b""
    if terms is None:
        found, terms = _run(folder, run)
    return examine(folder, terms, found, now=now)


def examine(folder: Path, terms: Terms, run: bytes, *, now: int) -> Explanation:
    """Ask the policy in a node's folder about the next round under terms.

    Args:
        folder: The node's folder.
        terms: The terms.
        run: The run, whose rounds until now count; empty where it is not known.
        now: Unix time in seconds.

    Raises:
        InputError: It is no node's folder, or its records cannot be read.
        NodeStateError: The register is damaged.
    """
    policy, register = load_policy(folder), read_register(folder)
    rounds = sum(place[0] == run for place in register.contributions)
    name = policy.data_set(terms.task)
    used = _uses(register.contributions.values(), commitment_of(folder, name))
    usage = Usage(
        rounds_done=rounds,
        today=sum(one.at >= now - DAY_S for one in used),
        ever=len(used),
        now=now,
    )
    shared = terms.parameter_set not in PARAMETER_SETS
    asked = ask_of(terms, usage, shared_key=shared)
    return Explanation(title=terms.title, rulings=rulings(policy, asked))


def _uses(contributions: Iterable[Contributed], commitment: bytes) -> list[Contributed]:
    return [one for one in contributions if one.data_set == commitment]


def _run(folder: Path, run: str) -> tuple[bytes, Terms]:
    """Return the one run on the ledger whose id begins with ``run``, and its terms, which the holder has accepted."""
    address = ledger_at_hand(folder)
    if address is None:
        raise InputError("the node follows no ledger.", fix="Name the run's terms document with --terms.")
    opened = open_ledger(address)
    try:
        created = opened.reader.events("RunCreated")
        ids = [event.values["run"] for event in created]
        wanted = run.removeprefix("0x").lower()
        found = [one for one in ids if one.hex().startswith(wanted)]
        if not found:
            shows = f"suture-node consent list {shlex.quote(str(folder))}"
            raise InputError(f"No run on the ledger begins with {run!r}.", fix=f"See the runs: {shows}")
        if len(found) != 1:
            raise InputError(
                f"{len(found)} runs on the ledger begin with {run!r}.", fix="Give more of the id."
            )
        digest = opened.reader.origin(found[0]).terms
    finally:
        opened.close()
    terms = accepted_terms(folder).get(digest)
    if terms is None:
        raise InputError(
            "the holder has not accepted that run's terms.", fix="Name the document with --terms."
        )
    return found[0], terms
