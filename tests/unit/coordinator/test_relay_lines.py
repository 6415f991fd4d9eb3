"""The relay's lines: whoever makes calls that are refused cannot fill a disk with them."""

from __future__ import annotations

import logging

from coordinator.relay.lines import EVERY_S, Refusals


def test_a_status_has_one_line_in_a_while_and_the_next_counts_those_between(caplog):
    now = [100.0]
    refusals = Refusals(lambda: now[0])
    with caplog.at_level(logging.INFO, logger="suture.relay"):
        for _ in range(50):
            refusals.tell(403)
        refusals.tell(413)
        now[0] += EVERY_S
        refusals.tell(403)
    first, other, second = [record.getMessage() for record in caplog.records]
    assert first == "a call was refused with 403: of another ledger, clock or signer"
    assert other.startswith("a call was refused with 413: too long")
    assert second.endswith("and 49 more since the last such line")
    assert {record.event for record in caplog.records} == {"call-refused"}
