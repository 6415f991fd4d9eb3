"""A signal sets what a service waits for, wherever in its waiting the service is."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from coordinator.engines.ports import reserve
from suture_fl.stopping import LOOK_S, SIGNALS, Stop
from tests.simulators.process_tree import becomes

BUSY = """
from coordinator.engines.ports import reserve
from suture_fl.stopping import Stop
stop = Stop().on_signals()
print("waits", flush=True)
while not stop.wait(0):
    pass
"""
"""A service that does nothing but look: every signal finds it in the middle of its waiting."""
STARTS = """
import sys
from suture_fl.scrapes import ScrapeServer
from coordinator.engines.ports import reserve
from suture_fl.stopping import Stop
stop = Stop().on_signals()
ScrapeServer(str, "127.0.0.1:" + sys.argv[1])
print("answers", file=sys.stderr)
stop.wait()
"""
"""A service that begins to wait while its other thread answers: a signal may come when it has looked and does not wait yet."""


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


@pytest.mark.network
def test_no_signal_is_missed_between_a_look_and_the_wait() -> None:
    for _ in range(8):
        [port] = reserve([None])
        process = subprocess.Popen([sys.executable, "-c", STARTS, str(port)], stderr=subprocess.DEVNULL)
        try:
            assert becomes(lambda port=port: listens(port), 60.0)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30.0) == 0
        finally:
            process.kill()
            process.wait()


def test_waiting_lasts_as_long_as_asked_for_and_ends_for_good_once_it_is_set() -> None:
    stop = Stop()
    started = time.monotonic()
    assert not stop.wait(0.1)
    assert time.monotonic() - started >= 0.1
    assert not stop.wait(LOOK_S + 0.1)
    assert time.monotonic() - started >= LOOK_S + 0.2
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
