"""The node's answer when it is asked for its weight, in runs whose terms pay by examples; see :mod:`fl_core.protocol.weights`."""

from __future__ import annotations

from collections.abc import Callable

from clients.errors import PolicyRefusal
from clients.node.policy import Policy
from clients.node.register import Register
from clients.node.view import committed_sets
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.terms import Terms
from fl_core.protocol.weights import WeightRequest, check_weight_request
from ledger.notary import LedgerNotary
from ledger.reader import LedgerReader


def answer_weight(
    data: bytes,
    *,
    me: bytes,
    register: Register,
    reader: LedgerReader,
    policy: Policy,
    accepted: Callable[[bytes], Terms],
) -> tuple[RoundHeader, bytes]:
    """Open the weight of this holder's contribution; a repeated question gets the bytes of the first answer.

    Args:
        data: The request.
        me: The holder's account.
        register: The node's register.
        reader: Reads the ledger as it is now.
        policy: The holder's rules.
        accepted: Returns accepted terms by digest, or raises.

    Returns:
        The round, and the bytes that may be sent: they are on disk.

    Raises:
        PolicyRefusal: The terms do not pay by examples, the policy forbids it, or there is no contribution of this round.
        VerificationError: A check of the request failed.
    """
    request = WeightRequest.decode(data)
    header = RoundHeader.decode(register.header(request.header))
    if not accepted(reader.origin(header.run).terms).opens_weights:
        raise PolicyRefusal("the terms of this run do not pay by examples: no weight is opened")
    if not policy.allow_weight_opening:
        raise PolicyRefusal("the policy lets nobody know the number of examples")
    committed = committed_sets(reader, header)
    check_weight_request(
        header,
        request,
        me=me,
        contribution=register.contribution(header.digest),
        committed=committed,
        notary=LedgerNotary(header.chain_id, header.contract),
    )
    return header, register.open_weight(header.digest, committed.included_root)
