"""The decision about one reply of the SuperNode: which sealed bytes it stands for, or why it does not leave. A pure function.

The reply is only read to learn what it claims to be. What leaves is composed by the gateway from the node's own bytes
(:mod:`clients.gateway.compose`), so a mistake here can send the wrong sealed bytes, never plaintext. Checks, in order:

(1) the objects are well formed and make one tree;
(2) the reply holds records that a reply of its kind has, and no others;
(3) the sealed record holds one array of sealed form, whose chunks are, in this order, those of bytes that the node sealed under
    that name;
(4) metrics are called as the two times are;
(5) the control record holds the status and nothing else.

Times and status that leave are the node's, whatever the reply says of them and whether it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.recorddict_pb2 import ConfigRecord, MetricRecord
from google.protobuf.message import DecodeError as ProtoError

from clients.errors import NodeError
from clients.gateway.objects import MAX_SMALL_OBJECT, SEALED_DTYPE, SEALED_STYPE, Object, decode_object
from clients.gateway.ports import Sealed
from fl_core.codec import read_json
from fl_core.errors import DecodeError
from fl_core.protocol import envelope

Find = Callable[[tuple[str, ...]], Sealed | None]
"""Returns the sealed bytes that are cut into these chunks."""

_SEALED_OF: Mapping[str, frozenset[str]] = {
    "train": frozenset({envelope.FRAME, envelope.CKKS}),
    envelope.ENROL_TYPE: frozenset(),
    envelope.CHECK_TYPE: frozenset({envelope.CHECK}),
    envelope.REVEAL_TYPE: frozenset({envelope.REVEAL}),
    envelope.BLAME_TYPE: frozenset({envelope.BLAME}),
    envelope.WEIGHT_TYPE: frozenset({envelope.WEIGHT}),
    envelope.CKKS_TYPE: frozenset({envelope.CKKS}),
}
"""Names of what may be in the sealed record of a reply to each type of message."""

_RECORDS = frozenset({envelope.SEALED, envelope.METRICS, envelope.CONTROL})
_TIMES = frozenset({envelope.TRAIN_MS, envelope.PROTECT_MS})


class Withheld(NodeError):
    """The reply does not leave. The text is one of a few of ours and repeats nothing of the reply."""


def judge(message_type: str, root: str, objects: Mapping[str, bytes], find: Find) -> Sealed | None:
    """Decide about one reply; return the sealed bytes that it stands for, None for an enrolment.

    Args:
        message_type: Type of the message that it answers.
        root: Name of the reply's message object.
        objects: All its objects by name, but for the chunks.
        find: Looks up sealed bytes by their chunks.

    Raises:
        Withheld: It does not leave.
    """
    allowed = _SEALED_OF.get(message_type)
    if allowed is None:
        raise Withheld("no reply to a message of this type may leave")
    try:
        records = _records(root, objects)
        if not set(records) <= _RECORDS:
            raise Withheld("the reply holds records that no reply may hold")
        sealed = _sealed(records.get(envelope.SEALED), objects, allowed, find)
        if (sealed is None) != (not allowed):
            raise Withheld(
                "the reply lacks the sealed bytes that the message asks for, or brings some unasked"
            )
        _check_metrics(records.get(envelope.METRICS))
        _check_control(records.get(envelope.CONTROL))
        return sealed
    except (DecodeError, ProtoError, ValueError, KeyError, TypeError, IndexError) as error:
        raise Withheld("the reply is not a well-formed message") from error


def _records(root: str, objects: Mapping[str, bytes]) -> dict[str, Object]:
    """(1) Follow the tree from the message to its records."""
    message = _object(root, objects, "Message")
    ProtoMessage.FromString(message.body)
    (content,) = message.children
    return {
        name: decode_object(objects[i]) for name, i in _names(_object(content, objects, "RecordDict")).items()
    }


def _object(name: str, objects: Mapping[str, bytes], kind: str) -> Object:
    found = decode_object(objects[name])
    if found.kind != kind:
        raise DecodeError("an object of another kind")
    return found


def _names(found: Object) -> dict[str, str]:
    """Return what a record dict or array record refers to."""
    names = read_json(found.body, limit=MAX_SMALL_OBJECT, what="references")
    if not isinstance(names, dict) or set(names.values()) != set(found.children):
        raise DecodeError("names and children differ")
    return {str(name): str(value) for name, value in names.items()}


def _sealed(
    record: Object | None, objects: Mapping[str, bytes], allowed: frozenset[str], find: Find
) -> Sealed | None:
    """(3) Return the sealed bytes that the sealed record stands for."""
    if record is None:
        return None
    if record.kind != "ArrayRecord":
        raise Withheld("the sealed record is of another kind")
    ((name, array_id),) = _names(record).items()
    if name not in allowed:
        raise Withheld("the sealed record holds something that this message does not ask for")
    array = _object(array_id, objects, "Array")
    form = read_json(array.body, limit=MAX_SMALL_OBJECT, what="array")
    if not isinstance(form, dict):
        raise DecodeError("an array has a form")
    chunks = tuple(array.children[index] for index in form.pop("arraychunk_ids"))
    found = find(chunks)
    if found is None or found.name != name:
        raise Withheld("the reply's payload is not what this node sealed")
    if form != {"dtype": SEALED_DTYPE, "shape": [found.size], "stype": SEALED_STYPE}:
        raise Withheld("the sealed array has another form")
    return found


def _check_metrics(record: Object | None) -> None:
    """(4) Whatever they are, no value of them leaves."""
    if record is None:
        return
    if record.kind != "MetricRecord":
        raise Withheld("the metrics are of another kind")
    for item in MetricRecord.FromString(record.body).items:
        if item.key not in _TIMES or item.value.WhichOneof("value") not in ("double", "sint64"):
            raise Withheld("the reply holds metrics that may not leave")


def _check_control(record: Object | None) -> None:
    """(5) Its content is not looked at."""
    if record is None:
        return
    if record.kind != "ConfigRecord":
        raise Withheld("the control record is of another kind")
    if [item.key for item in ConfigRecord.FromString(record.body).items] != [envelope.STATUS]:
        raise Withheld("the reply holds fields that may not leave")
