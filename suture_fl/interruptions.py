"""Ctrl-C, SIGTERM and SIGHUP: one way out for all three.

Each raises :class:`KeyboardInterrupt` in the main thread, so that everything is tidied up on the way out, and the process
ends with 128 plus the number of the signal: 130, 143 or 129. Where there is nothing to tidy up yet, while modules are being
imported, the process ends at once: an exception in the middle of an import could be swallowed, or look like another one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

PATIENCE_S = 10.0
"""Seconds after a signal in which others are passed over, so that tidying up is not itself interrupted."""

MESSAGE = "interrupted"


def _end(status: int) -> NoReturn:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(status)


class Interruptions:
    """What has come of signals.

    Args:
        clock: Seconds.
        end: Ends the process at once with a status.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, end: Callable[[int], NoReturn] = _end
    ) -> None:
        self._clock = clock
        self._end = end
        self._number: int = signal.SIGINT
        self._deaf_until = -1.0
        self._at_once = 0

    @property
    def status(self) -> int:
        """The exit status after the newest signal."""
        return 128 + self._number

    def install(self) -> None:
        """Take the signals, but for those that the caller wants ignored (``nohup``)."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.on_signal)

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            KeyboardInterrupt: The command ends; what it began is tidied up on the way.
        """
        if self._at_once:
            self._end(128 + number)
        now = self._clock()
        if now < self._deaf_until:
            return
        self._number, self._deaf_until = number, now + PATIENCE_S
        raise KeyboardInterrupt

    @contextmanager
    def nothing_to_tidy_up(self) -> Iterator[None]:
        """End the process at once if a signal comes while the block runs."""
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1


INTERRUPTIONS = Interruptions()
"""Those of this process."""
