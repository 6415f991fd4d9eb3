"""One data holder's own actions before and around a run: make keys, join a ledger, accept terms, open the door.

Each action is the holder's: it is signed with the holder's key and changes the holder's folder. The demo performs them for
all four hospitals on one machine; in production each holder does it through ``suture-node``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from clients import door
from clients.node.accepted import store_terms
from clients.node.data_sets import committed
from clients.node.house import House, open_house, open_ledger, open_node
from clients.node.logbook import Logbook
from clients.node.new_house import create_house, write_config
from clients.node.policy import Policy
from clients.node.service import Node
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.terms import Terms
from fl_core.randomness import RandomSource
from ledger.address import LedgerAddress
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.records import Act, Role
from ledger.typed_data import Domain, KeyPossession
from ledger.writer import LedgerWriter

_EXECUTED = ExecutedBlocks()
"""What the hospitals of one process share, as they share its interpreter lock."""


class Hospital:
    """A data holder.

    Args:
        folder: Its node folder.
        clock: Unix time in seconds.
        random: Fresh randomness.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], int], random: RandomSource) -> None:
        self._clock = clock
        self._random = random
        self._house: House = open_house(folder)
        self._node: Node | None = None
        self._writer: LedgerWriter | None = None
        self._logbook: Logbook | None = None

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        records: bytes,
        *,
        tasks: tuple[str, ...],
        allow_plaintext: bool,
        allow_ckks: bool = False,
        clock: Callable[[], int],
        random: RandomSource,
        scrypt_cost: int,
    ) -> Hospital:
        """Make the folder with fresh keys and a policy that allows ``tasks``, and open it."""
        policy = Policy(
            tasks=tasks,
            allow_plaintext=allow_plaintext,
            allow_ckks=allow_ckks,
            release_ckks_model=allow_ckks,  # without it the coordinator would end such a run without a model
        )
        create_house(folder, name, records, policy, random=random, scrypt_cost=scrypt_cost)
        return cls(folder, clock=clock, random=random)

    @property
    def name(self) -> str:
        """The holder's name."""
        return self._house.name

    @property
    def account(self) -> bytes:
        """Its account on the ledger."""
        return self._house.account.address

    @property
    def transport_key(self) -> bytes:
        """Its transport public key."""
        return self._house.transport.public

    @property
    def records(self) -> int:
        """Number of records in its data set."""
        return self._house.manifest.records

    def join(self, connection: Web3Connection, contract: bytes, chain: str) -> None:
        """Register the holder's keys on the ledger, with proof of possession, and follow that ledger from now on.

        Args:
            connection: The chain.
            contract: The ledger's contract.
            chain: Where the node finds the chain, see :class:`~ledger.address.LedgerAddress`.
        """
        house = self._house
        self._logbook = Logbook(house.folder, self.account, clock=self._clock)
        self._writer = LedgerWriter(
            connection,
            contract,
            house.account,
            house.folder / "outbox.sqlite",
            before_sending=self._logbook.note_transaction,
        )
        encryption = transport_key_digest(house.transport.public)
        statement = KeyPossession(member=self.account, epoch=1, encryption=encryption)
        domain = Domain(chain_id=connection.chain_id, contract=contract)
        possession = house.account.sign_digest(statement.digest(domain))
        self._writer.set_keys(self.account, encryption, possession, intent="keys/1")
        ledger = LedgerAddress(chain=chain, chain_id=connection.chain_id, contract=contract.hex())
        write_config(house.folder, house.name, house.policy, ledger)
        self._house = open_house(house.folder)

    def vote_in(self, account: bytes) -> None:
        """Vote for admitting another holder; the last vote needed makes it a member."""
        assert self._writer is not None, "a holder joins a ledger before it votes"
        self._writer.vote(Act.ADMIT, account, Role.HOLDER, intent=f"admit/{account.hex()}")

    def accept(self, run: bytes, terms: Terms) -> None:
        """Accept a run's terms with the data set of their task: keep the document, then sign the acceptance.

        Raises:
            InputError: The folder does not have that data set, or it was changed.
        """
        assert self._writer is not None, "a holder joins a ledger before it accepts terms"
        dataset = committed(self._house.folder, self._house.policy.data_set(terms.task)).commitment
        store_terms(self._house.folder, terms)
        self._writer.accept(run, terms.digest, dataset, intent=f"{run.hex()}/accept")

    def serve_in_process(self) -> str:
        """Open the node's door inside this process and return its address."""
        self._node = open_node(self._house, clock=self._clock, random=self._random, executed=_EXECUTED)
        return door.register(self.name, self._node)

    def cosign(self) -> None:
        """Execute what is new on an embedded chain and leave a checkpoint of its newest block for the others.

        For when the node does not run: a node that does co-signs by itself.
        """
        ledger = self._house.ledger
        assert ledger is not None, "a holder joins a ledger before it co-signs blocks"
        with closing(Logbook(self._house.folder, self.account, clock=self._clock)) as logbook:
            open_ledger(self._house, ledger, logbook, clock=self._clock).close()

    def close(self) -> None:
        """Close the door and every file."""
        if self._node is not None:
            door.unregister(self.name)
            self._node.close()
            self._node = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._logbook is not None:
            self._logbook.close()
            self._logbook = None
