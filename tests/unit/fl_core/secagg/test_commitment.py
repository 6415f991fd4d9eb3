"""A ciphertext's root commits to every byte, to its place and to the layout."""

from __future__ import annotations

import dataclasses

import pytest

from fl_core.errors import DecodeError
from fl_core.hashtree import inclusion_proof, verify_inclusion
from fl_core.lattice.parameters import P2048, P4096
from fl_core.secagg.commitment import ciphertext_leaves, ciphertext_root
from tests.unit.fl_core.secagg.parties import encrypted, layout_of
from tests.vectors.secagg import verify

LAYOUT = layout_of(17)
CIPHERTEXT = encrypted(LAYOUT, 0)[0].tobytes()


def test_the_root_is_the_documented_tree():
    size = LAYOUT.element_bytes
    context = verify.labelled_digest(
        "suture/v1/ciphertext-leaf", b"P2048", b"PACK15", (17).to_bytes(8, "big")
    )
    leaves = [context + CIPHERTEXT[i * size : (i + 1) * size] for i in range(LAYOUT.elements)]
    assert ciphertext_root(LAYOUT, CIPHERTEXT) == verify.tree_root(leaves)


@pytest.mark.parametrize("at", [0, 12287, 12288, 36863])
def test_every_byte_counts(at):
    changed = bytearray(CIPHERTEXT)
    changed[at] ^= 1
    assert ciphertext_root(LAYOUT, changed) != ciphertext_root(LAYOUT, CIPHERTEXT)


def test_the_order_of_ring_elements_counts():
    size = LAYOUT.element_bytes
    swapped = CIPHERTEXT[size : 2 * size] + CIPHERTEXT[:size] + CIPHERTEXT[2 * size :]
    assert ciphertext_root(LAYOUT, swapped) != ciphertext_root(LAYOUT, CIPHERTEXT)


def test_the_layout_counts():
    longer = dataclasses.replace(LAYOUT, length=18)
    assert longer.ciphertext_bytes == LAYOUT.ciphertext_bytes
    assert ciphertext_root(longer, CIPHERTEXT) != ciphertext_root(LAYOUT, CIPHERTEXT)


def test_one_ring_element_can_be_shown_without_the_others():
    leaves = list(ciphertext_leaves(LAYOUT, CIPHERTEXT))
    root = ciphertext_root(LAYOUT, CIPHERTEXT)
    verify_inclusion(root, leaves[2], 2, LAYOUT.elements, inclusion_proof(leaves, 2))


def test_a_ciphertext_of_another_size_has_no_root():
    for params, bad in ((P2048, CIPHERTEXT + b"\0"), (P2048, CIPHERTEXT[:-1]), (P4096, CIPHERTEXT)):
        with pytest.raises(DecodeError):
            ciphertext_root(layout_of(17, params), bad)
