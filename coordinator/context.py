"""Everything a run needs while it is in progress, opened from a run's folder on the coordinator's machine.

::

    FOLDER/
      public/              the public folder, see :mod:`ledger.papers`
      coordinator/         private: keystore, passphrase file, outbox, journal, events, signed checkpoints, and the
                           ledger.toml of a ledger on an external chain; ``account.uri`` instead of keystore, passphrase and
                           outbox where the account is kept elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import RunStateError
from coordinator.event_lines import EventLines
from coordinator.run_chain import RunChain, external_ledger, open_run_chain
from coordinator.store.events import Event, EventLog
from coordinator.store.journal import Journal
from fl_core.errors import DecodeError, InputError
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.terms import MAX_TERMS, Terms
from fl_core.randomness import RandomSource
from ledger.archive import Archive
from ledger.board import FolderBoard
from ledger.chain.embedded import EmbeddedChain
from ledger.chain.embedded.reading import ChainReading
from ledger.chain.ports import Waiting
from ledger.cosigner import Cosigner
from ledger.errors import ArchiveError
from ledger.files import read_plain
from ledger.papers import PublicFolder, RunPaper
from ledger.reader import LedgerReader
from ledger.signer import Signer, keystore_of, open_keystore, open_signer
from ledger.typed_data import Domain
from ledger.watching_reader import WatchingReader
from ledger.writer import LedgerWriter

MAX_TRANSPORT_KEY = 4096  # bytes


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """An open run.

    Attributes:
        public: The public folder.
        private: The coordinator's private folder.
        archive: Its archive.
        chain: The embedded chain, open for writing; None where the ledger is on an external chain.
        reader: Reads the ledger.
        writer: Writes to the ledger as the coordinator.
        account: The coordinator's account; signs receipts.
        run: Run id.
        terms: The run's terms.
        names: Account -> name, for people.
        transport_keys: Account -> registered transport public key; the CKKS mode seals its key to it.
        prekeys: Account -> its newest prekey, checked before it is used.
        journal: What was done.
        events: What people see.
        clock: Unix time in seconds.
        random: Fresh randomness.
        cosigner: Signs the coordinator's own checkpoints; None leaves the chain unsigned by its author.
    """

    public: PublicFolder
    private: Path
    archive: Archive
    chain: EmbeddedChain | None
    reader: LedgerReader
    writer: LedgerWriter
    account: Signer
    run: bytes
    terms: Terms
    names: dict[bytes, str]
    transport_keys: dict[bytes, bytes]
    prekeys: dict[bytes, SignedPrekey]
    journal: Journal
    events: EventLog
    clock: Callable[[], int]
    random: RandomSource
    cosigner: Cosigner | None = None

    def vouch(self) -> None:
        """Sign the chain's newest block as its author, before anybody is asked to act on it.

        It makes nothing final; an author that signs two histories convicts itself. An external chain is not its own to sign.

        Raises:
            CheckpointRefused: The chain is not the one that was signed before: it was lost, or restored from a copy.
        """
        if self.cosigner is None or self.chain is None:  # an external chain's own consensus vouches for it
            return
        reading = ChainReading(self.chain)
        head, genesis = reading.head(), reading.block_hash(0)
        assert genesis is not None, "a chain has a block 0"
        signed = self.cosigner.sign(genesis, head.number, head.hash)
        FolderBoard(self.public.checkpoints).publish(signed.encode())

    def close(self) -> None:
        """Close every file; the embedded chain becomes a single file again."""
        if self.cosigner is not None:
            self.cosigner.close()
        self.writer.close()
        self.journal.close()
        self.events.close()
        if self.chain is not None:
            self.chain.close()


ACCOUNT_URI = "account.uri"
MAX_URI = 1 << 12  # bytes


def coordinator_signer(private: Path) -> Signer:
    """Open the coordinator's account from its private folder, or from where ``account.uri`` says it is."""
    uri = _account_uri(private)
    return (
        open_keystore(private / "account.json", private / "passphrase") if uri is None else open_signer(uri)
    )


def coordinator_outbox(private: Path) -> Path:
    """Return the outbox of the coordinator's account; it lies beside the keystore."""
    uri = _account_uri(private)
    return (private if uri is None else keystore_of(uri).parent) / "outbox.sqlite"


def _account_uri(private: Path) -> str | None:
    try:
        return read_plain(private / ACCOUNT_URI, MAX_URI).decode().strip()
    except FileNotFoundError:
        return None


