"""``suture-node status``: who this node is, at a glance."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.arguments import Folder

EPILOG = "Example: suture-node status /srv/suture/node --json"


def status(folder: Folder, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show who this node is, which ledger it follows and how far, and what its policy allows.

    Of an embedded chain it shows the newest block of the node's own copy, the newest one that enough members co-signed, the
    newest one that this node signed, and how often somebody showed it two histories: the evidence lies in chain/evidence.
    """
    from json import dumps

    from clients.node.house import accepted_terms, open_house, read_copy

    house = open_house(folder)
    facts = {
        "name": house.name,
        "account": f"0x{house.account.address.hex()}",
        "ledger": None if house.ledger is None else f"{house.ledger.chain} (0x{house.ledger.contract})",
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
    if json:
        typer.echo(dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:20} {value if value is not None else '-'}")
