"""The same story told to a real contract and to :class:`LedgerFacts`: a node sees the same views."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from clients.node.view import accepted_set, committed_sets, ledger_view
from coordinator.rounds.plan import Situation, first_blocks, plan_header
from fl_core.errors import VerificationError
from fl_core.protocol.setup import transport_key_digest
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, Act, Role
from ledger.signer import KeySigner
from ledger.typed_data import Domain, KeyPossession, model_id, run_id
from ledger.writer import LedgerWriter, deploy_ledger
from tests.simulators.consortium import MODEL, NOW, TERMS, seed
from tests.simulators.ledger_facts import LedgerFacts

ACCOUNTS = sorted((KeySigner(seed(("account", i))) for i in range(4)), key=lambda s: s.address)
COORDINATOR = KeySigner(seed("coordinator"))
ARTIFACT = hashlib.sha256(MODEL).digest()
RUN = run_id(COORDINATOR.address, TERMS.digest)
ROOTS = (b"\x0a" * 32, b"\x0b" * 32)


def transport(position: int) -> bytes:
    return transport_key_digest(TransportPrivateKey.from_seed(seed(("transport", position))).public)


def header_for(reader, number):
    head = reader.head()
    situation = Situation(
        chain_id=reader.chain_id, contract=reader.address, run=RUN, round=number,
        parent=model_id(RUN, 0, ARTIFACT), artifact=ARTIFACT,
        transport_keys={s.address: transport(i) for i, s in enumerate(ACCOUNTS)},
        blocks=first_blocks(TERMS), beacon_number=head.number, beacon=head.hash, deadline=NOW,
    )  # fmt: skip
    return plan_header(TERMS, situation)


class OnTheChain:
    """The story's steps as transactions of a contract."""

    def __init__(self, folder):
        self.chain = open_embedded(folder / "chain.sqlite", chain_id=31337, clock=lambda: NOW)
        connection = Web3Connection(self.chain)
        founders = {s.address: Role.HOLDER for s in ACCOUNTS}
        founders[COORDINATOR.address] = Role.COORDINATOR | Role.RESEARCHER
        address = deploy_ledger(
            connection, COORDINATOR, folder / "deploy.sqlite", founders=founders, threshold=2
        )
        self.reader = LedgerReader(connection, address)
        self.writers = {
            s.address: LedgerWriter(connection, address, s, folder / f"{s.address.hex()}.sqlite")
            for s in (*ACCOUNTS, COORDINATOR)
        }
        self.domain = Domain(chain_id=31337, contract=address)
        self.lead = self.writers[COORDINATOR.address]

    def set_keys(self, account, signer, encryption):
        epoch = self.reader.keys(account).epoch + 1
        statement = KeyPossession(member=account, epoch=epoch, encryption=encryption)
        proof = signer.sign_digest(statement.digest(self.domain))
        self.writers[account].set_keys(signer.address, encryption, proof, intent=f"keys/{epoch}")

    def create_run(self):
        self.lead.create_run(
            RUN,
            TERMS.digest,
            min_clients=3,
            max_rounds=5,
            coordinator=COORDINATOR.address,
            closing_delay=0,
            intent="run",
        )

    def accept(self, account):
        block = self.reader.head().number
        self.writers[account].accept(RUN, TERMS.digest, intent=f"accept after block {block}")

    def register_root(self):
        self.lead.register_root(RUN, ARTIFACT, EMPTY_WORD, intent="root")

    def open_round(self, number, header):
        self.lead.open_round(RUN, number, header.parent, header.digest, intent=f"{number}/open")

    def commit(self, number):
        self.lead.commit_round(RUN, number, ROOTS[0], 4, intent=f"{number}/commit")

    def include(self, number):
        self.lead.commit_included(RUN, number, ROOTS[1], 3, EMPTY_WORD, intent=f"{number}/include")

    def abort(self, number):
        self.lead.abort_round(RUN, number, intent=f"{number}/abort")

    def remove(self, account):
        self._vote(Act.REMOVE, account)

    def admit(self, account, roles):
        self._vote(Act.ADMIT, account, roles)

    def _vote(self, *proposal):
        block = self.reader.head().number
        for voter in ACCOUNTS[:2]:
            self.writers[voter.address].vote(*proposal, intent=f"vote after block {block}")

    def withdraw(self, account):
        self.writers[account].withdraw(RUN, intent="withdraw")

    def close(self):
        for writer in self.writers.values():
            writer.close()
        self.chain.close()


