"""Why a service cannot be reached, in words for whoever runs this machine, and what to look at first. No address is quoted."""

from __future__ import annotations

import errno
import socket
import ssl

_EXPIRED, _TOO_EARLY, _ANOTHER_NAME = 10, 9, 62
"""Of OpenSSL's reasons to refuse a certificate, those that a better file of authorities does not mend."""
_CLOCK = "Ask whoever runs it for a new certificate, if this machine's clock is right."
_CERTIFICATES = {
    _EXPIRED: _CLOCK,
    _TOO_EARLY: "Set this machine's clock.",
    _ANOTHER_NAME: "Use the name that the certificate is for, or ask whoever runs it.",
}
_AUTHORITY = "Name the CA that vouches for it (in a node's folder: ca in [network] of node.toml)."
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


def why(error: BaseException) -> tuple[str, str]:
    """Return why a connection failed, and what to do; looks through what libraries wrap around the system's error."""
    found: BaseException | None = error
    while found is not None:
        words = _of(found)
        if words is not None:
            return words
        inner = getattr(found, "reason", None)
        found = inner if isinstance(inner, BaseException) else found.__cause__ or found.__context__
    return type(error).__name__, "Check its address and that it runs, or try again later."


def _of(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is refused: {error.verify_message}",
            _CERTIFICATES.get(error.verify_code, _AUTHORITY),
        )
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or "no reason is given"
        return (
            f"what answers there speaks no TLS that fits ({reason})",
            "Check the port, and whether the address should begin with http or https.",
        )
    if isinstance(error, socket.gaierror):
        return "its name is not known here", "Check the name, and this machine's network and DNS."
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", "Check host and port, and that it runs."
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return (
            "what answers there ends the connection at once",
            "Check the port, and whether the address should begin with http or https.",
        )
    if isinstance(error, TimeoutError):
        return "no answer came in time", "Is a firewall between? Only connections outwards to it are needed."
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return "there is no way to it from here", "Check this machine's network."
    return None
