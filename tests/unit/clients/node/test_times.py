"""Times that a node measures itself."""

from __future__ import annotations

import pytest

from clients.node.times import KEPT, Times, decode_times
from fl_core.errors import DecodeError
from fl_core.protocol import envelope


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_training_lasts_to_the_update_and_sealing_from_there():
    clock = Clock()
    times = Times(clock)
    times.begun(b"header")
    came = clock.now = 101.5
    clock.now = 101.75
    times.sealed(b"header", b"frame", came)
    assert decode_times(times.encode(b"frame")) == {envelope.TRAIN_MS: 1500, envelope.PROTECT_MS: 250}


def test_a_frame_that_was_not_measured_has_no_times():
    assert decode_times(Times().encode(b"other")) == {}


def test_training_that_a_restart_cut_counts_as_nothing():
    clock = Clock()
    times = Times(clock)
    clock.now += 2
    times.sealed(b"header", b"frame", clock.now - 1)
    assert decode_times(times.encode(b"frame")) == {envelope.TRAIN_MS: 0, envelope.PROTECT_MS: 1000}


def test_only_the_newest_are_kept():
    times = Times(Clock())
    for number in range(KEPT + 5):
        times.begun(bytes([number, 1]))
        times.begun(bytes([number]))
        times.sealed(bytes([number]), bytes([number]), 100.0)
    assert times.encode(bytes([4])) == b"" != times.encode(bytes([5]))
    assert len(times._begun) <= KEPT


@pytest.mark.parametrize("bad", [b"x", bytes(15), bytes(17)])
def test_another_answer_is_none(bad):
    with pytest.raises(DecodeError):
        decode_times(bad)
