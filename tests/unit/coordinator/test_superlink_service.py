"""What ``suture superlink serve`` keeps running is started again also where the machine's clock is set back."""

from __future__ import annotations

import datetime
import itertools
import sys
import time

import pytest
from flwr.common.constant import (
    HEARTBEAT_BASE_MULTIPLIER,
    HEARTBEAT_CALL_TIMEOUT,
    HEARTBEAT_DEFAULT_INTERVAL,
    HEARTBEAT_PATIENCE,
    HEARTBEAT_RANDOM_RANGE,
)

from coordinator.certificates import make_certificates
from coordinator.engines import superlink_service
from coordinator.engines.superlink import SuperLink
from fl_core.randomness import SystemRandomSource
from suture_fl.children import Child
from suture_fl.stopping import Stop
from tests.simulators.patience import patient

AN_HOUR = 3600.0
GIVEN_UP_S = HEARTBEAT_PATIENCE * HEARTBEAT_DEFAULT_INTERVAL
HEARTBEAT_AGE_S = (HEARTBEAT_DEFAULT_INTERVAL - HEARTBEAT_CALL_TIMEOUT) * (
    HEARTBEAT_BASE_MULTIPLIER + max(HEARTBEAT_RANDOM_RANGE)
)
NEXT_TRY_S = 20.0
"""Longest pause of Flower between two tries of a call."""


class UntilTwice(Stop):
    """Ends the service when its child was started twice, or has had a lot of time for it."""

    def __init__(self, log) -> None:
        super().__init__()
        self._log, self._end = log, time.monotonic() + patient(10.0)

    def wait(self, seconds=None) -> bool:
        time.sleep(0.05)
        started = self._log.read_text().count("started") if self._log.exists() else 0
        return started >= 2 or time.monotonic() >= self._end


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="starts a shell")
def test_what_dies_is_started_again_although_the_clock_is_set_back(tmp_path, monkeypatch):
    authority = make_certificates(tmp_path / "c", ["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    one = SuperLink(folder=tmp_path / "s", certificates=authority, inner=1, port=2)
    one.prepare(SystemRandomSource())
    assert [child.name for child in superlink_service.children(one) if child.quoted] == ["superlink-front"]
    log = tmp_path / "log"
    kept = superlink_service.children(one)
    assert [one.longest_pause + HEARTBEAT_AGE_S + NEXT_TRY_S < GIVEN_UP_S for one in kept] == [True] * 3
    command = ["/bin/sh", "-c", "echo started; exit 1"]
    child = Child(name="SuperLink", command=command, environment={}, log=log, longest_pause=0.2)
    monkeypatch.setattr(superlink_service, "children", lambda superlink: [child])
    backwards = itertools.count(time.time(), -AN_HOUR)
    monkeypatch.setattr(time, "time", lambda: next(backwards))
    superlink_service.keep_running(one, UntilTwice(log))
    assert log.read_text().count("started") >= 2
