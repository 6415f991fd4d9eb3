"""Creating a run with its escrow, and closing it in two calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fl_core.errors import DecodeError, InputError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.terms import MAX_TERMS, Terms
from ledger.desk import budgets
from ledger.desk.desk import Desk, Step, next_nonce
from ledger.files import read_plain
from ledger.records import EMPTY_ADDRESS, Receipt, Role, Run, RunState
from ledger.rewards import RewardPolicy
from ledger.typed_data import run_id
from ledger.views import runs as view
from ledger.views.members import ever_members
from ledger.views.runs import Money
from ledger.views.terms import terms_in_words
from ledger.views.window import Window, duration, utc
from ledger.writer import LedgerWriter

DAY_S = 86_400

RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="The run's id or the beginning of it; not needed if there is only one.",
        show_default=False,
    ),
]


def listing(window: Window) -> None:
    """List the runs of the ledger."""
    window.show(view.runs(window))


def show(window: Window, run: RunId = None) -> None:
    """Show a run: state, rounds, consents, escrow, what is left of the closing delay."""
    window.show(view.run(window, window.run(run)))


def create(
    desk: Desk,
    terms: Annotated[Path, typer.Argument(help="The terms document.", show_default=False)],
    token: Annotated[
        str | None,
        typer.Option(
            help="ERC-20 contract that rewards are paid in; needed if the terms promise any.",
            show_default=False,
        ),
    ] = None,
    escrow: Annotated[
        str | None,
        typer.Option(
            help="Amount of tokens to deposit. What the terms promise for all rounds by default.",
            show_default=False,
        ),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            help="Account that runs the rounds. The only coordinator of the ledger by default.",
            show_default=False,
        ),
    ] = None,
    closing_delay: Annotated[
        int, typer.Option(min=0, max=366, help="Days between asking to close the run and the refund.")
    ] = 7,
    budget: Annotated[int, typer.Option(min=0, help="Privacy budget of the run, in millionths of rho.")] = 0,
) -> None:
    """Create a run under terms, and deposit its rewards. Its sponsor, who gets the rest back, is the account that acts."""
    document = read_terms(terms)
    paid_in = EMPTY_ADDRESS if token is None else desk.account_of(token)
    money = Money.of(desk.reader, paid_in)
    promised = document.reward_per_round * document.rounds
    amount = promised if escrow is None else money.read(escrow)
    if amount and token is None:
        raise InputError("The terms promise rewards.", fix="Name the token with --token, or give --escrow 0.")
    run_by = _coordinator(desk) if coordinator is None else desk.account_of(coordinator)
    for line in [*terms_in_words(document, money.write), *view.not_covered(promised, amount, money)]:
        desk.note(line)
    plan = _Plan(document, paid_in, amount, budget, run_by, closing_delay * DAY_S)
    _create(desk, plan, money)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A run to be created."""

    terms: Terms
    token: bytes
    escrow: int
    budget: int
    coordinator: bytes
    closing_delay: int

    def send(self, writer: LedgerWriter, run: bytes, intent: str, deposit: int) -> Receipt:
        return writer.create_run(
            run,
            self.terms.digest,
            token=self.token,
            escrow=deposit,
            min_clients=self.terms.n_min,
            max_rounds=self.terms.rounds,
            budget=self.budget,
            coordinator=self.coordinator,
            closing_delay=self.closing_delay,
            intent=intent,
        )


