"""The file that coordinator and relay share: who waits sees a change without asking for rows."""

from __future__ import annotations

from pathlib import Path

from coordinator.store.duties import Duties
from fl_core.protocol.relay import DutyKind

MEMBER = b"\x01" * 20


def test_the_version_is_another_one_after_a_duty_of_another_process_and_only_then(tmp_path: Path) -> None:
    coordinator, relay = Duties(tmp_path), Duties(tmp_path)
    before = relay.version()
    assert relay.version() == before and relay.next(MEMBER) is None
    coordinator.add(1, DutyKind.CHECK, MEMBER, b"request")
    after = relay.version()
    assert after != before
    duty = relay.next(MEMBER)
    assert duty is not None and duty.request == b"request"
    assert relay.version() == after, "looking changes nothing"
    coordinator.close()
    relay.close()