class OnFacts:
    """The same steps as plain facts."""

    def __init__(self, folder):
        self.reader = self.facts = LedgerFacts()
        for signer in (*ACCOUNTS, COORDINATOR):
            self.facts.admit(signer.address)

    def set_keys(self, account, signer, encryption):
        self.facts.set_keys(account, signer.address, encryption)

    def create_run(self):
        self.facts.create_run(RUN, TERMS.digest, COORDINATOR.address, 3)

    def accept(self, account):
        self.facts.accept(RUN, account, TERMS.digest)

    def register_root(self):
        self.facts.register_root(RUN, ARTIFACT)

    def open_round(self, number, header):
        self.facts.open_round(RUN, number, header.parent, header.digest)

    def commit(self, number):
        self.facts.commit_round(RUN, number, ROOTS[0], 4)

    def include(self, number):
        self.facts.commit_included(RUN, number, ROOTS[1], 3)

    def abort(self, number):
        self.facts.end(RUN, number)

    def remove(self, account):
        self.facts.remove(account)

    def admit(self, account, roles):
        self.facts.admit(account, roles)

    def withdraw(self, account):
        self.facts.withdraw(RUN, account)

    def close(self):
        pass


def told(told_to, folder):
    """Tell the story; return what a node sees on the way, without what depends on block numbers."""
    world, seen = told_to(folder), []

    def look(header):
        for view in (ledger_view, accepted_set, committed_sets):
            try:
                seen.append(_comparable(view(world.reader, header), header))
            except VerificationError as error:
                seen.append(str(error))

    for position, signer in enumerate(ACCOUNTS):
        world.set_keys(signer.address, signer, transport(position))
    world.create_run()
    for signer in ACCOUNTS:
        world.accept(signer.address)
    world.register_root()
    first = header_for(world.reader, 1)
    look(first)
    world.open_round(1, first)
    look(first)
    look(replace(first, deadline=0))
    world.commit(1)
    look(first)
    look(replace(first, deadline=0))
    world.include(1)
    look(first)
    look(replace(first, deadline=0))
    world.set_keys(ACCOUNTS[0].address, KeySigner(seed("new key")), b"\x05" * 32)
    look(first)
    world.abort(1)
    look(first)
    second = header_for(world.reader, 2)
    world.open_round(2, second)
    leaver = ACCOUNTS[3].address
    world.remove(leaver)
    look(second)
    world.admit(leaver, Role.AUDITOR)
    look(second)
    world.remove(leaver)
    world.admit(leaver, Role.HOLDER | Role.AUDITOR)
    look(second)
    world.withdraw(leaver)
    world.accept(leaver)
    look(second)
    world.close()
    return seen


def _comparable(view, header):
    if not hasattr(view, "members"):
        return view
    assert all(0 < m.registered_at for m in view.members.values())
    older = {account: m.registered_at < header.beacon_number for account, m in view.members.items()}
    members = {a: replace(m, registered_at=0) for a, m in view.members.items()}
    own = (view.contract, view.header == header.digest, view.beacon == header.beacon)
    return (
        replace(view, contract=bytes(20), header=bytes(32), beacon=bytes(32), members=members),
        own[1:],
        older,
    )


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    return [told(kind, tmp_path_factory.mktemp("world")) for kind in (OnTheChain, OnFacts)]


def test_the_simulator_and_the_contract_show_a_node_the_same(stories):
    chain, facts = stories
    assert len(chain) == 39
    for position, (one, other) in enumerate(zip(chain, facts, strict=True)):
        assert one == other, position


def test_the_story_has_views_and_refusals_of_every_kind(stories):
    chain, _ = stories
    refusals = {entry for entry in chain if isinstance(entry, str)}
    assert len(refusals) >= 4
    assert sum(not isinstance(entry, str) for entry in chain) >= 5


def test_a_consent_ends_with_the_membership_that_it_was_given_in(stories):
    leaver = ACCOUNTS[3].address
    for story in stories:
        removed, auditor, holder, consenting = story[-12::3]
        assert leaver not in removed[0].members
        assert auditor[0].members[leaver].consented == EMPTY_WORD
        assert holder[0].members[leaver].consented == EMPTY_WORD
        assert consenting[0].members[leaver].consented == TERMS.digest