def _create(desk: Desk, plan: _Plan, money: Money) -> None:
    terms, run = plan.terms.digest, run_id(desk.account.address, plan.terms.digest)
    if plan.terms.reward_policy not in {policy.value for policy in RewardPolicy}:
        known = ", ".join(repr(policy.value) for policy in RewardPolicy)
        raise InputError(
            f"The terms divide rewards by {plan.terms.reward_policy!r}, which nobody here can do.",
            fix=f"Reward policies are {known}.",
        )
    if plan.terms.opens_weights and plan.terms.parameter_set not in PARAMETER_SETS:
        raise InputError(
            f"Rounds under {plan.terms.parameter_set} cannot pay by examples: nobody commits to a weight there.",
            fix="Use the reward policy 'equal', or a lattice parameter set.",
        )
    steps = _approval(desk, plan.token, plan.escrow, money, run)
    words = (
        f"create the run 0x{run.hex()} with an escrow of {money.write(plan.escrow)}, "
        f"run by {desk.name(plan.coordinator)}"
    )
    # as long as the approval is not on the chain, the deposit cannot be simulated: everything else is
    rehearse = (lambda w, i: plan.send(w, run, i, 0)) if steps else None
    steps.append(Step(words, f"{run.hex()}/create", lambda w, i: plan.send(w, run, i, plan.escrow), rehearse))
    sponsor = f"0x{desk.account.address.hex()}"
    desk.act(steps, extra={"run": f"0x{run.hex()}", "terms": f"0x{terms.hex()}", "sponsor": sponsor})


def close(desk: Desk, run: RunId = None) -> None:
    """End a run, in two calls: the first stops new rounds, the second, after the closing delay, refunds the escrow."""
    found = desk.run(run)
    money = Money.of(desk.reader, found.token)
    rest = money.write(found.escrow)
    if found.state is RunState.CLOSING and found.closes_at > desk.now():
        raise InputError(
            f"The closing delay of the run is not over: {duration(found.closes_at - desk.now())} are left.",
            fix=f"Close it again from {utc(found.closes_at)} on.",
        )
    desk.act(
        [
            Step(
                _closing(found, rest),
                f"{found.id.hex()}/close/{found.state.name}",
                lambda w, i: w.close_run(found.id, intent=i),
            )
        ]
    )


def settle(desk: Desk, run: RunId = None) -> None:
    """Free the privacy budget that a run which is over set aside and did not spend, of all holders; anybody may."""
    budgets.settle(desk, desk.run(run), None)


def _closing(found: Run, rest: str) -> str:
    if found.state is RunState.OPEN:
        wait = duration(found.closing_delay)
        return f"stop new rounds of the run 0x{found.id.hex()}; the rest of the escrow, now {rest}, can be refunded after {wait}"
    return f"end the run 0x{found.id.hex()} and refund {rest} to its sponsor"


def _approval(desk: Desk, token: bytes, amount: int, money: Money, run: bytes) -> list[Step]:
    """Return the step that lets the ledger take the escrow, unless it may already.

    Raises:
        InputError: The account does not have that much.
    """
    if not amount:
        return []
    balance = desk.reader.token_balance(token, desk.account.address)
    if balance < amount:
        raise InputError(
            f"The account has {money.write(balance)}, the escrow is {money.write(amount)}.",
            fix="Have tokens sent to it, or make some with `suture token mint`.",
        )
    if desk.reader.token_allowance(token, desk.account.address, desk.contract) >= amount:
        return []
    words = f"allow the ledger to take {money.write(amount)}"
    intent = f"{run.hex()}/approve/{next_nonce(desk)}"  # another amount, or an allowance that was used up, is another act
    return [Step(words, intent, lambda w, i: w.approve(token, desk.contract, amount, intent=i))]


def _coordinator(desk: Desk) -> bytes:
    """Return the only coordinator among the members.

    Raises:
        InputError: There is none, or there are several.
    """
    found = [a for a in ever_members(desk) if Role.COORDINATOR in desk.reader.member(a).roles]
    if len(found) != 1:
        raise InputError(f"The ledger has {len(found)} coordinators.", fix="Name one with --coordinator.")
    return found[0]


def read_terms(path: Path) -> Terms:
    """Read a terms document.

    Raises:
        InputError: It cannot be read or is none.
    """
    try:
        return Terms.decode(read_plain(path, MAX_TERMS))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Name a terms document."
        ) from error
    except DecodeError as error:
        raise InputError(
            f"{path}: {error.message}.", fix="Get the document from who made it; do not edit it."
        ) from error
