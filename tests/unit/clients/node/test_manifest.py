"""Manifests: the commitment binds every record and its place, and hides all of them behind the salt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.node.manifest import describe, record_leaf
from fl_core.digests import Label, digest
from fl_core.hashtree import inclusion_proof, tree_root, verify_inclusion
from fl_core.secret import Secret

SALT, OTHER = Secret(b"\x01" * 32), Secret(b"\x02" * 32)
RECORDS = [b"63,1,yes", b"41,0,no", b"57,1,no"]


def test_the_commitment_is_a_function_of_records_and_salt():
    assert describe(RECORDS, SALT) == describe(iter(RECORDS), SALT)
    assert describe(RECORDS, SALT).records == 3


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=5), st.data())
def test_every_change_of_a_record_or_of_the_order_changes_the_commitment(records, data):
    position = data.draw(st.integers(0, len(records) - 1))
    other = data.draw(st.binary(max_size=8).filter(lambda r: r != records[position]))
    changed = [*records[:position], other, *records[position + 1 :]]
    commitment = describe(records, SALT).commitment
    assert describe(changed, SALT).commitment != commitment
    assert describe([*records, b""], SALT).commitment != commitment
    if records != records[::-1]:
        assert describe(records[::-1], SALT).commitment != commitment


def test_another_salt_gives_another_commitment_so_a_guessed_data_set_cannot_be_confirmed():
    assert describe(RECORDS, SALT).commitment != describe(RECORDS, OTHER).commitment


def test_equal_records_have_different_leaves():
    assert record_leaf(SALT, 0, b"same") != record_leaf(SALT, 1, b"same")


def test_the_house_can_prove_that_a_record_was_part_of_the_data_set():
    leaves = [record_leaf(SALT, position, record) for position, record in enumerate(RECORDS)]
    commitment = digest(Label.DATASET, (3).to_bytes(8, "big"), tree_root(leaves))
    assert commitment == describe(RECORDS, SALT).commitment
    verify_inclusion(tree_root(leaves), record_leaf(SALT, 1, RECORDS[1]), 1, 3, inclusion_proof(leaves, 1))


def test_without_the_salt_no_leaf_can_be_made_again():
    """Erasing the salt is erasing the link: a leaf depends on all of it."""
    almost = Secret(SALT.reveal()[:-1] + b"\x00")
    assert record_leaf(almost, 1, RECORDS[1]) != record_leaf(SALT, 1, RECORDS[1])


def test_a_data_set_has_at_least_one_record():
    with pytest.raises(ValueError):
        describe([], SALT)
