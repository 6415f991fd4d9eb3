"""The ``node.toml`` that a new node begins with: every rule of the policy with what it means, and the ledger's section."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from clients.node.config import FILE, PRIVATE, read_config
from clients.node.new_house import toml_value
from clients.node.policy import Policy
from fl_core.errors import InputError
from ledger.address import LedgerAddress
from ledger.files import write_atomically

MEANINGS = {
    "tasks": "Training tasks that may use your data.",
    "parameter_sets": "Encryption parameters that are strong enough for you.",
    "least_partners": "Fewest holders, you included, in any sum that your update is part of.",
    "max_rounds": "Most rounds of one run that you take part in.",
    "allow_plaintext": "Whether updates may leave without encryption; for comparisons on public data only.",
    "allow_ckks": "Whether updates may leave under a key that every holder of the run has.",
    "colluders": "How many other holders may work together with the coordinator and still learn no single update.",
    "max_rounds_per_day": "Most contributions from one data set in 24 hours, in all runs; 0 for no limit.",
    "max_rounds_per_data_set": "Most contributions from one data set ever, in all runs; 0 for no limit.",
    "max_epsilon": "Largest privacy loss of a run; 0 for no limit.",
    "allow_blame_opening": "Whether runs may show single values of updates when somebody spoilt a sum.",
    "allow_weight_opening": "Whether runs may pay by examples, which shows everybody your number of examples.",
    "bundles": "SHA-256 of the app bundles that terms may name; none for all.",
    "expires": "Unix time from which on this policy allows nothing; 0 for never.",
    "data": "Task and name of the data set that it uses, for tasks that do not use the data set records.",
    "checkpoints": "How many members must have co-signed a block of an embedded chain before you act on it; 0: two thirds.",
    "release_ckks_model": "Whether the coordinator may have the model of such a run.",
}
"""Rule -> what it means, for the person who edits the file. A test compares it with :class:`~clients.node.policy.Policy`."""


def node_toml(name: str, policy: Policy, ledger: LedgerAddress | None = None) -> bytes:
    """Return a commented ``node.toml``, without a ledger unless one is given."""
    lines = [
        "# Your node's configuration. Restart `suture-node serve` after a change.",
        f"name = {toml_value(name)}",
        "",
        "# What you allow. These rules can only be stricter than the protocol, never looser.",
        "[policy]",
    ]
    for field in fields(policy):
        lines += [
            f"# {MEANINGS.get(field.name, '')}",
            f"{field.name} = {toml_value(getattr(policy, field.name))}",
        ]
    if ledger is not None:
        lines += _section(ledger)
    return ("\n".join(lines) + "\n").encode()


def follow_ledger(folder: Path, address: LedgerAddress) -> None:
    """Add the section ``[ledger]`` to a node's ``node.toml``; what a person wrote there stays as it is.

    Raises:
        InputError: The node follows another ledger.
    """
    known = read_config(folder).ledger
    if known == address:
        return
    if known is not None:
        raise InputError(
            f"The node follows another ledger: {known}.",
            fix=f"Make a new folder for another consortium; keys and register belong to one. Or mend [ledger] in {folder / FILE}.",
        )
    text = (folder / FILE).read_text("utf-8").rstrip("\n")
    lines = [text, *_section(address)]
    write_atomically(folder / FILE, ("\n".join(lines) + "\n").encode(), PRIVATE)


def _section(ledger: LedgerAddress) -> list[str]:
    return [
        "",
        "# Which ledger you follow. Contract and code hash are pinned: another contract is refused.",
        "[ledger]",
        f"chain = {toml_value(ledger.chain)}",
        f"chain_id = {ledger.chain_id}",
        f"contract = {toml_value(ledger.contract)}",
        f"code = {toml_value(ledger.code)}",
        f"confirmations = {ledger.confirmations}",
    ]
