"""Reading the ledger: what the contract says, as the records of :mod:`ledger.records`. Needs no key.

A reader believes its node. Who does not, checks with :mod:`ledger.audit`, with other members' nodes, or by replaying an
embedded chain. What a reader does check: the chain id is the one the connection was opened for, the code at the contract's
address is ours (:meth:`LedgerReader.check_code`), every answer is canonical, and a followed event stream does not change
behind its back (:meth:`LedgerReader.follow`). That nothing but this code ever wrote to the contract's storage follows
from how it was created (:meth:`LedgerReader.check_creation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fl_core.errors import VerificationError
from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.chain.ports import Log, Reading
from ledger.creation import FOUNDING, LEDGER, read_creation
from ledger.errors import ForkDetected, RecordMissing, WrongChain
from ledger.records import (
    EMPTY_ADDRESS,
    EMPTY_WORD,
    WORD_SIZE,
    DataBudget,
    Head,
    Keys,
    Member,
    Model,
    Origin,
    Pledge,
    Role,
    Round,
    RoundState,
    Run,
    RunState,
)
from ledger.typed_data import Domain

MAX_LINEAGE = 100_000
"""Longest chain of models that is followed."""
_LINEAGE_PAGE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of the contract.

    Attributes:
        name: As in the contract, for example "RoundOpened".
        values: Argument name -> value: int, bool, bytes (addresses and words too).
        block_number: Its block.
        block_hash: That block's hash.
        tx_hash: The transaction that emitted it.
        position: Its place among the logs of the block.
    """

    name: str
    values: Mapping[str, Any]
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far events were read: the last block, and the hash it had."""

    number: int
    hash: bytes


class LedgerReader:
    """Reads one ``TrainingLedger``.

    Args:
        connection: The chain.
        address: The contract, 20 bytes.
        confirmations: Events count when their block is this deep; 1 on chains without forks.
    """

    def __init__(self, connection: Reading, address: bytes, *, confirmations: int = 1) -> None:
        self._connection = connection
        self._address = address
        self._confirmations = confirmations
        self._interface = interface("TrainingLedger")

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._connection.chain_id

    @property
    def address(self) -> bytes:
        """The contract, 20 bytes."""
        return self._address

    def domain(self) -> Domain:
        """Return the EIP-712 domain that signatures for this ledger are made in."""
        return Domain(chain_id=self.chain_id, contract=self._address)

    def check_code(self) -> None:
        """Check that the code at the address is this version's contract, set up for this chain and address.

        Raises:
            WrongChain: It is not.
        """
        expected = load("TrainingLedger").deployed_code({"DOMAIN": self.domain().separator()})
        if self._connection.code(self._address) != expected:
            raise WrongChain(
                f"The code at 0x{self._address.hex()} is not this version's TrainingLedger.",
                fix="Check the contract's address and the version of Suture.",
            )

    def check_creation(self) -> None:
        """Check that the contract was created by this version's bytecode, called by nobody else's code.

        Its constructor emits events; so the contract's first log leads to the transaction that created it.

        1. There is a first log, and the node has its transaction.
        2. That transaction creates a ``TrainingLedger`` directly, with canonical arguments.
        3. The new contract is this one: its address follows from sender and nonce.
        4. The contract logged nothing in that transaction but its founders and their threshold.

        Raises:
            WrongChain: One of these does not hold.
        """
        where = f"The contract at 0x{self._address.hex()}"
        fix = "Check the contract's address; use a node that keeps all blocks and their logs."
        logs = self._connection.logs(self._address, [], 0, self._connection.head().number)
        first = next(logs, None)
        sent = None if first is None else self._connection.transaction(first.tx_hash)
        if first is None or sent is None:  # (1)
            raise WrongChain(f"{where} has no transaction that created it.", fix=fix)
        try:
            creation = read_creation(sent)  # (2)
        except VerificationError as error:
            raise WrongChain(
                f"{where} was not created by this version's code: {error.message}.", fix=fix
            ) from error
        if (creation.name, creation.address) != (LEDGER, self._address):  # (3)
            raise WrongChain(f"{where} was not created by the transaction of its first event.", fix=fix)
        founding = {self._interface.event(name).topic for name in FOUNDING}
        block = first.block_number
        for log in self._connection.logs(self._address, [], block, block):
            if log.tx_hash == first.tx_hash and log.topics[:1] not in [(topic,) for topic in founding]:
                raise WrongChain(
                    f"{where} logged more than its founding when it was created.", fix=fix
                )  # (4)

    # ---------------------------------------------------------------- blocks
    def head(self) -> Head:
        """Return the newest block."""
        return self._connection.head()

    def block_hash(self, number: int) -> bytes:
        """Return the hash at a height.

        Raises:
            RecordMissing: There is no such block.
        """
        found = self._connection.block_hash(number)
        if found is None:
            raise RecordMissing(f"The chain has no block {number}.")
        return found

    # ---------------------------------------------------------------- members
    def member(self, account: bytes) -> Member:
        """Return an account's membership; empty roles and since 0 when it is no member."""
        roles, epoch, since = self._record("member", account)
        return Member(address=account, roles=Role(roles), epoch=epoch, since=since)

    def keys(self, account: bytes) -> Keys:
        """Return an account's current keys; epoch 0 and zeros before the first."""
        epoch = self.member(account).epoch
        if epoch == 0:
            return Keys(epoch=0, signer=EMPTY_ADDRESS, encryption=EMPTY_WORD, block=0)
        return self.keys_at(account, epoch)

    def keys_at(self, account: bytes, epoch: int) -> Keys:
        """Return one of an account's key sets, current or past.

        Raises:
            RecordMissing: There is none with this number.
        """
        signer, encryption, block = self._record("keysAt", account, epoch)
        if signer == EMPTY_ADDRESS:
            raise RecordMissing(f"0x{account.hex()} has no key set {epoch}.")
        return Keys(epoch=epoch, signer=signer, encryption=encryption, block=block)

    def member_of_signer(self, signer: bytes) -> bytes | None:
        """Return the account that registered a signing key, at any time, or None."""
        found = bytes(self._ask("signerOf", signer))
        return None if found == EMPTY_ADDRESS else found

    # ---------------------------------------------------------------- runs, rounds, models
    def origin(self, run: bytes) -> Origin:
        """Return what never changes about a run.

        Raises:
            RecordMissing: There is none.
        """
        found = self.run(run)
        return Origin(sponsor=found.sponsor, coordinator=found.coordinator, terms=found.terms)

    def run(self, run: bytes) -> Run:
        """Return a run.

        Raises:
            RecordMissing: There is none.
        """
        (sponsor, coordinator, token, terms, state, min_clients, max_rounds, opened, finalised, accepted,
         closing_delay, closes_at, budget, spent, escrow, allocated, claimed) = self._record("runs", run)  # fmt: skip
        if state == RunState.NONE:
            raise RecordMissing(f"The ledger has no run 0x{run.hex()}.")
        return Run(
            id=run,
            sponsor=sponsor,
            coordinator=coordinator,
            token=token,
            terms=terms,
            state=RunState(state),
            min_clients=min_clients,
            max_rounds=max_rounds,
            opened=opened,
            finalised=finalised,
            accepted=accepted,
            closing_delay=closing_delay,
            closes_at=closes_at,
            budget=budget,
            spent=spent,
            escrow=escrow,
            allocated=allocated,
            claimed=claimed,
        )

    def consent(self, run: bytes, holder: bytes) -> bytes:
        """Return the digest of the terms that a holder accepts now; zero when it does not consent.

        The contract keeps the consent of an account that is removed. Here it counts no more: neither while the account
        is no holder, nor when it is admitted again and has not consented since.
        """
        terms = bytes(self._ask("consent", run, holder))
        if terms == EMPTY_WORD:
            return EMPTY_WORD
        member = self.member(holder)
        if Role.HOLDER not in member.roles or self._consented_at(run, holder, member.since) <= member.since:
            return EMPTY_WORD
        return terms

    def _consented_at(self, run: bytes, holder: bytes, since: int) -> int:
        """Return the block of the newest consent event of a holder from ``since`` on; 0 when there is none."""
        topics = [self._interface.event("Consent").topic, run, holder.rjust(WORD_SIZE, b"\0")]
        found = self._connection.logs(self._address, topics, since, self._connection.head().number)
        return max((log.block_number for log in found), default=0)

    def data_budget(self, holder: bytes, dataset: bytes) -> DataBudget:
        """Return the privacy budget of a holder's data set; zeros when the holder granted none."""
        granted, reserved, spent = self._record("budgetOf", holder, dataset)
        return DataBudget(holder=holder, dataset=dataset, granted=granted, reserved=reserved, spent=spent)

    def pledge(self, run: bytes, holder: bytes) -> Pledge:
        """Return what a holder set aside for a run; its data set is zero when there is nothing."""
        dataset, since = self._record("pledgeOf", run, holder)
        return Pledge(run=run, holder=holder, dataset=dataset, since=since)

    def round(self, run: bytes, number: int) -> Round:
        """Return a round; its state is NONE when there is none."""
        (state, cost, parent, header, root, count, included, included_count, exclusions, rewards, model) = (
            self._record("round", run, number)
        )
        return Round(
            run=run,
            number=number,
            state=RoundState(state),
            cost=cost,
            parent=parent,
            header=header,
            root=root,
            count=count,
            included=included,
            included_count=included_count,
            exclusions=exclusions,
            rewards=rewards,
            model=model,
        )

    def model(self, model: bytes) -> Model:
        """Return a model version.

        Raises:
            RecordMissing: There is none.
        """
        run, number, parent, artifact, metrics, aggregate_key = self._record("models", model)
        if run == EMPTY_WORD:
            raise RecordMissing(f"The ledger has no model 0x{model.hex()}.")
        return Model(
            id=model,
            run=run,
            round=number,
            parent=parent,
            artifact=artifact,
            metrics=metrics,
            aggregate_key=aggregate_key,
        )

    def lineage(self, model: bytes) -> tuple[bytes, ...]:
        """Return the ids of a model's ancestors, nearest first.

        Raises:
            RecordMissing: There is no such model.
        """
        self.model(model)
        ancestors: list[bytes] = []
        while len(ancestors) < MAX_LINEAGE:
            page = self._ask("lineage", ancestors[-1] if ancestors else model)
            ancestors.extend(bytes(item) for item in page)
            if len(page) < _LINEAGE_PAGE:
                break
        return tuple(ancestors)

    def claimed(self, run: bytes, account: bytes) -> int:
        """Return what an account was paid for a run so far."""
        return int(self._ask("claimedOf", run, account))

    def token_balance(self, token: bytes, account: bytes) -> int:
        """Return an account's balance of an ERC-20 token."""
        return int(self._connection.call(token, interface("RewardToken").function("balanceOf"), account)[0])

    def token_allowance(self, token: bytes, owner: bytes, spender: bytes) -> int:
        """Return how many units of an ERC-20 token ``spender`` may take from ``owner``."""
        return int(
            self._connection.call(token, interface("RewardToken").function("allowance"), owner, spender)[0]
        )

    def token_supply(self, token: bytes) -> int:
        """Return how many units of an ERC-20 token there are."""
        return int(self._connection.call(token, interface("RewardToken").function("totalSupply"))[0])

    def token_form(self, token: bytes) -> tuple[str, int]:
        """Return an ERC-20 token's symbol and decimals, as its contract claims; cut to 12 characters and 0 to 36."""
        symbol, decimals = (
            self._connection.call(token, interface("RewardToken").function(name))[0]
            for name in ("symbol", "decimals")
        )
        return "".join(c for c in str(symbol) if c.isprintable())[:12], min(int(decimals), 36)

    def paused(self) -> bool:
        """Tell whether the ledger takes no new work."""
        return bool(self._ask("paused"))

    def threshold(self) -> int:
        """Return how many votes an act needs."""
        return int(self._ask("threshold"))

    def member_count(self) -> int:
        """Return how many members there are."""
        return int(self._ask("memberCount"))

    def era(self) -> int:
        """Return how many acts were executed; votes count in the era they were cast in."""
        return int(self._ask("era"))

    def votes(self, proposal: bytes) -> int:
        """Return how many members voted for a proposal."""
        return int(self._ask("votes", proposal))

    def voted(self, proposal: bytes, account: bytes) -> bool:
        """Tell whether a member voted for a proposal."""
        return bool(self._ask("voted", proposal, account))

    def proposal_id(self, act: int, subject: bytes, roles: int, info: bytes) -> bytes:
        """Return the id under which votes for an act are counted now."""
        return bytes(self._ask("proposalId", act, subject, roles, info))

    # ---------------------------------------------------------------- events
    def events(self, name: str, from_block: int = 0, to_block: int | None = None) -> tuple[Event, ...]:
        """Return all events of one name, in order.

        Args:
            name: As in the contract.
            from_block: First block.
            to_block: Last block; by default the newest one that is deep enough.
        """
        kind = self._interface.event(name)
        last = self._deep_enough() if to_block is None else to_block
        found = self._connection.logs(self._address, [kind.topic], from_block, last)
        return tuple(_event(name, kind.decode(log.topics, log.data), log) for log in found)

    def follow(self, name: str, cursor: Cursor | None) -> tuple[tuple[Event, ...], Cursor]:
        """Return the events since ``cursor`` (all when it is None) and the cursor for the next time.

        Raises:
            ForkDetected: The block of the cursor is no longer on the chain; what was read may be void.
        """
        first = 0
        if cursor is not None:
            found = self._connection.block_hash(cursor.number)
            if found != cursor.hash:
                raise ForkDetected(cursor.number, cursor.hash, found)
            first = cursor.number + 1
        last = self._deep_enough()
        if last < first:
            return (), cursor or Cursor(number=0, hash=self.block_hash(0))
        events = self.events(name, first, last)
        return events, Cursor(number=last, hash=self.block_hash(last))

    def _deep_enough(self) -> int:
        return max(0, self._connection.head().number - self._confirmations + 1)

    # ---------------------------------------------------------------- asking
    def _ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - the caller knows the function's type
        """Call a view with one result."""
        return self._connection.call(self._address, self._interface.function(name), *arguments)[0]

    def _record(self, name: str, *arguments: object) -> tuple[Any, ...]:
        """Call a view that returns one struct; give its fields."""
        fields: tuple[Any, ...] = self._ask(name, *arguments)
        return fields


def _event(name: str, values: Mapping[str, object], log: Log) -> Event:
    return Event(
        name=name,
        values=values,
        block_number=log.block_number,
        block_hash=log.block_hash,
        tx_hash=log.tx_hash,
        position=log.position,
    )
