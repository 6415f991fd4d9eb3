"""The glue: the Flower ClientApp of a data holder. Untrusted, keyless, replaceable.

It receives a message, asks the node for an order, trains, hands the update to the node and sends back what the node sealed.
Everything that decides anything happens behind the door (:mod:`clients.door`); this code could be a stranger's. Heavy imports
wait until they are needed: Flower starts a new process for every message, and an answer of the committee needs no torch.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.calls import BeginCall, Order, ProtectCall
from clients.ckks_glue import relay_ckks, train_ckks
from clients.door import Door, Method, connect
from clients.training.tasks import TrainingResult, load_task
from fl_core.errors import DecodeError
from fl_core.models import Tensors, encode_model, flatten
from fl_core.protocol import envelope

SEALED_STYPE = "suture.sealed.v1"
"""Flower's serialisation type of a sealed payload: opaque bytes."""

DOOR = "door"
"""Key of the node config that holds the node's address."""

app = ClientApp()


@app.query("enrol")
def enrol(message: Message, context: Context) -> Message:
    """Say which account this node belongs to. A false answer gains nothing: every contribution is signed."""
    status = _door(context).call(Method.STATUS, b"")
    return Message(RecordDict({envelope.CONTROL: ConfigRecord({envelope.STATUS: status})}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train for one round and return the sealed frame, or in a run without protection the model itself."""
    control = _control(message)
    if envelope.CKKS in control:
        return train_ckks(message, _door(context))
    if envelope.HEADER not in control:
        return _train_in_the_clear(message, context)
    door = _door(context)
    tensors = _tensors(message)
    header = _bytes(control, envelope.HEADER)
    call = BeginCall(header=header, model=encode_model(tensors))
    order = Order.decode(door.call(Method.BEGIN, call.encode()))
    started = time.perf_counter()
    result = _run(order, tensors, control)
    trained = time.perf_counter()
    update = flatten(result.tensors)
    update -= flatten(tensors)
    protect = ProtectCall(
        header=bytes.fromhex(order.header),
        update=update.astype("<f4", copy=False).data.cast("B"),
        examples=result.examples,
        counters=result.counters,
        prekeys=tuple(_list_of_bytes(control, envelope.PREKEYS)),
    )
    frame = door.call(Method.PROTECT, protect.encode())
    metrics = MetricRecord(
        {
            envelope.TRAIN_MS: 1000 * (trained - started),
            envelope.PROTECT_MS: 1000 * (time.perf_counter() - trained),
        }
    )
    status = ConfigRecord(
        {envelope.STATUS: door.call(Method.STATUS, b"")}
    )  # has the prekey of the next round
    content = RecordDict(
        {
            envelope.SEALED: _sealed(envelope.FRAME, frame),
            envelope.METRICS: metrics,
            envelope.CONTROL: status,
        }
    )
    return Message(content, reply_to=message)


@app.query("check")
def check(message: Message, context: Context) -> Message:
    """Pass the share check's question to the node, and its answer back."""
    return _pass_on(message, context, Method.CHECK, envelope.CHECK)


@app.query("reveal")
def reveal(message: Message, context: Context) -> Message:
    """Pass a request for a sum of shares to the node, and its answer back."""
    return _pass_on(message, context, Method.REVEAL, envelope.REVEAL)


@app.query("blame")
def blame(message: Message, context: Context) -> Message:
    """Pass a question about a spoilt sum to the node, and its answer back."""
    return _pass_on(message, context, Method.BLAME, envelope.BLAME)


@app.query("weight")
def weight(message: Message, context: Context) -> Message:
    """Pass the question for the holder's weight to the node, and its answer back."""
    return _pass_on(message, context, Method.WEIGHT, envelope.WEIGHT)


def _pass_on(message: Message, context: Context, method: Method, name: str) -> Message:
    request = _arrays(message, envelope.SEALED)[envelope.REQUEST].data
    answer = _door(context).call(method, request)
    return Message(RecordDict({envelope.SEALED: _sealed(name, answer)}), reply_to=message)


@app.query("ckks")
def ckks(message: Message, context: Context) -> Message:
    """Pass a step of the CKKS mode to the node, and its answer back."""
    return relay_ckks(message, _door(context))


def _train_in_the_clear(message: Message, context: Context) -> Message:
    """Train for a run without protection: the holder's policy must allow it."""
    control = _control(message)
    task = str(control[envelope.TASK])
    order = Order.decode(_door(context).call(Method.PLAIN, task.encode()))
    started = time.perf_counter()
    result = _run(order, _tensors(message), control)
    names = load_task(task).counters
    metrics = MetricRecord(
        {
            envelope.EXAMPLES: result.examples,
            envelope.TRAIN_MS: 1000 * (time.perf_counter() - started),
            **dict(zip(names, result.counters, strict=True)),
        }
    )
    arrays = ArrayRecord({name: Array(tensor) for name, tensor in sorted(result.tensors.items())})
    return Message(RecordDict({envelope.ARRAYS: arrays, envelope.METRICS: metrics}), reply_to=message)


def _run(order: Order, tensors: Tensors, control: ConfigRecord) -> TrainingResult:
    """Train as ordered; a run without protection has its settings in the message."""
    settings, number = order.settings, order.round
    if not order.header:
        settings, number = json.loads(str(control[envelope.SETTINGS])), int(str(control[envelope.ROUND]))
    return load_task(order.task).run(tensors, Path(order.data), settings, number, order.holder)


def _door(context: Context) -> Door:
    return connect(str(context.node_config[DOOR]))


def _tensors(message: Message) -> dict[str, npt.NDArray[np.float32]]:
    """Return the model in a message."""
    record = _arrays(message, envelope.ARRAYS)
    tensors = {name: np.asarray(array.numpy()) for name, array in record.items()}
    if any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise DecodeError("the model in the message is not made of float32 tensors")
    return tensors


def _control(message: Message) -> ConfigRecord:
    """Return the record that says what to do."""
    record = message.content.config_records.get(envelope.CONTROL)
    if record is None:
        raise DecodeError(
            "the message does not say what to do: is the coordinator's software another version?"
        )
    return record


def _arrays(message: Message, name: str) -> ArrayRecord:
    """Return a record of arrays."""
    record = message.content.array_records.get(name)
    if record is None:
        raise DecodeError(f"the message has no record {name!r}")
    return record


def _sealed(name: str, data: bytes) -> ArrayRecord:
    return ArrayRecord({name: Array("uint8", (len(data),), SEALED_STYPE, data)})


def _bytes(control: ConfigRecord, name: str) -> bytes:
    value = control[name]
    if not isinstance(value, bytes):
        raise DecodeError(f"the field {name!r} of the message is not made of bytes")
    return value


def _list_of_bytes(control: ConfigRecord, name: str) -> list[bytes]:
    value = control[name]
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise DecodeError(f"the field {name!r} of the message is not a list of byte strings")
    return [bytes(item) for item in value]  # type: ignore[arg-type]  # checked in the line above
