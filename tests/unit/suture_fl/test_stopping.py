"""A signal sets what a service waits for, wherever in its waiting the service is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from suture_fl.stopping import SIGNALS, Stop

BUSY = """
from suture_fl.stopping import Stop
stop = Stop().on_signals()
print("waits", flush=True)
while not stop.wait(0):
    pass
"""
"""A service that does nothing but look: every signal finds it in the middle of its waiting."""


def end(name: str) -> int:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(getattr(signal, name))
        try:
            return process.wait(30.0)
        finally:
            process.kill()


def test_no_signal_finds_a_service_in_a_place_where_it_would_wait_for_itself() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(end, 10 * SIGNALS)) == 30 * [0]


def test_waiting_lasts_as_long_as_asked_for_and_ends_for_good_once_it_is_set() -> None:
    stop = Stop()
    started = time.monotonic()
    assert not stop.wait(0.1)
    assert time.monotonic() - started >= 0.1
    threading.Timer(0.05, stop.set).start()
    assert stop.wait()
    assert stop.wait(0.0)
    assert stop.wait()


@pytest.mark.parametrize("name", SIGNALS)
def test_its_signals_are_those_that_end_a_command(name: str) -> None:
    before = {one: signal.getsignal(getattr(signal, one)) for one in SIGNALS}
    try:
        stop = Stop().on_signals()
        signal.raise_signal(getattr(signal, name))
        assert stop.wait(0.0)
    finally:
        for one, handler in before.items():
            signal.signal(getattr(signal, one), handler)
