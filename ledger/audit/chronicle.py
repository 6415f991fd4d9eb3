"""What the ledger recorded about one run, in time: read from the contract's events.

The contract emits an event for every change of state, and the log index is compared with a re-execution by check 2; so the
events are the history, and they answer what the contract's views cannot: which keys and which consent held *when* a round
was opened. Block numbers stand for time; every block of an embedded chain holds one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fl_core.errors import VerificationError
from ledger.reader import Event, LedgerReader
from ledger.records import EMPTY_WORD, Role, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """Keys that an account registered in ``block``."""

    epoch: int
    signer: bytes
    encryption: bytes
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A consent that was given or withdrawn in ``block``; ``dataset`` is the commitment it was given with, zero for none."""

    given: bool
    block: int
    dataset: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """An admission in ``block``, with its roles, or a removal, with none. Roles change by removal and new admission."""

    roles: Role
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A round that was opened in ``block``."""

    number: int
    parent: bytes
    header: bytes
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalised:
    """A round that made a model; the names are those of :class:`ledger.records.Round` and ``Model``."""

    opening: Opening
    root: bytes
    count: int
    included: bytes
    included_count: int
    exclusions: bytes
    artifact: bytes
    model: bytes
    aggregate_key: bytes
    metrics: bytes
    rewards: bytes
    reward: int
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model version on this ledger, of whatever run; ``round`` is 0 and ``parent`` zero for a registered root."""

    id: bytes
    run: bytes
    round: int
    parent: bytes
    artifact: bytes
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Tokens that were paid out in ``block``."""

    account: bytes
    amount: int
    block: int


@dataclass(frozen=True, kw_only=True)
class Chronicle:
    """The history of one run.

    Attributes:
        run: The run as it stands at the newest block.
        created: Block in which it was created.
        deposit: Tokens paid into its escrow.
        refunded: Tokens of the escrow that went back to the sponsor.
        keys: Account -> its key sets, oldest first.
        members: Account -> admissions and removals, oldest first.
        consents: Account -> consents to this run and withdrawals, oldest first.
        openings: Number -> every round that was opened.
        finalised: Number -> every round that made a model, ascending.
        models: Id -> every model of the ledger.
        claims: Rewards of this run that were paid out, oldest first.
    """

    run: Run
    created: int
    deposit: int
    refunded: int
    keys: Mapping[bytes, tuple[KeySet, ...]]
    members: Mapping[bytes, tuple[Membership, ...]]
    consents: Mapping[bytes, tuple[Change, ...]]
    openings: Mapping[int, Opening]
    finalised: Mapping[int, Finalised]
    models: Mapping[bytes, ModelEntry]
    claims: tuple[Payment, ...]

    def keys_before(self, account: bytes, block: int) -> KeySet | None:
        """Return the keys that an account had when ``block`` began, or None."""
        earlier = [keys for keys in self.keys.get(account, ()) if keys.block < block]
        return earlier[-1] if earlier else None

    def consent_before(self, holder: bytes, block: int) -> Change | None:
        """Return the consent of a holder that held when ``block`` began, or None.

        The contract keeps the consent of an account that is removed. It holds no more: a consent is given as a holder,
        and ends with the membership in which it was given.
        """
        member = self.membership_before(holder, block)
        if member is None or Role.HOLDER not in member.roles:
            return None
        earlier = [change for change in self.consents.get(holder, ()) if change.block < block]
        return earlier[-1] if earlier and earlier[-1].given and earlier[-1].block > member.block else None

    def membership_before(self, account: bytes, block: int) -> Membership | None:
        """Return the admission of an account that was a member when ``block`` began, or None."""
        earlier = [change for change in self.members.get(account, ()) if change.block < block]
        return earlier[-1] if earlier and earlier[-1].roles else None

    def signer_at(self, account: bytes, number: int) -> bytes:
        """Return the address of the key with which an account signs in round ``number``.

        Raises:
            VerificationError: The account had no keys when the round was opened.
        """
        keys = self.keys_before(account, self.openings[number].block)
        if keys is None:
            raise VerificationError(
                f"0x{account.hex()} had no registered keys when round {number} was opened"
            )
        return keys.signer

    def coordinator_signer(self) -> bytes:
        """Return the address of the coordinator's newest signing key; the account itself before it registered one."""
        registered = self.keys.get(self.run.coordinator, ())
        return registered[-1].signer if registered else self.run.coordinator

    def previous(self, number: int) -> Finalised | None:
        """Return the last finalised round before ``number``, or None."""
        earlier = [n for n in self.finalised if n < number]
        return self.finalised[max(earlier)] if earlier else None


