"""Known ways in which contracts of this kind failed, one test for each row of the table in the ledger's design.

The tests of single functions hold these rules too; here each pitfall is played as its attack.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

import ledger.contracts
from ledger.artifacts import load
from ledger.merkle import MerkleTree, contribution_leaf, reward_leaf
from ledger.records import EMPTY_WORD, Act, Role, RunState
from ledger.rewards import RewardPolicy, RoundFacts, allocate, rewards_tree
from ledger.typed_data import Domain, KeyPossession, model_id, run_id
from tests.contracts.engines import quick_engine
from tests.contracts.harness import account, refused, sign, word
from tests.contracts.odd_tokens import Mood, become, odd_token
from tests.contracts.world import DELAY, ESCROW, FOUNDERS, HOLDERS, World, rewards_of

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NOT_PROVEN = "possession of the key is not proven"


def test_terms_swapped_under_consent(world: World, run: bytes) -> None:
    """The run's id binds its terms, and consent names them: neither can be changed under the other."""
    with refused("run exists already"):
        world.create_run(terms=word("terms"), escrow=0)
    with refused("run id does not bind sponsor and terms"):
        world.call(
            "rosa", "createRun", run, word("swapped"), world.token.address, 0, 1, 1, 0, account("kim"), DELAY
        )
    world.call("ada", "withdraw", run)
    with refused("terms are not the run's"):
        world.accept("ada", run, word("swapped"))


def test_squatted_ids(world: World, run: bytes) -> None:
    """Nobody can take the id of another's run or model by being first."""
    coming = run_id(account("rosa"), word("coming"))
    arguments = (coming, word("coming"), world.token.address, 0, 1, 1, 0, account("kim"), DELAY)
    with refused("run id does not bind sponsor and terms"):
        world.call("kim", "createRun", *arguments)
    squatter = world.ready_run(terms=word("squatter"))
    world.call("kim", "registerRoot", squatter, word("artifact 1"), EMPTY_WORD)
    world.play(run, 1)
    assert world.view("models", model_id(run, 1, word("artifact 1")))["run"] == run


def test_replay_across_chains_contracts_and_rounds(world: World, run: bytes) -> None:
    """A signature for another chain, contract, run or round is no signature here."""
    elsewhere = World(quick_engine(chain_id=1))
    statement = KeyPossession(member=account("ada"), epoch=2, encryption=word("bundle"))
    for domain in (elsewhere.domain, Domain(chain_id=world.domain.chain_id, contract=account("other"))):
        with refused(NOT_PROVEN):
            world.call(
                "ada", "setKeys", account("new"), word("bundle"), sign("new", statement.digest(domain))
            )
    world.play(run, 1)
    first, second = (world.contribution(run, n, "ada").digest(world.domain) for n in (1, 2))
    replayed = world.contribution(run, 1, "ada")
    fields = [getattr(replayed, name) for name in ("ciphertext", "boxes", "dataset", "weight", "metrics")]
    again = world.contribution(run, 1, "ada", round=2, header=word("header 2")).digest(world.domain)
    tree = MerkleTree(contribution_leaf(account("ada"), digest) for digest in (first, second, again))
    world.open(run, 2)
    world.call("kim", "commitRound", run, 2, tree.root, 3)

    def verify(n: int, digest: bytes, proof: tuple[bytes, ...]) -> bool:
        arguments = (run, n, account("ada"), *fields, sign("ada/1", digest), proof, False)
        return bool(world.view("verifyContribution", *arguments))

    leaf = contribution_leaf(account("ada"), first)
    assert verify(1, first, world.tree(run, 1).proof(leaf)) is True
    for leaf_digest in (first, second, again):
        assert verify(2, first, tree.proof(contribution_leaf(account("ada"), leaf_digest))) is False
    assert verify(2, again, tree.proof(contribution_leaf(account("ada"), again))) is True  # signed anew


def test_signature_malleability_and_zero_address(world: World) -> None:
    """The twin (r, n - s) of a signature, other values of v and unrecoverable signatures are refused."""
    proof = world.possession("ada", 1, key="key")
    r, s, v = proof[:32], int.from_bytes(proof[32:64], "big"), proof[64]
    twin = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    for candidate in (twin, proof[:64] + bytes([v - 27]), proof[:64] + bytes([55 - v]), bytes(65)):
        with refused(NOT_PROVEN):
            world.call("ada", "setKeys", account("key"), word("bundle"), candidate)
        with refused(NOT_PROVEN):
            world.call("ada", "setKeys", bytes(20), word("bundle"), candidate)
    world.call("ada", "setKeys", account("key"), word("bundle"), proof)


