"""Kills a process of the production services with SIGKILL, and sees it come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from coordinator.engines.readiness import healthy, listens
from suture_fl.processes import table
from tests.crash_matrix.deployed_points import HOSPITAL, PROGRAM, RELAY, SERVICE, SUPERLINK, SUPERNODE, Kill
from tests.simulators.federation import Federation
from tests.simulators.process_tree import becomes, marked, processes_of

BACK_S, GONE_S = 600.0, 120.0


def kill_and_see_it_back(
    federation: Federation, kill: Kill, at: int, patience: float, then: Callable[[], None]
) -> float:
    """Kill a process, and wait until what was killed answers again.

    Args:
        federation: The services.
        kill: What is killed, and when it is started again.
        at: Position of the hospital, where it is one's.
        patience: By what the deadlines are multiplied.
        then: Called as soon as the process is gone.

    Returns:
        Seconds until it answers; 0 for the coordinator's program, which nobody starts again but the researcher.
    """
    struck = time.monotonic()
    start = _KILLS[kill.party](federation, at, GONE_S * patience)
    then()
    time.sleep(max(0.0, struck + kill.away_s - time.monotonic()))
    ready = start()
    if ready is None:
        return 0.0
    back = becomes(ready, BACK_S * patience)
    assert back, federation.log("superlink") + federation.log(f"node-{at}")
    return round(time.monotonic() - struck, 1)


Ready = Callable[[], object]
Start = Callable[[], Ready | None]
"""Does what a supervisor does, and returns a look whether what was killed answers again; None where there is no supervisor."""


def _superlink(federation: Federation, at: int, gone_s: float) -> Start:
    """Its own service starts it again."""
    _kill_one("engines.flower_superlink ", f"--port {federation.inner} ", gone_s=gone_s)
    return lambda: healthy(federation.inner, federation.authority)


def _service(federation: Federation, at: int, gone_s: float) -> Start:
    _kill_service(federation, "superlink")
    below = (
        ("engines.flower_superlink ", str(federation.inner)),
        ("superlink front", f"--port {federation.port}"),
    )
    assert becomes(lambda: not any(processes_of(*words) for words in below), gone_s)

    def start() -> Ready:
        federation.serve_superlink()
        return healthy(federation.inner, federation.authority)

    return start


def _program(federation: Federation, at: int, gone_s: float) -> Start:
    programs = processes_of("flwr-serverapp") & marked(federation.mark)
    assert programs
    _kill(programs, gone_s)
    return lambda: None


def _supernode(federation: Federation, at: int, gone_s: float) -> Start:
    """Its node starts it again."""
    joins = _joins(federation, at)
    _kill_one("flower-supernode ", f"--port {federation.supernode_port(at)}", gone_s=gone_s)
    return lambda: joins


def _hospital(federation: Federation, at: int, gone_s: float) -> Start:
    joins = _joins(federation, at)
    _kill_service(federation, f"node-{at}")
    port = f"--port {federation.supernode_port(at)}"
    assert becomes(lambda: not processes_of("flower-supernode ", port), gone_s)

    def start() -> Ready:
        federation.start_node(at)
        return joins

    return start


def _relay(federation: Federation, at: int, gone_s: float) -> Start:
    _kill_service(federation, "relay")

    def start() -> Ready:
        federation.serve_relay()
        return listens(federation.relay_port)

    return start


_KILLS: dict[str, Callable[[Federation, int, float], Start]] = {
    SUPERLINK: _superlink,
    SERVICE: _service,
    PROGRAM: _program,
    SUPERNODE: _supernode,
    HOSPITAL: _hospital,
    RELAY: _relay,
}


def _kill_one(*words: str, gone_s: float) -> None:
    [process] = processes_of(*words)
    _kill({process}, gone_s)


def _kill(processes: set[int], gone_s: float) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    assert becomes(lambda: not processes & at_work(), gone_s)


def at_work() -> set[int]:
    """Return the processes that have not ended, collected by their parents or not."""
    return {process for process, (state, _) in table().items() if state not in "ZX"}


def _kill_service(federation: Federation, name: str) -> None:
    federation.running[name].kill()
    federation.running[name].wait()


def _joins(federation: Federation, at: int) -> Ready:
    """Return a look whether the SuperLink has taken a hospital's SuperNode in again."""
    log = federation.nodes[at] / "logs" / "supernode.log"
    joined = log.read_text().count("SuperNode ID")
    return lambda: log.read_text().count("SuperNode ID") > joined
