"""Domain separation: no two purposes and no two lists of parts meet in one hash."""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_core.digests import DIGEST_SIZE, Label, digest, digest_of_pieces

ROOT = Path(__file__).resolve().parents[3]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for room in ("fl_core", "ledger", "clients", "coordinator")
    for path in (ROOT / room).rglob("*.py")
}


def test_the_digest_is_sha_256_over_length_prefixed_parts():
    encoded = b"".join(len(p).to_bytes(8, "big") + p for p in (b"suture/v1/terms", b"a", b""))
    assert digest(Label.TERMS, b"a", b"") == hashlib.sha256(encoded).digest()
    assert len(digest(Label.TERMS)) == DIGEST_SIZE


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_different_parts_give_different_digests(one, other):
    assert (digest(Label.BOX, *one) == digest(Label.BOX, *other)) == (one == other)


def test_parts_cannot_be_moved_across_their_border():
    assert digest(Label.BOX, b"ab", b"c") != digest(Label.BOX, b"a", b"bc")
    assert digest(Label.BOX, b"abc") != digest(Label.BOX, b"abc", b"")


def test_every_label_has_a_value_of_its_own_that_binds_the_version():
    values = [label.value for label in Label]
    assert len(set(values)) == len(Label.__members__)  # an Enum would make two equal values one member
    assert all(re.fullmatch(r"suture/v1/[a-z-]+(/[a-z-]+)?", value) for value in values)


def test_different_labels_give_different_digests():
    assert len({digest(label, b"same") for label in Label}) == len(Label)


def test_no_label_is_made_outside_of_the_table():
    assert {path for path, text in SOURCES.items() if "suture/v1/" in text} == {"fl_core/digests.py"}


def test_sha_256_is_called_directly_only_where_the_plain_hash_of_a_file_or_a_tree_is_meant():
    plain = {
        "fl_core/digests.py",
        "fl_core/hashtree.py",  # RFC 6962
        "fl_core/models/artifact.py",  # what sha256sum prints
        "ledger/archive.py",  # what sha256sum prints
        "clients/node/service.py",  # the received model against its artifact digest
        "clients/node/logbook.py",  # what left, as sha256sum prints it
        "clients/node/sealed.py",  # sealed bytes, as the register names frames
        "clients/node/gateway_lines.py",  # a line of the gateway's journal against its digest
        "clients/node/relay_client.py",  # an object of the archive against its name
    }
    found = {path for path, text in SOURCES.items() if re.search(r"\bsha256\(", text)}
    assert {p for p in found if p.startswith(("fl_core", "clients/node", "ledger/archive"))} <= plain


@pytest.mark.parametrize("cuts", [[], [0], [1, 4], [3, 3, 9]])
def test_a_part_that_comes_in_pieces_has_the_digest_of_the_whole(cuts):
    whole = bytes(range(9))
    pieces = [whole[a:b] for a, b in itertools.pairwise([0, *cuts, len(whole)])]
    assert digest_of_pieces(Label.AGGREGATE, b"x", size=9, pieces=pieces) == digest(
        Label.AGGREGATE, b"x", whole
    )


def test_pieces_of_another_size_than_announced_have_no_digest():
    with pytest.raises(ValueError, match="9 bytes were announced, 8 came"):
        digest_of_pieces(Label.AGGREGATE, size=9, pieces=[bytes(8)])