def test_anothers_key_registered(world: World) -> None:
    """A key needs its own proof of possession and is used once ever, even after it was replaced."""
    world.set_keys("ada", key="ada's")
    with refused("key was used before"):
        world.set_keys("ben", key="ada's")
    world.set_keys("ada", key="next")
    for member in ("ada", "ben"):
        with refused("key was used before"):
            world.set_keys(member, key="ada's")
    stolen = world.possession("ada", 1, key="cleo's")
    with refused(NOT_PROVEN):
        world.call("ben", "setKeys", account("cleo's"), word("bundle"), stolen)


def test_inner_node_as_leaf(world: World, run: bytes) -> None:
    """A leaf that was hashed once, as inner nodes are, leads nowhere."""
    payload = encode(["bytes32", "address", "uint256"], [run, account("eve"), 100])
    once = keccak(payload)
    tree = MerkleTree([once, word("sibling")])
    world.play(run, 1, "included")
    world.call("kim", "finaliseRound", run, 1, word("artifact"), word("key"), EMPTY_WORD, tree.root, 100)
    with refused("proof does not lead to the rewards root"):
        world.call("eve", "claim", run, 1, account("eve"), 100, tree.proof(once))


def test_stale_votes(world: World) -> None:
    """A vote of somebody who was removed since does not count for what is decided after."""
    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("dan",))
    world.vote(Act.REMOVE, subject=account("dan"))
    assert world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("ada",)) is False
    assert world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("ben",)) is True


def test_rounding_dust(world: World, run: bytes) -> None:
    """Rewards that do not divide evenly are paid to the last unit; the rest goes back to the sponsor."""
    members = [account(name) for name in HOLDERS[:3]]
    cumulative: dict[bytes, int] = {}
    for n, reward in ((1, 100), (2, 101), (3, 7)):
        cumulative = allocate(RewardPolicy.EQUAL, RoundFacts(included=members), reward, cumulative).earned
        world.play(run, n, "included")
        root = rewards_tree(run, cumulative).root
        world.call("kim", "finaliseRound", run, n, word(f"m{n}"), word("key"), EMPTY_WORD, root, reward)
    tree = rewards_tree(run, cumulative)
    for member, amount in cumulative.items():
        proof = tree.proof(reward_leaf(run, member, amount))
        world.call("anyone", "claim", run, 3, member, amount, proof)
    world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", run)
    assert sum(world.balance(member) for member in members) == 208
    assert world.balance(account("rosa")) == ESCROW - 208
    assert world.balance(world.ledger.address) == 0


def test_over_promised_or_erased_rewards(world: World, run: bytes) -> None:
    """A round promises no more than the escrow; a run's claims no more than it promised; nothing is taken back."""
    other = world.ready_run(terms=word("another sponsor's"))
    world.play(run, 1, "included")
    with refused("reward exceeds the escrow"):
        world.finalise(run, 1, rewards={"ada": ESCROW + 1}, reward=ESCROW + 1)
    world.finalise(run, 1, rewards={"ada": 100}, reward=100)
    world.play(run, 2, "included")
    greedy = {"eve": 2 * ESCROW}
    world.finalise(run, 2, rewards=greedy, reward=1)
    with refused("claims exceed what was promised"):
        world.claim(run, 2, "eve", 2 * ESCROW, rewards_of(run, greedy))
    world.claim(run, 1, "ada", 100, rewards_of(run, {"ada": 100}))
    assert world.balance(account("ada")) == 100
    assert world.view("runs", other)["escrow"] == ESCROW


def test_odd_tokens_and_reentrancy(world: World) -> None:
    """A token that calls back while it pays finds every door of the ledger locked."""
    token = odd_token(world)
    run = world.ready_run(token=token)
    world.play(run, 1, "included")
    sums = {"ada": 100, "ben": 100}
    world.finalise(run, 1, rewards=sums, reward=200)
    tree = rewards_of(run, sums)
    selectors = load("TrainingLedger").method_identifiers
    signature = next(name for name in selectors if name.startswith("claim("))
    types = signature[len("claim(") : -1].split(",")
    proof = tree.proof(reward_leaf(run, account("ben"), 100))
    message = selectors[signature] + encode(types, [run, 1, account("ben"), 100, proof])
    token.call("rosa", "plan", world.ledger.address, message)
    become(token, Mood.REENTERS)
    world.claim(run, 1, "ada", 100, tree)
    assert token.view("reentered") is False
    assert (world.balance(account("ada"), token), world.balance(account("ben"), token)) == (100, 0)
    become(token, Mood.HONEST)
    world.claim(run, 1, "ben", 100, tree)  # the same call is fine from outside


