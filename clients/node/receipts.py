"""The coordinator's receipt for a contribution, which its member expects before it answers questions about the round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from clients.node.contribution import tell_not_accepted
from clients.node.register import Register
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.statements import Acceptance
from ledger.notary import LedgerNotary
from ledger.reader import LedgerReader
from ledger.signer import Signer


class Contributor(Protocol):
    """What of a node is needed here; :class:`clients.node.service.Node`."""

    @property
    def account(self) -> Signer:
        """Its address is the member's account."""
        ...

    @property
    def register(self) -> Register:
        """Knows whether the member contributed."""
        ...

    @property
    def reader(self) -> LedgerReader | None:
        """Reads the ledger."""
        ...


def check_receipt(
    node: Contributor, header: RoundHeader, accepted: Mapping[bytes, bytes], receipt: bytes
) -> None:
    """Check that the coordinator signed for what this member sent, if it is among what was accepted.

    A member that contributed and is not among it says so in its log.

    Args:
        node: The member's; the question was compared with its ledger before.
        header: The round's.
        accepted: Digest of the contribution statement by member's account, as the coordinator names them.
        receipt: The coordinator's signature.

    Raises:
        VerificationError: The signature is not that of the run's coordinator over this contribution.
    """
    me, reader = node.account.address, node.reader
    mine = accepted.get(me)
    if mine is None:
        if node.register.has_contributed(header.digest):
            tell_not_accepted(header)
        return
    acceptance = Acceptance(run=header.run, round=header.round, member=me, contribution=mine)
    assert reader is not None, "the question was compared with the ledger before"
    coordinator = reader.origin(header.run).coordinator
    notary = LedgerNotary(header.chain_id, header.contract)
    notary.verify(acceptance, receipt, reader.keys(coordinator).signer)
