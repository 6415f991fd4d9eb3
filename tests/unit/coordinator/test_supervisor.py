"""No process survives: each test looks at the system's process table, not at what the supervisor says."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.engines.supervised import Supervised, tail
from coordinator.errors import EngineError, ProcessDied
from tests.simulators.process_tree import MARK, SCATTERED, becomes, command, end_marked, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

TREE_SIZE = 2
"""Processes of one such program: itself, and the one without a parent."""

PARENT = """
    import os, signal, sys, time
    from pathlib import Path
    from coordinator.engines.supervised import Supervised
    from tests.simulators.process_tree import SCATTERED, STUBBORN, command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    supervised = Supervised(folder)
    for name in ("a", "b"):
        supervised.start(name, command({tree}), os.environ, folder)
    print(supervised.pid, flush=True)
    {then}
"""


@pytest.fixture
def mark() -> Iterator[str]:
    """Mark the processes of one test, and end what it leaves."""
    found = secrets.token_hex(8)
    yield found
    end_marked(found)


@pytest.fixture
def supervised(tmp_path) -> Iterator[Supervised]:
    processes = Supervised(tmp_path)
    yield processes
    processes.close()


def environment(mark: str) -> dict[str, str]:
    return {**os.environ, MARK: mark}


def start_parent(
    folder: Path, mark: str, tree: str, then: str = "time.sleep(600)"
) -> subprocess.Popen[bytes]:
    """Start a process with a supervisor and two trees below it, and wait until all are there."""
    program = textwrap.dedent(PARENT).format(tree=tree, then=then)
    parent = subprocess.Popen(
        [*command(program), str(folder)],
        env=environment(mark),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert int(parent.stdout.readline()) > 0
    return parent


# ---------------------------------------------------------------------- nothing survives


@pytest.mark.parametrize(
    ("number", "tree"),
    [
        (signal.SIGKILL, "SCATTERED"),
        (signal.SIGKILL, "STUBBORN"),
        (signal.SIGTERM, "SCATTERED"),
        (signal.SIGINT, "SCATTERED"),
    ],
)
def test_nothing_survives_a_parent_that_is_killed(tmp_path, mark, number, tree):
    parent = start_parent(tmp_path, mark, tree)
    assert becomes(lambda: len(marked(mark)) == 2 + 2 * TREE_SIZE, 5.0)
    parent.send_signal(number)
    parent.wait(10.0)
    assert becomes(lambda: not marked(mark), 10.0), marked(mark)


@pytest.mark.parametrize("end", ["pass", "raise RuntimeError", "os._exit(3)"])
def test_nothing_survives_a_parent_that_ends(tmp_path, mark, end):
    parent = start_parent(tmp_path, mark, "SCATTERED", end)
    parent.wait(10.0)
    assert becomes(lambda: not marked(mark), 10.0), marked(mark)


def test_closing_returns_when_nothing_is_left(tmp_path, mark):
    supervised = Supervised(tmp_path)
    supervised.start("tree", command(SCATTERED), environment(mark), tmp_path)
    assert becomes(lambda: len(marked(mark)) == TREE_SIZE, 5.0)
    supervised.close()
    assert marked(mark) == set()
    supervised.close()


def test_a_supervisor_that_is_asked_to_end_takes_everything_with_it(tmp_path, mark):
    supervised = Supervised(tmp_path)
    supervised.start("tree", command(SCATTERED), environment(mark), tmp_path)
    assert becomes(lambda: len(marked(mark)) == TREE_SIZE, 5.0)
    os.kill(supervised.pid, signal.SIGTERM)
    assert becomes(lambda: not marked(mark), 10.0), marked(mark)
    with pytest.raises(ProcessDied, match="does not answer"):
        supervised.status()
    supervised.close()


def test_direct_children_do_not_survive_a_supervisor_that_is_killed(tmp_path, mark):
    supervised = Supervised(tmp_path)
    supervised.start("child", command("import time; time.sleep(600)"), environment(mark), tmp_path)
    assert becomes(lambda: len(marked(mark)) == 1, 5.0)
    os.kill(supervised.pid, signal.SIGKILL)
    assert becomes(lambda: not marked(mark), 5.0), marked(mark)
    supervised.close()


def test_without_the_kernels_help_process_groups_are_ended(tmp_path, mark):
    program = """
        from pathlib import Path
        from coordinator.engines import supervisor
        from suture_fl import processes
        processes._PROC = Path("/there/is/no/such/folder")
        supervisor.prctl = lambda option, value: False
        supervisor.main()
    """
    in_one_group = "import os, time; os.fork(); time.sleep(600)"
    run = subprocess.Popen(command(textwrap.dedent(program)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdin is not None
    assert run.stdout is not None
    with run:
        request = {
            "id": 1,
            "op": "start",
            "name": "group",
            "command": command(in_one_group),
            "folder": str(tmp_path),
        }
        request |= {"environment": environment(mark), "log": str(tmp_path / "group.log")}
        run.stdin.write(json.dumps(request).encode() + b"\n")
        run.stdin.flush()
        assert b'"pid"' in run.stdout.readline()
        assert becomes(lambda: len(marked(mark)) == 2, 5.0)
        run.stdin.close()
        run.wait(10.0)
    assert marked(mark) == set()


# ---------------------------------------------------------------------- one process at a time


def test_killing_one_process_takes_its_family_and_leaves_the_others(supervised, tmp_path, mark):
    family = "import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    family += "start_new_session=True); time.sleep(600)"
    other = supervised.start("other", command("import time; time.sleep(600)"), environment(mark), tmp_path)
    supervised.start("family", command(family), environment(mark), tmp_path)
    assert becomes(lambda: len(marked(mark)) == 3, 5.0)
    supervised.kill(["family"])
    assert becomes(lambda: marked(mark) == {other}, 2.0)
    assert supervised.status() == {"family": -signal.SIGKILL, "other": None}


def test_killing_what_has_ended_or_never_was_does_nothing(supervised, tmp_path):
    supervised.start("short", command("pass"), os.environ, tmp_path)
    assert becomes(lambda: supervised.status()["short"] == 0, 5.0)
    supervised.kill(["short", "unheard of"])
    assert supervised.status() == {"short": 0}


def test_the_exit_status_and_the_output_are_kept(supervised, tmp_path):
    supervised.start(
        "worker", command("import sys; print('out'); sys.exit('went wrong')"), os.environ, tmp_path
    )
    assert becomes(lambda: supervised.status()["worker"] == 1, 5.0)
    assert set(supervised.log_of("worker").read_text().split("\n")) == {"out", "went wrong", ""}


def test_a_name_can_be_used_again_when_its_process_has_ended_and_not_before(supervised, tmp_path):
    supervised.start("worker", command("import time; time.sleep(600)"), os.environ, tmp_path)
    with pytest.raises(EngineError, match="already runs"):
        supervised.start("worker", command("pass"), os.environ, tmp_path)
    supervised.kill(["worker"])
    supervised.start("worker", command("print('again')"), os.environ, tmp_path)
    assert becomes(lambda: supervised.status()["worker"] == 0, 5.0)
    assert supervised.log_of("worker").read_text() == "again\n"


def test_a_program_that_does_not_exist_is_an_error_that_names_it(supervised, tmp_path):
    with pytest.raises(EngineError, match="no-such-program"):
        supervised.start("worker", ["/no-such-program"], os.environ, tmp_path)
    assert supervised.status() == {}


def test_adopted_processes_that_ended_leave_no_dead_entry(supervised, tmp_path, mark):
    orphan = "import os, time\nif os.fork() == 0:\n    time.sleep(0.3)\n    os._exit(0)"
    supervised.start("parent", command(orphan), environment(mark), tmp_path)

    def dead_children() -> list[str]:
        lines = [file.read_text().rpartition(")")[2].split() for file in Path("/proc").glob("[0-9]*/stat")]
        return [line[0] for line in lines if line[1] == str(supervised.pid) and line[0] == "Z"]

    assert becomes(lambda: supervised.status()["parent"] == 0, 5.0)
    assert becomes(lambda: not marked(mark), 5.0)
    assert becomes(lambda: not dead_children(), 3.0)


def test_a_child_does_not_hold_the_pipe_of_the_supervisor(supervised, tmp_path):
    supervised.start(
        "worker", command("import os; print(sorted(os.listdir('/proc/self/fd')))"), os.environ, tmp_path
    )
    assert becomes(lambda: supervised.status()["worker"] == 0, 5.0)
    assert supervised.log_of("worker").read_text().count("'") == 2 * 4, "only 0, 1, 2 and the listing itself"


def test_the_tail_of_a_log_is_its_end_and_a_missing_log_is_said_so(tmp_path):
    log = tmp_path / "log"
    assert "cannot be read" in tail(log)
    log.touch()
    assert "is empty" in tail(log)
    log.write_text("start " + "x" * 5000 + " end\n")
    assert tail(log, 10) == "xxxxx end"


def test_modules_in_the_current_folder_are_not_taken_for_ours(tmp_path, monkeypatch) -> None:
    for name in ("json", "select", "coordinator"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    monkeypatch.chdir(tmp_path)
    processes = Supervised(tmp_path)
    try:
        assert processes.status() == {}
    finally:
        processes.close()


def test_a_node_does_not_take_modules_from_its_working_folder(tmp_path) -> None:
    from coordinator.demo.deployed_run import _site

    (helper,) = _site(tmp_path / "nowhere", tmp_path / "socket", (), gateways=True).helpers
    (tmp_path / "json.py").write_text("raise SystemExit('not ours')\n")
    result = subprocess.run(helper.command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "node.toml cannot be read" in result.stderr


def test_a_node_and_its_gateway_find_a_relative_folder_from_a_working_folder_of_their_own(
    tmp_path, monkeypatch
) -> None:
    from coordinator.demo.deployed_run import _site
    from coordinator.engines.hospitals import Reach

    monkeypatch.chdir(tmp_path)
    site = _site(Path("runs/one"), tmp_path / "socket", (), gateways=True)
    assert site.gateway is not None
    assert site.gateway.public_key == tmp_path / "runs" / "one" / "keys" / "supernode.pub"
    reach = Reach("https://127.0.0.1:1", tmp_path / "ca.crt")
    for line in (site.helpers[0].command, site.gateway.command(reach, 2)):
        assert str(tmp_path / "runs" / "one") in line
