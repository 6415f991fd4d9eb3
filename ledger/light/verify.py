"""All checks of the light verification in order: first the block, then the contract and its records in the block's state.

What the auditor believes beforehand are its pins; nothing else is believed. The checks are those of :mod:`ledger.light.table`,
and each block of code carries its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from fl_core.errors import VerificationError
from ledger.chain.ports import Proving
from ledger.checkpoints import SignedCheckpoint
from ledger.light import table
from ledger.light.nodes import Block, Nodes
from ledger.light.qbft import quorum
from ledger.light.succession import EPOCH_BLOCKS, follow
from ledger.light.table import LightCheck, LightCheckFailed, Outcome, Verdict
from ledger.light.witnesses import Signed, newest_by_witness
from ledger.typed_data import Domain

MAX_AHEAD_S = 900
"""How far a block's time may lie in the future, seconds: clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the auditor knows from elsewhere.

    Attributes:
        chain_id: The chain.
        contract: Address of the ledger's contract, 20 bytes.
        code: keccak-256 of its code, or empty: this version's code is demanded anyway.
        genesis: Hash of block 0, or empty.
        validators: Of a QBFT chain, now or earlier; empty when seals are not looked at.
        epoch_length: Blocks after which such a chain drops pending votes on validators.
        witnesses: Signing keys of members whose checkpoints count.
        checkpoints: What they signed; of others too, which do not count.
        witnesses_needed: How many of them must vouch.
        seen: Height and hash of a block that the auditor saw before, or None.
        at_least: How many nodes must show the block.
        height: The block to look at; the newest that enough nodes show when None.
        confirmations: How deep that one must be; 1 on chains without forks.
        max_lag: By how many blocks a node may be ahead of the block that is looked at, when no height is given.
        max_age_s: How old it may be; None where nobody makes blocks while nothing happens.
        trust_node: Believe a block that nothing but one node's word stands behind.
    """

    chain_id: int
    contract: bytes
    code: bytes = b""
    genesis: bytes = b""
    validators: frozenset[bytes] = frozenset()
    epoch_length: int = EPOCH_BLOCKS
    witnesses: frozenset[bytes] = frozenset()
    checkpoints: tuple[SignedCheckpoint, ...] = ()
    witnesses_needed: int = 1
    seen: tuple[int, bytes] | None = None
    at_least: int = 1
    height: int | None = None
    confirmations: int = 1
    max_lag: int = 5
    max_age_s: int | None = None
    trust_node: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A check is not made; says why."""

    reason: str


