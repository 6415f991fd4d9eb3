"""An external chain as an audit reads it: at one block, with the events proven from headers, and the same at every node.

1. The block is chosen once and checked as ``suture-audit light`` does (checks 1 to 9 of :mod:`ledger.light.table`): what stands behind
   it are several nodes that agree, validators' seals, or one node's word.
2. Every block before it, down to block 0, follows from it by its parent's hash. An event is taken from the receipts of its block,
   all of which must give the root in the header (:mod:`ledger.light.receipts`); ``eth_getLogs`` is not believed. Transactions, with
   their hashes and senders, come from their root in the same way. A history longer than :data:`MAX_BLOCKS` is not walked: its events
   and transactions must then be the same at two nodes or more.
3. Views of our contracts are computed from storage that is proven under the state root of the block of (1) (:mod:`ledger.light.views`), and
   code is that of the account's proven hash. Other views must be the same at every node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from eth_utils.crypto import keccak

from fl_core.errors import VerificationError
from ledger.artifacts import load
from ledger.chain.abi import Function
from ledger.chain.connection import Web3Connection
from ledger.chain.ports import Log, Proving, Sent
from ledger.creation import LEDGER, TOKEN
from ledger.errors import ChainUnreachable
from ledger.light.nodes import Block
from ledger.light.receipts import logs_of, may_log
from ledger.light.state import ContractState
from ledger.light.transactions import Transaction, transactions_of
from ledger.light.verify import LightVerification, Pins
from ledger.light.views import LEDGER_VIEWS, TOKEN_VIEWS, View, proven
from ledger.records import EMPTY_ADDRESS, WORD_SIZE, Head
from ledger.typed_data import Domain

MAX_BLOCKS = 100_000
"""Longest history whose headers are all looked at; about two milliseconds each."""

_T = TypeVar("_T")
Progress = Callable[[int, int], None]


class NodeReading:
    """A :class:`ledger.chain.ports.Reading` that trusts no node more than it has to; see the module docstring.

    Args:
        connections: Name for people -> node; at least one.
        pins: What the auditor knows of the chain: validators, a genesis, a seen block. Chain id and contract are filled in.
        max_blocks: Longest history that is walked.
    """

    def __init__(
        self,
        connections: Mapping[str, Web3Connection],
        pins: Pins | None = None,
        *,
        max_blocks: int = MAX_BLOCKS,
    ) -> None:
        self._connections = dict(connections)
        self._first = next(iter(self._connections.values()))
        self._pins = pins or Pins(chain_id=self._first.chain_id, contract=EMPTY_ADDRESS)
        self._max_blocks = max_blocks
        self._logs: dict[bytes, tuple[Log, ...]] = {}
        self._places: dict[bytes, Block] = {}  # hash of a transaction -> its block, of blocks that logged
        self._states: dict[bytes, ContractState] = {}
        self._codes: dict[bytes, bytes] = {}
        self.progress: Progress = lambda done, total: None

    @property
    def chain_id(self) -> int:
        """The chain's id, as the first node says; check 1 holds the others to it."""
        return self._first.chain_id

    def verification(self, contract: bytes) -> LightVerification:
        """Return a light verification of the block, for proofs of a contract's storage."""
        return self._verify(contract, self.block.number)

    def state(self, address: bytes) -> ContractState:
        """Return an account in the state after the block; what is read of it is proven."""
        if address not in self._states:
            self._states[address] = ContractState(self._connections, self.block, address)
        return self._states[address]

    def _views(self, address: bytes) -> dict[str, View]:
        """Return the views that can be computed from the storage of a contract: those of ours, by its code."""
        code, token = self.code(address), load(TOKEN)
        domain = Domain(chain_id=self.chain_id, contract=address)
        if code == load(LEDGER).deployed_code({"DOMAIN": domain.separator()}):
            return LEDGER_VIEWS
        whole = len(token.runtime) + WORD_SIZE * len(token.immutables)
        return TOKEN_VIEWS if code.startswith(token.runtime) and len(code) == whole else {}

    def _verify(self, contract: bytes, height: int | None) -> LightVerification:
        proving: Mapping[str, Proving] = self._connections
        pins = replace(
            self._pins,
            chain_id=self.chain_id,
            contract=contract,
            at_least=len(self._connections),
            height=height,
            trust_node=True,
        )
        return LightVerification(proving, pins, now=self._first.head().timestamp)

    @cached_property
    def _verified(self) -> LightVerification:
        """The newest block that all nodes show, unless a height is pinned; none may be far ahead of it (check 8)."""
        verification = self._verify(EMPTY_ADDRESS, self._pins.height)
        _ = verification.block
        return verification

    @property
    def block(self) -> Block:
        """The block that the ledger is read at, after checks 1 to 9.

        Raises:
            LightCheckFailed: One of them failed.
        """
        return self._verified.block

    @property
    def vouchers(self) -> str:
        """What stands behind the block, for people."""
        return " and ".join(self._verified.vouchers) or "one node's word"

    @property
    def proven(self) -> bool:
        """Whether events are proven from headers, rather than compared between nodes."""
        return self.block.number <= self._max_blocks

    # ------------------------------------------------------------------ reading

    def head(self) -> Head:
        """Return the block that the ledger is read at."""
        block = self.block
        return Head(number=block.number, hash=block.hash, timestamp=block.header.timestamp)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None above the block that the ledger is read at."""
        if not 0 <= number <= self.block.number:
            return None
        if self.proven:
            return self._history[0][number]
        return self._agreed(f"block {number}", lambda node: node.block_hash(number))

    def call(
        self, address: bytes, function: Function, *arguments: object, block: int | None = None
    ) -> tuple[Any, ...]:
        """Answer a view in the state after the block: from proven storage, or as every node does."""
        at, views = self.block.number if block is None else block, self._views(address)
        if at == self.block.number and function.name in views:
            return proven(views, function.name, self.state(address), arguments)
        return self._agreed(
            f"{function.name}()", lambda node: node.call(address, function, *arguments, block=at)
        )

    def code(self, address: bytes) -> bytes:
        """Return the code at an address, which has the hash in the state after the block."""
        if address not in self._codes:
            code = self._agreed(f"the code at 0x{address.hex()}", lambda node: node.code(address))
            if keccak(code) != self.state(address).code_hash:
                raise VerificationError(
                    f"the code at 0x{address.hex()} does not have the hash in the state of block {self.block.number}"
                )
            self._codes[address] = code
        return self._codes[address]

    def transaction(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction that logged something, proven from its block; any other as every node shows it."""
        block = self._places.get(tx_hash)
        if block is None:
            return self._agreed(f"transaction 0x{tx_hash.hex()}", lambda node: node.transaction(tx_hash))
        return next(found.sent() for found in self._transactions(block) if found.hash == tx_hash)

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        """Yield the logs of one contract in blocks ``first`` to ``last``, in order, none left out."""
        if address not in self._logs:
            self._logs[address] = self._proven_logs(address) if self.proven else self._agreed_logs(address)
        for log in self._logs[address]:
            wanted = zip(topics, log.topics, strict=False)
            if (
                first <= log.block_number <= last
                and len(log.topics) >= len(topics)
                and all(pattern in (None, topic) for pattern, topic in wanted)
            ):
                yield log

    # ------------------------------------------------------------------ proving

    @cached_property
    def _history(self) -> tuple[list[bytes], list[Block]]:
        """The hash of every block up to the one that the ledger is read at, and the blocks that logged anything; ascending.

        One node's, each bound by its child.
        """
        verification, total = self._verified, self.block.number + 1
        name = verification.witness_node(self.block.number)
        hashes, logged = list[bytes](), list[Block]()
        for block in verification.nodes.ancestors(name, self.block):
            hashes.append(block.hash)
            if any(block.header.bloom):
                logged.append(block)
            self.progress(len(hashes), total)
        return hashes[::-1], logged[::-1]

    def _proven_logs(self, address: bytes) -> tuple[Log, ...]:
        found = list[Log]()
        for block in self._history[1]:
            if may_log(block, address):
                hashes = [transaction.hash for transaction in self._transactions(block)]
                found += logs_of(block, self._receipts(block.number), hashes, address)
                self._places |= dict.fromkeys(hashes, block)
        return tuple(found)

    def _transactions(self, block: Block) -> tuple[Transaction, ...]:
        number = block.number
        answer = self._any(f"the transactions of block {number}", lambda node: node.raw_transactions(number))
        return transactions_of(block, answer)

    def _receipts(self, number: int) -> list[dict[str, object]]:
        what = f"the receipts of block {number}"
        return self._any(
            what, lambda node: node.raw_receipts(number), fix="answers eth_getBlockReceipts and "
        )

    def _any(self, what: str, ask: Callable[[Web3Connection], _T], *, fix: str = "") -> _T:
        """Return the answer of the first node that gives any: it will prove itself."""
        problems = []
        for name, connection in self._connections.items():
            try:
                return ask(connection)
            except ChainUnreachable as error:
                problems.append(f"{name}: {error.message}")
        raise VerificationError(
            f"no node gives {what} ({'; '.join(problems)})", fix=f"Use a node that {fix}keeps all blocks."
        )

    def _agreed_logs(self, address: bytes) -> tuple[Log, ...]:
        if len(self._connections) < 2:
            raise VerificationError(
                f"the history has {self.block.number} blocks, and at most {self._max_blocks} are followed back",
                fix="Name a second node with --rpc: their events are compared then.",
            )
        last = self.block.number
        return self._agreed(
            f"the events of 0x{address.hex()}", lambda node: tuple(node.logs(address, [], 0, last))
        )

    def _agreed(self, what: str, ask: Callable[[Web3Connection], _T]) -> _T:
        """Return what every node answers."""
        (first, answer), *others = [(name, ask(node)) for name, node in self._connections.items()]
        for name, other in others:
            if other != answer:
                raise VerificationError(
                    f"{first} and {name} differ about {what}",
                    fix="Keep this: one of the nodes lies. Ask the members which is theirs.",
                )
        return answer
