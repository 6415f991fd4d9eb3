"""What a node answers from its seat in the committee: share check, reveal and blame opening, each once.

Every answer goes the same way: the question is compared with what the ledger says, an answer that was given before is given again, byte for
byte, and a new one is in the once-only register and in the logbook before it leaves. The checks of a question are numbered where they are made:
:mod:`fl_core.protocol.share_check`, :mod:`fl_core.protocol.member` and :mod:`fl_core.protocol.blame`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from clients.door import Method
from clients.errors import PolicyRefusal
from clients.node.receipts import Contributor, check_receipt
from clients.node.view import accepted_set, committed_sets
from fl_core.protocol.blame import answer_blame
from fl_core.protocol.blame_messages import BlameRequest
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import answer
from fl_core.protocol.messages import RevealRequest
from fl_core.protocol.phases import MemberStep
from fl_core.protocol.share_check import answer_check
from fl_core.protocol.terms import Terms
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.logbook import Kind
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.reader import LedgerReader


class Member(Contributor, Protocol):
    """What is needed of the node; :class:`clients.node.service.Node`."""

    @property
    def behind_s(self) -> float:
        """For how many seconds a record is waited for."""
        ...

    def settled_reader(self) -> LedgerReader:
        """Return the reader of what the ledger says now."""
        ...

    def accepted(self, digest: bytes) -> Terms:
        """Return accepted terms by digest."""
        ...

    def transport_of(self, header: RoundHeader) -> TransportPrivateKey:
        """Return what opens the boxes of this node's seat."""
        ...

    def signer_of(self, header: RoundHeader) -> LedgerSigner:
        """Return what signs in a round."""
        ...

    def send(self, kind: Kind, run: bytes, number: int, data: bytes) -> bytes:
        """Note in the logbook that ``data`` leaves, and return it."""
        ...


def check(node: Member, question: bytes) -> bytes:
    """Answer the share check of a round.

    Raises:
        PolicyRefusal: The round was not begun, or was checked for another accepted set.
        VerificationError: A check of the request failed.
    """
    request = CheckRequest.decode(question)
    header = RoundHeader.decode(node.register.header(request.header))
    committed = accepted_set(node.settled_reader(), header, node.behind_s)
    stored = node.register.answer(MemberStep.CHECK, header.digest, committed.root)
    if stored is None:
        notary = notary_of(header)
        pairs = {s.leaf.statement.member: notary.digest(s.leaf.statement) for s in request.accepted}
        answered = answer_check(
            header,
            request,
            me=node.account.address,
            committed=committed,
            transport=node.transport_of(header),
            notary=notary,
            signer=node.signer_of(header),
        )
        check_receipt(node, header, pairs, request.receipt)
        stored = node.register.store_answer(
            MemberStep.CHECK, header.digest, committed.root, answered.encode(), request.receipt
        )
    return node.send(Kind.CHECK, header.run, header.round, stored)


def reveal(node: Member, question: bytes) -> bytes:
    """Answer a request for the sum of this member's shares.

    Raises:
        PolicyRefusal: The round was not begun, or was answered for another included set.
        VerificationError: A check of the request failed.
    """
    request = RevealRequest.decode(question)
    header = RoundHeader.decode(node.register.header(request.header))
    committed = committed_sets(node.settled_reader(), header, node.behind_s)
    stored = node.register.answer(MemberStep.REVEAL, header.digest, committed.included_root)
    if stored is None:
        check_receipt(node, header, dict(request.accepted), request.receipt)
        revealed = answer(
            header,
            request,
            me=node.account.address,
            committed=committed,
            transport=node.transport_of(header),
            notary=notary_of(header),
            signer=node.signer_of(header),
        )
        stored = node.register.store_answer(
            MemberStep.REVEAL, header.digest, committed.included_root, revealed.encode(), request.receipt
        )
    return node.send(Kind.REVEAL, header.run, header.round, stored)


def blame(node: Member, question: bytes) -> bytes:
    """Answer the blame opening of a round.

    Raises:
        PolicyRefusal: The terms allow none, the round was not begun, or was answered for another place.
        VerificationError: A check of the request failed.
    """
    request = BlameRequest.decode(question)
    header = RoundHeader.decode(node.register.header(request.header))
    reader = node.settled_reader()
    if not node.accepted(reader.origin(header.run).terms).blame_opening:
        raise PolicyRefusal("the terms of this run allow no blame opening")
    committed, about = committed_sets(reader, header, node.behind_s), request.place.digest
    stored = node.register.answer(MemberStep.BLAME, header.digest, about)
    if stored is None:
        answered = answer_blame(
            header,
            request,
            me=node.account.address,
            committed=committed,
            transport=node.transport_of(header),
            notary=notary_of(header),
            signer=node.signer_of(header),
        )
        stored = node.register.store_answer(MemberStep.BLAME, header.digest, about, answered.encode(), b"")
    return node.send(Kind.BLAME, header.run, header.round, stored)


def notary_of(header: RoundHeader) -> LedgerNotary:
    """Return what binds statements of a round to its contract."""
    return LedgerNotary(header.chain_id, header.contract)


QUESTIONS: Mapping[Method, Callable[[Member, bytes], bytes]] = {
    Method.CHECK: check,
    Method.REVEAL: reveal,
    Method.BLAME: blame,
}
"""What answers each of the coordinator's questions to a member."""
