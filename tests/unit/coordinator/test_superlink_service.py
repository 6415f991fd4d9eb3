"""What ``suture superlink serve`` keeps running is started again also where the machine's clock is set back."""

from __future__ import annotations

import datetime
import itertools
import sys
import time

import pytest

from coordinator.certificates import make_certificates
from coordinator.engines import superlink_service
from coordinator.engines.superlink import SuperLink
from fl_core.randomness import SystemRandomSource
from suture_fl import children
from suture_fl.children import Child
from suture_fl.stopping import Stop
from tests.simulators.patience import patient

AN_HOUR = 3600.0


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
    log = tmp_path / "log"
    child = Child(
        name="SuperLink", command=["/bin/sh", "-c", "echo started; exit 1"], environment={}, log=log
    )
    monkeypatch.setattr(superlink_service, "children", lambda superlink: [child])
    monkeypatch.setattr(children, "MAX_PAUSE_S", 0.2)
    backwards = itertools.count(time.time(), -AN_HOUR)
    monkeypatch.setattr(time, "time", lambda: next(backwards))
    superlink_service.keep_running(one, UntilTwice(log))
    assert log.read_text().count("started") >= 2
