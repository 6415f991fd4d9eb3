"""The document of exclusions: one form for each outcome, and its digest is on the ledger."""

from __future__ import annotations

import json

import pytest

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.protocol.exclusions import (
    FORMAT,
    MAX_EXCLUSIONS,
    NO_EXCLUSIONS,
    Exclusion,
    Exclusions,
    Reason,
)

A, B, C = (bytes([n]) * 20 for n in (1, 2, 3))
FOUND = Exclusions(
    excluded=(
        Exclusion(client=A, reason=Reason.WRONG_KEY, disputed_by=()),
        Exclusion(client=B, reason=Reason.BAD_SHARES, disputed_by=(A, C)),
    ),
    unreliable=(C,),
)


def document(**changes):
    values = {**json.loads(FOUND.encode()), **changes}
    return json.dumps(
        {k: v for k, v in values.items() if v is not ...}, sort_keys=True, separators=(",", ":")
    ).encode()


def entry(**changes):
    values = {"client": B.hex(), "disputed_by": [], "reason": "wrong-key", **changes}
    return {k: v for k, v in values.items() if v is not ...}


@pytest.mark.parametrize("found", [NO_EXCLUSIONS, FOUND], ids=["nobody", "two"])
def test_a_document_is_read_as_it_was_written(found):
    assert Exclusions.decode(found.encode()) == found
    assert found.digest == digest(Label.EXCLUSIONS, found.encode())


def test_the_document_without_exclusions_is_this_one():
    assert NO_EXCLUSIONS.encode() == b'{"excluded":[],"format":"suture-exclusions-v1","unreliable":[]}'
    assert FORMAT == "suture-exclusions-v1"


def test_the_clients_are_those_that_are_left_out():
    assert FOUND.clients == (A, B)
    assert NO_EXCLUSIONS.clients == ()


def test_the_digest_binds_every_part():
    others = [
        document(unreliable=[]),
        document(excluded=json.loads(FOUND.encode())["excluded"][:1]),
        document(excluded=[entry(client=A.hex()), entry(reason="bad-shares", disputed_by=[A.hex()])]),
    ]
    digests = {Exclusions.decode(data).digest for data in others} | {FOUND.digest, NO_EXCLUSIONS.digest}
    assert len(digests) == 5


@pytest.mark.parametrize("addresses", [(B, A), (A, A)], ids=["descending", "twice"])
def test_clients_and_members_are_ascending_without_repetition(addresses):
    excluded = tuple(Exclusion(client=a, reason=Reason.WRONG_KEY, disputed_by=()) for a in addresses)
    disputed = (Exclusion(client=A, reason=Reason.BAD_SHARES, disputed_by=addresses),)
    for broken in ((excluded, ()), (disputed, ()), ((), addresses)):
        with pytest.raises(ValueError, match="ascending order"):
            Exclusions(excluded=broken[0], unreliable=broken[1])


@pytest.mark.parametrize(
    "data",
    [
        document(format="suture-exclusions-v2"),
        document(format=...),
        document(excluded=...),
        document(unreliable=...),
        document(surprise=1),
        document(unreliable=[C.hex(), A.hex()]),
        document(unreliable=[C.hex().upper().replace("03", "0A")]),
        document(unreliable=[C.hex()[:-2]]),
        document(unreliable=[5]),
        document(unreliable="00" * 20),
        document(excluded={}),
        document(excluded=[[]]),
        document(excluded=[entry(reason="dislike")]),
        document(excluded=[entry(reason=...)]),
        document(excluded=[entry(reason=None)]),
        document(excluded=[entry(client=None)]),
        document(excluded=[entry(surprise=1)]),
        document(excluded=[entry(disputed_by=[B.hex(), B.hex()])]),
        document(excluded=[entry(), entry(client=A.hex())]),
        FOUND.encode() + b"\n",
        FOUND.encode()[:-1],
        json.dumps(json.loads(FOUND.encode()), sort_keys=True).encode(),
        FOUND.encode().replace(b'"unreliable"', b'"unreliable":[],"unreliable"'),
        b"null", b"[]", b"5", b'""', b"{}", b"", b"\xff",
    ],
)  # fmt: skip
def test_any_other_form_is_refused(data):
    with pytest.raises(DecodeError):
        Exclusions.decode(data)


def test_a_document_beyond_its_limit_is_not_parsed():
    with pytest.raises(DecodeError, match=f"{MAX_EXCLUSIONS}"):
        Exclusions.decode(bytes(MAX_EXCLUSIONS + 1))
