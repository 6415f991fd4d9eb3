"""Writes down what the lookout in the glue's processes tells: what of the node's own they reached for.

Who tells it is not trusted. A bundle can make such calls itself, so a text is short, printed as an escaped literal, and after
:data:`MAX_LINES` there are no more lines until the node is started again. It decides nothing.
"""

from __future__ import annotations

import logging
import threading

from clients.lookout.sitecustomize import MAX_TEXT
from fl_core.errors import DecodeError

MAX_LINES = 100

log = logging.getLogger("suture.node")


class Reached:
    """Counts and logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = MAX_LINES

    def note(self, told: bytes) -> None:
        """Log one text of the lookout, such as ``open /srv/node/keys/passphrase``.

        Raises:
            DecodeError: The text is longer than a lookout's.
        """
        if len(told) > MAX_TEXT:
            raise DecodeError(f"a lookout tells at most {MAX_TEXT} bytes, {len(told)} came")
        with self._lock:
            if self._left == 0:
                return
            self._left -= 1
            last = self._left == 0
        log.warning(
            "the training code reached for what is the node's: %s%s",
            ascii(told.decode(errors="replace")),
            "; further ones are not logged before the next start" * last,
            extra={"event": "glue-reached"},
        )
