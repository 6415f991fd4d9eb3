"""A block of the embedded chain as bytes: what followers fetch, and nothing that they can compute themselves.

=============  ==============================================================================================
version        2 bytes: 1
header         byte string: the RLP of the header, in its canonical encoding, at most :data:`MAX_BLOCK_HEADER` bytes
transaction    byte string: the signed transaction as its sender made it; empty in block 0 and only there
=============  ==============================================================================================

A byte string is four bytes of length and the bytes (:mod:`fl_core.codec`). Many blocks in a row, as a service streams
them, are byte strings one after another (:func:`write_stream`, :func:`read_stream`). Receipts, logs and states are not
sent: whoever wants them executes the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import rlp
from eth.abc import BlockHeaderAPI
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from fl_core.codec import Reader, Writer
from fl_core.errors import DecodeError
from ledger.chain.embedded.evm import MAX_TRANSACTION_BYTES

VERSION = 1
MAX_BLOCK_HEADER = 1024
"""Bytes of a header's RLP; ours have about 560."""
MAX_BLOCK = 2 + 4 + MAX_BLOCK_HEADER + 4 + MAX_TRANSACTION_BYTES
"""Bytes of an encoded block."""
MAX_BLOCKS_ASKED = 256
"""Most blocks that anybody is asked for, or gives, at once."""
_LENGTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WireBlock:
    """A block that was decoded and not yet believed.

    Attributes:
        header: RLP of the header.
        transaction: The signed transaction; empty in block 0.
    """

    header: bytes
    transaction: bytes

    @property
    def hash(self) -> bytes:
        """The block's hash, 32 bytes."""
        return keccak(self.header)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.opaque(self.header, MAX_BLOCK_HEADER)
        w.opaque(self.transaction, MAX_TRANSACTION_BYTES)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a block; its header is well formed, nothing else is checked.

        Raises:
            DecodeError: ``data`` is not the canonical form of a block.
        """
        r = Reader(data, limit=MAX_BLOCK, what="block")
        version = r.uint(2)
        if version != VERSION:
            raise DecodeError(f"block: version {version} is not {VERSION}")
        block = cls(header=r.opaque(MAX_BLOCK_HEADER), transaction=r.opaque(MAX_TRANSACTION_BYTES))
        r.end()
        if (block.parsed().block_number == 0) != (not block.transaction):
            raise DecodeError("block: block 0 holds no transaction, every other one does")
        return block

    def parsed(self) -> BlockHeaderAPI:
        """Return the header's fields.

        Raises:
            DecodeError: It is no header, or not in its canonical encoding.
        """
        try:
            header: BlockHeaderAPI = rlp.decode(self.header, ShanghaiBlockHeader)
            canonical = rlp.encode(header) == self.header
        except (RLPException, ValidationError, ValueError, TypeError, IndexError) as error:
            raise DecodeError(f"block: the header is malformed ({type(error).__name__})") from error
        if not canonical:
            raise DecodeError("block: the header is not in its canonical encoding")
        return header


def write_stream(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a stream of encoded blocks, one a block; their concatenation is the stream."""
    for block in blocks:
        yield len(block).to_bytes(_LENGTH, "big") + block


def read_stream(read: Callable[[int], bytes], limit: int) -> Iterator[bytes]:
    """Yield the encoded blocks of a stream; one is in memory at a time.

    Args:
        read: Returns up to as many bytes as asked for, and none at the stream's end.
        limit: Most blocks to accept.

    Raises:
        DecodeError: A block is longer than :data:`MAX_BLOCK`, the stream ends within one, or holds more than ``limit``.
    """
    for _ in range(limit):
        prefix = _exactly(read, _LENGTH, may_end=True)
        if not prefix:
            return
        size = int.from_bytes(prefix, "big")
        if size > MAX_BLOCK:
            raise DecodeError(f"block stream: a block of at most {MAX_BLOCK} bytes claims {size}")
        yield _exactly(read, size)
    if read(1):
        raise DecodeError(f"block stream: more than {limit} blocks came")


def _exactly(read: Callable[[int], bytes], size: int, *, may_end: bool = False) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = read(size - len(found))
        if not piece and may_end and not found:
            return b""
        if not piece:
            raise DecodeError("block stream: it ends within a block")
        found += piece
        if len(found) > size:
            raise DecodeError("block stream: more bytes came than were asked for")
    return bytes(found)
