"""What crosses the door: strict on both sides."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import asdict, replace

import numpy as np
import pytest

from clients.calls import MAX_ORDER, BeginCall, Order, ProtectCall, QuestionCall
from clients.ckks_calls import CkksProtectCall
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.protocol.header import MAX_COMMITTEE, MAX_COUNTERS, MAX_HEADER
from fl_core.protocol.messages import MAX_REQUEST
from fl_core.secagg.ckks.steps import Place

ORDER = Order(
    header="ab" * 32, round=3, task="t", settings={"rate": 0.5, "n": 2, "kind": "x"}, data="/d", holder="h"
)
PROTECT = ProtectCall(
    header=bytes(32), update=bytes(8), examples=5, counters=(1, 2), prekeys=(b"one", b"two")
)


def order(**changes):
    """The JSON of ORDER with raw values changed, or removed by ``...``."""
    values = {k: v for k, v in {**asdict(ORDER), **changes}.items() if v is not ...}
    return json.dumps(values, sort_keys=True).encode()


def test_an_order_is_read_as_it_was_written():
    assert Order.decode(order()) == Order.decode(ORDER.encode()) == ORDER
    in_the_clear = replace(ORDER, header="", round=0, settings={})
    assert Order.decode(in_the_clear.encode()) == in_the_clear


@pytest.mark.parametrize(
    "changes",
    [
        {"header": "ab"}, {"header": "zz" * 32}, {"header": None}, {"header": ...}, {"round": "3"}, {"round": 3.0},
        {"round": True}, {"round": -1}, {"round": 1 << 32}, {"task": 5}, {"settings": []}, {"settings": {"x": []}},
        {"settings": {"x": None}}, {"settings": {"x": True}}, {"data": ["/d"]}, {"holder": {}}, {"surprise": 1},
        {"settings": {"x": float("nan")}}, {"settings": {"x": float("inf")}},
    ],
    ids=repr,
)  # fmt: skip
def test_an_order_with_another_field_or_type_is_rejected(changes):
    with pytest.raises(DecodeError):
        Order.decode(order(**changes))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"5", b"{}", b"[" * 60_000, order() + b" ", order().replace(b": ", b":")]
)
def test_what_is_no_canonical_order_is_rejected(data):
    with pytest.raises(DecodeError):
        Order.decode(data)


def test_an_over_long_order_is_rejected_before_it_is_read():
    with pytest.raises(DecodeError, match=f"at most {MAX_ORDER} bytes"):
        Order.decode(b" " * (MAX_ORDER + 1))


def test_a_protect_call_holds_whole_float32_values():
    assert ProtectCall.decode(PROTECT.encode()) == PROTECT
    for size in (1, 2, 3, 5):
        with pytest.raises(DecodeError, match="four-byte numbers"):
            ProtectCall.decode(replace(PROTECT, update=bytes(size)).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"header": bytes(31)},
        {"examples": -1},
        {"examples": 1 << 64},
        {"counters": (0,) * (MAX_COUNTERS + 1)},
        {"counters": (-1,)},
        {"prekeys": (b"",) * (MAX_COMMITTEE + 1)},
        {"prekeys": (bytes(2049),)},
    ],
)
def test_a_protect_call_beyond_its_limits_is_not_written(changes):
    with pytest.raises(LocalProtocolError):
        replace(PROTECT, **changes).encode()


LARGE = bytes(50_000_000)


@pytest.mark.parametrize(
    "call",
    [
        BeginCall(header=b"h", model=LARGE),
        replace(PROTECT, update=LARGE),
        CkksProtectCall(
            place=Place(run=bytes(32), round=1, parent=bytes(32)), update=LARGE, examples=5, counters=(1,)
        ),
    ],
    ids=repr,
)
def test_what_is_as_large_as_a_model_is_not_copied_out_of_its_message(call):
    payload = call.encode()
    tracemalloc.start()
    try:
        decoded = type(call).decode(payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoded == call
    assert peak < 100_000


def test_an_update_is_copied_once_on_its_way_into_a_message():
    update = np.ones(5_000_000, np.float32)
    tracemalloc.start()
    try:
        payload = replace(PROTECT, update=update.data.cast("B")).encode()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ProtectCall.decode(payload).update == update.tobytes()
    assert peak < 1.1 * update.nbytes


def test_a_begin_call_bounds_the_header():
    assert BeginCall.decode(BeginCall(header=b"h", model=b"m").encode()) == BeginCall(header=b"h", model=b"m")
    with pytest.raises(LocalProtocolError):
        BeginCall(header=bytes(MAX_HEADER + 1), model=b"").encode()
    with pytest.raises(DecodeError, match=f"at most {MAX_HEADER} bytes"):
        BeginCall.decode((MAX_HEADER + 1).to_bytes(4, "big") + bytes(MAX_HEADER + 1) + bytes(4))


def test_a_reveal_call_bounds_the_request():
    class Long(bytes):
        def __len__(self):
            return MAX_REQUEST + 1

    with pytest.raises(DecodeError, match=f"at most {MAX_REQUEST} bytes"):
        QuestionCall.decode(Long())


def test_calls_do_not_print_updates_and_models():
    assert repr(PROTECT) == f"ProtectCall(header={bytes(32).hex()}, update=<8 bytes>)"
    assert repr(BeginCall(header=b"h", model=b"secret")) == "BeginCall(header=<1 bytes>, model=<6 bytes>)"
