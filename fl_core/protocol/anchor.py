"""How a contribution binds the head of its holder's logbook, without a field or a contract of its own.

A leaf holds one commitment to the holder's local metrics, and its signature and the ledger's root bind it. That commitment is::

    hidden  = H(metrics, salt, counter 1, counter 2, ...)           salted; tells nothing
    metrics = H(log-anchor, hidden, head of the logbook)

so whoever is shown ``hidden`` and the logbook (or its head alone) can check that this head was signed in that round, and
learns nothing about the metrics. Nobody else learns even that there is a logbook.
"""

from __future__ import annotations

import hmac

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import VerificationError

NO_LOGBOOK = bytes(DIGEST_SIZE)
"""The head that a client binds which keeps no logbook."""


def hide_metrics(salt: bytes, counters: tuple[int, ...]) -> bytes:
    """Return the salted commitment to a client's counters, each in [0, 2^32)."""
    return digest(Label.METRICS, salt, *(value.to_bytes(4, "big") for value in counters))


def anchor(hidden: bytes, head: bytes) -> bytes:
    """Return what the leaf's field ``metrics`` holds."""
    return digest(Label.LOG_ANCHOR, hidden, head)


def verify_anchor(metrics: bytes, hidden: bytes, head: bytes) -> None:
    """Check that a leaf binds the head of a logbook.

    Raises:
        VerificationError: It binds another.
    """
    if not hmac.compare_digest(anchor(hidden, head), metrics):
        raise VerificationError("the contribution binds another head of the logbook")
