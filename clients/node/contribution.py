"""A contribution on its way from the glue's call to the register: its frame is written as it is made."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from clients.calls import ProtectCall
from clients.node.register import Anchor, KeptWeight, NewFrame
from fl_core.protocol.client import Written, contribute_into
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.statements import StatementSigner
from fl_core.protocol.weights import WeightOpening
from fl_core.randomness import RandomSource
from ledger.logbook import State
from ledger.notary import LedgerNotary
from suture_fl.json_log import of_round

log = logging.getLogger("suture.node")

MUCH_CLIPPED = 0.01
"""Share of an update beyond which its clipping is a warning: the clips are too small for this holder's data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewContribution:
    """Everything that a frame is made of.

    Attributes:
        header: The round.
        me: The node's account.
        update: Trained minus received model.
        call: The glue's call, for the examples and counters in it.
        keys: Public prekeys of the committee, in seat order; checked.
        data_set: Commitment to the data set.
        signer: The key that signs in this round.
        random: Fresh randomness.
        logged: Where the logbook stands.
        at: Unix time in seconds.
        opens_weight: Whether the terms pay by examples, so that the weight can be asked for.
    """

    header: RoundHeader
    me: bytes
    update: npt.NDArray[np.float32]
    call: ProtectCall
    keys: tuple[bytes, ...]
    data_set: bytes
    signer: StatementSigner
    random: RandomSource
    logged: State
    at: int
    opens_weight: bool

    def write(self, file: BinaryIO) -> NewFrame:
        """Write the frame, and tell the holder how much of the update was clipped.

        Raises:
            LocalProtocolError: The update's length, the number of examples or a counter is out of range.
            InputError: The update holds values that are not finite.
        """
        made = contribute_into(
            file,
            self.header,
            me=self.me,
            update=self.update,
            examples=self.call.examples,
            counters=self.call.counters,
            dataset=self.data_set,
            transport_keys=self.keys,
            signer=self.signer,
            random=self.random,
            log_head=self.logged.head,
        )
        _tell_clipped(self.header, made.clipped)
        return NewFrame(
            size=made.frame_bytes,
            weight_salt=made.weight_salt.reveal(),
            metrics_salt=made.metrics_salt.reveal(),
            anchor=Anchor(entries=self.logged.count, hidden=made.hidden, data_set=self.data_set, at=self.at),
            weight=self._weight(made) if self.opens_weight else None,
        )

    def _weight(self, made: Written) -> KeptWeight:
        """Return what opens the weight; under other terms it is not even stored."""
        header = self.header
        opening = WeightOpening(
            header=header.digest, member=self.me, units=made.units, salt=made.weight_salt.reveal()
        )
        statement = LedgerNotary(header.chain_id, header.contract).digest(made.leaf.statement)
        return KeptWeight(contribution=statement, opening=opening.encode())


def _tell_clipped(header: RoundHeader, clipped: int) -> None:
    """Tell the holder which share of its update was clipped; it stays in the house, for it says something of one update."""
    share = clipped / header.parameters
    level = logging.WARNING if share > MUCH_CLIPPED else logging.INFO
    log.log(
        level,
        "round %d: %.3f %% of the update's values were clipped",
        header.round,
        100 * share,
        extra=of_round("update-clipped", header.run, header.round),
    )


def tell_not_accepted(header: RoundHeader) -> None:
    """Tell the holder that what it sent is not among what the coordinator accepted."""
    log.warning(
        "round %d: the coordinator did not accept this node's contribution",
        header.round,
        extra=of_round("not-accepted", header.run, header.round),
    )