def read_chronicle(reader: LedgerReader, run: bytes) -> Chronicle:
    """Read the history of ``run``.

    Raises:
        LedgerError: There is no such run, or the ledger cannot be read.
    """
    record = reader.run(run)
    created = [e for e in reader.events("RunCreated") if e.values["run"] == run]
    openings = {e.values["round"]: _opening(e) for e in _of_run(reader, "RoundOpened", run)}
    return Chronicle(
        run=record,
        created=min((e.block_number for e in created), default=0),
        deposit=sum(e.values["escrow"] for e in created),
        refunded=sum(e.values["amount"] for e in _of_run(reader, "Refunded", run)),
        keys=_keys(reader),
        members=_members(reader),
        consents=_consents(reader, run),
        openings=openings,
        finalised=_finalised(reader, run, openings),
        models=_models(reader),
        claims=tuple(
            Payment(account=e.values["account"], amount=e.values["amount"], block=e.block_number)
            for e in _of_run(reader, "Claimed", run)
        ),
    )


def _of_run(reader: LedgerReader, name: str, run: bytes) -> list[Event]:
    return [event for event in reader.events(name) if event.values["run"] == run]


def _both(reader: LedgerReader, *names: str) -> list[Event]:
    """Return the events of several names in order."""
    found = [event for name in names for event in reader.events(name)]
    return sorted(found, key=lambda event: (event.block_number, event.position))


def _members(reader: LedgerReader) -> dict[bytes, tuple[Membership, ...]]:
    found: dict[bytes, tuple[Membership, ...]] = {}
    for event in _both(reader, "MemberAdmitted", "MemberRemoved"):
        account, roles = event.values["member"], Role(event.values.get("roles", 0))
        found[account] = (*found.get(account, ()), Membership(roles=roles, block=event.block_number))
    return found


def _consents(reader: LedgerReader, run: bytes) -> dict[bytes, tuple[Change, ...]]:
    datasets = {event.tx_hash: event.values["dataset"] for event in _of_run(reader, "BudgetReserved", run)}
    found: dict[bytes, tuple[Change, ...]] = {}
    for event in _of_run(reader, "Consent", run):
        account, given = event.values["holder"], bool(event.values["given"])
        dataset = datasets.get(event.tx_hash, EMPTY_WORD) if given else EMPTY_WORD
        change = Change(given=given, block=event.block_number, dataset=dataset)
        found[account] = (*found.get(account, ()), change)
    return found


def _keys(reader: LedgerReader) -> dict[bytes, tuple[KeySet, ...]]:
    found: dict[bytes, tuple[KeySet, ...]] = {}
    for event in reader.events("KeysSet"):
        account, v = event.values["member"], event.values
        keys = KeySet(
            epoch=v["epoch"], signer=v["signer"], encryption=v["encryption"], block=event.block_number
        )
        found[account] = (*found.get(account, ()), keys)
    return found


def _opening(event: Event) -> Opening:
    v = event.values
    return Opening(number=v["round"], parent=v["parent"], header=v["header"], block=event.block_number)


def _finalised(reader: LedgerReader, run: bytes, openings: Mapping[int, Opening]) -> dict[int, Finalised]:
    """Join the events of the three steps after the opening; the contract allows each once and in this order."""
    committed = {e.values["round"]: e.values for e in _of_run(reader, "RoundCommitted", run)}
    included = {e.values["round"]: e.values for e in _of_run(reader, "RoundIncluded", run)}
    found = {}
    for event in _of_run(reader, "RoundFinalised", run):
        v, number = event.values, event.values["round"]
        found[number] = Finalised(
            opening=openings[number],
            root=committed[number]["root"],
            count=committed[number]["count"],
            included=included[number]["root"],
            included_count=included[number]["count"],
            exclusions=included[number]["exclusions"],
            artifact=v["artifact"],
            model=v["model"],
            aggregate_key=v["aggregateKey"],
            metrics=v["metrics"],
            rewards=v["rewardsRoot"],
            reward=v["reward"],
            block=event.block_number,
        )
    return found


def _models(reader: LedgerReader) -> dict[bytes, ModelEntry]:
    found = {}
    for event in _both(reader, "RootRegistered", "RoundFinalised"):
        v = event.values
        found[v["model"]] = ModelEntry(
            id=v["model"],
            run=v["run"],
            round=v.get("round", 0),
            parent=v.get("parent", EMPTY_WORD),
            artifact=v["artifact"],
            block=event.block_number,
        )
    return found
