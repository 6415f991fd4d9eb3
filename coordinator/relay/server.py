"""The relay's HTTP service: authenticates signed calls, hands out duties, takes answers, reads archive and chain.

Numbered checks of a call, in order; what fails is an HTTP status without text, so that nothing is learnt from it:

(1) the body is no longer than a call may be (413) and is one (400);
(2) it is for this ledger (403);
(3) its stamp lies within the window of the relay's clock (403);
(4) the caller is a member of the ledger, and the signature is by the key registered for it (403; 503 while the ledger is away);
(5) the caller is within its rate (429);
(6) its stamp is larger than that of any call of this member before, on disk before anything else happens (409).

The relay holds no key. What it hands out is sealed or public, and the node checks it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
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

from coordinator.relay.callers import Callers
from coordinator.relay.lines import Refusals, tell_answer
from coordinator.relay.rate import Rate
from coordinator.relay.waiting import BLOCK_LOOK_S, Caller, Newest
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
from ledger.errors import ArchiveError, ChainUnreachable
from ledger.typed_data import verify

PATH = "/v1/relay"
LOOK_S = 0.02
"""Pause between two looks for a duty while a member waits."""

MAX_OBJECT = 1 << 33  # bytes of one archived object
Waiting = Callable[[float], Caller]
"""Makes the caller wait for so many seconds at most."""

_BINARY = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Relay:
    """What the relay serves.

    Attributes:
        duties: Shared with the coordinator.
        callers: Knows the ledger's holders and their keys.
        archive: The public archive.
        blocks: The embedded chain; None when the ledger is on another.
        board: The members' checkpoints.
        rate: How often a member may call.
        clock: Unix time in seconds.
    """

    duties: Duties
    callers: Callers
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
        if (call.chain_id, call.contract) != self.callers.ledger:
            return 403
        now = self.clock()
        if abs(call.stamp / 1000 - now) > WINDOW_S:
            return 403
        try:
            signer = self.callers.signer_of(call.member)
            if signer is None:
                return 403
            verify(call.digest, call.signature, signer)
        except VerificationError:
            return 403
        except ChainUnreachable:
            return 503
        if not self.rate.allows(call.member, now):
            return 429
        return call if self.duties.take_stamp(call.member, call.stamp, int(now)) else 409


def application(relay: Relay, stopping: threading.Event) -> Starlette:
    """Return the ASGI application; when ``stopping`` is set, nobody waits any more."""
    newest = None if relay.blocks is None else Newest(relay.blocks)
    refusals = Refusals(time.monotonic)

    def refused(status: int, **headers: str) -> Response:
        refusals.tell(status)
        return Response(status_code=status, headers=headers)

    async def call(request: Request) -> Response:
        try:
            body = await _read(request, MAX_CALL)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return refused(413, connection="close")
        found = await run_in_threadpool(relay.authenticate, body)
        if isinstance(found, int):
            return refused(found)
        try:
            return await _serve(relay, newest, found, lambda wait_s: Caller(request, wait_s, stopping))
        except DecodeError:
            return refused(400)

    return Starlette(routes=[Route(PATH, call, methods=["POST"])])


async def _serve(relay: Relay, newest: Newest | None, call: Call, waiting: Waiting) -> Response:
    if call.kind is CallKind.POLL:
        return await _poll(relay, call.member, Poll.decode(call.payload), waiting)
    if call.kind is CallKind.ANSWER:
        taken = await run_in_threadpool(_take, relay, call.member, Answer.decode(call.payload))
        return Response(status_code=204 if taken else 404)
    if call.kind is CallKind.ARCHIVE:
        return await _archived(relay, archive_digest(call.payload))
    if call.kind is CallKind.PUBLISH:
        return Response(status_code=await run_in_threadpool(_publish, relay, call))
    if call.kind is CallKind.CHECKPOINTS:
        found = await run_in_threadpool(relay.board.checkpoints)
        return Response(write_checkpoints(found), media_type=_BINARY)
    return await _blocks(relay.blocks, newest, BlocksAsked.decode(call.payload), waiting)


async def _poll(relay: Relay, member: bytes, poll: Poll, waiting: Waiting) -> Response:
    """Answer with the member's next duty as soon as there is one, or 204 when the wait is over or nobody waits any more."""
    if poll.status:
        await run_in_threadpool(relay.duties.learn, member, poll.status)
    caller, seen = waiting(poll.wait_ms / 1000), -1
    while True:
        version = relay.duties.version()  # every member waits here: most looks must cost next to nothing
        if version != seen:
            seen = version
            duty = await run_in_threadpool(relay.duties.next, member)
            if duty is not None:
                return Response(duty.encode(), media_type=_BINARY)
        if not await caller.waits():
            return Response(status_code=204)
        await asyncio.sleep(LOOK_S)


def _take(relay: Relay, member: bytes, answer: Answer) -> bool:
    """Note a member's answer and tell of it; return False when nobody waits for it."""
    if not relay.duties.answer(member, answer):
        return False
    number, kind = relay.duties.about(answer.number)
    tell_answer(number, kind, member, given=answer.given, size=len(answer.data))
    return True


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


async def _blocks(
    source: BlockSource | None, newest: Newest | None, asked: BlocksAsked, waiting: Waiting
) -> Response:
    """Answer with blocks as soon as there is a newer one than the first asked for, or when the wait is over.

    The wait holds no thread: every follower waits here most of the time.
    """
    if source is None or newest is None:
        return Response(status_code=404)
    caller = waiting(asked.wait_ms / 1000)
    while await caller.waits() and not await newest.is_after(asked.first):
        await asyncio.sleep(BLOCK_LOOK_S)
    found = source.blocks(asked.first, min(asked.limit, MAX_BLOCKS_ASKED))
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
    stopping = threading.Event()
    config = uvicorn.Config(
        application(relay, stopping),
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        loop="asyncio",  # the fastest loop is of no use here, the standard one closes its connections in order
        log_config=None,  # its lines come out as ours do
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        limit_concurrency=1024,
        timeout_graceful_shutdown=3,
    )
    return _Server(config, stopping)


class _Server(uvicorn.Server):
    """Ends those who wait before it ends itself."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)
