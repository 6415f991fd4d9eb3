"""Asks services whether they answer: for health checks of containers. Light, since it runs every half minute.

A place is ``https://HOST:PORT`` (or ``http://``), where any answer that is not the server's own failure counts, or
``tcp://HOST:PORT``, where an accepted connection counts: the kernel accepts it for a frozen process too, so no health check of ours asks so.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from fl_core.errors import InputError, SutureError
from suture_fl.plain_text import one_line
from suture_fl.unreachable import why

PATIENCE_S = 5.0
"""Longest wait for one answer, in seconds."""
SERVER_FAILED = 500
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of text, also when one does not answer.")
]
FIX = "Places are https://HOST:PORT, http://HOST:PORT and tcp://HOST:PORT."


class NoAnswer(SutureError):
    """A service does not answer, or answers that it failed."""


class AnswersFailure(NoAnswer):
    """A service answers that it failed."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, and is not followed."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def check_alive(place: str, authority: Path | None = None) -> None:
    """Ask the service at ``place`` once.

    Args:
        place: See the module.
        authority: PEM file that vouches for an ``https`` place; the system's authorities without one.

    Raises:
        InputError: It is no place, or the file cannot be used.
        NoAnswer: Nobody answers there within :data:`PATIENCE_S` seconds.
        AnswersFailure: An answer says that the server failed.
    """
    try:
        parts = urlsplit(place)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.scheme not in ("https", "http", "tcp"):
        raise InputError(f"{place!r} is no place to ask.", fix=FIX)
    if parts.scheme == "tcp":
        _connect(place, host, port)
        return
    try:
        trust = ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{authority} cannot be used ({error}).", fix="Name a PEM file.") from error
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust), _Stay()
    )
    try:
        with opener.open(place, timeout=PATIENCE_S):
            return
    except urllib.error.HTTPError as error:
        with error:
            if error.code >= SERVER_FAILED:
                raise AnswersFailure(
                    f"{place} answers with status {error.code}.", fix="Look at its log."
                ) from error
    except (ValueError, http.client.HTTPException) as error:
        raise NoAnswer(
            f"{place} does not answer (what answers there does not speak HTTP).", fix="Check the port."
        ) from error
    except OSError as error:
        raise _no_answer(place, error) from error


@contextmanager
def told(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    """Tell people, or with ``as_json`` a program, which places answer; what is yielded takes each that does.

    Raises:
        typer.Exit: With status 1, once the JSON object has told what does not answer; in text that is the error itself.
    """
    answered: list[str] = []

    def answers(place: str) -> None:
        answered.append(place)
        if not as_json:
            typer.echo(one_line(f"{place} answers"))

    try:
        yield answers
    except InputError:
        raise
    except SutureError as error:
        if not as_json:
            raise
        said = {"error": error.message, "fix": error.fix, "kind": type(error).__name__}
        typer.echo(json.dumps({"alive": False, "answered": answered, **said}))
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({"alive": True, "answered": answered}))


def _connect(place: str, host: str, port: int) -> None:
    try:
        with socket.create_connection((host, port), PATIENCE_S):
            return
    except OSError as error:
        raise _no_answer(place, error) from error


def _no_answer(place: str, error: OSError) -> NoAnswer:
    words, fix = why(error)
    return NoAnswer(f"{place} does not answer ({words}).", fix=f"{fix} If it runs, look at its log.")
