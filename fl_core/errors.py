"""The error tree of the core, by whose problem it is.

::

    SutureError                  base of everything Suture raises on purpose
    ├── InputError               a person's file, option or environment; says how to mend it
    ├── LocalProtocolError       we called our own code out of order: a bug here
    └── RemoteProtocolError      a peer sent what the protocol forbids; names the party where known
        ├── DecodeError          bytes that are not the canonical form of any message
        └── VerificationError    a numbered check failed; opaque where an oracle would hurt

Every other package derives its own base class from :class:`SutureError`. Messages say what was expected, what came and
which rule; they never hold a secret or a model value. Only command lines catch, print and exit.
"""

from __future__ import annotations


class SutureError(Exception):
    """Something went wrong that a person or a peer can be told about.

    Args:
        message: One sentence: what was expected, what came.
        fix: One sentence that says what to do, or empty when nobody can do anything.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()


class InputError(SutureError):
    """A file, option or environment that a person gave is not usable; ``fix`` says how to mend it."""


class LocalProtocolError(SutureError):
    """Our own code was called in the wrong order or with values it must not get."""


class RemoteProtocolError(SutureError):
    """A peer sent something that the protocol forbids.

    Args:
        message: What was expected, what came.
        party: Who is at fault (a hexadecimal address or a role), or empty where it cannot be known.
        fix: What to do about it, or empty.
    """

    def __init__(self, message: str, *, party: str = "", fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.party = party


class DecodeError(RemoteProtocolError):
    """Bytes are not the canonical encoding of the expected message."""


class VerificationError(RemoteProtocolError):
    """A check of the protocol failed."""