def _cosigner(private: Path, account: Signer, domain: Domain) -> Cosigner:
    return Cosigner(private / "signed.sqlite", member=account.address, domain=domain, signer=account)


def _transport_keys(paper: RunPaper, archive: Archive) -> dict[bytes, bytes]:
    return {
        bytes.fromhex(address): archive.get(bytes.fromhex(digest), MAX_TRANSPORT_KEY)
        for address, digest in paper.transport_keys.items()
    }


def _sweep(public: PublicFolder) -> None:
    """Delete the half-written files that a crash left; files in the making have names that begin with a dot.

    Called while this process holds the chain for writing, so nobody else makes any, but for members that leave checkpoints.
    """
    for path in public.path.rglob(".*"):
        if path.is_file() and not path.is_symlink() and path.parent != public.checkpoints:
            path.unlink()


def open_run(
    folder: Path,
    *,
    clock: Callable[[], int],
    random: RandomSource,
    listener: Callable[[Event], None] | None = None,
) -> RunContext:
    """Open a run's folder as its coordinator; transactions that a crash left behind are sent first.

    Args:
        folder: The run's folder.
        clock: Unix time in seconds.
        random: Fresh randomness.
        listener: Called with every event.

    Raises:
        RunStateError: The folder is damaged.
        InputError: It is no run's folder, or its keys do not open.
        LedgerError: Another process writes to this chain, it is another one, or it is away for too long.
    """
    public, private = PublicFolder(folder / "public"), folder / "coordinator"
    paper = _paper(folder, public)
    account = coordinator_signer(private)
    external = external_ledger(private, paper)
    # an embedded chain's lock comes before the first event
    told: list[EventLog] = [] if external is None else [_events(private, paper, listener)]
    chain = None
    try:
        opened = open_run_chain(public, paper, external, clock=clock, waiting=_teller(told))
        chain = opened.embedded
        _sweep(public)
        contract, archive = bytes.fromhex(paper.contract), Archive(public.archive)
        events = told[0] if told else _events(private, paper, listener)
        told[:] = [events]
        writer = _writer(opened, contract, account, private, _teller(told))
        return RunContext(
            public=public,
            private=private,
            archive=archive,
            chain=chain,
            reader=WatchingReader(opened.connection, contract, confirmations=opened.confirmations),
            writer=writer,
            account=account,
            run=bytes.fromhex(paper.run),
            terms=Terms.decode(archive.get(bytes.fromhex(paper.terms), MAX_TERMS)),
            names={bytes.fromhex(address): name for address, name in paper.names.items()},
            transport_keys=_transport_keys(paper, archive),
            prekeys={},
            journal=Journal(private / "journal.sqlite"),
            events=events,
            clock=clock,
            random=random,
            cosigner=_cosigner(private, account, Domain(chain_id=paper.chain_id, contract=contract)),
        )
    except (DecodeError, ArchiveError) as error:
        _close(chain, told)
        raise RunStateError(f"{folder} is damaged: {error}") from error
    except BaseException:
        _close(chain, told)
        raise


def _paper(folder: Path, public: PublicFolder) -> RunPaper:
    try:
        return RunPaper.decode(public.run.read_bytes())
    except OSError as error:
        raise InputError(f"{folder} is not the folder of a run ({error.strerror}).") from error


def _teller(told: Sequence[EventLog]) -> Waiting:
    """Return what tells the events that are open then of a ledger that is waited for."""

    def waiting(reason: str, seconds: float) -> None:
        for events in told:
            events.emit("ledger-away", reason=reason, seconds=round(seconds))

    return waiting


def _writer(
    chain: RunChain, contract: bytes, account: Signer, private: Path, waiting: Waiting
) -> LedgerWriter:
    """Open the coordinator's writer; what a crash left is sent first."""
    writer = LedgerWriter(
        chain.connection, contract, account, coordinator_outbox(private),
        confirmations=chain.confirmations, timeout_s=chain.patience_s, waiting=waiting,
    )  # fmt: skip
    writer.recover()
    return writer


def _events(private: Path, paper: RunPaper, listener: Callable[[Event], None] | None) -> EventLog:
    return EventLog(private / "events.jsonl", listener, EventLines(paper.run, paper.names).tell)


def _close(chain: EmbeddedChain | None, told: Sequence[EventLog]) -> None:
    for events in told:
        events.close()
    if chain is not None:
        chain.close()