class LightVerification:
    """One verification; its parts are made once, in order, when they are asked for.

    Args:
        connections: Name of a node for people -> connection to it; at least one.
        pins: What the auditor knows.
        now: Unix seconds.

    Attributes:
        outcomes: The checks so far.
        vouchers: What stands behind the block; filled by checks 3, 5, 6 and 7.
        nodes: The nodes that are asked.
    """

    def __init__(self, connections: Mapping[str, Proving], pins: Pins, *, now: int) -> None:
        self.pins = pins
        self.nodes = Nodes(connections)
        self.outcomes: list[Outcome] = []
        self.vouchers: list[str] = []
        self._now = now

    # ------------------------------------------------------------------ the block

    @cached_property
    def block(self) -> Block:
        """The block, after checks 1 to 9.

        Raises:
            LightCheckFailed: One of them failed.
        """
        self.make(table.CHAIN, self._check_chain)
        with self._noting(table.HEADER):
            height = self._height()
        self.make(table.HEADER, lambda: self._check_headers(height))
        self.make(table.AGREEMENT, lambda: self._check_agreement(height))
        block = self._shown(height)[self.witness_node(height)]
        self.make(table.GENESIS, self._check_genesis)
        self.make(table.SEALS, lambda: self._check_seals(block))
        self.make(table.CHECKPOINTS, lambda: self._check_checkpoints(block))
        self.make(table.HISTORY, lambda: self._check_history(block))
        self.make(table.FRESH, lambda: self._check_fresh(block))
        self.make(table.VOUCHED, self._check_vouched)
        return block

    def make(self, check: LightCheck, action: Callable[[], str | Skip]) -> None:
        """Make one check and note what came of it.

        Raises:
            LightCheckFailed: It failed, or one that it builds on.
        """
        with self._noting(check):
            said = action()
        if isinstance(said, Skip):
            self._note(check, Verdict.SKIPPED, said.reason)
        else:
            self._note(check, Verdict.PASS, said)

    @contextmanager
    def _noting(self, check: LightCheck) -> Iterator[None]:
        """Note a failure, as one of ``check`` unless it names another."""
        try:
            yield
        except LightCheckFailed as error:
            self._note(error.check, Verdict.FAIL, error.problem)
            raise
        except VerificationError as error:
            self._note(check, Verdict.FAIL, error.message)
            raise LightCheckFailed(check, error.message, fix=error.fix) from error

    def _note(self, check: LightCheck, verdict: Verdict, summary: str) -> None:
        self.outcomes.append(Outcome(check=check, verdict=verdict, summary=summary))

    def _shown(self, height: int) -> dict[str, Block]:
        """Return what the nodes show at a height."""
        found = {name: self.nodes.block(name, height) for name in self.nodes.connections}
        return {name: block for name, block in found.items() if block is not None}

    def witness_node(self, height: int) -> str:
        """Return the first node that shows a block at the height."""
        return next(iter(self._shown(height)))

    @cached_property
    def _heads(self) -> dict[str, int]:
        """Name -> height of the newest block that a node shows."""
        heads = {name: self.nodes.block(name, None) for name in self.nodes.connections}
        return {name: head.number for name, head in heads.items() if head is not None}

    @cached_property
    def _signed(self) -> Signed:
        domain = Domain(chain_id=self.pins.chain_id, contract=self.pins.contract)
        return newest_by_witness(self.pins.checkpoints, self.pins.witnesses, domain)

    def _height(self) -> int:
        """Choose the block: as pinned, else the newest that enough witnesses signed, else the newest of enough nodes."""
        heads, pins = sorted(self._heads.values(), reverse=True), self.pins
        if not heads:
            raise LightCheckFailed(
                table.AGREEMENT,
                f"no node answers ({', '.join(self.nodes.away)})",
                fix="Try again, or use other nodes.",
            )
        if pins.height is not None:
            return pins.height
        signed = sorted((checkpoint.number for checkpoint in self._signed.values()), reverse=True)
        if len(signed) >= pins.witnesses_needed > 0 and pins.witnesses:
            return signed[pins.witnesses_needed - 1]
        kth = heads[min(pins.at_least, len(heads)) - 1]
        return max(0, kth - pins.confirmations + 1)

    def _check_chain(self) -> str:
        """(1) Every node serves the chain that was asked for."""
        for name, connection in self.nodes.connections.items():
            if connection.chain_id != self.pins.chain_id:
                raise LightCheckFailed(
                    table.CHAIN,
                    f"{name} serves chain {connection.chain_id}, asked for was {self.pins.chain_id}",
                    fix="Give nodes of the right chain, or the right --chain-id.",
                )
        return f"chain {self.pins.chain_id} at {_count(len(self.nodes.connections), 'node')}"

    def _check_headers(self, height: int) -> str:
        """(2) The hash follows from the fields; :meth:`Nodes.block` raises where it does not."""
        shown = self._shown(height)
        if not shown:
            raise LightCheckFailed(
                table.HEADER, f"no node shows block {height}", fix="Give a lower --block, or other nodes."
            )
        return f"block {next(iter(shown.values()))}, recomputed at {_count(len(shown), 'node')}"

    def _check_agreement(self, height: int) -> str:
        """(3) Same height, same hash, at enough nodes."""
        shown = self._shown(height)
        hashes: dict[bytes, str] = {}
        for name, block in shown.items():
            hashes.setdefault(block.hash, name)
        if len(hashes) > 1:
            said = ", ".join(f"{name} shows 0x{digest.hex()}" for digest, name in hashes.items())
            raise LightCheckFailed(
                table.AGREEMENT,
                f"the nodes show different blocks {height}: {said}",
                fix="Keep this: one node lies, or the chain was split. Ask the members which block is theirs.",
            )
        if len(shown) < self.pins.at_least:
            away = "".join(f"; {name} is away" for name in self.nodes.away)
            raise LightCheckFailed(
                table.AGREEMENT,
                f"{len(shown)} of the {self.pins.at_least} nodes that are needed show block {height}{away}",
                fix="Try again later, name other nodes, or ask for fewer with --at-least.",
            )
        if len(shown) > 1:
            self.vouchers.append(f"{len(shown)} nodes")
        return f"{_count(len(shown), 'node')} of {len(self.nodes.connections)} show it"

    def _check_genesis(self) -> str | Skip:
        """(4) Block 0 is the pinned one, at every node that shows it."""
        pinned = {self.pins.genesis} | {checkpoint.genesis for checkpoint in self._signed.values()} - {b""}
        pinned -= {b""}
        if not pinned:
            return Skip("no genesis hash is pinned")
        for name, block in self._shown(0).items():
            if {block.hash} != pinned:
                raise LightCheckFailed(
                    table.GENESIS, f"{name}'s block 0 is 0x{block.hash.hex()}, another one is pinned",
                    fix="Give nodes of the right chain.",
                )  # fmt: skip
        return f"0x{next(iter(pinned)).hex()}"

    def _check_seals(self, block: Block) -> str | Skip:
        """(5) Two thirds of the validators sealed the block: the pinned ones, or those that followed them by votes."""
        pins = self.pins
        if not pins.validators:
            return Skip("no validators are pinned")
        ancestors = self.nodes.ancestors(self.witness_node(block.number), block)
        found = follow(ancestors, pins.validators, pins.epoch_length)
        signers, validators = len(found.signers), len(found.validators)
        self.vouchers.append(f"{signers} validators")
        said = f"{signers} of {validators} validators sealed it, {quorum(validators)} are needed"
        if not found.changes:
            return said
        times = _count(found.changes, "time")
        return f"{said}; the set changed {times} by votes since block {found.pinned_until}, the last of the pinned ones"

    def _check_checkpoints(self, block: Block) -> str | Skip:
        """(6) Enough witnesses signed the block or a descendant; no witness signed one that is not on this chain."""
        if not self.pins.witnesses:
            return Skip("no witnesses are pinned")
        name, vouching = self.witness_node(block.number), 0
        for signer, checkpoint in self._signed.items():
            shown = self.nodes.block(name, checkpoint.number)
            who = f"witness 0x{signer.hex()}"
            if shown is None:
                raise LightCheckFailed(
                    table.CHECKPOINTS, f"{who} signed block {checkpoint.number}, and {name} does not show it",
                    fix="The node withholds blocks, was rolled back, or is behind: use another one.",
                )  # fmt: skip
            if shown.hash != checkpoint.hash:
                raise LightCheckFailed(
                    table.CHECKPOINTS,
                    f"{who} signed block {checkpoint.number} as 0x{checkpoint.hash.hex()}, {name} shows 0x{shown.hash.hex()}",
                    fix="Keep this: the node shows a history that the member does not know.",
                )
            if checkpoint.number >= block.number:
                if self.nodes.descend(name, shown, block.number, table.CHECKPOINTS) != block.hash:
                    raise LightCheckFailed(
                        table.CHECKPOINTS, f"block {block} is no ancestor of what {who} signed"
                    )
                vouching += 1
        if vouching < self.pins.witnesses_needed:
            raise LightCheckFailed(
                table.CHECKPOINTS,
                f"{vouching} of the {self.pins.witnesses_needed} witnesses that are needed vouch for block {block.number}",
                fix="Fetch newer checkpoints, or ask for an older block with --block.",
            )
        self.vouchers.append(f"{vouching} witnesses")
        return f"{vouching} of {len(self.pins.witnesses)} witnesses vouch for it"

    def _check_history(self, block: Block) -> str | Skip:
        """(7) The block that was seen before is on the chain of this one."""
        if self.pins.seen is None:
            return Skip("no block that was seen before is given")
        number, digest = self.pins.seen
        name = self.witness_node(block.number)
        shown = self.nodes.block(name, number)
        if shown is None or shown.hash != digest:
            now = "nothing" if shown is None else f"0x{shown.hash.hex()}"
            raise LightCheckFailed(
                table.HISTORY, f"block {number} was 0x{digest.hex()} and {name} shows {now}",
                fix="Keep this: the chain was rolled back, or the node shows another one.",
            )  # fmt: skip
        if number >= block.number:
            if self.nodes.descend(name, shown, block.number, table.HISTORY) != block.hash:
                raise LightCheckFailed(table.HISTORY, f"block {block} is no ancestor of block {number}")
            self.vouchers.append("a block that was seen before")
        elif self.nodes.descend(name, block, number, table.HISTORY) != digest:
            raise LightCheckFailed(
                table.HISTORY, f"block {block} does not follow block {number} that was seen before"
            )
        return f"block {number} is on the same chain"

    def _check_fresh(self, block: Block) -> str:
        """(8) The block is no older than allowed, and nobody shows a much newer one."""
        pins, age = self.pins, self._now - block.header.timestamp
        if age < -MAX_AHEAD_S:
            raise LightCheckFailed(table.FRESH, f"block {block.number} is from {-age} s in the future")
        if pins.max_age_s is not None and age > pins.max_age_s:
            raise LightCheckFailed(
                table.FRESH, f"block {block.number} is {age} s old, at most {pins.max_age_s} s are allowed",
                fix="The chain stands still, or the node is stale: use another one.",
            )  # fmt: skip
        newest = max(self._heads.values())
        lag = newest - block.number - pins.confirmations + 1
        if pins.height is None and lag > pins.max_lag:
            ahead = next(name for name, head in self._heads.items() if head == newest)
            raise LightCheckFailed(
                table.FRESH, f"{ahead} shows {newest - block.number} blocks more than block {block.number}",
                fix="The other nodes or witnesses withhold blocks or are behind; ask again, or name other nodes.",
            )  # fmt: skip
        return f"{max(0, age)} s old, the newest block is {newest}"

    def _check_vouched(self) -> str:
        """(9) More than one node's word."""
        if self.vouchers:
            return " and ".join(self.vouchers)
        if self.pins.trust_node:
            return "nothing but one node's word, as asked for"
        raise LightCheckFailed(
            table.VOUCHED,
            "only one node's word stands behind the block, and it could have invented it",
            fix="Give more nodes with --rpc, --validators, --witness with --checkpoints, or --seen; or --trust-node.",
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
