"""Why a connection failed, in words."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from suture_fl.unreachable import why


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name is not known here"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "nothing listens there"),
        (TimeoutError("timed out"), "no answer came in time"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no way to it from here"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "speaks no TLS that fits"),
        (ValueError("https://user:secret@host"), "ValueError"),
    ],
)
def test_what_the_system_said_is_told_in_words_with_what_to_do(error: Exception, words: str) -> None:
    for one in (error, wrapped(error)):
        said, mend = why(one)
        assert mend and "secret" not in said
        assert words in said or isinstance(error, ValueError)


def wrapped(error: Exception) -> Exception:
    """Return an error as a library raises it for another."""
    outer = RuntimeError("HTTPSConnectionPool(...): Max retries exceeded with url: /secret")
    outer.__cause__ = error
    return outer
