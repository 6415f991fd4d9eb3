"""A consortium on an EVM in memory, for tests of the contracts.

:class:`World` is one deployed ledger with its token and accounts; its methods do what tests need many times: give keys,
create a run, take a round some steps.
"""

from __future__ import annotations

from typing import Any

from ledger.artifacts import Artifact, load
from ledger.merkle import MerkleTree, contribution_leaf, reward_leaf
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Role
from ledger.typed_data import Contribution, Domain, KeyPossession, model_id, run_id
from tests.contracts.engines import Engine, quick_engine
from tests.contracts.harness import Contract, Event, account, sign, word

ESCROW = 1_000_000
"""What a test run deposits, in the smallest unit."""
GRANT = 10_000
"""Privacy budget that a test holder grants its data set."""
DELAY = 3_600
"""Closing delay of a test run, seconds."""
HOLDERS = ("ada", "ben", "cleo", "dan")
FOUNDERS = {
    "ada": Role.HOLDER,
    "ben": Role.HOLDER,
    "cleo": Role.HOLDER,
    "dan": Role.HOLDER,
    "rosa": Role.RESEARCHER,
    "odo": Role.AUDITOR,
    "kim": Role.COORDINATOR,
}
"""Who founds a test consortium; two votes are needed."""


class World:
    """A ledger with its token, and accounts by first name: ada, ben, cleo, dan (holders), rosa, odo, kim.

    Args:
        engine: The EVM; a new one when absent.
        ledger: The artifact to deploy, the checked-in one when absent.
    """

    def __init__(self, engine: Engine | None = None, ledger: Artifact | None = None) -> None:
        self.engine = engine or quick_engine()
        founders = [account(name) for name in FOUNDERS]
        roles = [int(role) for role in FOUNDERS.values()]
        artifact = ledger or load("TrainingLedger")
        self.ledger = Contract.deploy(self.engine, "kim", artifact, founders, roles, 2)
        self.token = Contract.deploy(self.engine, "rosa", load("RewardToken"), account("rosa"), 10**30)
        self.domain = Domain(chain_id=self.engine.chain_id, contract=self.ledger.address)

    # ------------------------------------------------------------------------------------------------ calls

    def call(self, sender: str, function: str, *arguments: Any) -> Any:
        """Call the ledger as ``sender``."""
        return self.ledger.call(sender, function, *arguments)

    def view(self, function: str, *arguments: Any) -> Any:
        """Call a view of the ledger."""
        return self.ledger.view(function, *arguments)

    def event(self) -> Event:
        """Return the one event of the last call."""
        (event,) = self.ledger.events()
        return event

    # ------------------------------------------------------------------------------------------------ members

    def vote(
        self,
        act: Act,
        *,
        subject: bytes = EMPTY_ADDRESS,
        roles: Role = Role(0),  # noqa: B008 - a constant
        info: bytes = EMPTY_WORD,
        voters: tuple[str, ...] = ("ada", "ben"),
    ) -> bool:
        """Let ``voters`` vote one after the other; return what the last vote returned."""
        for voter in voters:
            done = self.call(voter, "vote", int(act), subject, int(roles), info)
        return bool(done)

    def possession(self, member: str, epoch: int, *, key: str, encryption: bytes = word("bundle")) -> bytes:
        """Return a proof of possession by the key called ``key``."""
        statement = KeyPossession(member=account(member), epoch=epoch, encryption=encryption)
        return sign(key, statement.digest(self.domain))

    def set_keys(self, member: str, *, key: str | None = None) -> None:
        """Give a member its next key set; the key is called after member and epoch."""
        epoch = self.view("member", account(member))["epoch"] + 1
        key = key or f"{member}/{epoch}"
        proof = self.possession(member, epoch, key=key)
        self.call(member, "setKeys", account(key), word("bundle"), proof)

    # ------------------------------------------------------------------------------------------------ runs

    def create_run(
        self,
        *,
        terms: bytes = word("terms"),
        token: Contract | None = None,
        escrow: int = ESCROW,
        min_clients: int = 2,
        max_rounds: int = 100,
        budget: int = 1_000,
        delay: int = DELAY,
    ) -> bytes:
        """Let rosa create a run that kim coordinates; return its id."""
        token = token or self.token
        if escrow:
            token.call("rosa", "mint", account("rosa"), escrow)
            token.call("rosa", "approve", self.ledger.address, escrow)
        run = run_id(account("rosa"), terms)
        self.call(
            "rosa", "createRun", run, terms, token.address, escrow, min_clients, max_rounds, budget,
            account("kim"), delay,
        )  # fmt: skip
        return run

    def ready_run(self, **options: Any) -> bytes:
        """Create a run that all four holders accept, with a registered root called "root"."""
        run = self.create_run(**options)
        terms = options.get("terms", word("terms"))
        for holder in HOLDERS:
            if self.view("member", account(holder))["epoch"] == 0:
                self.set_keys(holder)
            if self.view("budgetOf", account(holder), dataset_of(holder))["granted"] == 0:
                self.grant(holder)
            self.accept(holder, run, terms)
        self.call("kim", "registerRoot", run, word("root"), EMPTY_WORD)
        return run

    def grant(self, holder: str, granted: int = GRANT) -> None:
        """Let a holder set the privacy budget of its data set."""
        self.call(holder, "grantBudget", dataset_of(holder), granted)

    def accept(self, holder: str, run: bytes, terms: bytes = word("terms"), **changes: bytes) -> None:
        """Let a holder consent with its data set, or with ``dataset``."""
        self.call(holder, "accept", run, terms, changes.get("dataset", dataset_of(holder)))

    # ------------------------------------------------------------------------------------------------ rounds

    def contribution(self, run: bytes, n: int, member: str, **changes: Any) -> Contribution:
        """Return what a member signs in a test round that trains from the root."""
        values: dict[str, Any] = {
            "run": run,
            "round": n,
            "member": account(member),
            "header": word(f"header {n}"),
            "parent": model_id(run, 0, word("root")),
            **{
                name: word(f"{name} of {member} in {n}")
                for name in ("ciphertext", "boxes", "dataset", "weight", "metrics")
            },
        }
        return Contribution(**{**values, **changes})

    def tree(self, run: bytes, n: int, members: tuple[str, ...] = HOLDERS) -> MerkleTree:
        """Return the tree over the contributions of ``members``."""
        return MerkleTree(
            contribution_leaf(account(name), self.contribution(run, n, name).digest(self.domain))
            for name in members
        )

    def open(self, run: bytes, n: int, parent: bytes | None = None, *, cost: int = 1) -> None:
        """Open round ``n``."""
        parent = parent or model_id(run, 0, word("root"))
        self.call("kim", "openRound", run, n, parent, word(f"header {n}"), cost)

    def commit(self, run: bytes, n: int) -> None:
        """Commit V: all holders."""
        self.call("kim", "commitRound", run, n, self.tree(run, n).root, len(HOLDERS))

    def include(self, run: bytes, n: int, members: tuple[str, ...] = HOLDERS[:3]) -> None:
        """Commit U: ``members``."""
        tree = self.tree(run, n, members)
        self.call("kim", "commitIncluded", run, n, tree.root, len(members), word("exclusions"))

    def finalise(
        self, run: bytes, n: int, *, rewards: dict[str, int] | None = None, reward: int = 0
    ) -> bytes:
        """Finalise; ``rewards`` are cumulative sums by name, ``reward`` is what the round adds. Return the model."""
        root = rewards_of(run, rewards).root if rewards else EMPTY_WORD
        artifact = word(f"artifact {n}")
        self.call("kim", "finaliseRound", run, n, artifact, word("key"), word("metrics"), root, reward)
        return model_id(run, n, artifact)

    def play(self, run: bytes, n: int, until: str = "finalised") -> None:
        """Take round ``n`` to a state: "open", "committed", "included", "finalised" (no reward) or "aborted"."""
        self.open(run, n)
        if until in ("committed", "included", "finalised"):
            self.commit(run, n)
        if until in ("included", "finalised"):
            self.include(run, n)
        if until == "finalised":
            self.finalise(run, n)
        if until == "aborted":
            self.call("kim", "abortRound", run, n)

    # ------------------------------------------------------------------------------------------------ rewards

    def claim(
        self, run: bytes, n: int, name: str, cumulative: int, tree: MerkleTree, sender: str = "anyone"
    ) -> None:
        """Claim for the account called ``name``."""
        proof = tree.proof(reward_leaf(run, account(name), cumulative))
        self.call(sender, "claim", run, n, account(name), cumulative, proof)

    def balance(self, owner: bytes, token: Contract | None = None) -> int:
        """Return how many tokens ``owner`` has."""
        return int((token or self.token).view("balanceOf", owner))


def dataset_of(holder: str) -> bytes:
    """Return the commitment to the data set that a holder uses."""
    return word(f"data set of {holder}")


def rewards_of(run: bytes, rewards: dict[str, int]) -> MerkleTree:
    """Return the rewards tree of cumulative sums by name."""
    return MerkleTree(reward_leaf(run, account(name), amount) for name, amount in rewards.items())
