"""The relay's HTTP service: authenticates signed calls, hands out duties, takes answers, reads archive and chain.

Numbered checks of a call, in order; what fails is an HTTP status without text, so that nothing is learnt from it:

(1) the body is no longer than a call may be (413) and is one (400);
(2) it is for this ledger (403);
(3) its stamp lies within the window of the relay's clock (403);
(4) the caller is a member of the ledger, and the signature is by the key registered for it (403);
(5) the caller is within its rate (429);
(6) its stamp is larger than that of any call of this member before, on disk before anything else happens (409).

The relay holds no key. What it hands out is sealed or public, and the node checks it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from coordinator.relay.rate import Rate
from coordinator.store.duties import Duties
from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.relay import (
    MAX_CALL,
    WINDOW_S,
    Answer,
    BlocksAsked,
    Call,
    CallKind,
    Poll,
    archive_digest,
    write_checkpoints,
)
from ledger.archive import Archive
from ledger.chain.embedded.block import MAX_BLOCKS_ASKED, write_stream
from ledger.chain.embedded.source import BlockSource
from ledger.checkpoints import CheckpointBoard, SignedCheckpoint
from ledger.errors import ArchiveError, LedgerError
from ledger.reader import LedgerReader
from ledger.records import Role
from ledger.typed_data import verify

PATH = "/v1/relay"
LOOK_S = 0.02
"""Pause between two looks for a duty while a member waits."""

MAX_OBJECT = 1 << 33  # bytes of one archived object
_BINARY = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Relay:
    """What the relay serves.

    Attributes:
        duties: Shared with the coordinator.
        reader: Reads the ledger.
        archive: The public archive.
        blocks: The embedded chain; None when the ledger is on another.
        board: The members' checkpoints.
        rate: How often a member may call.
        clock: Unix time in seconds.
    """

    duties: Duties
    reader: LedgerReader
    archive: Archive
    blocks: BlockSource | None
    board: CheckpointBoard
    rate: Rate
    clock: Callable[[], float] = time.time

    def authenticate(self, body: bytes) -> Call | int:
        """Return the call, or the HTTP status with which it is refused; the checks (1) to (6)."""
        try:
            call = Call.decode(body)
        except DecodeError:
            return 400
        if (call.chain_id, call.contract) != (self.reader.chain_id, self.reader.address):
            return 403
        now = self.clock()
        if abs(call.stamp / 1000 - now) > WINDOW_S:
            return 403
        try:
            if Role.HOLDER not in self.reader.member(call.member).roles:
                return 403
            verify(call.digest, call.signature, self.reader.keys(call.member).signer)
        except (VerificationError, LedgerError):
            return 403
        if not self.rate.allows(call.member, now):
            return 429
        return call if self.duties.take_stamp(call.member, call.stamp, int(now)) else 409


def application(relay: Relay) -> Starlette:
    """Return the ASGI application."""

    async def call(request: Request) -> Response:
        try:
            body = await _read(request, MAX_CALL)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response(status_code=413, headers={"connection": "close"})
        found = await run_in_threadpool(relay.authenticate, body)
        if isinstance(found, int):
            return Response(status_code=found)
        try:
            return await _serve(relay, found, request)
        except DecodeError:
            return Response(status_code=400)

    return Starlette(routes=[Route(PATH, call, methods=["POST"])])


async def _serve(relay: Relay, call: Call, request: Request) -> Response:
    if call.kind is CallKind.POLL:
        return await _poll(relay, call.member, Poll.decode(call.payload), request)
    if call.kind is CallKind.ANSWER:
        taken = await run_in_threadpool(relay.duties.answer, call.member, Answer.decode(call.payload))
        return Response(status_code=204 if taken else 404)
    if call.kind is CallKind.ARCHIVE:
        return await _archived(relay, archive_digest(call.payload))
    if call.kind is CallKind.PUBLISH:
        return Response(status_code=await run_in_threadpool(_publish, relay, call))
    if call.kind is CallKind.CHECKPOINTS:
        found = await run_in_threadpool(relay.board.checkpoints)
        return Response(write_checkpoints(found), media_type=_BINARY)
    return await _blocks(relay, BlocksAsked.decode(call.payload))


async def _poll(relay: Relay, member: bytes, poll: Poll, request: Request) -> Response:
    """Answer with the member's next duty as soon as there is one, or 204 when the wait is over or nobody waits any more."""
    if poll.status:
        await run_in_threadpool(relay.duties.learn, member, poll.status)
    end = time.monotonic() + poll.wait_ms / 1000
    while True:
        duty = await run_in_threadpool(relay.duties.next, member)
        if duty is not None:
            return Response(duty.encode(), media_type=_BINARY)
        if time.monotonic() >= end or await request.is_disconnected():
            return Response(status_code=204)
        await asyncio.sleep(LOOK_S)


def _publish(relay: Relay, call: Call) -> int:
    """Take a member's own checkpoint; that it is signed and true is for the followers to check."""
    if SignedCheckpoint.decode(call.payload).member != call.member:
        return 403
    relay.board.publish(call.payload)
    return 204


async def _archived(relay: Relay, digest: bytes) -> Response:
    if digest not in relay.archive:
        return Response(status_code=404)

    def pieces() -> Iterator[bytes]:
        yield from relay.archive.get_stream(digest, MAX_OBJECT)

    try:
        return StreamingResponse(_threaded(pieces()), media_type=_BINARY)
    except ArchiveError:
        return Response(status_code=404)


async def _blocks(relay: Relay, asked: BlocksAsked) -> Response:
    if relay.blocks is None:
        return Response(status_code=404)
    source = relay.blocks
    limit = min(asked.limit, MAX_BLOCKS_ASKED)
    found = source.blocks(asked.first, limit, wait_s=asked.wait_ms / 1000)
    return StreamingResponse(_threaded(write_stream(found)), media_type=_BINARY)


async def _threaded(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in iterate_in_threadpool(pieces):
        yield piece


async def _read(request: Request, limit: int) -> bytes | None:
    """Return the body, or None as soon as it is longer than ``limit``."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


def server(relay: Relay, *, host: str, port: int, certificate: Path, key: Path) -> uvicorn.Server:
    """Return an HTTPS server that serves when it is run."""
    config = uvicorn.Config(
        application(relay),
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        loop="asyncio",  # the fastest loop is of no use here, the standard one closes its connections in order
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        limit_concurrency=1024,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
