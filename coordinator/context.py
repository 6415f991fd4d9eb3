"""Everything a run needs while it is in progress, opened from a run's folder on the coordinator's machine.

::

    FOLDER/
      public/              the public folder, see :mod:`ledger.papers`
      coordinator/         private: keystore, passphrase file, outbox, journal, events, signed checkpoints, and the
                           ledger.toml of a ledger on an external chain
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import RunStateError
from coordinator.store.events import Event, EventLog
from coordinator.store.journal import Journal
from fl_core.errors import DecodeError, InputError
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.terms import MAX_TERMS, Terms
from fl_core.randomness import RandomSource
from ledger.address import FILE as LEDGER_FILE
from ledger.address import find_ledger
from ledger.archive import Archive
from ledger.board import FolderBoard
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import EmbeddedChain, open_embedded
from ledger.chain.embedded.reading import ChainReading
from ledger.cosigner import Cosigner
from ledger.errors import ArchiveError
from ledger.papers import PublicFolder, RunPaper
from ledger.reader import LedgerReader
from ledger.signer import Signer, open_keystore
from ledger.typed_data import Domain
from ledger.watching_reader import WatchingReader
from ledger.writer import LedgerWriter

MAX_TRANSPORT_KEY = 4096  # bytes
LEDGER_PATIENCE_S = 600.0
"""How long a node of an external chain may be away before the run gives up, in seconds; it can then be resumed."""


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


def coordinator_signer(private: Path) -> Signer:
    """Open the coordinator's account from its private folder."""
    return open_keystore(private / "account.json", private / "passphrase")


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
        ChainBusy: Another process writes to this chain.
    """
    public, private = PublicFolder(folder / "public"), folder / "coordinator"
    try:
        paper = RunPaper.decode(public.run.read_bytes())
    except OSError as error:
        raise InputError(f"{folder} is not the folder of a run ({error.strerror}).") from error
    account = coordinator_signer(private)
    told: list[EventLog] = []
    connection, chain = _open_chain(public, private, paper, clock, told)
    try:
        _sweep(public)
        contract, archive = bytes.fromhex(paper.contract), Archive(public.archive)
        events = EventLog(private / "events.jsonl", listener)
        told.append(events)
        writer = LedgerWriter(connection, contract, account, private / "outbox.sqlite")
        writer.recover()
        return RunContext(
            public=public,
            private=private,
            archive=archive,
            chain=chain,
            reader=WatchingReader(connection, contract),
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


def _close(chain: EmbeddedChain | None, told: Sequence[EventLog]) -> None:
    for events in told:
        events.close()
    if chain is not None:
        chain.close()


def _open_chain(
    public: PublicFolder, private: Path, paper: RunPaper, clock: Callable[[], int], told: Sequence[EventLog]
) -> tuple[Web3Connection, EmbeddedChain | None]:
    """Open the run's chain: the node that the private ``ledger.toml`` names, or the file in the public folder.

    A node that is away is waited for: nothing is lost meanwhile, and the events say so.
    """
    if not (private / LEDGER_FILE).exists():
        chain = open_embedded(public.chain, chain_id=paper.chain_id, clock=clock)
        return Web3Connection(chain), chain
    address = find_ledger(private / LEDGER_FILE)

    def waiting(reason: str, seconds: float) -> None:
        for events in told:
            events.emit("ledger-away", reason=reason, seconds=round(seconds))

    connection = Web3Connection(
        address.chain, chain_id=paper.chain_id, patience_s=LEDGER_PATIENCE_S, waiting=waiting
    )
    return connection, None
