"""A run's terms in plain words: what a data steward reads before consenting. Pure."""

from __future__ import annotations

from collections.abc import Callable

from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.terms import BY_EXAMPLES, Terms


def terms_in_words(terms: Terms, money: Callable[[int], str]) -> list[str]:
    """Return what terms mean, one sentence a line.

    Args:
        terms: The terms.
        money: Writes an amount of the reward token.
    """
    values = sum(spec.size for spec in terms.tensors)
    settings = ", ".join(f"{name} {value}" for name, value in sorted(terms.task_settings.items()))
    lines = [
        f'"{terms.title}"',
        f"Purpose: {terms.purpose}",
        f"Your node trains the task {terms.task!r} on your data set{f' ({settings})' if settings else ''}.",
        f"The run makes at most {terms.rounds} models of {values} numbers each; each is the sum of at least {terms.n_min} holders.",
        _protection(terms),
        f"A holder with {terms.weight_cap} examples or more counts fully, one with fewer in proportion.",
    ]
    lines.append(f"Round 1 begins with the model file with the SHA-256 {terms.initial_model}.")
    if terms.counters:
        lines.append(
            f"Besides the update these numbers are summed under encryption: {', '.join(terms.counters)}."
        )
    if terms.blame_opening:
        lines.append(
            "If somebody spoils a sum, two or three values of each update may be opened to find out who."
        )
    if terms.reward_per_round:
        division = {"equal": "in equal parts", BY_EXAMPLES: "by their numbers of examples"}.get(
            terms.reward_policy, f"by {terms.reward_policy!r}"
        )
        lines.append(f"Each model pays {money(terms.reward_per_round)} to its contributors, {division}.")
    if terms.opens_weights:
        lines.append(
            f"To be paid by examples you open your weight after each sum: everybody who reads the run's papers learns how many"
            f" examples you trained on, up to {terms.weight_cap}. Who does not open it is not paid for that round."
        )
    if terms.reward_per_round == 0:
        lines.append("The run pays nothing.")
    code = (
        f"the Flower app with the SHA-256 {terms.bundle}"
        if terms.bundle
        else "what is installed with your node"
    )
    lines.append(f"The training code is {code}.")
    lines.append(f"Terms: 0x{terms.digest.hex()}")
    return lines


def _protection(terms: Terms) -> str:
    if terms.parameter_set in PARAMETER_SETS:
        return f"Updates leave encrypted ({terms.parameter_set}, {terms.packing}); nobody holds a key that opens a single one."
    return (
        f"Updates leave encrypted under {terms.parameter_set}, whose key every holder of the run has:"
        " any of them could open your update if it got the bytes."
    )
