"""The weights that were opened in a run, round by round: from the public folder, checked against the ledger.

Of a round's papers this checks what makes a weight what it claims to be: the header, the leaves of the accepted set and the included set are
those on the ledger, and every opening is what its leaf commits to. Whether holders signed those leaves, and whether rewards follow from
the weights, ``suture-audit verify`` checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_core.errors import DecodeError, InputError, VerificationError
from fl_core.protocol.header import MAX_HEADER, RoundHeader
from fl_core.protocol.messages import MAX_LEAF, Leaf
from fl_core.protocol.weights import (
    MAX_WEIGHT_OPENING,
    WeightOpening,
    verify_weight_opening,
    verify_weight_sum,
)
from ledger.archive import Archive
from ledger.documents import MAX_DOCUMENT, metrics_weight
from ledger.errors import ArchiveError
from ledger.files import read_plain
from ledger.papers import MAX_ROUND_PAPER, PublicFolder, RoundPaper
from ledger.records import Round, RoundState, Run
from ledger.statements import StatementVerifier
from ledger.typed_data import Domain
from ledger.views.rewards import Earnings, public_folder
from ledger.views.window import Answer, Window, table


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedWeights:
    """What was opened in one finalised round.

    Attributes:
        round: Round number.
        weights: Account of everybody in the included set -> weight in units, None where it opened none.
        fit: Whether they can be the weights of the sum; if not, nobody was paid for the round.
    """

    round: int
    weights: Mapping[bytes, int | None]
    fit: bool


def with_weights(
    window: Window, found: Earnings, source: Path | None, answer: Answer, only: bytes | None = None
) -> Answer:
    """Add the opened weights to what was said about earnings.

    Args:
        window: The ledger.
        found: The earnings.
        source: As for :func:`ledger.views.rewards.earnings`.
        answer: What was said.
        only: An account; by default all.

    Raises:
        InputError: There is no public folder, or the papers in it cannot be read.
        VerificationError: They are not those on the ledger.
    """
    public = public_folder(window, source)
    if public is None:
        raise InputError(
            "The opened weights are in a public folder, not in a rewards document.",
            fix="Name the run's public folder with --from.",
        )
    weights = opened_weights(window, found.run, public)
    data = {**answer.data, "weights": weights_json(window, weights, only)}
    return Answer(data, [*answer.lines, "", *weights_lines(window, weights, only)])


def opened_weights(window: Window, run: Run, public: PublicFolder) -> list[OpenedWeights]:
    """Return what was opened in the finalised rounds of a run; nothing where its terms do not pay by examples.

    Raises:
        InputError: The papers of a round cannot be read.
        VerificationError: They are not those on the ledger, or a weight is not what its leaf commits to.
    """
    found = []
    for number in range(1, run.opened + 1):
        record = window.reader.round(run.id, number)
        if record.state is not RoundState.FINALISED:
            continue
        try:
            paper = RoundPaper.decode(read_plain(public.round(number), MAX_ROUND_PAPER))
            if paper.weights:
                found.append(_opened(window, record, number, paper, Archive(public.archive)))
        except VerificationError as error:
            raise VerificationError(
                f"The papers of round {number}: {error.message}.",
                party=error.party,
                fix="Ask the coordinator for the newest public folder, and audit it: suture-audit verify.",
            ) from error
        except (OSError, ValueError, DecodeError, ArchiveError) as error:
            raise InputError(
                f"The papers of round {number} cannot be read ({error}).",
                fix="Name the newest public folder with --from.",
            ) from error
    return found


def _opened(window: Window, record: Round, number: int, paper: RoundPaper, archive: Archive) -> OpenedWeights:
    header = RoundHeader.decode(archive.get(bytes.fromhex(paper.header), MAX_HEADER))
    if header.digest != record.header:
        raise VerificationError("another header than on the ledger", party="coordinator")
    leaves = {
        bytes.fromhex(account): Leaf.decode(archive.get(bytes.fromhex(digest), MAX_LEAF))
        for account, digest in paper.leaves.items()
    }
    included = tuple(map(bytes.fromhex, paper.included))
    _check_sets(window, record, leaves, included)
    weights: dict[bytes, int] = {}
    for name, digest in paper.weights.items():
        account = bytes.fromhex(name)
        if account not in included:
            raise VerificationError("a weight of nobody in the included set was opened", party=name)
        opening = WeightOpening.decode(archive.get(bytes.fromhex(digest), MAX_WEIGHT_OPENING))
        verify_weight_opening(header, opening, leaves[account])
        weights[account] = opening.units
    metrics = bytes.fromhex(paper.metrics)
    if metrics != window.reader.model(record.model).metrics:
        raise VerificationError("other metrics than on the ledger", party="coordinator")
    total = metrics_weight(archive.get(metrics, MAX_DOCUMENT))
    return OpenedWeights(
        round=number,
        weights={account: weights.get(account) for account in included},
        fit=_fit(header, weights, len(included), total),
    )


def _check_sets(
    window: Window, record: Round, leaves: Mapping[bytes, Leaf], included: tuple[bytes, ...]
) -> None:
    notary = StatementVerifier(Domain(chain_id=window.reader.chain_id, contract=window.reader.address))
    pairs = {account: notary.digest(leaf.statement) for account, leaf in leaves.items()}
    if (notary.root(list(pairs.items())), len(pairs)) != (record.root, record.count):
        raise VerificationError("not the accepted set on the ledger", party="coordinator")
    if not set(included) <= pairs.keys():
        raise VerificationError("the included set is no part of the accepted set", party="coordinator")
    ours = (notary.root([(account, pairs[account]) for account in included]), len(included))
    if ours != (record.included, record.included_count):
        raise VerificationError("not the included set on the ledger", party="coordinator")


def _fit(header: RoundHeader, weights: Mapping[bytes, int], included: int, total: int) -> bool:
    try:
        verify_weight_sum(header, weights, included_count=included, weight_units=total)
    except VerificationError:
        return False
    return True


def weights_json(
    window: Window, found: list[OpenedWeights], only: bytes | None = None
) -> list[dict[str, Any]]:
    """Return what was opened for ``--json``, of all accounts or of one."""
    return [
        {
            "round": one.round,
            "fit": one.fit,
            "weights": [
                {"account": f"0x{account.hex()}", "name": window.names.get(account), "units": units}
                for account, units in one.weights.items()
                if only in (None, account)
            ],
        }
        for one in found
    ]


def weights_lines(window: Window, found: list[OpenedWeights], only: bytes | None = None) -> list[str]:
    """Return what was opened for people, of all accounts or of one."""
    if not found:
        return ["No weight was opened: the run does not pay by examples, or no round is final."]
    rows = [["round", "account", "weight", "of the opened"]]
    for one in found:
        total = sum(units or 0 for units in one.weights.values())
        for account, units in one.weights.items():
            if only not in (None, account):
                continue
            shown = ["not opened", ""] if units is None else [str(units), f"{100 * units / total:.1f} %"]
            rows.append([str(one.round), window.name(account), *shown])
    unfit = [str(one.round) for one in found if not one.fit]
    note = (
        [f"The weights of round {', '.join(unfit)} do not fit the sum: nobody was paid for it."]
        if unfit
        else []
    )
    return [
        *table(rows),
        "",
        *note,
        "Each is what the leaf on the ledger commits to, in units of the cap's 1/32766.",
    ]
