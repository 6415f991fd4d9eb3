"""A node can only say what is true: every forgery fails the check that is there for it. On the embedded chain and on anvil.

Longer than other files: all forgeries are of one world, which takes seconds to make and is made once for this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ledger.chain.jsonrpc import Json, data, to_bytes
from ledger.chain.ports import Log
from ledger.checkpoints import SignedCheckpoint
from ledger.errors import ChainUnreachable
from ledger.light import table
from ledger.light.header import Header
from ledger.light.qbft import Vote, block_hash
from ledger.light.records import ProvenModel, Subject, find
from ledger.light.table import LightCheck, LightCheckFailed, Verdict
from ledger.light.verify import LightVerification, Pins
from ledger.typed_data import Checkpoint, Domain, model_id
from tests.simulators.qbft_chain import Validators
from tests.unit.ledger.embedded_world import CHAIN_ID, account
from tests.unit.ledger.ledger_world import NODES, ROOT, LedgerWorld, ledger_on, word

ARTIFACT = word(401)
GUEST = Validators(1, "guest")


class Node:
    """Passes everything on to a connection; tests change what it says."""

    def __init__(self, world: LedgerWorld) -> None:
        self._connection = world.connection
        self.chain_id = CHAIN_ID
        self.change: Callable[[Json], Json | None] = lambda block: block
        self.change_proof: Callable[[Json], Json] = lambda proof: proof
        self.head: int | None = None
        self.hints = True
        self.away = False

    def raw_block(self, number: int | None) -> Json | None:
        if self.away:
            raise ChainUnreachable("it does not answer")
        if self.head is not None:
            number = self.head if number is None else number
            if number > self.head:
                return None
        block = self._connection.raw_block(number)
        return None if block is None else self.change(dict(block))

    def raw_proof(self, address: bytes, slots: Sequence[int], number: int) -> Json:
        return self.change_proof(dict(self._connection.raw_proof(address, slots, number)))

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        return self._connection.logs(address, topics, first, last) if self.hints else iter(())


@pytest.fixture(scope="module", params=NODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerWorld]:
    """A run after two rounds."""
    with ledger_on(request.param, tmp_path_factory.mktemp("ledger")) as made:
        made.begin()
        model = made.play(1, made.root)
        made.writer.open_round(made.run, 2, model, word(102), intent="open 2")
        yield made


@pytest.fixture
def node(world: LedgerWorld) -> Node:
    return Node(world)


@pytest.fixture
def pins(world: LedgerWorld) -> Pins:
    return Pins(chain_id=CHAIN_ID, contract=world.address, trust_node=True)


def now(world: LedgerWorld) -> int:
    return world.connection.head().timestamp + 10


def verify(world: LedgerWorld, pins: Pins, subject: Subject, *nodes: Node) -> tuple[ProvenModel, ...]:
    verification = LightVerification(
        {f"node {n}": item for n, item in enumerate(nodes)}, pins, now=now(world)
    )
    return find(verification, subject)


def refused(
    check: LightCheck,
    words: str,
    world: LedgerWorld,
    pins: Pins,
    *nodes: Node,
    subject: Subject | None = None,
) -> LightVerification:
    """Expect that one check fails; the earlier ones passed or were not asked for."""
    verification = LightVerification(
        {f"node {n}": item for n, item in enumerate(nodes)}, pins, now=now(world)
    )
    with pytest.raises(LightCheckFailed, match=words) as caught:
        find(verification, subject or Subject(artifact=ARTIFACT))
    assert caught.value.check is check
    *before, last = verification.outcomes
    assert (last.check, last.verdict) == (check, Verdict.FAIL)
    assert all(outcome.verdict is not Verdict.FAIL for outcome in before)
    return verification


def consistent(block: Json, **change: str) -> Json:
    """Return a changed block whose hash follows from its fields."""
    changed = {**block, **change}
    return {**changed, "hash": data(block_hash(Header.of(changed)))}


# ---------------------------------------------------------------------- what is true


def test_models_are_proven_with_every_field(world: LedgerWorld, node: Node, pins: Pins) -> None:
    first = model_id(world.run, 1, ARTIFACT)
    for subject in (
        Subject(artifact=ARTIFACT),
        Subject(artifact=ARTIFACT, run=world.run),
        Subject(model=first),
    ):
        (model,) = verify(world, pins, subject, node)
        assert model.id == first
        assert model.parent == world.root
        said = world.reader.model(first)
        record = model.record
        assert (record.run, record.round, record.artifact) == (said.run, said.round, said.artifact)
        assert (record.metrics, record.aggregate_key) == (said.metrics, said.aggregate_key)
    (root,) = verify(world, pins, Subject(artifact=ROOT), node)
    assert (root.id, root.record.round, root.parent) == (world.root, 0, bytes(32))


def test_what_is_not_on_the_ledger_is_proven_absent(world: LedgerWorld, node: Node, pins: Pins) -> None:
    for subject in (
        Subject(model=word(5)),
        Subject(artifact=word(5), run=world.run),
        Subject(artifact=word(5), run=word(6)),
    ):
        verification = LightVerification({"node": node}, pins, now=now(world))
        assert find(verification, subject) == ()
        last = verification.outcomes[-1]
        assert (last.check, last.verdict) == (table.ABSENCE, Verdict.PASS)


def test_a_node_that_hides_a_model_is_searched_all_the_same(
    world: LedgerWorld, node: Node, pins: Pins
) -> None:
    node.hints = False
    assert len(verify(world, pins, Subject(artifact=ARTIFACT, run=world.run), node)) == 1
    refused(table.RECORD, "points to no model that is this file", world, pins, node)


def test_a_verification_says_what_each_check_saw(world: LedgerWorld, node: Node, pins: Pins) -> None:
    verification = LightVerification({"a": node, "b": Node(world)}, pins, now=now(world))
    find(verification, Subject(artifact=ARTIFACT))
    assert [outcome.check for outcome in verification.outcomes] == list(table.CHECKS)
    assert verification.vouchers == ["2 nodes"]
    said = {outcome.check: outcome for outcome in verification.outcomes}
    assert said[table.SEALS].verdict is said[table.CHECKPOINTS].verdict is Verdict.SKIPPED
    assert said[table.FRESH].summary.startswith("10 s old")


# ---------------------------------------------------------------------- the block


def test_wrong_chain(world: LedgerWorld, node: Node, pins: Pins) -> None:
    other = Node(world)
    other.chain_id = 1
    refused(table.CHAIN, "node 1 serves chain 1, asked for was 4242", world, pins, node, other)


def test_forged_header(world: LedgerWorld, node: Node, pins: Pins) -> None:
    node.change = lambda block: {**block, "stateRoot": "0x" + "77" * 32}
    refused(table.HEADER, "its fields give", world, pins, node)
    node.change = lambda block: {**block, "hash": "0x" + "77" * 32}
    refused(table.HEADER, "its fields give", world, pins, node)
    node.change = lambda block: {"hash": block["hash"]}
    refused(table.HEADER, "cannot be read", world, pins, node)


def test_another_block_than_was_asked_for(world: LedgerWorld, node: Node, pins: Pins) -> None:
    earlier = world.connection.raw_block(1)
    assert earlier is not None
    node.change = lambda block: earlier
    refused(table.HEADER, "shows block 1 where 2 was asked for", world, replace(pins, height=2), node)


def test_equivocation(world: LedgerWorld, node: Node, pins: Pins) -> None:
    """Two nodes, two histories: each is consistent, one is false, and both are told."""
    liar = Node(world)
    liar.change = lambda block: consistent(block, stateRoot="0x" + "77" * 32)
    for at_least in (1, 2):
        verification = refused(
            table.AGREEMENT, "different blocks", world, replace(pins, at_least=at_least), node, liar
        )
        assert verification.outcomes[-1].summary.count("shows 0x") == 2


def test_too_few_nodes(world: LedgerWorld, node: Node, pins: Pins) -> None:
    away = Node(world)
    away.away = True
    refused(table.AGREEMENT, "1 of the 2 nodes.*node 1 is away", world, replace(pins, at_least=2), node, away)
    assert verify(world, replace(pins, at_least=1), Subject(artifact=ARTIFACT), node, away)
    refused(table.AGREEMENT, "no node answers", world, pins, away)


def test_another_genesis(world: LedgerWorld, node: Node, pins: Pins) -> None:
    genesis = world.reader.block_hash(0)
    assert verify(world, replace(pins, genesis=genesis), Subject(artifact=ARTIFACT), node)
    refused(table.GENESIS, "another one is pinned", world, replace(pins, genesis=word(1)), node)


def test_rollback(world: LedgerWorld, node: Node, pins: Pins) -> None:
    head = world.connection.head()
    seen = replace(pins, seen=(head.number, head.hash), trust_node=False)
    assert verify(world, seen, Subject(artifact=ARTIFACT), node)  # the block that was seen vouches for itself
    older = replace(seen, height=head.number - 2)
    assert verify(world, older, Subject(artifact=ROOT), node)  # and for its ancestors
    node.head = head.number - 3
    refused(table.HISTORY, "shows nothing", world, seen, node)
    node.head = None
    node.change = lambda block: consistent(block, stateRoot="0x" + "77" * 32)
    refused(table.HISTORY, f"block {head.number} was 0x", world, seen, node)


def test_a_seen_block_does_not_vouch_for_what_comes_after(world: LedgerWorld, node: Node, pins: Pins) -> None:
    early = world.connection.head().number - 3
    seen = replace(pins, seen=(early, world.reader.block_hash(early)), trust_node=False)
    refused(table.VOUCHED, "only one node's word", world, seen, node)
    assert verify(world, replace(seen, trust_node=True), Subject(artifact=ARTIFACT), node)

    def splice(block: Json) -> Json:
        return (
            consistent(block, parentHash="0x" + "55" * 32)
            if int(str(block["number"]), 16) == early + 2
            else block
        )

    node.change = splice
    refused(table.HISTORY, "does not follow its block", world, replace(seen, trust_node=True), node)


def test_stale_head(world: LedgerWorld, node: Node, pins: Pins) -> None:
    assert verify(world, replace(pins, max_age_s=10), Subject(artifact=ARTIFACT), node)
    refused(table.FRESH, "10 s old, at most 9 s", world, replace(pins, max_age_s=9), node)
    node.change = lambda block: consistent(block, timestamp=hex(now(world) + 1000))
    refused(table.FRESH, "1000 s in the future", world, pins, node)


def test_withheld_block(world: LedgerWorld, node: Node, pins: Pins) -> None:
    """One node shows the newest blocks, the other one keeps them back: what both show is too old to be the newest."""
    behind = Node(world)
    behind.head = world.connection.head().number - 3
    both = replace(pins, at_least=2, max_lag=2)
    refused(table.FRESH, "node 0 shows 3 blocks more", world, both, node, behind)
    assert verify(world, replace(both, max_lag=3), Subject(artifact=ROOT), node, behind)


def test_one_nodes_word_is_not_enough(world: LedgerWorld, node: Node, pins: Pins) -> None:
    refused(table.VOUCHED, "it could have invented it", world, replace(pins, trust_node=False), node)
    both = replace(pins, trust_node=False, at_least=2)
    assert verify(world, both, Subject(artifact=ARTIFACT), node, Node(world))


# ---------------------------------------------------------------------- witnesses


def checkpoint(world: LedgerWorld, witness: int, number: int, **change: Any) -> SignedCheckpoint:
    """Let a witness sign a block."""
    signer = account(100 + witness)
    said: dict[str, Any] = {
        "member": world.accounts[0],
        "genesis": world.reader.block_hash(0),
        "number": number,
        "hash": world.reader.block_hash(number),
    }
    statement = Checkpoint(**{**said, **change})
    signature = signer.sign_digest(statement.digest(Domain(chain_id=CHAIN_ID, contract=world.address)))
    return SignedCheckpoint(**{**said, **change}, signature=signature)


@pytest.fixture
def witnessed(world: LedgerWorld, pins: Pins) -> Callable[..., Pins]:
    """Returns pins with three witnesses, two of whom are needed, and checkpoints."""

    def make(*checkpoints: SignedCheckpoint, **change: Any) -> Pins:
        witnesses = frozenset(account(100 + n).address for n in range(3))
        return replace(
            pins, witnesses=witnesses, witnesses_needed=2, checkpoints=checkpoints, trust_node=False, **change
        )

    return make


def test_enough_witnesses_vouch_for_the_newest_block_that_they_signed(
    world: LedgerWorld, node: Node, witnessed: Callable[..., Pins]
) -> None:
    head = world.connection.head().number
    signed = (checkpoint(world, 0, head), checkpoint(world, 1, head - 1), checkpoint(world, 2, head - 4))
    verification = LightVerification({"node": node}, witnessed(*signed), now=now(world))
    assert verification.block.number == head - 1
    assert find(verification, Subject(artifact=ARTIFACT))
    assert verification.vouchers == ["2 witnesses"]


def test_witnesses_that_are_not_pinned_do_not_count(
    world: LedgerWorld, node: Node, witnessed: Callable[..., Pins]
) -> None:
    head = world.connection.head().number
    stranger = checkpoint(world, 9, head)
    refused(
        table.CHECKPOINTS,
        "1 of the 2 witnesses",
        world,
        witnessed(checkpoint(world, 0, head), stranger),
        node,
    )
    forged = replace(checkpoint(world, 1, head), signature=stranger.signature)
    refused(
        table.CHECKPOINTS, "1 of the 2 witnesses", world, witnessed(checkpoint(world, 0, head), forged), node
    )
    twice = (checkpoint(world, 0, head), checkpoint(world, 0, head))
    refused(table.CHECKPOINTS, "1 of the 2 witnesses", world, witnessed(*twice), node)
    elsewhere = replace(witnessed(*twice, checkpoint(world, 1, head)), contract=world.token)
    refused(table.CHECKPOINTS, "0 of the 2 witnesses", world, elsewhere, node)


def test_a_history_that_witnesses_do_not_know(
    world: LedgerWorld, node: Node, witnessed: Callable[..., Pins]
) -> None:
    head = world.connection.head().number
    signed = [checkpoint(world, n, head) for n in range(2)]
    node.change = lambda block: consistent(block, stateRoot="0x" + "77" * 32)
    pins = replace(witnessed(*signed), genesis=b"")
    # block 0 is forged as well, and the genesis that the witnesses signed shows it
    refused(table.GENESIS, "another one is pinned", world, pins, node)
    node.change = lambda block: (
        block if block["number"] == "0x0" else consistent(block, stateRoot="0x" + "77" * 32)
    )
    refused(table.CHECKPOINTS, "shows 0x", world, pins, node)


def test_a_block_that_witnesses_signed_is_withheld(
    world: LedgerWorld, node: Node, witnessed: Callable[..., Pins]
) -> None:
    head = world.connection.head().number
    signed = [checkpoint(world, n, head) for n in range(2)]
    node.head = head - 2
    refused(table.CHECKPOINTS, "does not show it", world, replace(witnessed(*signed), height=head - 3), node)
    refused(table.HEADER, f"no node shows block {head}", world, witnessed(*signed), node)


def test_witnesses_that_contradict_each_other_are_evidence(
    world: LedgerWorld, node: Node, witnessed: Callable[..., Pins]
) -> None:
    head = world.connection.head().number
    honest, liar = checkpoint(world, 0, head), checkpoint(world, 1, head, hash=word(7))
    refused(table.CHECKPOINTS, "Keep both checkpoints", world, witnessed(honest, liar), node)
    both_ways = checkpoint(world, 0, head, hash=word(7))
    refused(table.CHECKPOINTS, "Keep both checkpoints", world, witnessed(honest, both_ways), node)
    other_chain = checkpoint(world, 1, head, genesis=word(7))
    refused(table.CHECKPOINTS, "another block 0", world, witnessed(honest, other_chain), node)


# ---------------------------------------------------------------------- seals


class SealedNode(Node):
    """Shows the states of a chain in blocks that validators sealed: what a Besu node would show.

    With ``elected``, the first three validators vote a guest in in blocks 1 to 3, and ``elected`` make the blocks from 4 on.
    """

    def __init__(
        self,
        world: LedgerWorld,
        validators: Validators,
        signers: Sequence[int],
        elected: Validators | None = None,
    ) -> None:
        super().__init__(world)
        self._validators, self._signers, self._elected = validators, signers, elected
        self._shown: list[Json] = []

    def raw_block(self, number: int | None) -> Json | None:
        block = super().raw_block(number)
        if block is None:
            return None
        height = int(str(block["number"]), 16)
        while len(self._shown) <= height:
            self._shown.append(self._sealed(len(self._shown)))
        return self._shown[height]

    def _sealed(self, number: int) -> Json:
        block = super().raw_block(number)
        assert block is not None
        elected = self._elected is not None and number > 3
        makers = self._elected if self._elected and elected else self._validators
        voting = self._elected is not None and 1 <= number <= 3
        unsealed = makers.block(
            number=number,
            parent=to_bytes(self._shown[-1]["hash"]) if number else bytes(32),
            state=to_bytes(block["stateRoot"]),
            timestamp=int(str(block["timestamp"]), 16),
            round_number=min(number, 1),
            proposer=number - 1 if voting else 0,
            vote=Vote(subject=GUEST.address(0), add=True) if voting else None,
        )
        signers = range(len(makers.keys)) if elected else self._signers
        return makers.seal(unsealed, signers if number else ())


def test_seals_of_two_thirds_vouch_for_a_block(world: LedgerWorld, pins: Pins) -> None:
    four = Validators(4)
    sealed = replace(pins, validators=four.addresses, trust_node=False)
    assert verify(world, sealed, Subject(artifact=ARTIFACT), SealedNode(world, four, range(3)))
    refused(table.SEALS, "2 of the 3 seals", world, sealed, SealedNode(world, four, range(2)))
    strangers = Validators(4, "stranger")
    refused(table.SEALS, "made no block", world, sealed, SealedNode(world, strangers, range(4)))
    refused(table.SEALS, "not one of a QBFT chain", world, sealed, Node(world))


def test_validators_that_were_voted_in_vouch_for_a_block(world: LedgerWorld, pins: Pins) -> None:
    four, sealed = Validators(4), replace(pins, validators=Validators(4).addresses, trust_node=False)
    five = four.joined(GUEST)
    verification = LightVerification(
        {"node": SealedNode(world, four, range(3), five)}, sealed, now=now(world)
    )
    assert find(verification, Subject(artifact=ARTIFACT))
    (seals,) = [outcome for outcome in verification.outcomes if outcome.check is table.SEALS]
    assert "changed 1 time by votes since block 3" in seals.summary
    assert verification.vouchers == ["5 validators"]
    unsealed = SealedNode(world, four, range(2), five)  # the old set did not seal the votes
    refused(table.SEALS, "block 3: 2 of the 3 seals", world, sealed, unsealed)
    too_many = SealedNode(world, four, range(3), five.joined(Validators(1, "stranger")))
    refused(table.SEALS, "did not vote for", world, sealed, too_many)


def test_a_header_that_is_skipped_on_the_way_to_the_pinned_validators_is_refused(
    world: LedgerWorld, pins: Pins
) -> None:
    """A node that leaves out the blocks of the election, and hangs the new set onto the old one."""

    class Skipping(SealedNode):
        def raw_block(self, number: int | None) -> Json | None:
            if number == 3:
                return {**(super().raw_block(2) or {}), "number": "0x3"}
            return super().raw_block(number)

    four, sealed = Validators(4), replace(pins, validators=Validators(4).addresses, trust_node=False)
    five = four.joined(GUEST)
    refused(table.HEADER, "its fields give", world, sealed, Skipping(world, four, range(3), five))

    class Consistent(Skipping):
        def raw_block(self, number: int | None) -> Json | None:
            block = super().raw_block(number)
            return consistent(block) if block is not None and number == 3 else block

    refused(table.SEALS, "block 4 does not follow its block 3", world, sealed, Consistent(world, four, range(3), five))  # fmt: skip


def test_nodes_with_different_seals_of_one_block_agree(world: LedgerWorld, pins: Pins) -> None:
    four = Validators(4)
    nodes = [SealedNode(world, four, range(3)), SealedNode(world, four, range(1, 4))]
    assert verify(
        world, replace(pins, validators=four.addresses, at_least=2), Subject(artifact=ARTIFACT), *nodes
    )


# ---------------------------------------------------------------------- the contract


def test_wrong_contract(world: LedgerWorld, node: Node, pins: Pins) -> None:
    refused(table.ACCOUNT, "no account at", world, replace(pins, contract=word(5)[-20:]), node)
    refused(table.ACCOUNT, "without code at", world, replace(pins, contract=world.accounts[0]), node)


def test_wrong_code_hash(world: LedgerWorld, node: Node, pins: Pins) -> None:
    refused(table.CODE, "this version's has", world, replace(pins, contract=world.token), node)
    refused(table.CODE, "pinned is", world, replace(pins, code=word(5)), node)


def test_a_contract_for_another_chain(world: LedgerWorld, node: Node, pins: Pins) -> None:
    """The same code, set up for another chain id: its signatures would be for that chain."""
    node.chain_id = 7
    refused(table.CODE, "this version's has", world, replace(pins, chain_id=7), node)


# ---------------------------------------------------------------------- the records


def _without(proof: Json, key: str) -> Json:
    return {name: value for name, value in proof.items() if name != key}


def _truncated(proof: Json) -> Json:
    slots = [{**slot, "proof": slot["proof"][:-1]} for slot in proof["storageProof"]]  # type: ignore[attr-defined]
    return {**proof, "storageProof": slots}


def _emptied(proof: Json) -> Json:
    slots = [{**slot, "proof": [], "value": "0x0"} for slot in proof["storageProof"]]  # type: ignore[attr-defined]
    return {**proof, "storageProof": slots}


def _flipped(proof: Json) -> Json:
    def flip(node: str) -> str:
        return node[:-2] + ("00" if node[-2:] != "00" else "01")

    slots = [
        {**s, "proof": [*s["proof"][:-1], flip(s["proof"][-1])]} for s in proof["storageProof"] if s["proof"]
    ]  # type: ignore[attr-defined]
    return {**proof, "storageProof": slots}


def _swapped(proof: Json) -> Json:
    slots: list[Any] = list(proof["storageProof"])  # type: ignore[call-overload]
    return {
        **proof,
        "storageProof": [{**a, "key": b["key"]} for a, b in zip(slots, slots[::-1], strict=True)],
    }


FORGED: dict[str, Callable[[Json], Json]] = {
    "the last node is missing": _truncated,
    "there are no nodes": _emptied,
    "a byte is wrong": _flipped,
    "proofs belong to other slots": _swapped,
    "slots are left out": lambda proof: {**proof, "storageProof": []},
    "nodes are no RLP": lambda proof: {
        **proof,
        "storageProof": [{**s, "proof": ["0xf8"]} for s in proof["storageProof"]],  # type: ignore[attr-defined]
    },
    "nodes are nested": lambda proof: {
        **proof,
        "storageProof": [{**s, "proof": ["0x" + "c1" * 900 + "c0"]} for s in proof["storageProof"]],  # type: ignore[attr-defined]
    },
    "nodes are too long": lambda proof: {
        **proof,
        "storageProof": [{**s, "proof": ["0x" + "00" * 2000]} for s in proof["storageProof"]],  # type: ignore[attr-defined]
    },
    "there are too many nodes": lambda proof: {
        **proof,
        "storageProof": [{**s, "proof": ["0xc0"] * 100} for s in proof["storageProof"]],  # type: ignore[attr-defined]
    },
    "there is no list of slots": lambda proof: _without(proof, "storageProof"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_forged_proof(world: LedgerWorld, node: Node, pins: Pins, forge: Callable[[Json], Json]) -> None:
    """Neither a record nor its absence can be made up."""
    honest = node.change_proof
    for subject in (Subject(model=model_id(world.run, 1, ARTIFACT)), Subject(model=word(5))):
        node.change_proof = lambda proof: forge(proof) if proof["storageProof"] else honest(proof)
        refused(table.RECORD, "proof|leaves out", world, pins, node, subject=subject)


def test_forged_account(world: LedgerWorld, node: Node, pins: Pins) -> None:
    for nodes in ([], ["0xc0"], ["0x"], "0x", None):
        node.change_proof = lambda proof, nodes=nodes: {**proof, "accountProof": nodes}  # type: ignore[misc]
        refused(table.ACCOUNT, "proof", world, pins, node)


def test_a_state_that_the_node_has_forgotten(world: LedgerWorld, node: Node, pins: Pins) -> None:
    def forgotten(proof: Json) -> Json:
        raise ChainUnreachable("missing trie node")

    node.change_proof = forgotten
    refused(table.ACCOUNT, "gives no proof for block.*missing trie node", world, pins, node)


def test_an_older_block_proves_what_was_there_then(world: LedgerWorld, node: Node, pins: Pins) -> None:
    """Absence is absence in that block's state: the model came later."""
    made = world.reader.events("RoundFinalised")[0].block_number
    model = Subject(model=model_id(world.run, 1, ARTIFACT))
    assert verify(world, replace(pins, height=made), model, node)
    assert verify(world, replace(pins, height=made - 1), model, node) == ()
