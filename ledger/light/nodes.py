"""Several nodes asked about one chain: what each shows, and a walk from a block to its ancestors.

A node that does not answer is away: it supports nothing, and contradicts nothing. One that answers is held to its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fl_core.errors import DecodeError, VerificationError
from ledger.chain.jsonrpc import MalformedJson, to_bytes
from ledger.chain.ports import Proving
from ledger.errors import ChainUnreachable
from ledger.light.header import Header
from ledger.light.qbft import block_hash
from ledger.light.table import HEADER, LightCheck, LightCheckFailed
from ledger.records import WORD_SIZE

MAX_WALK = 5_000
"""Most headers that are followed from a block to an ancestor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block whose hash follows from its header.

    Attributes:
        header: Its header.
        hash: Its hash, 32 bytes.
    """

    header: Header
    hash: bytes

    @property
    def number(self) -> int:
        """Height."""
        return self.header.number

    def __str__(self) -> str:
        return f"{self.number} (0x{self.hash.hex()})"


class Nodes:
    """Nodes by name.

    Args:
        connections: Name for people -> connection; at least one.

    Attributes:
        away: Name -> why the node could not be asked.
    """

    def __init__(self, connections: Mapping[str, Proving]) -> None:
        self.connections = dict(connections)
        self.away: dict[str, str] = {}
        self._blocks: dict[tuple[str, int], Block | None] = {}

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the nodes that have answered so far."""
        return tuple(name for name in self.connections if name not in self.away)

    def block(self, name: str, number: int | None) -> Block | None:
        """Return what a node shows at a height (the newest block when None), or None when it shows nothing or is away.

        Raises:
            LightCheckFailed: Check 2: its words do not fit together.
        """
        if name in self.away:
            return None
        if number is not None and (name, number) in self._blocks:
            return self._blocks[name, number]
        try:
            answer = self.connections[name].raw_block(number)
            found = None if answer is None else _read(name, answer, number)
        except ChainUnreachable as error:
            self.away[name] = error.message
            return None
        height = number if found is None else found.number
        if height is not None:
            self._blocks.setdefault((name, height), found)
        return found

    def descend(self, name: str, start: Block, number: int, check: LightCheck) -> bytes:
        """Return the hash of the ancestor of ``start`` at a height: headers of one node, each bound by its child.

        Args:
            name: The node that is asked for the headers between.
            start: Where the walk begins.
            number: At most ``start.number``.
            check: The check that fails if there is no such walk.
        """
        if start.number - number > MAX_WALK:
            raise LightCheckFailed(
                check, f"block {number} is more than {MAX_WALK} blocks below block {start.number}",
                fix="Ask for a newer block, or give a newer checkpoint or seen block.",
            )  # fmt: skip
        block = start
        while block.number > number:
            below = self.block(name, block.number - 1)
            if below is None:
                raise LightCheckFailed(check, f"{name} does not show block {block.number - 1}")
            if below.hash != block.header.parent:
                raise LightCheckFailed(
                    check, f"{name}'s block {block.number} does not follow its block {below.number}"
                )
            block = below
        return block.hash

    def ancestors(self, name: str, start: Block) -> Iterator[Block]:
        """Yield ``start`` and every block before it, down to block 0: headers of one node, each bound by its child.

        Raises:
            VerificationError: The node does not show one, or one that does not belong to its child.
        """
        block = start
        yield block
        while block.number > 0:
            try:
                answer = self.connections[name].raw_block(block.number - 1)
            except ChainUnreachable as error:
                raise VerificationError(f"{name} cannot be asked: {error.message}") from error
            if answer is None:
                raise VerificationError(f"{name} does not show block {block.number - 1}")
            below = _read(name, answer, block.number - 1)
            if below.hash != block.header.parent:
                raise VerificationError(
                    f"{name}'s block {block.number} does not follow its block {below.number}"
                )
            yield below
            block = below


def _read(name: str, answer: dict[str, object], number: int | None) -> Block:
    """Read a block and recompute its hash (check 2)."""
    try:
        header = Header.of(answer)
        stated, found = to_bytes(answer.get("hash"), WORD_SIZE), block_hash(header)
    except (DecodeError, MalformedJson) as error:
        raise LightCheckFailed(HEADER, f"{name} shows a block that cannot be read: {error}") from error
    if number is not None and header.number != number:
        raise LightCheckFailed(HEADER, f"{name} shows block {header.number} where {number} was asked for")
    if found != stated:
        raise LightCheckFailed(
            HEADER,
            f"{name} says that block {header.number} is 0x{stated.hex()}, its fields give 0x{found.hex()}",
            fix="The node lies, or its chain has header fields that this version does not know.",
        )
    return Block(header=header, hash=found)