def test_escrow_pulled_after_the_work(world: World, run: bytes) -> None:
    """Between the commitment and the payment the sponsor cannot take the escrow back."""
    world.play(run, 1, "committed")
    with refused("a round is committed"):
        world.call("rosa", "closeRun", run)
    world.include(run, 1)
    with refused("a round is committed"):
        world.call("rosa", "closeRun", run)
    world.finalise(run, 1, rewards={"ada": 100}, reward=100)
    world.call("rosa", "closeRun", run)
    with refused("closing delay is not over"):
        world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", run)
    world.claim(run, 1, "ada", 100, rewards_of(run, {"ada": 100}))


def test_unbounded_loops() -> None:
    """The only loops are over founders, a proof and a lineage, each with a constant bound."""
    source = Path(ledger.contracts.__path__[0], "TrainingLedger.vy").read_text("utf-8")
    loops = [line.strip() for line in source.splitlines() if re.match(r"\s+for ", line)]
    assert loops == [
        "for i: uint256 in range(count, bound=MAX_FOUNDERS):",
        "for i: uint256 in range(MAX_LINEAGE):",
        "for sibling: bytes32 in proof:",
    ]


def test_reverting_receivers(world: World) -> None:
    """One account that cannot be paid keeps nobody else from being paid."""
    token = odd_token(world)
    run = world.ready_run(token=token)
    world.play(run, 1, "included")
    sums = {"ada": 100, "ben": 100}
    world.finalise(run, 1, rewards=sums, reward=200)
    token.call("rosa", "plan", account("ada"), b"")
    become(token, Mood.BLOCKS_TARGET)
    with refused("receiver is blocked", "odd_token"):
        world.claim(run, 1, "ada", 100, rewards_of(run, sums))
    world.claim(run, 1, "ben", 100, rewards_of(run, sums))
    assert world.balance(account("ben"), token) == 100


def test_admin_key(world: World) -> None:
    """There is none: every act takes the threshold, and the last member cannot be removed."""
    for voter in FOUNDERS:
        fresh = World()
        assert fresh.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=(voter,)) is False
    names = {element["name"] for element in load("TrainingLedger").abi if element["type"] == "function"}
    assert not [name for name in names if re.search("owner|admin|upgrade|init|delegate", name, re.IGNORECASE)]
    world.vote(Act.THRESHOLD, info=(1).to_bytes(32, "big"))
    for name in list(FOUNDERS)[1:]:
        world.vote(Act.REMOVE, subject=account(name), voters=("ada",))
    with refused("subject is the last member"):
        world.vote(Act.REMOVE, subject=account("ada"), voters=("ada",))


def test_pause_abuse(world: World, run: bytes) -> None:
    """A pause stops new work and no exit; a vote ends it."""
    world.play(run, 1, "included")
    world.finalise(run, 1, rewards={"ada": 100}, reward=100)
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.open(run, 2)
    world.call("ada", "withdraw", run)
    world.claim(run, 1, "ada", 100, rewards_of(run, {"ada": 100}))
    world.set_keys("ada")
    world.vote(Act.REMOVE, subject=account("dan"))
    world.call("anyone", "dropConsent", run, account("dan"))
    world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", run)
    assert world.balance(account("rosa")) == ESCROW - 100
    world.vote(Act.UNPAUSE)
    assert world.view("paused") is False


@pytest.mark.parametrize("until", ["open", "committed", "included"])
def test_lost_coordinator(world: World, run: bytes, until: str) -> None:
    """A vote stops a run whose coordinator is gone, in whatever phase, and refunds the escrow."""
    world.play(run, 1, until)
    world.vote(Act.STOP_RUN, info=run)
    assert world.balance(account("rosa")) == ESCROW
    with refused("run is not OPEN or CLOSING"):
        world.call("kim", "abortRound", run, 1)


@pytest.mark.parametrize("mood", [Mood.REVERTS, Mood.ANSWERS_NO, Mood.BURNS_GAS])
def test_a_sponsors_token_cannot_block_the_vote_that_stops_its_run(mood: Mood) -> None:
    """The run is stopped; the escrow stays for the sponsor to fetch."""
    world = World()
    token = odd_token(world)
    run = world.create_run(token=token)
    become(token, mood)
    assert world.vote(Act.STOP_RUN, info=run) is True
    record = world.view("runs", run)
    assert (record["state"], record["escrow"]) == (RunState.STOPPED, ESCROW)
    assert [event.name for event in world.ledger.events()] == ["Vote", "RunClosed"]


def test_upgrade(world: World, run: bytes) -> None:
    """A new ledger starts from a model of the old one; nobody can confuse the two."""
    world.play(run, 1)
    artifact = world.view("models", model_id(run, 1, word("artifact 1")))["artifact"]
    successor = World(world.engine)
    run_there = successor.create_run(terms=word("terms, second ledger"))
    successor.call("kim", "registerRoot", run_there, artifact, EMPTY_WORD)
    assert successor.view("models", model_id(run_there, 0, artifact))["artifact"] == artifact
    assert successor.view("DOMAIN") != world.view("DOMAIN")
