"""The node's side of the relay: outward HTTPS calls, each signed, for duties, blocks, checkpoints and archived bytes.

Nothing that comes back is believed: a duty goes through the node's own checks (:meth:`clients.node.service.Node.call`), blocks and
checkpoints are verified by whoever follows the chain, archived bytes by their digest. Nothing here imports Flower.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from clients.door import Door, Method
from clients.errors import NodeError
from fl_core.errors import DecodeError, InputError, SutureError, VerificationError
from fl_core.protocol.relay import (
    MAX_CHECKPOINTS,
    MAX_DUTY,
    MAX_WAIT_MS,
    Answer,
    BlocksAsked,
    Call,
    CallKind,
    Duty,
    DutyKind,
    Poll,
    call_digest,
    read_checkpoints,
)
from ledger.chain.embedded.block import read_stream
from ledger.errors import ChainUnreachable
from ledger.signer import Signer

PATH = "/v1/relay"
CONNECT_S, STEP_S = 10.0, 30.0
WAIT_S = 20.0
"""Seconds that a call for a duty waits at the relay."""
PAUSE_S, MAX_PAUSE_S = 0.5, 20.0
"""Seconds between two tries while the relay does not answer; doubles up to the second number."""
GRACE_S = 0.5
REPEATED = 409
TRIES = 8
"""How often a call is signed anew when another one of the same member came first."""

_METHODS = {
    DutyKind.CHECK: Method.CHECK,
    DutyKind.REVEAL: Method.REVEAL,
    DutyKind.BLAME: Method.BLAME,
    DutyKind.WEIGHT: Method.WEIGHT,
}
log = logging.getLogger("suture.node.relay")


class RelayError(NodeError):
    """The relay does not answer, or refused a call.

    Attributes:
        status: HTTP status; 0 when there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RelayClient:
    """Signed calls to one relay. Safe for threads.

    Args:
        url: ``https://HOST:PORT``.
        certificates: PEM file of the authorities to trust; None takes the system's.
        chain_id: Chain of the ledger.
        contract: Address of its contract.
        account: Signs calls; the key that is registered for the member.
        member: The member's account, where another key signs for it since a rotation.
        clock: Unix time in seconds.

    Raises:
        InputError: The address or the file cannot be used.
    """

    def __init__(
        self,
        url: str,
        certificates: Path | None,
        *,
        chain_id: int,
        contract: bytes,
        account: Signer,
        member: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise InputError(f"{url!r} is no address of a relay.", fix="Use https://HOST:PORT.")
        try:
            trust = ssl.create_default_context(cafile=None if certificates is None else str(certificates))
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{certificates} holds no certificates.", fix="Point to the relay's CA."
            ) from error
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
        timeout = httpx.Timeout(STEP_S, connect=CONNECT_S)
        # No idle connection is kept: over TLS it would hold up the end of the relay, and calls wait long anyway.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(
            verify=trust, timeout=timeout, limits=limits, follow_redirects=False, trust_env=False
        )
        self._url = url.rstrip("/") + PATH
        self._chain_id, self._contract, self._account = chain_id, contract, account
        self._member = account.address if member is None else member
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = 0

    def call(self, kind: CallKind, payload: bytes, *, limit: int, wait_s: float = 0.0) -> bytes | None:
        """Make one call and return what comes back; None when there is nothing.

        Raises:
            RelayError: The relay does not answer, refused, or answered too much.
        """
        with self._opened(kind, payload, wait_s) as response:
            if response is None:
                return None
            received = bytearray()
            for part in response.iter_raw():
                received += part
                if len(received) > limit:
                    raise RelayError(f"the relay's answer has more than {limit} bytes")
            return bytes(received)

    def stream(self, kind: CallKind, payload: bytes, wait_s: float = 0.0) -> Iterator[bytes]:
        """Make one call and yield what comes back piece by piece. Raises as :meth:`call`, also when there is nothing."""
        with self._opened(kind, payload, wait_s) as response:
            if response is None:
                raise RelayError("the relay has nothing of that kind", httpx.codes.NOT_FOUND)
            yield from response.iter_raw()

    @contextmanager
    def _opened(self, kind: CallKind, payload: bytes, wait_s: float) -> Iterator[httpx.Response | None]:
        timeout = httpx.Timeout(STEP_S + wait_s, connect=CONNECT_S)
        headers = {"content-type": "application/octet-stream", "accept-encoding": "identity"}
        try:
            with ExitStack() as open_now:
                for left in reversed(range(TRIES)):
                    body = self._signed(kind, payload).encode()
                    response = open_now.enter_context(
                        self._client.stream("POST", self._url, content=body, headers=headers, timeout=timeout)
                    )
                    if response.status_code != REPEATED or not left:
                        break
                    open_now.close()  # another thread's call overtook this one, which had no effect
                if response.status_code == httpx.codes.OK:
                    yield response
                elif response.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND):
                    yield None
                else:
                    status = response.status_code
                    raise RelayError(f"the relay refused a call with status {status}", status)
        except (
            httpx.HTTPError,
            httpx.StreamError,
            OSError,
            RuntimeError,
        ) as error:  # the last: it was closed
            raise RelayError(f"the relay does not answer ({type(error).__name__})") from error

    def _signed(self, kind: CallKind, payload: bytes) -> Call:
        with self._lock:
            self._stamp = max(self._stamp + 1, int(self._clock() * 1000))
            stamp = self._stamp
        member = self._member
        signature = self._account.sign_digest(
            call_digest(self._chain_id, self._contract, member, kind, stamp, payload)
        )
        return Call(
            chain_id=self._chain_id,
            contract=self._contract,
            member=member,
            kind=kind,
            stamp=stamp,
            payload=payload,
            signature=signature,
        )

    def archived(self, digest: bytes, limit: int) -> bytes | None:
        """Return archived bytes, checked against their digest; None when the archive does not have them.

        Raises:
            RelayError: The relay does not answer.
            VerificationError: They are other bytes.
        """
        found = self.call(CallKind.ARCHIVE, digest, limit=limit)
        if found is not None and hashlib.sha256(found).digest() != digest:
            raise VerificationError("the relay sent other archived bytes than were asked for")
        return found

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


