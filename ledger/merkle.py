"""Merkle trees in the form of OpenZeppelin's ``StandardMerkleTree``, which the contract verifies.

Leaves are ``keccak256(keccak256(abi.encode(...)))``: hashed twice, so that an inner node (64 bytes hashed once) can never
be shown as a leaf. Leaves are sorted, pairs are sorted before they are hashed, and the tree is the complete binary tree
of ``2n - 1`` nodes in an array: children of ``i`` at ``2i + 1`` and ``2i + 2``, leaves at the end, last leaf first. Roots
and proofs are byte-equal to those of the npm package ``@openzeppelin/merkle-tree`` 1.x.

Two uses: the sets V and U of a round (:func:`contribution_leaf`) and the rewards of a run (:func:`reward_leaf`). The tree
over the ring elements of a ciphertext is another one, :mod:`fl_core.hashtree`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fl_core.errors import LocalProtocolError, VerificationError
from ledger.records import ADDRESS_SIZE, WORD_SIZE

MAX_PROOF = 32
"""Hashes in a proof that the contract reads: trees of up to 2**32 leaves."""
_MAX_UINT256 = 2**256 - 1


def contribution_leaf(member: bytes, digest: bytes) -> bytes:
    """Return the leaf of V and U for one contribution.

    Args:
        member: Account of the member, 20 bytes.
        digest: EIP-712 digest of its contribution, 32 bytes.

    Raises:
        LocalProtocolError: An argument has the wrong size.
    """
    _check_size("member", member, ADDRESS_SIZE)
    _check_size("digest", digest, WORD_SIZE)
    return keccak(keccak(encode(("address", "bytes32"), (member, digest))))


def reward_leaf(run: bytes, account: bytes, cumulative: int) -> bytes:
    """Return the leaf of a rewards tree for one account.

    Args:
        run: The run, 32 bytes.
        account: Who is paid, 20 bytes.
        cumulative: Everything it earned in the run so far, in [0, 2**256).

    Raises:
        LocalProtocolError: An argument has the wrong size.
    """
    _check_size("run", run, WORD_SIZE)
    _check_size("account", account, ADDRESS_SIZE)
    if not 0 <= cumulative <= _MAX_UINT256:
        raise LocalProtocolError(f"A cumulative reward is an unsigned 256-bit number, not {cumulative}.")
    return keccak(keccak(encode(("bytes32", "address", "uint256"), (run, account, cumulative))))


class MerkleTree:
    """A tree over at least one leaf.

    Args:
        leaves: Leaf hashes of 32 bytes in any order, each once.

    Raises:
        LocalProtocolError: No leaf, two equal leaves, or one of another size.
    """

    __slots__ = ("_index", "_nodes")

    def __init__(self, leaves: Iterable[bytes]) -> None:
        ordered = sorted(leaves)
        if not ordered:
            raise LocalProtocolError("A Merkle tree needs at least one leaf.")
        for leaf in ordered:
            _check_size("leaf", leaf, WORD_SIZE)
        count = len(ordered)
        nodes = [b""] * (count - 1) + ordered[::-1]
        for position in range(count - 2, -1, -1):
            nodes[position] = _parent(nodes[2 * position + 1], nodes[2 * position + 2])
        self._nodes = nodes
        self._index = {leaf: position for position, leaf in enumerate(nodes) if position >= count - 1}
        if len(self._index) != count:
            raise LocalProtocolError("The leaves of a Merkle tree differ from each other.")

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._nodes[0]

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, leaf: object) -> bool:
        return leaf in self._index

    def proof(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the siblings on the way from ``leaf`` to the root, lowest first.

        Raises:
            LocalProtocolError: The tree has no such leaf.
        """
        position = self._index.get(leaf)
        if position is None:
            raise LocalProtocolError("The Merkle tree has no such leaf.")
        siblings = []
        while position > 0:
            siblings.append(self._nodes[position + 1 if position % 2 else position - 1])
            position = (position - 1) // 2
        return tuple(siblings)


def verify_proof(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> None:
    """Check that ``proof`` leads from ``leaf`` to ``root``.

    Args:
        root: What the ledger holds, 32 bytes.
        leaf: From :func:`contribution_leaf` or :func:`reward_leaf`: computed by the caller, never received.
        proof: Siblings of 32 bytes, lowest first, at most :data:`MAX_PROOF`.

    Raises:
        VerificationError: It does not, or something has the wrong size.
    """
    if len(root) != WORD_SIZE or len(leaf) != WORD_SIZE or len(proof) > MAX_PROOF:
        raise VerificationError("A Merkle proof is at most 32 hashes between two hashes.")
    node = leaf
    for sibling in proof:
        if len(sibling) != WORD_SIZE:
            raise VerificationError("A Merkle proof is made of hashes of 32 bytes.")
        node = _parent(node, sibling)
    if node != root:
        raise VerificationError("The Merkle proof does not lead to the root.")


def _parent(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


def _check_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise LocalProtocolError(f"The {name} must have {size} bytes, it has {len(value)}.")
