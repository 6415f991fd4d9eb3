"""No bytes whatever make a decoder raise anything but ``DecodeError``. More of it: ``python -m tests.fuzz_decoders``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_core.errors import DecodeError
from tests import fuzz_decoders
from tests.simulators.generated_messages import KINDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=repr)


@EVERY_KIND
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_decode_or_raise_a_decode_error(kind, data):
    fuzz_decoders.check(kind.name, data)


@pytest.mark.parametrize("name", sorted(fuzz_decoders.TARGETS))
def test_mutated_messages_decode_or_raise_a_decode_error(name):
    assert fuzz_decoders.fuzz(name, inputs=600, seed=1) == 600


def test_the_fuzzer_notices_another_exception(monkeypatch):
    def careless(data: bytes) -> None:
        raise KeyError(data[0])

    monkeypatch.setitem(fuzz_decoders.TARGETS, "careless", fuzz_decoders.Target(careless, (b"seed",)))
    with pytest.raises(fuzz_decoders.Finding, match="careless: KeyError"):
        fuzz_decoders.fuzz("careless", inputs=1, seed=1)


def test_every_message_is_a_target_of_the_fuzzer():
    assert {kind.name for kind in KINDS} <= set(fuzz_decoders.TARGETS)


def test_a_decode_error_is_all_that_a_peer_causes():
    with pytest.raises(DecodeError):
        fuzz_decoders.TARGETS["leaf"].decode(b"")
