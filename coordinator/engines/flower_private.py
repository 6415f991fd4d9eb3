"""Everything we use of Flower that Flower does not promise to keep, in one place. Checked with flwr 1.41.

What is here, why, and what to do should it break:

1. :func:`identify` sets ``TaskIdentity``: ``Message(...)`` reads run and node from it. The only way to build messages
   outside a Flower process.
2. ``_message_id`` of a message's metadata (:func:`pack`, :func:`unpack`): normally set by the process that pushes it.
3. :func:`pack` and :func:`unpack` use Flower's own "inflatable" objects, so that an in-process run meets the same
   limits and copies as a deployed one. Without them messages could be passed on as they are.
4. :func:`error_from_superlink` builds the errors that a SuperLink itself puts in place of a reply.
5. :func:`empty_run`: the ``Run`` that the public ``Grid`` interface demands.
6. :func:`build_fab` is what ``flwr build`` calls; the command itself is the fall-back.

No other module of this package imports from Flower anything but ``flwr.app``, ``flwr.clientapp`` and
``flwr.serverapp``, but for :mod:`~coordinator.engines.flower_superlink`, the program of a process that runs nothing of ours; a test says
so, and others that each of these names still does what we need.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

from flwr.app import Error, Message, Metadata
from flwr.app.message import make_message
from flwr.cli.build import build_fab_from_disk
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

CHECKED_VERSION = "1.41"
"""The release of Flower in which the six points above were read and tested."""

SUPERLINK_NODE_ID = 1
"""The node id under which a ServerApp sends and under which a SuperLink reports errors."""

ServerRun = Run
"""Flower's description of a run, as the public ``Grid`` interface names it."""


class Packed(NamedTuple):
    """A message as Flower puts it on the wire: content-addressed objects, arrays cut into chunks of 5 MiB."""

    message_id: str
    objects: dict[str, bytes]

    @property
    def size(self) -> int:
        """Return the bytes that would cross the network, without HTTP's own."""
        return sum(len(content) for content in self.objects.values())


def identify(run_id: int) -> None:
    """Make this process the ServerApp of run ``run_id``, as far as ``Message(...)`` is concerned. Process-wide."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, SUPERLINK_NODE_ID


def pack(message: Message) -> Packed:
    """Serialise ``message`` as Flower does before it pushes, and name it by its content, as Flower does."""
    with no_object_id_recompute():
        message_id = message.object_id
        objects = {name: item.deflate() for name, item in get_all_nested_objects(message).items()}
    return Packed(message_id, objects)


def unpack(packed: Packed) -> Message:
    """Rebuild the message; the objects of ``packed`` are used up, so that large arrays exist once."""
    message = cast(Message, inflate_object_from_contents(packed.message_id, packed.objects))
    name_message(message, packed.message_id)
    return message


def name_message(message: Message, message_id: str) -> None:
    """Set the id that a message gets when it is pushed; replies refer to it."""
    message.metadata.__dict__["_message_id"] = message_id


def error_from_superlink(asked: Metadata, code: int, reason: str, *, now: float) -> Message:
    """Return the error that a SuperLink answers with itself, in the place of a reply to ``asked``.

    Args:
        asked: Metadata of the message that got no reply.
        code: One of Flower's error codes.
        reason: Its text.
        now: Unix time in seconds.
    """
    metadata = Metadata(
        run_id=asked.run_id,
        message_id="",
        src_node_id=SUPERLINK_NODE_ID,
        dst_node_id=SUPERLINK_NODE_ID,
        reply_to_message_id=asked.message_id,
        group_id=asked.group_id,
        created_at=now,
        ttl=max(asked.created_at + asked.ttl - now, 0.0),
        message_type=asked.message_type,
    )
    message = make_message(metadata=metadata, error=Error(code=code, reason=reason))
    name_message(message, message.object_id)
    return message


def empty_run(run_id: int) -> ServerRun:
    """Return a run that has an id and nothing else."""
    return Run.create_empty(run_id=run_id)


def build_fab(folder: Path) -> bytes:
    """Return the Flower app bundle of the app in ``folder``, deterministically.

    Raises:
        ValueError: Flower refuses the app; the text says why.
    """
    return build_fab_from_disk(folder)
