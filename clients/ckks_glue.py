"""The glue in the CKKS mode: trains from the model that the node hands out, and passes everything else through.

Called by the Flower app (:mod:`clients.app`). Like the rest of the glue it is keyless and untrusted. A message carries one
byte string, for the node; which step it is, is its first byte.
"""

from __future__ import annotations

import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from clients.calls import Order
from clients.ckks_calls import CkksOrder, CkksProtectCall
from clients.door import Door, Method
from clients.training.tasks import load_task
from fl_core.errors import DecodeError
from fl_core.models import decode_model, flatten
from fl_core.protocol import envelope
from fl_core.secagg.ckks.steps import CkksBeginCall, CkksStep, decode_step, encode_step

SEALED_STYPE = "suture.sealed.v1"
MAX_MODEL = 1 << 32  # bytes


def train_ckks(message: Message, door: Door) -> Message:
    """Train for one round and return the encrypted upload that the node signed."""
    step, payload = decode_step(_payload(message))
    if step is not CkksStep.BEGIN:
        raise DecodeError("a training message of the CKKS mode asks for training")
    place = CkksBeginCall.decode(payload).place
    answer = CkksOrder.decode(door.call(Method.CKKS, encode_step(step, payload)))
    order, tensors = Order.decode(answer.order), decode_model(answer.model, MAX_MODEL)
    started = time.perf_counter()
    task = load_task(order.task)
    writable = {name: tensor.copy() for name, tensor in tensors.items()}
    result = task.run(writable, Path(order.data), order.settings, order.round, order.holder)
    trained = time.perf_counter()
    update = flatten(result.tensors) - flatten(tensors)
    call = CkksProtectCall(
        place=place,
        update=update.astype("<f4").tobytes(),
        examples=result.examples,
        counters=result.counters,
    )
    upload = door.call(Method.CKKS, encode_step(CkksStep.PROTECT, call.encode()))
    metrics = MetricRecord(
        {
            envelope.TRAIN_MS: 1000 * (trained - started),
            envelope.PROTECT_MS: 1000 * (time.perf_counter() - trained),
        }
    )
    return Message(
        RecordDict({envelope.SEALED: _sealed(upload), envelope.METRICS: metrics}), reply_to=message
    )


def relay_ckks(message: Message, door: Door) -> Message:
    """Pass one step to the node and its answer back; training and updates do not come this way."""
    step, payload = decode_step(_payload(message))
    if step in (CkksStep.BEGIN, CkksStep.PROTECT):
        raise DecodeError("a round of the CKKS mode begins with a training message")
    answer = door.call(Method.CKKS, encode_step(step, payload))
    return Message(RecordDict({envelope.SEALED: _sealed(answer)}), reply_to=message)


def _payload(message: Message) -> bytes:
    record = message.content.array_records.get(envelope.SEALED)
    if record is None or list(record) != [envelope.CKKS]:
        raise DecodeError("the message carries no step of the CKKS mode")
    return record[envelope.CKKS].data


def _sealed(data: bytes) -> ArrayRecord:
    return ArrayRecord({envelope.CKKS: Array("uint8", (len(data),), SEALED_STYPE, data)})