class RelayBlocks:
    """A :class:`~ledger.chain.embedded.source.BlockSource` over a relay."""

    def __init__(self, client: RelayClient) -> None:
        self._client = client

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        """Yield encoded blocks; see :class:`~ledger.chain.embedded.source.BlockSource`."""
        wait_ms = min(MAX_WAIT_MS, int(wait_s * 1000))
        asked = BlocksAsked(first=first, limit=limit, wait_ms=wait_ms)
        try:
            pieces = self._client.stream(CallKind.BLOCKS, asked.encode(), wait_s)
            yield from read_stream(_Reading(pieces).read, limit)
        except (RelayError, DecodeError) as error:
            raise ChainUnreachable(f"The relay gives no blocks ({error}).") from error


class _Reading:
    """Reads a stream of pieces like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int) -> bytes:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = piece
        found, self._held = self._held[:size], self._held[size:]
        return found


class RelayBoard:
    """A :class:`~ledger.checkpoints.CheckpointBoard` over a relay."""

    def __init__(self, client: RelayClient) -> None:
        self._client = client
        self._away = False

    def publish(self, checkpoint: bytes) -> None:
        """Leave this member's checkpoint at the relay.

        Raises:
            OSError: The relay does not take it now.
        """
        try:
            self._client.call(CallKind.PUBLISH, checkpoint, limit=0)
        except RelayError as error:
            raise OSError(str(error)) from error

    def checkpoints(self) -> Sequence[bytes]:
        """Return all members' newest checkpoints, none of them verified; none while the relay is away."""
        try:
            found = self._client.call(CallKind.CHECKPOINTS, b"", limit=MAX_CHECKPOINTS)
            read = () if found is None else read_checkpoints(found)
        except (RelayError, DecodeError) as error:
            if not self._away:
                log.warning("no checkpoints from the relay: %s", error)
            self._away = True
            return ()
        self._away = False
        return read


class Duties:
    """Answers the node's duties in a thread, until it is closed.

    Args:
        client: The relay.
        node: The node; its own register makes every answer once-only.
    """

    def __init__(self, client: RelayClient, node: Door) -> None:
        self._client = client
        self._node = node
        self._stop = threading.Event()
        self._status = b""
        self._thread = threading.Thread(target=self._run, name="suture-duties", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a call that waits at the relay is left behind, and what it brings is not answered."""
        self._stop.set()
        self._client.close()
        self._thread.join(GRACE_S)

    def _run(self) -> None:
        pause = PAUSE_S
        while not self._stop.is_set():
            try:
                self.once(WAIT_S)
                pause = PAUSE_S
            except RelayError as error:
                if self._stop.is_set():
                    return
                self._status = b""  # a relay that was away may have lost it
                if error.status != REPEATED:
                    log.warning("%s; next try in %.0f s", error, pause)
                    self._stop.wait(pause)
                    pause = min(2 * pause, MAX_PAUSE_S)
            except Exception:  # the thread has to go on; the text could hold anything
                log.exception("a duty failed inside the node")
                self._stop.wait(MAX_PAUSE_S)

    def once(self, wait_s: float) -> bool:
        """Ask for one duty and answer it; return whether there was one.

        Raises:
            RelayError: The relay does not answer.
        """
        status = self._node.call(Method.STATUS, b"")
        news = b"" if status == self._status else status
        poll = Poll(wait_ms=int(wait_s * 1000), status=news).encode()
        found = self._client.call(CallKind.POLL, poll, limit=MAX_DUTY, wait_s=wait_s)
        self._status = status
        if found is None or self._stop.is_set():
            return False
        try:
            duty = Duty.decode(found)
        except DecodeError as error:
            raise RelayError(f"the relay sent no duty ({error})") from error
        self._client.call(CallKind.ANSWER, self._answer(duty).encode(), limit=0)
        return True

    def _answer(self, duty: Duty) -> Answer:
        try:
            data = self._node.call(_METHODS[duty.kind], duty.request)
        except SutureError as error:
            log.warning("%s refused: %s", duty.kind.name.lower(), error, extra={"event": "duty-refused"})
            return Answer(number=duty.number, given=False, data=b"")
        log.info(
            "%s answered (%d bytes)", duty.kind.name.lower(), len(data), extra={"event": "duty-answered"}
        )
        return Answer(number=duty.number, given=True, data=data)
