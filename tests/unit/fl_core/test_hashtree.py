"""The hash tree is that of RFC 6962, and its proofs prove nothing else."""

from __future__ import annotations

import hashlib

import pytest

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.hashtree import (
    EMPTY_ROOT,
    MAX_LEAVES,
    TreeHasher,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_inclusion,
)

# The reference inputs and roots of the Certificate Transparency project (merkle_tree_test).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashed_leaves(count: int) -> list[bytes]:
    return [leaf_hash(bytes([i])) for i in range(count)]


@pytest.mark.parametrize("count", range(1, 9))
def test_the_root_is_that_of_certificate_transparency(count):
    leaves = [leaf_hash(bytes.fromhex(data)) for data in INPUTS[:count]]
    assert tree_root(leaves).hex() == ROOTS[count - 1]


def test_the_root_of_no_leaves_is_the_hash_of_nothing():
    assert tree_root([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("count", range(1, 40))
def test_the_incremental_root_is_the_recursive_one(count):
    def recursive(leaves):
        if len(leaves) == 1:
            return leaves[0]
        split = 1
        while 2 * split < len(leaves):
            split *= 2
        return node_hash(recursive(leaves[:split]), recursive(leaves[split:]))

    hasher = TreeHasher()
    for i, leaf in enumerate(hashed_leaves(count)):
        hasher.append(leaf)
        assert hasher.count == i + 1
        assert hasher.root() == recursive(hashed_leaves(i + 1))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_leaf_has_a_proof_and_only_for_its_own_place(count):
    leaves = hashed_leaves(count)
    root = tree_root(leaves)
    for index in range(count):
        proof = inclusion_proof(leaves, index)
        verify_inclusion(root, leaves[index], index, count, proof)
        for other in set(range(count)) - {index}:
            with pytest.raises(VerificationError):
                verify_inclusion(root, leaves[index], other, count, proof)


def test_a_changed_proof_leaf_or_root_is_refused():
    leaves = hashed_leaves(6)
    root, proof = tree_root(leaves), inclusion_proof(leaves, 4)
    verify_inclusion(root, leaves[4], 4, 6, proof)
    wrong = bytes(32)
    tampered = {
        "root": (wrong, leaves[4], 4, 6, proof),
        "leaf": (root, wrong, 4, 6, proof),
        "short leaf": (root, leaves[4][:31], 4, 6, proof),
        "sibling": (root, leaves[4], 4, 6, (wrong, *proof[1:])),
        "missing sibling": (root, leaves[4], 4, 6, proof[:-1]),
        "extra sibling": (root, leaves[4], 4, 6, (*proof, wrong)),
        "negative index": (root, leaves[4], -1, 6, proof),
        "index beyond": (root, leaves[4], 6, 6, proof),
    }
    for arguments in tampered.values():
        with pytest.raises(VerificationError):
            verify_inclusion(*arguments)


def test_an_inner_node_is_no_leaf():
    left, right = hashed_leaves(2)
    assert leaf_hash(left + right) != node_hash(left, right)
    assert tree_root([leaf_hash(left + right)]) != tree_root([left, right])


def test_leaf_data_may_come_in_parts():
    assert leaf_hash(b"ab", memoryview(b"cd")) == leaf_hash(b"abcd") == hashlib.sha256(b"\x00abcd").digest()


def test_our_own_misuse_is_refused():
    with pytest.raises(LocalProtocolError, match="does not exist"):
        inclusion_proof(hashed_leaves(2), 2)
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        TreeHasher().append(b"short")


@pytest.mark.parametrize(("outside", "inside"), [(-1, 0), (6, 5)])
def test_a_place_outside_of_the_tree_is_refused_also_with_the_proof_of_the_leaf_whose_path_it_has(
    outside, inside
):
    leaves = hashed_leaves(6)
    proof = inclusion_proof(leaves, inside)
    verify_inclusion(tree_root(leaves), leaves[inside], inside, 6, proof)
    with pytest.raises(VerificationError, match="outside"):
        verify_inclusion(tree_root(leaves), leaves[inside], outside, 6, proof)


def test_the_largest_tree_is_accepted_and_a_larger_one_is_not():
    leaf, sibling = hashed_leaves(2)
    for count, fits in ((MAX_LEAVES, True), (MAX_LEAVES + 1, False)):
        proof = (sibling,) * (count - 1).bit_length()
        root = leaf
        for other in proof:
            root = node_hash(root, other)
        if fits:
            verify_inclusion(root, leaf, 0, count, proof)
        else:
            with pytest.raises(VerificationError, match="outside"):
                verify_inclusion(root, leaf, 0, count, proof)
    hasher = TreeHasher()
    hasher._count = MAX_LEAVES  # no test appends as many
    with pytest.raises(LocalProtocolError, match="at most"):
        hasher.append(leaf)
