"""Writing to the ledger: one method for each function of the contracts, each of them idempotent.

Every method takes an ``intent``: calling it again with the same intent and the same arguments, after a crash or an error of
the network, never does the thing twice and returns the same receipt (:mod:`ledger.outbox`). Arguments are those of the
contract, in its order; who may call what, and when, the contract says (``ledger/contracts/TrainingLedger.vy``).

All methods raise what :meth:`ledger.outbox.Outbox.submit` raises; above all :class:`ledger.errors.Reverted` with the
contract's sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.chain.ports import Connection, Waiting, say_nothing
from ledger.errors import WrongChain
from ledger.outbox import Outbox, Recovered, Submitting
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Receipt, Role
from ledger.signer import Signer
from ledger.typed_data import Domain

_NO_ROLES = Role(0)


class LedgerWriter:
    """Writes to one ``TrainingLedger`` as one account.

    Args:
        connection: The chain.
        address: The contract, 20 bytes.
        signer: The account.
        outbox_path: File of the outbox; one account, one file.
        confirmations: How deep a receipt must be; 1 on chains without forks.
        timeout_s: How long to wait for a receipt.
        before_sending: Told hash and bytes of a signed transaction each time before it is sent.
        waiting: Told when no block takes a transaction for long.
    """

    def __init__(
        self,
        connection: Connection,
        address: bytes,
        signer: Signer,
        outbox_path: Path,
        *,
        confirmations: int = 1,
        timeout_s: float = 60.0,
        before_sending: Callable[[bytes, bytes], None] = lambda tx_hash, raw: None,
        waiting: Waiting = say_nothing,
    ) -> None:
        self._address = address
        self._gas_used = 0
        self._outbox: Submitting = Outbox(
            outbox_path,
            connection,
            signer,
            confirmations=confirmations,
            timeout_s=timeout_s,
            before_sending=before_sending,
            waiting=waiting,
        )

    @classmethod
    def through(cls, address: bytes, outbox: Submitting) -> Self:
        """Return a writer over an open outbox, or over a rehearsal."""
        writer = cls.__new__(cls)
        writer._address, writer._outbox, writer._gas_used = address, outbox, 0
        return writer

    @property
    def account(self) -> bytes:
        """The account that writes, 20 bytes."""
        return self._outbox.sender

    @property
    def gas_used(self) -> int:
        """Gas of all transactions of this writer whose receipts it saw."""
        return self._gas_used

    def recover(self) -> tuple[Recovered, ...]:
        """Finish what a crash interrupted; call it at the start of a program (see :meth:`Outbox.recover`)."""
        return self._outbox.recover()

    def usable(self, intent: str) -> str:
        """Return an intent under which a person can try again; see :meth:`Outbox.usable`."""
        return self._outbox.usable(intent)

    def close(self) -> None:
        """Close the outbox."""
        self._outbox.close()

    def _submit(self, intent: str, to: bytes | None, data: bytes, name: str) -> Receipt:
        receipt = self._outbox.submit(intent, to, data, name)
        self._gas_used += receipt.gas_used
        return receipt

    def _send(self, intent: str, name: str, *arguments: object) -> Receipt:
        data = interface("TrainingLedger").function(name).call_data(*arguments)
        return self._submit(intent, self._address, data, name)

    def _send_token(self, intent: str, token: bytes, name: str, *arguments: object) -> Receipt:
        data = interface("RewardToken").function(name).call_data(*arguments)
        return self._submit(intent, token, data, name)

    def deploy(self, code: bytes, name: str, *, intent: str) -> Receipt:
        """Create one of our contracts from :func:`creation_code`; the receipt has its address."""
        return self._submit(intent, None, code, name)

    # ---------------------------------------------------------------- members
    def vote(
        self,
        act: Act,
        subject: bytes = EMPTY_ADDRESS,
        roles: Role = _NO_ROLES,
        info: bytes = EMPTY_WORD,
        *,
        intent: str,
    ) -> Receipt:
        """Propose an act, or vote for it; the last vote needed executes it. See :class:`ledger.records.Act`."""
        return self._send(intent, "vote", int(act), subject, int(roles), info)

    def pause(self, *, intent: str) -> Receipt:
        """Stop new work on the ledger; only votes start it again."""
        return self._send(intent, "pause")

    def set_keys(self, signer: bytes, encryption: bytes, possession: bytes, *, intent: str) -> Receipt:
        """Register a key set; ``possession`` is the new key's signature over ``typed_data.KeyPossession``."""
        return self._send(intent, "setKeys", signer, encryption, possession)

    # ---------------------------------------------------------------- runs
    def create_run(
        self,
        run: bytes,
        terms: bytes,
        *,
        token: bytes = EMPTY_ADDRESS,
        escrow: int = 0,
        min_clients: int,
        max_rounds: int,
        budget: int = 0,
        coordinator: bytes,
        closing_delay: int,
        intent: str,
    ) -> Receipt:
        """Create a run and pay its escrow; the token must have approved it before (:meth:`approve`)."""
        return self._send(
            intent,
            "createRun",
            run,
            terms,
            token,
            escrow,
            min_clients,
            max_rounds,
            budget,
            coordinator,
            closing_delay,
        )

    def grant_budget(self, dataset: bytes, granted: int, *, intent: str) -> Receipt:
        """Set how much privacy budget runs may ever spend of one of our data sets."""
        return self._send(intent, "grantBudget", dataset, granted)

    def accept(self, run: bytes, terms: bytes, dataset: bytes = EMPTY_WORD, *, intent: str) -> Receipt:
        """Consent to a run's terms, with a data set; the run's budget is set aside from the data set's.

        ``dataset`` may be zero when the run has no privacy budget to spend.
        """
        return self._send(intent, "accept", run, terms, dataset)

    def withdraw(self, run: bytes, *, intent: str) -> Receipt:
        """Withdraw consent."""
        return self._send(intent, "withdraw", run)

    def drop_consent(self, run: bytes, holder: bytes, *, intent: str) -> Receipt:
        """Strike the consent of somebody who is no holder any more."""
        return self._send(intent, "dropConsent", run, holder)

    def settle(self, run: bytes, holder: bytes, *, intent: str) -> Receipt:
        """Free what a run that opens no more rounds did not spend of a holder's data set; anybody may ask."""
        return self._send(intent, "settle", run, holder)

    def close_run(self, run: bytes, *, intent: str) -> Receipt:
        """Begin to close a run; after the delay, with another intent, refund the escrow."""
        return self._send(intent, "closeRun", run)

    # ---------------------------------------------------------------- rounds and models
    def register_root(self, run: bytes, artifact: bytes, metrics: bytes, *, intent: str) -> Receipt:
        """Record a run's initial model, or one from elsewhere."""
        return self._send(intent, "registerRoot", run, artifact, metrics)

    def open_round(
        self, run: bytes, number: int, parent: bytes, header: bytes, cost: int = 0, *, intent: str
    ) -> Receipt:
        """Open a round under a header digest; ``cost`` is the privacy budget that it will spend."""
        return self._send(intent, "openRound", run, number, parent, header, cost)

    def commit_round(self, run: bytes, number: int, root: bytes, count: int, *, intent: str) -> Receipt:
        """Fix V, the accepted contributions, and spend what the round costs."""
        return self._send(intent, "commitRound", run, number, root, count)

    def commit_included(
        self, run: bytes, number: int, root: bytes, count: int, exclusions: bytes, *, intent: str
    ) -> Receipt:
        """Fix U, the included contributions; members answer after this."""
        return self._send(intent, "commitIncluded", run, number, root, count, exclusions)

    def finalise_round(
        self,
        run: bytes,
        number: int,
        artifact: bytes,
        aggregate_key: bytes,
        metrics: bytes,
        rewards_root: bytes,
        reward: int,
        *,
        intent: str,
    ) -> Receipt:
        """Record the round's model and promise its reward."""
        return self._send(
            intent, "finaliseRound", run, number, artifact, aggregate_key, metrics, rewards_root, reward
        )

    def abort_round(self, run: bytes, number: int, *, intent: str) -> Receipt:
        """Give a round up."""
        return self._send(intent, "abortRound", run, number)

    def objection(self, run: bytes, number: int, reason: bytes, *, intent: str) -> Receipt:
        """Put a dispute on record."""
        return self._send(intent, "objection", run, number, reason)

    # ---------------------------------------------------------------- rewards
    def claim(
        self, run: bytes, number: int, account: bytes, cumulative: int, proof: Sequence[bytes], *, intent: str
    ) -> Receipt:
        """Have an account paid what it earned up to a round; anybody may ask."""
        return self._send(intent, "claim", run, number, account, cumulative, list(proof))

    def mint(self, token: bytes, to: bytes, amount: int, *, intent: str) -> Receipt:
        """Make new units of a reward token; its minter only."""
        return self._send_token(intent, token, "mint", to, amount)

    def approve(self, token: bytes, spender: bytes, amount: int, *, intent: str) -> Receipt:
        """Allow ``spender`` (the ledger, before :meth:`create_run`) to take units of a token."""
        return self._send_token(intent, token, "approve", spender, amount)

    def transfer(self, token: bytes, to: bytes, amount: int, *, intent: str) -> Receipt:
        """Send units of a token."""
        return self._send_token(intent, token, "transfer", to, amount)


