"""What every account earned, was paid and can claim, from a rewards document that the ledger's root confirms.

The ledger holds one root for each round that paid; the sums under it are in the round's rewards document, which the coordinator
publishes. Whoever has the document needs to trust nobody: the tree over it gives the root on the ledger, or it is not the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_core.errors import DecodeError, InputError, VerificationError
from ledger.archive import Archive
from ledger.documents import MAX_DOCUMENT, decode_rewards
from ledger.errors import ArchiveError
from ledger.files import read_plain
from ledger.merkle import reward_leaf
from ledger.papers import MAX_ROUND_PAPER, PublicFolder, RoundPaper
from ledger.records import EMPTY_WORD, RoundState, Run
from ledger.rewards import rewards_tree
from ledger.views.runs import Money
from ledger.views.window import Answer, Window, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Earnings:
    """What a run's newest paying round promises.

    Attributes:
        run: The run.
        round: The round; 0 when none paid yet.
        earned: Account -> sum of all rounds up to it.
        paid: Account -> what it was paid.
    """

    run: Run
    round: int
    earned: dict[bytes, int]
    paid: dict[bytes, int]

    def due(self, account: bytes) -> int:
        """Return what an account can claim now."""
        return self.earned.get(account, 0) - self.paid.get(account, 0)

    def proof(self, account: bytes) -> list[bytes]:
        """Return the Merkle proof of an account's sum."""
        tree = rewards_tree(self.run.id, self.earned)
        return list(tree.proof(reward_leaf(self.run.id, account, self.earned[account])))


def earnings(window: Window, run: Run, source: Path | None) -> Earnings:
    """Return what was earned in a run, checked against the ledger.

    Args:
        window: The ledger.
        run: The run.
        source: A public folder, or a rewards document; by default the public folder around the ledger.

    Raises:
        InputError: There is no document, or it cannot be read.
        VerificationError: It is not the one whose root is on the ledger.
    """
    number, root = _newest(window, run)
    if number == 0:
        return Earnings(run=run, round=0, earned={}, paid={})
    try:
        earned = decode_rewards(_document(window, number, source))
    except DecodeError as error:
        raise InputError(
            f"{source}: {error.message}.", fix="Get the round's rewards document anew."
        ) from error
    if not any(earned.values()) or rewards_tree(run.id, earned).root != root:
        raise VerificationError(
            f"The rewards document is not the one that round {number} has on the ledger.",
            party="coordinator",
            fix="Ask the coordinator for the newest public folder; object if it has none.",
        )
    paid = {account: window.reader.claimed(run.id, account) for account in earned}
    return Earnings(run=run, round=number, earned=earned, paid=paid)


def _newest(window: Window, run: Run) -> tuple[int, bytes]:
    """Return number and rewards root of the newest finalised round that paid."""
    for number in range(run.opened, 0, -1):
        record = window.reader.round(run.id, number)
        if record.state is RoundState.FINALISED and record.rewards != EMPTY_WORD:
            return number, record.rewards
    return 0, EMPTY_WORD


def _document(window: Window, number: int, source: Path | None) -> bytes:
    public = public_folder(window, source)
    if public is None and source is None:
        raise InputError(
            "The rewards document is not on the ledger.", fix="Name the run's public folder with --from."
        )
    try:
        if public is None:
            assert source is not None, "without a folder there is a file"
            return read_plain(source, MAX_DOCUMENT)
        paper = RoundPaper.decode(read_plain(public.round(number), MAX_ROUND_PAPER))
        return Archive(public.archive).get(bytes.fromhex(paper.rewards), MAX_DOCUMENT)
    except OSError as error:
        place = source if public is None else public.round(number)
        raise InputError(
            f"The rewards of round {number} cannot be read from {place}: {error.strerror}.",
            fix="Name the newest public folder with --from.",
        ) from error
    except (ValueError, DecodeError, ArchiveError) as error:
        raise InputError(
            f"The rewards of round {number} cannot be read ({error}).",
            fix="Name the newest public folder with --from.",
        ) from error


def public_folder(window: Window, source: Path | None) -> PublicFolder | None:
    """Return the public folder that a person names, by default the one around the ledger; None where it is none."""
    if source is None:
        return window.address.public
    if not source.is_dir():
        return None
    return PublicFolder(source / "public" if (source / "public").is_dir() else source)


def rewards(window: Window, found: Earnings, only: bytes | None = None) -> Answer:
    """Show what was earned and paid, of all accounts or of one."""
    money = Money.of(window.reader, found.run.token)
    accounts = sorted(found.earned) if only is None else [only]
    entries: list[dict[str, Any]] = [
        {
            "account": f"0x{account.hex()}",
            "name": window.names.get(account),
            "earned": str(found.earned.get(account, 0)),
            "paid": str(found.paid.get(account, 0)),
            "due": str(found.due(account)),
        }
        for account in accounts
    ]
    data = {"run": f"0x{found.run.id.hex()}", "round": found.round, "symbol": money.symbol,
            "decimals": money.decimals, "rewards": entries}  # fmt: skip
    if found.round == 0:
        return Answer(data, ["No round of this run has paid a reward yet."])
    rows = [["account", "earned", "paid", "to claim"]] + [
        [
            window.name(a),
            money.write(found.earned.get(a, 0)),
            money.write(found.paid.get(a, 0)),
            money.write(found.due(a)),
        ]
        for a in accounts
    ]
    return Answer(
        data, [*table(rows), "", f"Sums up to round {found.round}; they lead to the root on the ledger."]
    )
