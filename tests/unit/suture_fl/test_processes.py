"""A process that forbids core dumps leaves none when it crashes, nor does what it starts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux's kernel")

FORBID = "from suture_fl.processes import write_no_core; write_no_core()\n"
CRASHES = textwrap.dedent(
    """
    import os, resource, signal
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    if (process := os.fork()) == 0:
        {forbid}
        os.abort()
    status = os.waitpid(process, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGABRT
    print(os.WCOREDUMP(status))
    """
)


def said(program: str, folder: Path) -> str:
    """Run a program in ``folder`` and return what it printed."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_a_process_that_forbids_core_dumps_leaves_none(tmp_path: Path) -> None:
    if said(CRASHES.format(forbid="pass"), tmp_path) == "False":
        pytest.skip("this system writes no core dumps in any case")
    assert said(CRASHES.format(forbid=FORBID.strip()), tmp_path) == "False"


def test_what_it_starts_may_not_write_one_either(tmp_path: Path) -> None:
    below = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {below!r}], check=True)"
    assert said(FORBID + program, tmp_path) == "(0, 0)"


def test_a_program_that_core_dumps_are_piped_into_gets_none_of_it(tmp_path: Path) -> None:
    dumpable = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    assert (said(dumpable, tmp_path), said(FORBID + dumpable, tmp_path)) == ("1", "0")