def deploy_ledger(
    connection: Connection,
    signer: Signer,
    outbox_path: Path,
    *,
    founders: Mapping[bytes, Role],
    threshold: int,
    intent: str = "deploy TrainingLedger",
    confirmations: int = 1,
) -> bytes:
    """Put a ``TrainingLedger`` on the chain and return its address.

    Args:
        connection: The chain.
        signer: Who pays for it; gets no power by it.
        outbox_path: That account's outbox.
        founders: First members and their roles, at most 16, in order.
        threshold: How many votes an act needs.
        intent: Idempotency key.
        confirmations: How deep the receipt must be.

    Raises:
        Reverted: The arguments are refused.
        WrongChain: What is on the chain is not what was sent.
    """
    arguments = (list(founders), [int(roles) for roles in founders.values()], threshold)
    address = _deploy(connection, signer, outbox_path, "TrainingLedger", arguments, intent, confirmations)
    domain = Domain(chain_id=connection.chain_id, contract=address)
    _check_code(connection, address, "TrainingLedger", {"DOMAIN": domain.separator()})
    return address


def deploy_token(
    connection: Connection,
    signer: Signer,
    outbox_path: Path,
    *,
    minter: bytes,
    cap: int,
    intent: str = "deploy RewardToken",
) -> bytes:
    """Put a ``RewardToken`` on the chain and return its address.

    Args:
        connection: The chain.
        signer: Who pays for it; gets no power by it.
        outbox_path: That account's outbox.
        minter: Who may make units, 20 bytes.
        cap: Most units there can ever be.
        intent: Idempotency key.

    Raises:
        Reverted: The arguments are refused.
        WrongChain: What is on the chain is not what was sent.
    """
    address = _deploy(connection, signer, outbox_path, "RewardToken", (minter, cap), intent)
    _check_code(
        connection,
        address,
        "RewardToken",
        {"MINTER": minter.rjust(32, b"\0"), "CAP": cap.to_bytes(32, "big")},
    )
    return address


def creation_code(name: str, *arguments: object) -> bytes:
    """Return what is sent to create one of our contracts: its bytecode and its arguments."""
    return load(name).bytecode + interface(name).constructor_data(*arguments)


def _deploy(
    connection: Connection,
    signer: Signer,
    outbox_path: Path,
    name: str,
    arguments: Sequence[object],
    intent: str,
    confirmations: int = 1,
) -> bytes:
    outbox = Outbox(outbox_path, connection, signer, confirmations=confirmations)
    try:
        code = creation_code(name, *arguments)
        receipt = outbox.submit(intent, None, code, name)
    finally:
        outbox.close()
    if receipt.contract is None:
        raise WrongChain(f"The node reports no address for the new {name}.", fix="Use another node.")
    return receipt.contract


def _check_code(connection: Connection, address: bytes, name: str, immutables: Mapping[str, bytes]) -> None:
    if connection.code(address) != load(name).deployed_code(immutables):
        raise WrongChain(f"The code at 0x{address.hex()} is not {name}.", fix="Use another node.")
