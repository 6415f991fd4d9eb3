"""The hash tree of Certificate Transparency [RFC 6962 §2.1], over SHA-256.

With ``d(0), ..., d(n-1)`` the leaves' data::

    leaf hash      SHA-256(0x00 || d)
    node hash      SHA-256(0x01 || left || right)
    root of n      of one leaf: its leaf hash; else node(root of the first k, root of the others),
                   k the largest power of two below n
    root of none   SHA-256 of the empty string

The prefixes keep leaves and nodes apart, so no inner node can be passed off as a leaf; the shape is fixed by n alone,
so no leaf is ever counted twice. A root says nothing about n: whoever checks a proof must know n from elsewhere.

:class:`TreeHasher` needs O(log n) memory; proofs need the leaf hashes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from fl_core.errors import LocalProtocolError, VerificationError

HASH_SIZE = 32
"""Bytes of every hash in the tree."""

MAX_LEAVES = 1 << 32
"""More leaves than this are refused; proofs therefore have at most 32 hashes."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(*data: bytes | memoryview) -> bytes:
    """Return SHA-256(0x00 || data), the data being the concatenation of the arguments."""
    hasher = hashlib.sha256(b"\x00")
    for part in data:
        hasher.update(part)
    return hasher.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class TreeHasher:
    """Computes a root leaf by leaf.

    It keeps the roots of the complete subtrees that the leaves so far decompose into, largest first: one for each bit
    that is set in the number of leaves.
    """

    def __init__(self) -> None:
        self._subtrees: list[bytes] = []
        self._count = 0

    def append(self, hashed_leaf: bytes) -> None:
        """Add the next leaf, given by its :func:`leaf_hash`."""
        if self._count >= MAX_LEAVES:
            raise LocalProtocolError(f"a hash tree has at most {MAX_LEAVES} leaves")
        root = _checked(hashed_leaf)
        completed = self._count
        while completed & 1:  # every trailing one is a complete subtree that now has its sibling
            root = node_hash(self._subtrees.pop(), root)
            completed >>= 1
        self._subtrees.append(root)
        self._count += 1

    @property
    def count(self) -> int:
        """How many leaves there are so far."""
        return self._count

    def root(self) -> bytes:
        """Return the root over the leaves so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        root = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            root = node_hash(left, root)
        return root


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over ``leaf_hashes``."""
    hasher = TreeHasher()
    for hashed in leaf_hashes:
        hasher.append(hashed)
    return hasher.root()


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf ``index`` [RFC 6962 §2.1.1]: the siblings on the way up, lowest first.

    Raises:
        LocalProtocolError: There is no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise LocalProtocolError(f"leaf {index} of a tree of {len(leaf_hashes)} leaves does not exist")
    if len(leaf_hashes) == 1:
        return ()
    split = _split(len(leaf_hashes))
    left, right = leaf_hashes[:split], leaf_hashes[split:]
    if index < split:
        return (*inclusion_proof(left, index), tree_root(right))
    return (*inclusion_proof(right, index - split), tree_root(left))


def verify_inclusion(root: bytes, hashed_leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> None:
    """Check that ``hashed_leaf`` is leaf ``index`` of the tree of ``count`` leaves under ``root``.

    Args:
        root: 32 bytes that the caller trusts.
        hashed_leaf: The :func:`leaf_hash` of the data.
        index: Which leaf.
        count: How many leaves the tree has; trusted like the root.
        proof: The siblings, lowest first.

    Raises:
        VerificationError: (1) index out of range, (2) a wrong number or size of hashes, (3) another root.
    """
    # (1) The leaf can exist.
    if not 0 <= index < count <= MAX_LEAVES:
        raise VerificationError(f"leaf {index} is outside of a tree of {count} leaves")
    # (2) The proof has the shape that index and count demand.
    sides = _sides(index, count)
    if len(proof) != len(sides) or any(len(sibling) != HASH_SIZE for sibling in (hashed_leaf, *proof)):
        raise VerificationError(
            f"the proof of leaf {index} of {count} has {len(sides)} hashes of {HASH_SIZE} bytes"
        )
    # (3) It leads to the root.
    if not hmac.compare_digest(_climb(hashed_leaf, sides, proof), root):
        raise VerificationError(f"leaf {index} of {count} is not under the root")


def root_of(hashed_leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof leads to, for a caller that compares it with something made of root and count.

    Arguments are those of :func:`verify_inclusion`.

    Raises:
        VerificationError: (1) index out of range, (2) a wrong number or size of hashes.
    """
    if not 0 <= index < count <= MAX_LEAVES:
        raise VerificationError(f"leaf {index} is outside of a tree of {count} leaves")
    sides = _sides(index, count)
    if len(proof) != len(sides) or any(len(sibling) != HASH_SIZE for sibling in (hashed_leaf, *proof)):
        raise VerificationError(
            f"the proof of leaf {index} of {count} has {len(sides)} hashes of {HASH_SIZE} bytes"
        )
    return _climb(hashed_leaf, sides, proof)


def _climb(hashed_leaf: bytes, sides: Sequence[bool], proof: Sequence[bytes]) -> bytes:
    current = hashed_leaf
    for is_right, sibling in zip(sides, proof, strict=True):
        current = node_hash(sibling, current) if is_right else node_hash(current, sibling)
    return current


def _split(count: int) -> int:
    """Return the largest power of two below ``count`` >= 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _sides(index: int, count: int) -> list[bool]:
    """Return, lowest level first, whether the leaf's subtree is the right child."""
    sides: list[bool] = []
    while count > 1:
        split = _split(count)
        sides.append(index >= split)
        index, count = (index - split, count - split) if index >= split else (index, split)
    return sides[::-1]


def _checked(hashed: bytes) -> bytes:
    if len(hashed) != HASH_SIZE:
        raise LocalProtocolError(f"a leaf hash has {HASH_SIZE} bytes, not {len(hashed)}")
    return hashed
