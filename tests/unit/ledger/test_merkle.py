"""Merkle trees in OpenZeppelin's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fl_core.errors import LocalProtocolError, VerificationError
from ledger.merkle import MerkleTree, contribution_leaf, reward_leaf, verify_proof

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ledger" / "openzeppelin_merkle.json").read_text("utf-8")
)["cases"]
leaf_sets = st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def leaves(count: int) -> list[bytes]:
    return [keccak(text=f"leaf {index}") for index in range(count)]


def oracle_root(nodes: list[bytes]) -> bytes:
    """Compute the root recursively: the left subtree of a complete binary tree, then the right, then their parent.

    Leaves enter the array form backwards, so the tree is over the leaves in falling order, the incomplete level first.
    """
    ordered = sorted(nodes, reverse=True)
    count = len(ordered)

    def node(position: int) -> bytes:
        if position >= count - 1:
            return ordered[position - (count - 1)]
        pair = sorted((node(2 * position + 1), node(2 * position + 2)))
        return keccak(b"".join(pair))

    return node(0)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: "-".join(case["types"]))
def test_roots_and_proofs_are_those_of_openzeppelin(case: Any) -> None:
    hashed = [keccak(keccak(encode(case["types"], value))) for value in case["values"]]
    tree = MerkleTree(hashed)
    assert tree.root.hex() == case["root"]
    for index, proof in case["proofs"].items():
        assert [sibling.hex() for sibling in tree.proof(hashed[int(index)])] == proof


@given(leaf_sets)
def test_the_root_is_that_of_the_recursive_definition(nodes: set[bytes]) -> None:
    assert MerkleTree(nodes).root == oracle_root(list(nodes))


@given(leaf_sets)
def test_every_leaf_has_a_proof_that_verifies(nodes: set[bytes]) -> None:
    tree = MerkleTree(nodes)
    for leaf in nodes:
        verify_proof(tree.root, leaf, tree.proof(leaf))
    assert len(tree) == len(nodes)


@given(leaf_sets, st.randoms(use_true_random=False))
def test_the_order_of_the_leaves_does_not_matter(nodes: set[bytes], shuffler: Any) -> None:
    shuffled = sorted(nodes)
    shuffler.shuffle(shuffled)
    assert MerkleTree(shuffled).root == MerkleTree(nodes).root


def test_a_leaf_that_is_not_in_the_tree_has_no_proof() -> None:
    tree = MerkleTree(leaves(5))
    assert keccak(text="stranger") not in tree
    with pytest.raises(LocalProtocolError):
        tree.proof(keccak(text="stranger"))
    with pytest.raises(LocalProtocolError):
        tree.proof(tree.root)


@pytest.mark.parametrize("count", [2, 3, 8, 13])
def test_a_changed_proof_is_refused(count: int) -> None:
    nodes = leaves(count)
    tree = MerkleTree(nodes)
    proof = tree.proof(nodes[0])
    wrong = [
        (nodes[1], proof),
        (nodes[0], proof[:-1]),
        (nodes[0], (*proof, proof[0])),
        (nodes[0], (keccak(proof[0]), *proof[1:])),
    ]
    for leaf, candidate in wrong:
        with pytest.raises(VerificationError):
            verify_proof(tree.root, leaf, candidate)
    with pytest.raises(VerificationError):
        verify_proof(keccak(tree.root), nodes[0], proof)


def test_malformed_proofs_are_refused() -> None:
    leaf = leaves(1)[0]
    verify_proof(leaf, leaf, ())
    for root, node, proof in (
        (leaf[:31], leaf, ()),
        (leaf, leaf + b"\0", ()),
        (leaf, leaf, (b"\0" * 31,)),
        (leaf, leaf, (leaf,) * 33),
    ):
        with pytest.raises(VerificationError):
            verify_proof(root, node, proof)


@pytest.mark.parametrize("bad", [[], [b"\0" * 31], [b"\0" * 32, b"\0" * 33], leaves(2) * 2])
def test_a_tree_has_distinct_leaves_of_32_bytes(bad: list[bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        MerkleTree(bad)


def test_leaves_are_hashed_twice_over_the_abi_encoding() -> None:
    account, digest = bytes(range(20)), keccak(text="digest")
    padded = bytes(12) + account
    assert contribution_leaf(account, digest) == keccak(keccak(padded + digest))
    assert reward_leaf(digest, account, 5) == keccak(keccak(digest + padded + (5).to_bytes(32, "big")))


def test_an_inner_node_of_two_words_is_no_leaf() -> None:
    left, right = sorted(leaves(2))
    assert MerkleTree([left, right]).root == keccak(left + right)
    assert contribution_leaf(left[12:], right) != keccak(bytes(12) + left[12:] + right)


@pytest.mark.parametrize("cumulative", [-1, 2**256])
def test_a_reward_is_an_unsigned_word(cumulative: int) -> None:
    reward_leaf(bytes(32), bytes(20), 2**256 - 1)
    with pytest.raises(LocalProtocolError):
        reward_leaf(bytes(32), bytes(20), cumulative)


@pytest.mark.parametrize(("first", "second"), [(bytes(19), bytes(32)), (bytes(20), bytes(31))])
def test_leaves_of_malformed_values_do_not_exist(first: bytes, second: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        contribution_leaf(first, second)
    with pytest.raises(LocalProtocolError):
        reward_leaf(second, first, 1)
