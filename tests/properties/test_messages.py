"""Laws of every message: one encoding for each value, and nothing but that encoding is read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.calls import QuestionCall
from fl_core.errors import DecodeError
from tests.simulators.generated_messages import KINDS, question_calls

LAW = settings(max_examples=15, deadline=None)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=repr)


@EVERY_KIND
@LAW
@given(data=st.data())
def test_a_decoded_message_is_the_message_that_was_encoded(kind, data):
    message = data.draw(kind.made)
    assert kind.decode(message.encode()) == message


@LAW
@given(question_calls)
def test_a_reveal_call_is_the_request_itself(call):
    assert QuestionCall.decode(call.encode()) == call


@EVERY_KIND
@LAW
@given(data=st.data())
def test_every_truncation_is_rejected(kind, data):
    encoded = data.draw(kind.made).encode()
    step = data.draw(st.integers(1, max(1, len(encoded) // 30)))
    for size in range(data.draw(st.integers(0, step - 1)), len(encoded), step):
        with pytest.raises(DecodeError):
            kind.decode(encoded[:size])


@EVERY_KIND
@LAW
@given(data=st.data(), more=st.binary(min_size=1, max_size=5))
def test_trailing_bytes_are_rejected(kind, data, more):
    with pytest.raises(DecodeError):
        kind.decode(data.draw(kind.made).encode() + more)


@EVERY_KIND
@LAW
@given(data=st.data())
def test_what_decodes_is_the_only_encoding_of_its_value(kind, data):
    encoded = bytearray(data.draw(kind.made).encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    try:
        message = kind.decode(bytes(encoded))
    except DecodeError:
        return
    assert message.encode() == encoded


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.text and "call" not in k.name], ids=repr)
@LAW
@given(data=st.data(), version=st.integers(0, 2**16 - 1).filter(lambda v: v != 1))
def test_every_other_version_is_rejected_by_name(kind, data, version):
    encoded = data.draw(kind.made).encode()
    with pytest.raises(DecodeError, match=f"the message has version {version}"):
        kind.decode(version.to_bytes(2, "big") + encoded[2:])
