"""Which node is whose: several that claim one account are told apart by its newest genuine prekey, or all left out."""

from __future__ import annotations

import json

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from coordinator.enrolment import enrol
from fl_core.protocol import envelope
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.statements import SIGNATURE_SIZE
from fl_core.secagg.boxes import PUBLIC_KEY_BYTES
from tests.simulators.scripted_grid import Clock, ScriptedGrid

ALDER, BIRCH = b"\xaa" * 20, b"\xbb" * 20


def prekey(account: bytes, epoch: int, *, signature: bytes = b"\x01") -> SignedPrekey:
    return SignedPrekey(
        member=account, epoch=epoch, public=bytes(PUBLIC_KEY_BYTES), signature=signature * SIGNATURE_SIZE
    )


class Telling(ScriptedGrid):
    """Each node says at once what it wants to be taken for."""

    def __init__(self, told: dict[int, tuple[bytes, SignedPrekey | None]]) -> None:
        super().__init__(Clock(), dict.fromkeys(told, 0.0))
        self._told = told

    def pull_messages(self, message_ids):
        [name] = list(message_ids)
        message, _ = self._asked[name]
        account, key = self._told[message.metadata.dst_node_id]
        status = {"account": account.hex()} | ({} if key is None else {"prekey": key.encode().hex()})
        record = ConfigRecord({envelope.STATUS: json.dumps(status).encode()})
        return [Message(RecordDict({envelope.CONTROL: record}), reply_to=message)]


def enrolled(told, *, forged: tuple[SignedPrekey, ...] = ()) -> dict[int, bytes]:
    accounts, prekeys = enrol(
        Telling(told),
        told,
        members={ALDER, BIRCH},
        deadline_s=10.0,
        genuine=lambda key: key not in forged,
    )
    assert all(told[node][1] == prekeys.get(account) for node, account in accounts.items())
    return accounts


def test_a_node_that_claims_anothers_account_does_not_shut_it_out():
    seen, forged = prekey(ALDER, 6), prekey(ALDER, 99, signature=b"\x02")
    told = {
        1: (ALDER, prekey(ALDER, 7)),
        2: (BIRCH, None),
        3: (ALDER, None),
        4: (ALDER, seen),
        5: (ALDER, forged),
    }
    assert enrolled(told, forged=(forged,)) == {1: ALDER, 2: BIRCH}


@pytest.mark.parametrize("claims", [(None, None), (7, 7)], ids=["no prekeys", "the same prekey"])
def test_nodes_that_cannot_be_told_apart_are_left_out(claims):
    told = {n: (ALDER, None if epoch is None else prekey(ALDER, epoch)) for n, epoch in enumerate(claims, 1)}
    assert enrolled({**told, 9: (BIRCH, None)}) == {9: BIRCH}
