"""``suture-node status``: who this node is, at a glance."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.arguments import Folder

EPILOG = "Example: suture-node status /srv/suture/node --json"


def status(folder: Folder, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show who this node is, what it did, what left the house, and what deserves attention.

    Keys, ledger and how far it is followed, data sets and how much of their limits is spent, policy, consents, rounds, bytes
    that left, tokens, warnings. Of an embedded chain it shows the newest block of the node's own copy, the newest one that
    enough members co-signed, the newest one that this node signed, and how often somebody showed it two histories.
    """
    from json import dumps
    from time import time

    from clients.node.accepted import accepted_terms
    from clients.node.house import open_house, read_copy
    from ledger.address import place_of
    from suture_fl.report import one_line

    house = open_house(folder)
    facts: dict[str, object] = {
        "name": house.name,
        "account": f"0x{house.account.address.hex()}",
        "ledger": None if house.ledger is None else f"{place_of(house.ledger)} (0x{house.ledger.contract})",
        "records": house.manifest.records,
        "data set commitment": house.manifest.commitment.hex(),
        "tasks": list(house.policy.tasks),
        "plaintext allowed": house.policy.allow_plaintext,
        "CKKS allowed": house.policy.allow_ckks,
        "accepted terms": [terms.title for terms in accepted_terms(folder).values()],
    }
    copy = read_copy(house)
    if copy is not None:
        facts |= {
            "ledger copy": f"block {copy.head.number} (0x{copy.head.hash.hex()})",
            "final block": copy.final,
            "signed block": copy.signed,
            "evidence": copy.evidence,
        }
    from clients.node.summary import summarise

    more, warnings = summarise(house, now=int(time()))
    facts |= more | {"warnings": warnings}
    if json:
        typer.echo(dumps(facts))
        return
    for name, value in facts.items():
        for number, line in enumerate(_shown(value)):
            typer.echo(one_line(f"{'' if number else name:20} {line}"))


def _shown(value: object) -> list[str]:
    """Return a fact as lines for a person."""
    if isinstance(value, dict):
        return [", ".join(f"{key} {_word(one)}" for key, one in value.items() if one not in (None, {}))]
    if isinstance(value, list):
        return [line for one in value for line in _shown(one)] or ["-"]
    return [_word(value)]


def _word(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_word(one)}" for key, one in value.items()) + ")"
    if isinstance(value, list):
        return " ".join(_word(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
