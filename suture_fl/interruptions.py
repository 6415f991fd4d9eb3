"""Ctrl-C, SIGTERM and SIGHUP: one way out for all three.

The process ends with 128 plus the number of the signal: 130, 143 or 129. Usually it ends at once: there is nothing to tidy
up, and an exception in the middle of an import could be swallowed, or look like another one. A command that makes files or
starts processes says so, and is then sent :class:`KeyboardInterrupt`, so that everything is tidied up on the way out.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

PATIENCE_S = 10.0
"""Seconds after a signal in which others are passed over, so that tidying up is not itself interrupted."""

MESSAGE = "interrupted"


def _end(status: int) -> NoReturn:
    # not imported here: a signal may come in the middle of that import, and before its end no log is JSON
    as_logged = getattr(sys.modules.get("suture_fl.json_log"), "as_logged", str)
    try:
        os.write(2, f"{as_logged(MESSAGE)}\n".encode())
    finally:  # a terminal that hung up takes no word
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
        self._untidy = False

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
            KeyboardInterrupt: There is something to tidy up on the way out.
        """
        if not self._untidy:
            self._end(128 + number)
        now = self._clock()
        if now < self._deaf_until:
            return
        self._number, self._deaf_until = number, now + PATIENCE_S
        raise KeyboardInterrupt

    @contextmanager
    def something_to_tidy_up(self) -> Iterator[None]:
        """Raise :class:`KeyboardInterrupt` if a signal comes while the block runs."""
        self._untidy = True
        try:
            yield
        finally:
            self._untidy = False


INTERRUPTIONS = Interruptions()
"""Those of this process."""
