"""What the world sees of a SuperLink: an HTTPS server that passes Flower's fleet calls on, and nothing else.

Community Flower serves everything on one port, and only its fleet calls (``/v1/fleet/*``) are authenticated: whoever reaches the
others can start and stop runs, enrol SuperNodes and, without a SuperExec secret, take a ServerApp over. So the SuperLink
listens on the loopback interface, and this process is the only one that listens elsewhere.

Numbered checks of a request, in order; what fails is a status without a text, and the SuperLink never hears of it:

(1) it is a POST of one of the calls in :data:`FLEET_CALLS`, written exactly so, without a query (403);
(2) its body is no longer than such a call's may be (413);
(3) no more than :data:`AT_A_TIME` calls are on their way (503, by the server below).

Bodies are streamed both ways: a chunk of a model is never held here. Who calls is checked behind, by the SuperLink, against the
keys that were enrolled.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from coordinator.engines.ports import LOOPBACK

PREFIX = "/v1/fleet/"
SMALL, PUSH, OBJECT = 1 << 16, 1 << 20, (1 << 26) + (1 << 16)  # bytes
FLEET_CALLS: Mapping[str, int] = MappingProxyType(
    {
        "register-node": SMALL,
        "activate-node": SMALL,
        "deactivate-node": SMALL,
        "unregister-node": SMALL,
        "send-node-heartbeat": SMALL,
        "pull-messages": SMALL,
        "push-messages": PUSH,
        "get-run": SMALL,
        "get-fab": SMALL,
        "push-object": OBJECT,
        "pull-object": SMALL,
        "confirm-message-received": SMALL,
    }
)
"""Call -> longest body in bytes. Flower cuts arrays into chunks of 5 MiB; a config record is one object. A test compares the names
with the routes of the pinned version."""

AT_A_TIME = 1024
CONNECT_S, STEP_S = 5.0, 60.0
"""Seconds for a connection to the SuperLink, and for each step of sending and receiving."""

_HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    ]
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _TooLong(Exception):
    """A body turned out longer than its call allows."""


def application(superlink: str, authority: Path) -> Starlette:
    """Return the ASGI application in front of the SuperLink at ``superlink``, whose certificate ``authority`` vouches for."""
    trust = ssl.create_default_context(cafile=str(authority))
    client = httpx.AsyncClient(
        base_url=superlink,
        verify=trust,
        timeout=httpx.Timeout(STEP_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=AT_A_TIME, max_keepalive_connections=64),
        follow_redirects=False,
        trust_env=False,
    )

    async def call(request: Request) -> Response:
        path = request.url.path
        limit = FLEET_CALLS.get(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if request.method != "POST" or limit is None or request.url.query:
            return Response(status_code=403)
        if _declared(request) > limit:
            return Response(status_code=413, headers={"connection": "close"})
        try:
            return await _passed_on(client, path, request, limit)
        except _TooLong:
            return Response(status_code=413, headers={"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        except httpx.HTTPError:
            return Response(status_code=503)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(routes=[Route("/{path:path}", call, methods=_METHODS)], lifespan=life)


async def _passed_on(client: httpx.AsyncClient, path: str, request: Request, limit: int) -> Response:
    """Send a request on as it is and return the answer as it comes."""
    again = client.build_request(
        "POST",
        path,
        headers=[
            (name, value) for name, value in request.headers.raw if name.decode("latin-1") not in _HOP_BY_HOP
        ],
        content=_bounded(request, limit),
    )
    answer = await client.send(again, stream=True)
    response = StreamingResponse(
        answer.aiter_raw(), status_code=answer.status_code, background=BackgroundTask(answer.aclose)
    )
    response.raw_headers = [
        (name.lower(), value)
        for name, value in answer.headers.raw
        if name.decode("latin-1").lower() not in _HOP_BY_HOP | {"server", "date"}
    ]
    return response


async def _bounded(request: Request, limit: int) -> AsyncIterator[bytes]:
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > limit:
            raise _TooLong
        yield part


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 16 else 0


def server(
    superlink: str, authority: Path, *, host: str = LOOPBACK, port: int, certificate: Path, key: Path
) -> uvicorn.Server:
    """Return an HTTPS server that serves when it is run."""
    config = uvicorn.Config(
        application(superlink, authority),
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=AT_A_TIME,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
