"""One simulated SuperNode of the local grid: a thread that gives its ClientApp one message at a time.

It behaves as Flower's SuperNode and ClientApp process do together:

- a ClientApp that raises is answered with code 2 and the text that Flower gives;
- one that ends its process (``SystemExit``) is answered with code 8;
- one that returns anything but a message is never answered, and its node takes no further message: Flower's SuperNode
  waits for ever for the reply that does not come. The log says so, because Flower's does not.

Threads are daemons: a ClientApp that hangs cannot keep the interpreter alive.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable

from flwr.app import Context, Error, Message

from coordinator.engines.faults import Delay, Die, Drop, Fault, Faults, Raise
from coordinator.engines.flower_private import Packed, pack, unpack

CLIENT_APP_RAISED = 2
CLIENT_APP_CRASHED = 8

Handler = Callable[[Message, Context], Message]
"""What a ClientApp is when it is called: a message and the node's context in, the reply out."""

_log = logging.getLogger(__name__)


class LocalNode:
    """A node's thread, its inbox and its context.

    Args:
        index: Position of the node, from 0.
        context: The node's context; its state lives as long as the run, as in a SuperNode.
        handler: The ClientApp.
        faults: What goes wrong.
        slots: How many ClientApps may run at the same time, shared by all nodes.
        reply: Called with each packed reply, from this node's thread.
        died: Called once when an injected fault kills the node.
    """

    def __init__(
        self,
        *,
        index: int,
        context: Context,
        handler: Handler,
        faults: Faults,
        slots: threading.Semaphore,
        reply: Callable[[Packed, str], None],
        died: Callable[[], None],
    ) -> None:
        self._index = index
        self._context = context
        self._handler = handler
        self._faults = faults
        self._slots = slots
        self._reply = reply
        self._died = died
        self._inbox: queue.SimpleQueue[Packed | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"local-node-{index}", daemon=True)
        self._thread.start()

    def deliver(self, packed: Packed) -> None:
        """Put a message into the node's inbox."""
        self._inbox.put(packed)

    def stop(self) -> None:
        """Tell the node to take no further message and to send no further reply."""
        self._closing.set()
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._closing.is_set():
            packed = self._inbox.get()
            if packed is None or not self._serve_one(packed):
                return

    def _serve_one(self, packed: Packed) -> bool:
        """Handle one message; return whether the node can take another."""
        message = unpack(packed)
        asked = message.metadata.message_id
        try:
            if not self._suffer(self._faults.before(self._index, message)):
                return True
            reply = self._answer(message)
            if reply is None:
                self._closing.wait()
                return False
            if not self._suffer(self._faults.after(self._index, reply)):
                return True
            packed_reply = pack(reply)
        except Exception as error:  # noqa: BLE001 - whatever an app raises is an answer, as in Flower
            packed_reply = pack(
                Message(Error(CLIENT_APP_RAISED, f"{type(error)}:<'{error}'>"), reply_to=message)
            )
        if not self._closing.is_set():
            self._reply(packed_reply, asked)
        return True

    def _answer(self, message: Message) -> Message | None:
        """Run the ClientApp; return its reply, or nothing when it returned something else."""
        with self._slots:
            if self._closing.is_set():
                return None
            try:
                reply: object = self._handler(message, self._context)
            except SystemExit as end:
                reason = f"ClientApp ended its process with status {end.code}"
                return Message(Error(CLIENT_APP_CRASHED, reason), reply_to=message)
        if isinstance(reply, Message):
            return reply
        _log.error(
            "The ClientApp of node %d returned %s instead of a Message to %r: the node is wedged, as a SuperNode would be.",
            self._index,
            type(reply).__name__,
            message.metadata.message_type,
        )
        return None

    def _suffer(self, fault: Fault | None) -> bool:
        """Apply ``fault``; return whether the message goes on its way."""
        match fault:
            case None:
                return True
            case Delay(seconds):
                return not self._closing.wait(None if math.isinf(seconds) else seconds)
            case Raise(error):
                raise error
            case Die():
                self._closing.set()
                self._died()
                return False
            case Drop():
                return False
