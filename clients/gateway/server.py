"""The gateway's HTTP server: bounded bodies, known paths, everything else 403.

``GET /health`` is the health check of its container: an empty answer from the loop that serves all calls. It asks neither node nor
SuperLink, and is no line of the logbook. ``GET /health/supernode`` is part of the SuperNode's: 503 while that holds a message whose time is
over (:mod:`clients.gateway.overdue`).
"""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clients.gateway.gateway import Gateway
from clients.gateway.ports import OutgoingLog

LOOPBACK = "127.0.0.1"
PREFIX = "/v1/fleet/"
HEALTH = "/health"
HEALTH_SUPERNODE = "/health/supernode"
AT_A_TIME = 8
"""Calls that are served at a time; bounds memory to this many objects."""

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_REFUSED = b'{"code": 0, "detail": "refused by the gateway"}'


def application(gateway: Gateway, log: OutgoingLog) -> Starlette:
    """Return the ASGI application."""
    turn = asyncio.Semaphore(AT_A_TIME)

    async def health(_: Request) -> Response:
        return Response(status_code=204)

    async def supernode(_: Request) -> Response:
        return Response(status_code=503 if gateway.overdue.held else 204)

    async def call(request: Request) -> Response:
        name = request.url.path.removeprefix(PREFIX)
        limit = gateway.limit_of(name) if request.url.path.startswith(PREFIX) else None
        if request.method != "POST" or limit is None or request.url.query:
            await run_in_threadpool(
                log.record, "call-refused", call="other", reason="no call of the fleet protocol"
            )
            return Response(_REFUSED, 403, media_type=_JSON)
        async with turn:
            try:
                body = await _read(request, limit)
            except ClientDisconnect:
                return Response(status_code=400)
            if body is None:
                await run_in_threadpool(gateway.too_long, name)
                return Response(_REFUSED, 413, media_type=_JSON, headers={"connection": "close"})
            answer = await run_in_threadpool(gateway.answer, name, body)
        return Response(answer.body, answer.status, media_type=_PROTOBUF if answer.status == 200 else _JSON)

    return Starlette(
        routes=[
            Route(HEALTH, health, methods=["GET"]),
            Route(HEALTH_SUPERNODE, supernode, methods=["GET"]),
            Route("/{path:path}", call, methods=_METHODS),
        ]
    )


async def _read(request: Request, limit: int) -> bytes | None:
    """Return the body, or None as soon as it is longer than ``limit``."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


def server(gateway: Gateway, log: OutgoingLog, port: int, host: str = LOOPBACK) -> uvicorn.Server:
    """Return a server that serves on ``port`` of ``host`` when it is run.

    Whoever reaches the port can speak as the SuperNode: any ``host`` but the loopback interface's needs a network that
    nothing but the SuperNode is in. A name stands for the addresses that it has when the server starts; without one, it ends.
    """
    config = uvicorn.Config(
        application(gateway, log),
        host=host,
        port=port,
        loop="asyncio",
        log_config=None,  # its lines come out as ours do
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=10,
        limit_concurrency=64,
    )
    return uvicorn.Server(config)
