"""What comes in: a message, its run and bundle, and its objects, each only once it was checked.

(1) A message is noted on disk before it is checked, and handed in once its bundle was: one at a time.
(2) No call waits for a check to its end (:mod:`clients.gateway.arrival`).
(3) A message whose bundle does not come in is answered with an error before the SuperNode hears that it is refused: it drops what is
    refused, and would leave the coordinator to wait.
(4) Run and bundle of a message that a gateway before this one handed in are checked anew, while the message is open.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from flwr.common.constant import ErrorCode
from flwr.proto import fab_pb2, fleet_pb2, message_pb2, run_pb2
from flwr.proto.message_pb2 import Metadata
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message as Proto

from clients.errors import NodeError
from clients.gateway.arrival import Arrival
from clients.gateway.bundles import MAX_RUNS, BundleRefused, Bundles, Fetched
from clients.gateway.objects import is_object_id, object_id, walk
from clients.gateway.ports import OutgoingLog, SuperLink
from clients.gateway.questions import MAX_HELD, Questions, well_formed
from clients.gateway.replies import MOMENTARY, Replies
from fl_core.errors import DecodeError

MAX_PULL = 1 << 22  # bytes; one message's metadata and tree
MAX_OBJECT = 1 << 26  # bytes; Flower's chunks have 5 MiB, a config record may have more
MAX_CONFIRMED = 1 << 16  # bytes; the answer says nothing

UNCHECKED = "the holder cannot check the bundle now"
REFUSED = "the holder refuses this bundle"
NOT_OPEN = "no message of this run is open"
log = logging.getLogger("suture.gateway")


class Refused(NamedTuple):
    """An HTTP error for the SuperNode."""

    status: int
    text: str


class NotChecked(NodeError):
    """The check of a bundle is not over; a SuperNode asks again."""


class Inwards:
    """Answers the calls by which something comes in; arguments as for :class:`~clients.gateway.gateway.Gateway`, and its parts."""

    def __init__(
        self,
        bundles: Bundles,
        superlink: SuperLink,
        questions: Questions,
        outgoing: OutgoingLog,
        replies: Replies,
        *,
        clock: Callable[[], float],
        node: Callable[[], Node],
        pull_s: float,
    ) -> None:
        self._bundles = bundles
        self._superlink = superlink
        self._questions = questions
        self._log = outgoing
        self._replies = replies
        self._clock = clock
        self._node = node
        self._pull_s = pull_s
        self._pulling = threading.Lock()
        self._arrival: Arrival[fleet_pb2.PullMessagesResponse] | None = None
        self._left_over = True  # a gateway before this one may have taken a message and not handed it in
        self._unnoted: fleet_pb2.PullMessagesResponse | None = None
        self._lock = threading.Lock()
        self._anew: dict[int, Arrival[Fetched | None]] = {}  # by run

    def new_supernode(self) -> None:
        """Hand nothing in of what is being checked: all that is open is answered with an error when a new SuperNode comes."""
        with self._pulling:
            self._arrival, self._left_over = None, False

    # ------------------------------------------------------------------ messages

    def pull(self) -> fleet_pb2.PullMessagesResponse:
        """Hand in the message whose check is over; take one from the SuperLink only when none is being checked."""
        nothing = fleet_pb2.PullMessagesResponse()
        with self._pulling:
            if self._arrival is None:
                self._arrival = self._arrive()
            arrival = self._arrival
            if arrival is None or not arrival.done_within(self._pull_s):
                return nothing
            self._arrival = None
            found = arrival.result()
            self._arrival = arrival  # it comes again where the disk has no room for the note now
            for message in found.messages_list:
                self._questions.handed_in(message.metadata.message_id)
            self._arrival = None
            return found

    def _arrive(self) -> Arrival[fleet_pb2.PullMessagesResponse] | None:
        """Take a message from the SuperLink, if there is one, note it and begin to check it."""
        node = self._node()
        if self._questions.held() >= MAX_HELD:
            log.warning("the gateway takes no message: %d are open or have replies that are kept", MAX_HELD)
            return None
        if (left := self._not_handed_in()) is not None:
            return Arrival(lambda: self._checked(left.messages_list[0].metadata, node, left))
        found = self._unnoted or self._superlink.call(
            "pull-messages",
            fleet_pb2.PullMessagesRequest(node=node),
            fleet_pb2.PullMessagesResponse,
            MAX_PULL,
        )
        if not found.messages_list:
            return None
        message = found.messages_list[0]
        try:
            (tree,) = found.message_object_trees
            names = frozenset(name for name, _ in walk(tree))
            if len(found.messages_list) != 1 or not well_formed(message.metadata):
                raise DecodeError("not one message")
        except (DecodeError, ValueError):
            self._log.record("message-refused", reason="the SuperLink sent no well-formed message")
            return None
        passed = fleet_pb2.PullMessagesResponse(messages_list=[message], message_object_trees=[tree])
        self._unnoted = found  # the SuperLink hands a message out once; the disk may have no room for it now
        self._questions.ask(message.metadata, names, self._clock(), passed.SerializeToString())
        self._unnoted = None
        return Arrival(lambda: self._checked(message.metadata, node, passed))

    def _not_handed_in(self) -> fleet_pb2.PullMessagesResponse | None:
        """Return the message that a gateway before this one was checking when it ended, once."""
        pulled = self._questions.arrived() if self._left_over else b""
        self._left_over = False
        return fleet_pb2.PullMessagesResponse.FromString(pulled) if pulled else None

    def _checked(
        self, asked: Metadata, node: Node, passed: fleet_pb2.PullMessagesResponse
    ) -> fleet_pb2.PullMessagesResponse:
        """Return the message if its bundle may come in and nobody answered it meanwhile; otherwise nothing."""
        try:
            if self._admitted(asked.run_id, (asked,), node) is not None:
                return passed
        except MOMENTARY as error:
            log.warning("a message was not passed on: %s", error)
        return fleet_pb2.PullMessagesResponse()

    def _admitted(self, run: int, asked: Sequence[Metadata], node: Node) -> Fetched | None:
        """Check what a run brings, and note it; None where its messages ``asked`` were all answered meanwhile.

        Raises:
            BundleRefused: It does not come in; they were answered with an error.
            NodeError, ArchiveError, OSError, sqlite3.Error: It cannot be checked; so they were, unless the gateway ends: the next one checks it.
        """

        def check() -> Fetched | None:
            found = self._bundles.check(run, node, self._questions.bundle_of(run).hex())
            self._questions.brings(run, found.run.fab_hash)
            waits = any(self._questions.open(message.message_id) is not None for message in asked)
            return found if waits else None

        try:
            return self._replies.insist(check, max(one.created_at + one.ttl for one in asked))
        except BundleRefused as error:
            facts = {"run": str(run), "bundle": error.digest, "reason": str(error)}
            self._write_down("bundle-refused", facts)
            self._refuse(asked, ErrorCode.INVALID_FAB, REFUSED)
            raise
        except MOMENTARY:
            if not self._replies.delivery.ending:
                self._refuse(asked, ErrorCode.LOAD_CLIENT_APP_EXCEPTION, UNCHECKED)
            raise

    def _write_down(self, event: str, facts: Mapping[str, str]) -> None:
        """Write a line as soon as the disk allows it; where it does not, what it tells of is refused all the same."""
        try:
            self._replies.insist(lambda: self._log.record(event, **facts))
        except MOMENTARY as error:
            log.warning("%s was not written down: %s", event, error)

    def _refuse(self, asked: Sequence[Metadata], code: int, text: str) -> None:
        """Note an error for each message before the check is over: nobody can have the same bundle refused, and written down, again."""
        for message in asked:
            self._replies.settle(self._replies.refuse, message.message_id, code, text)

    # ------------------------------------------------------------------ run and bundle

    def get_run(self, request: run_pb2.GetRunRequest) -> Proto | Refused:
        """Answer with the run of a message that was handed in."""
        found = self._brought(request.run_id)
        return found if isinstance(found, Refused) else run_pb2.GetRunResponse(run=found.run)

    def get_fab(self, request: fab_pb2.GetFabRequest) -> Proto | Refused:
        """Answer with the bundle of a message that was handed in."""
        found = self._brought(request.run_id)
        if isinstance(found, Refused):
            return found
        if request.hash_str != found.run.fab_hash:
            return Refused(403, "no message of a run with this bundle came in")
        return fab_pb2.GetFabResponse(fab=found.fab)

    def _brought(self, run: int) -> Fetched | Refused:
        """Return run and bundle of a message that was handed in.

        Raises:
            NodeError: The check goes on, or the gateway ends; a SuperNode asks again.
        """
        if not self._questions.bundle_of(run):
            return Refused(403, "no message of this run came in")
        known = self._bundles.known(run)
        if known is not None:
            return known
        with self._lock:
            check = self._anew.get(run) or self._check_anew(run)
        if check is None:
            return Refused(403, NOT_OPEN)
        if not check.done_within(self._pull_s):
            raise NotChecked("a bundle that was let in before is being checked anew")
        try:
            return check.result() or Refused(403, NOT_OPEN)
        except BundleRefused:
            return Refused(403, "the holder let this bundle in before, and refuses it now")

    def _check_anew(self, run: int) -> Arrival[Fetched | None] | None:
        """Begin to check what a run brings that a gateway before this one let in, if a message of it is open; called under the lock."""
        asked, node = self._questions.all_open_of(run), self._node()
        if not asked:
            return None
        if len(self._anew) >= MAX_RUNS:
            raise NotChecked("the bundles of other runs are being checked anew")

        def check() -> Fetched | None:
            try:
                return self._admitted(run, asked, node)
            finally:
                with self._lock:
                    del self._anew[run]

        self._anew[run] = Arrival(check)
        return self._anew[run]

    # ------------------------------------------------------------------ objects

    def pull_object(self, request: message_pb2.PullObjectRequest) -> Proto | Refused:
        """Pass on an object of a message that came in, if it is what its name says."""
        name = request.object_id
        if not is_object_id(name) or not self._questions.has_object(request.run_id, name):
            return Refused(403, "no message that came in has this object")
        again = message_pb2.PullObjectRequest(node=self._node(), run_id=request.run_id, object_id=name)
        found = self._superlink.call("pull-object", again, message_pb2.PullObjectResponse, MAX_OBJECT)
        if found.object_available and object_id(found.object_content) != name:
            return Refused(403, "the SuperLink sent another object than its name says")
        return found

    def confirm(self, request: message_pb2.ConfirmMessageReceivedRequest) -> Proto | Refused:
        """Confirm a message that came in."""
        name = request.message_object_id
        if not self._questions.knows(request.run_id, name):
            return Refused(403, "no such message came in")
        again = message_pb2.ConfirmMessageReceivedRequest(
            node=self._node(), run_id=request.run_id, message_object_id=name
        )
        return self._superlink.call(
            "confirm-message-received", again, message_pb2.ConfirmMessageReceivedResponse, MAX_CONFIRMED
        )
