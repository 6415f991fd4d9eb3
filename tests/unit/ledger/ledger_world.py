"""A ledger with a coordinator and holders, on an embedded chain or on a real node, for the tests of reader and writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from fl_core.secret import Secret
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.reader import LedgerReader
from ledger.records import Receipt, Role
from ledger.signer import KeySigner
from ledger.typed_data import KeyPossession, model_id, run_id
from ledger.writer import LedgerWriter, deploy_ledger, deploy_token
from tests.simulators.anvil import Anvil
from tests.unit.ledger.embedded_world import CHAIN_ID, START

TERMS = b"\x09" * 32
ROOT = b"\x11" * 32
DATASET = b"\x22" * 32
ESCROW = 1_000_000
NODES = ["embedded", pytest.param("anvil", marks=[pytest.mark.anvil, pytest.mark.network])]
"""What a suite runs on; see :func:`ledger_on`."""
EVERYTHING = Role.HOLDER | Role.RESEARCHER | Role.AUDITOR | Role.COORDINATOR


def word(number: int) -> bytes:
    """Return a word that is easy to tell apart."""
    return number.to_bytes(32, "big")


class LedgerWorld:
    """Member 0 may do everything, the others are holders; all have keys.

    Args:
        folder: Where chain and outboxes lie.
        holders: How many members there are besides the first.
        node: A real node to use; an embedded chain in ``chain`` when there is none.
    """

    def __init__(self, folder: Path, holders: int = 3, node: Anvil | None = None) -> None:
        self.folder = folder
        self.now = START
        self.node = node
        if node is None:
            self.chain = open_embedded(folder / "ledger.sqlite", chain_id=CHAIN_ID, clock=lambda: self.now)
        self.connection = Web3Connection(self.chain if node is None else node.url)
        self.signers = [KeySigner(Secret(bytes([n + 1]) * 32)) for n in range(holders + 1)]
        self.accounts = [signer.address for signer in self.signers]
        founders = {a: Role.HOLDER if n else EVERYTHING for n, a in enumerate(self.accounts)}
        first = self.signers[0]
        self.address = deploy_ledger(self.connection, first, self.outbox(0), founders=founders, threshold=2)
        self.token = deploy_token(self.connection, first, self.outbox(0), minter=first.address, cap=10**12)
        self.reader = LedgerReader(self.connection, self.address)
        self.writers = [
            LedgerWriter(self.connection, self.address, signer, self.outbox(n))
            for n, signer in enumerate(self.signers)
        ]
        self.writer = self.writers[0]
        self.run = run_id(first.address, TERMS)

    def outbox(self, member: int) -> Path:
        """Return the outbox file of a member."""
        return self.folder / f"outbox-{member}.sqlite"

    def pass_time(self, seconds: int) -> None:
        """Let time pass before the next block."""
        self.now += seconds
        if self.node is not None:
            self.node.next_block_at(self.connection.head().timestamp + seconds)

    def set_keys(self, member: int, signer: KeySigner, epoch: int) -> Receipt:
        """Register a key set."""
        possession = KeyPossession(member=self.accounts[member], epoch=epoch, encryption=word(epoch))
        signature = signer.sign_digest(possession.digest(self.reader.domain()))
        return self.writers[member].set_keys(signer.address, word(epoch), signature, intent=f"keys {epoch}")

    def begin(self, closing_delay: int = 10) -> None:
        """Fund and create a run, consent to it, register its first model."""
        self.writer.mint(self.token, self.accounts[0], ESCROW, intent="mint")
        self.writer.approve(self.token, self.address, ESCROW, intent="approve")
        self.writer.create_run(
            self.run,
            TERMS,
            token=self.token,
            escrow=ESCROW,
            min_clients=2,
            max_rounds=100,
            budget=50,
            coordinator=self.accounts[0],
            closing_delay=closing_delay,
            intent="create",
        )
        for member, signer in enumerate(self.signers):
            self.set_keys(member, signer, 1)
            self.writers[member].grant_budget(DATASET, 60, intent="grant")
            self.writers[member].accept(self.run, TERMS, DATASET, intent="accept")
        self.writer.register_root(self.run, ROOT, word(1), intent="root")

    def play(self, number: int, parent: bytes, rewards: bytes = bytes(32), reward: int = 0) -> bytes:
        """Run a round on the ledger; return the new model's id."""
        w, run = self.writer, self.run
        w.open_round(run, number, parent, word(100 + number), 5, intent=f"open {number}")
        w.commit_round(run, number, word(200 + number), 3, intent=f"commit {number}")
        w.commit_included(run, number, word(300 + number), 2, word(9), intent=f"include {number}")
        artifact = word(400 + number)
        w.finalise_round(
            run, number, artifact, word(7), word(8), rewards, reward, intent=f"finalise {number}"
        )
        return model_id(run, number, artifact)

    @property
    def root(self) -> bytes:
        """Id of the run's first model."""
        return model_id(self.run, 0, ROOT)


@contextmanager
def ledger_on(kind: str, folder: Path) -> Iterator[LedgerWorld]:
    """Make a world on one of :data:`NODES`; skips where there is no anvil."""
    with Anvil(chain_id=CHAIN_ID) if kind == "anvil" else nullcontext() as node:
        yield LedgerWorld(folder, node=node)
