"""What a holder wants to know about its node at a glance, from files and the ledger; nothing is changed.

What the ledger says is left out where it cannot be asked: ``suture-node doctor`` says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clients.node.accepted import accepted_terms
from clients.node.data_sets import erased, stored
from clients.node.house import CHAIN, House
from clients.node.ledger_access import at_hand
from clients.node.logbook import read_logbook, torn_words
from clients.node.policy import DAY_S
from clients.node.policy_file import doubts
from clients.node.register_view import RegisterView, contradictions, read_register
from clients.training.tasks import task_names
from fl_core.errors import SutureError
from fl_core.lattice.parameters import PARAMETER_SETS
from ledger.address import open_ledger
from ledger.logbook import Entry

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the ledger says about the holder.

    Attributes:
        epoch: Number of its key set; 0 for none.
        keys_block: Block in which the key set was registered.
        head: Newest block.
        consents: Run id -> title of accepted terms, for runs that the holder consents to.
        claimed: Run id -> token units that were paid to it.
        balance: Token address -> token units that it has.
    """

    epoch: int
    keys_block: int
    head: int
    consents: Mapping[bytes, str]
    claimed: Mapping[bytes, int]
    balance: Mapping[bytes, int]


def summarise(house: House, *, now: int) -> tuple[Facts, list[str]]:
    """Return facts by name, for JSON and for the screen, and warnings.

    Args:
        house: The opened folder.
        now: Unix time in seconds.

    Raises:
        InputError: A file cannot be read.
        NodeStateError: A file is damaged.
    """
    register = read_register(house.folder)
    reading = read_logbook(house.folder)
    entries = [entry for entry, _ in reading]
    policy = house.policy
    warnings = [
        f"{text} (policy)"
        for text in doubts(policy, now=now, known_tasks=task_names(), known_sets=frozenset(PARAMETER_SETS))
    ]
    if contradictions(entries, register):
        warnings.append(
            f"the register was rolled back: do not serve (suture-node doctor {house.folder} --only register)"
        )
    if reading.torn:
        warnings.append(torn_words(reading.torn))
    facts: Facts = {
        "data sets": [_data_set(house, register, name, now) for name in sorted(house.data)],
        "other data sets": sorted({one.name for one in stored(house.folder)} - set(house.data)),
        "erased data sets": len(erased(house.folder)),
        "policy ends": _day(policy.expires) if policy.expires else None,
        "least partners": policy.least_partners,
        "colluders": policy.colluders,
        "rounds": _rounds(register),
        "left the house": _exposure(entries),
    }
    ledger = ask_ledger(house)
    if ledger is not None:
        facts |= {
            "last block": ledger.head,
            "key set": ledger.epoch,
            "key set since block": ledger.keys_block,
            "consents": dict(sorted((run.hex(), title) for run, title in ledger.consents.items())),
            "tokens claimed": {run.hex(): str(units) for run, units in ledger.claimed.items()},
            "token balance": {f"0x{token.hex()}": str(units) for token, units in ledger.balance.items()},
        }
    elif house.ledger is not None:
        warnings.append(f"the ledger cannot be asked (suture-node doctor {house.folder} --only ledger)")
    else:
        warnings.append(f"no ledger is followed yet (suture-node join {house.folder} ledger.toml)")
    return facts, warnings


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _data_set(house: House, register: RegisterView, name: str, now: int) -> Facts:
    """Return a data set, and how much of its limits is spent."""
    data, policy = house.data[name], house.policy
    used = [one for one in register.contributions.values() if one.data_set == data.commitment]
    return {
        "name": name,
        "records": data.records,
        "commitment": data.commitment.hex(),
        "tasks": [task for task in policy.tasks if policy.data_set(task) == name],
        "contributions": len(used),
        "contributions allowed": policy.max_rounds_per_data_set or None,
        "in 24 hours": sum(one.at >= now - DAY_S for one in used),
        "allowed in 24 hours": policy.max_rounds_per_day or None,
    }


def _rounds(register: RegisterView) -> Facts:
    """Return how often this node took part and answered."""
    answered = Counter(question for _, _, question in register.answers)
    return {
        "begun": len(register.headers),
        "contributed": len(register.contributions),
        **sorted_counts(answered),
    }


def sorted_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts in order of their names."""
    return dict(sorted(counts.items()))


def _exposure(entries: list[Entry]) -> Facts:
    """Return what left: how many bytes, of what kind, and when last."""
    by_kind: Counter[str] = Counter()
    for entry in entries:
        by_kind[entry.kind] += entry.size if entry.to else 0
    return {
        "entries": len(entries),
        "bytes": sum(by_kind.values()),
        "bytes by kind": sorted_counts(by_kind),
        "last": _day(entries[-1].time) if entries else None,
    }


def ask_ledger(house: House) -> LedgerFacts | None:
    """Return what the ledger says about the holder; None where it cannot be asked."""
    if house.ledger is None:
        return None
    terms, me = accepted_terms(house.folder), house.account.address
    try:
        opened = open_ledger(at_hand(house.ledger, house.folder / CHAIN))
        try:
            reader = opened.reader
            keys, consents, claimed, balance = reader.keys(me), {}, {}, {}
            for event in reader.events("RunCreated"):
                run, token = event.values["run"], event.values["token"]
                digest = reader.consent(run, me)
                if digest in terms:
                    consents[run] = terms[digest].title
                if any(token) and any(digest):
                    claimed[run] = reader.claimed(run, me)
                    balance[token] = reader.token_balance(token, me)
            return LedgerFacts(
                keys.epoch, keys.block, opened.connection.head().number, consents, claimed, balance
            )
        finally:
            opened.close()
    except (SutureError, OSError):
        return None


def sizes(folder: Path) -> dict[str, int]:
    """Return bytes on disk of what grows, by name."""
    names = ("register.sqlite", "logbook.jsonl", "frames", "chain", "ckks")
    return {name: _size(folder / name) for name in names if (folder / name).exists()}


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
