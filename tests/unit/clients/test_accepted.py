"""Accepted terms are seen as the folder is now, also by a node that serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.errors import NodeStateError
from clients.node.accepted import AcceptedTerms, accepted_terms, store_terms
from tests.unit.clients.test_node_commands import TERMS


def test_terms_that_are_accepted_later_count_at_once_and_removed_ones_no_more(tmp_path):
    accepted = AcceptedTerms(tmp_path)
    assert dict(accepted) == {} and TERMS.digest not in accepted
    store_terms(tmp_path, TERMS)
    assert accepted[TERMS.digest] == TERMS and len(accepted) == 1
    other = replace(TERMS, title="Another run")
    store_terms(tmp_path, other)
    assert set(accepted) == {TERMS.digest, other.digest} == set(accepted_terms(tmp_path))
    (tmp_path / "terms" / f"{TERMS.digest.hex()}.json").unlink()
    assert TERMS.digest not in accepted and list(accepted) == [other.digest]


@pytest.mark.parametrize("harm", ["cut", "renamed", "named by hand"])
def test_a_damaged_document_is_refused_at_the_start_and_later(tmp_path, harm):
    accepted = AcceptedTerms(tmp_path)
    store_terms(tmp_path, TERMS)
    path = tmp_path / "terms" / f"{TERMS.digest.hex()}.json"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.rename(path.with_name({"renamed": "11" * 32, "named by hand": "mine"}[harm] + ".json"))
    with pytest.raises(NodeStateError):
        list(accepted)
    with pytest.raises(NodeStateError):
        AcceptedTerms(tmp_path)
