"""Processes that are kept running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from suture_fl.children import Child, bound_log, end_all, last_line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")


def child(tmp_path, program: str) -> Child:
    return Child(
        name="toy",
        command=[sys.executable, "-c", program],
        environment=dict(os.environ),
        log=tmp_path / "log",
    )


def wait(ready) -> None:
    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_child_starts_in_the_folder_that_it_is_given_or_in_ours(tmp_path):
    for folder in (tmp_path, None):
        toy = child(tmp_path, "import os; print(os.getcwd())")
        toy.folder = folder
        toy.start(0.0)
        assert toy.wait(120.0)
    assert (tmp_path / "log").read_text().splitlines() == [str(tmp_path.resolve()), str(Path.cwd())]


def test_a_child_that_dies_is_started_again_after_a_pause_that_doubles_up_to_its_longest(tmp_path):
    said: list[str] = []
    toy = child(tmp_path, "raise SystemExit(3)")
    toy.longest_pause = 5.0
    now = 1000.0
    pauses = []
    for _ in range(3):
        toy.tend(now, said.append)
        assert toy.wait(120.0)
        toy.tend(now, said.append)
        assert toy.running_since is None
        toy.tend(now + toy._pause - 0.01, said.append)
        assert toy.running_since is None, "not before the pause is over"
        pauses.append(toy._pause)
        now += toy._pause
    assert pauses == [2.0, 4.0, 5.0]
    assert len(said) == 3 and "status 3" in said[0]


@pytest.mark.parametrize("quoted", [True, False])
def test_why_a_child_ended_is_told_by_its_logs_last_line_or_where_that_may_hold_records_by_its_path(
    tmp_path, quoted
):
    said: list[str] = []
    toy = child(tmp_path, "import sys; sys.exit('a long story\\nerror: \\x1b[8mno ledger. Join one.\\n')")
    toy.quoted = quoted
    toy.tend(1000.0, said.append)
    assert toy.wait(120.0)
    toy.tend(1000.0, said.append)
    again = "toy ended with status 1; it is started again in 2 s"
    told = (
        f"Its log {toy.log} ends: error: \\x1b[8mno ledger. Join one." if quoted else f"Its log is {toy.log}"
    )
    assert said == [f"{again}. {told}"]


def test_the_last_line_of_a_log_that_is_long_empty_away_a_link_or_a_pipe(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    for written, line in (
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\xff\n\n", "two\ufffd"),
        (b"\n" + b"x" * 3000, "x" * 2000),
    ):
        log.write_bytes(written)
        assert last_line(log) == line
    (tmp_path / "link").symlink_to(log)
    os.mkfifo(tmp_path / "pipe")
    assert last_line(tmp_path / "link") == last_line(tmp_path / "pipe") == ""


def test_a_child_that_ran_long_is_started_again_soon(tmp_path):
    toy = child(tmp_path, "raise SystemExit(3)")
    toy._pause = 30.0
    toy.tend(1000.0, print)
    assert toy.wait(120.0)
    toy.tend(2000.0, print)
    assert toy._pause == 1.0


def test_a_child_ends_with_its_group(tmp_path):
    program = (
        "import subprocess, sys, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "print(p.pid, flush=True); time.sleep(600)"
    )
    toy = child(tmp_path, program)
    toy.tend(1000.0, print)
    wait(lambda: (tmp_path / "log").read_text().strip())
    grandchild = int((tmp_path / "log").read_text())
    end_all([toy])
    assert toy.running_since is None

    def gone() -> bool:
        try:
            os.kill(grandchild, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{grandchild}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"

    wait(gone)


def test_what_a_child_left_behind_in_another_session_is_ended_and_other_children_are_not(tmp_path):
    """In a process of its own, since it adopts orphans and ends everything below itself."""
    program = """
        import os, sys, time
        from pathlib import Path
        from suture_fl.children import Child, end_all, end_strays
        from suture_fl.processes import adopt_orphans, descendants

        daemon = "import os, signal, sys, time\\nif os.fork() == 0:\\n os.setsid()\\n signal.signal(15, 1)\\n time.sleep(600)"
        folder = Path(sys.argv[1])
        def child(name, text):
            command = [sys.executable, "-c", text]
            return Child(name=name, command=command, environment=dict(os.environ), log=folder / name)
        leaving, other = child("leaving", daemon), child("other", "import time; time.sleep(600)")
        assert adopt_orphans()
        for one in (leaving, other):
            one.tend(1000.0, print)
        assert leaving.wait(120.0)
        below = descendants([os.getpid()])
        assert len(below) == 2, below
        [stray] = end_strays([leaving, other])
        assert stray in below and other.running_since is not None
        end = time.monotonic() + 30.0  # what was killed needs a moment
        while end_strays([leaving, other]):
            assert time.monotonic() < end
        end_all([leaving, other])
        assert end_strays([leaving, other]) == set() == descendants([os.getpid()])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_child_that_does_not_mind_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("suture_fl.children.END_S", 0.3)
    toy = child(
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
    )
    toy.tend(1000.0, print)
    wait(lambda: "up" in (tmp_path / "log").read_text())
    end_all([toy])
    assert toy._process.returncode == -signal.SIGKILL


def test_a_child_that_writes_without_end_does_not_fill_the_disk(tmp_path, monkeypatch):
    limit = 200_000
    monkeypatch.setattr("suture_fl.children.MAX_LOG", limit)
    program = """
        import os, time
        for n in range(10**9):
            os.write(1, f"{n:099d}\\n".encode())  # at once, as log lines are; print may take two calls
            if n % 100 == 99:
                time.sleep(0.001)
    """
    log, older = tmp_path / "log", tmp_path / "log.1"
    toy = child(tmp_path, textwrap.dedent(program))
    try:
        cut, last = 0, 0
        end = time.monotonic() + 120
        while cut < 5:
            assert time.monotonic() < end
            toy.tend(1000.0, print)
            size = log.stat().st_size
            cut += size < last
            last = size
            assert not older.exists() or older.stat().st_size <= limit
            time.sleep(0.02)
        lines = log.read_bytes().splitlines()
        assert all(line.isdigit() for line in lines), "it goes on at the beginning of the file"
        assert older.read_bytes()[-1:] == b"\n" and older.stat().st_mode & 0o777 == 0o600
    finally:
        end_all([toy])


def test_a_log_that_grew_long_before_the_start_is_cut_and_a_short_one_stays(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"a" * 50 + b"b" * 100)
    bound_log(log, 150)
    assert log.stat().st_size == 150
    bound_log(log, 100)
    assert (log.read_bytes(), (tmp_path / "log.1").read_bytes()) == (b"", b"b" * 100)
    bound_log(tmp_path / "none", 100)
    assert not (tmp_path / "none").exists()


def test_a_log_that_cannot_be_kept_is_cut_all_the_same(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 101)
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "log.1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"log\.1"):
        bound_log(log, 100)
    assert log.read_bytes() == b""
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_a_log_is_cut_between_two_lines_if_the_writer_is_in_the_middle_of_one(tmp_path, monkeypatch):
    log, looks = tmp_path / "log", []
    log.write_bytes(b"whole\n" * 10 + b"ha")

    def the_writer_goes_on(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            with log.open("ab") as file:
                file.write(b"lf\n")

    monkeypatch.setattr("suture_fl.children.time.sleep", the_writer_goes_on)
    bound_log(log, 30)
    assert (tmp_path / "log.1").read_bytes() == (b"whole\n" * 10 + b"half\n")[-30:] and len(looks) == 2
    assert log.read_bytes() == b""
    log.write_bytes(b"x" * 40)  # a line that does not end is cut all the same
    bound_log(log, 30)
    assert (tmp_path / "log.1").read_bytes() == b"x" * 30


@pytest.mark.parametrize("shortened", [0, 10, 30])
def test_a_log_that_its_writer_shortens_meanwhile_is_left_alone(tmp_path, monkeypatch, shortened):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100)
    monkeypatch.setattr("suture_fl.children.time.sleep", lambda _: os.truncate(log, shortened))
    bound_log(log, 30)
    assert log.stat().st_size == shortened and not (tmp_path / "log.1").exists()


def test_a_child_that_keeps_growing_and_emptying_its_own_output_does_not_end_who_looks_after_it(tmp_path, monkeypatch):  # fmt: skip
    limit = 1 << 16
    monkeypatch.setattr("suture_fl.children.MAX_LOG", limit)
    toy = child(tmp_path, f"import os, time\nwhile True:\n for n in ({limit + 5}, 0):\n  os.ftruncate(1, n); time.sleep(0.002)")  # fmt: skip
    said: list[str] = []
    try:
        toy.tend(1000.0, said.append)
        wait(lambda: (tmp_path / "log").stat().st_size > limit)
        for _ in range(100):
            toy.tend(1000.0, said.append)
            time.sleep(0.003)
        assert said == [] and toy.running_since is not None
    finally:
        end_all([toy])


def test_a_log_that_is_not_kept_short_is_said_once_an_hour_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("suture_fl.children.MAX_LOG", 100)
    (tmp_path / "log.1").symlink_to(tmp_path)
    log, said = tmp_path / "log", []
    toy = child(tmp_path, "import time; time.sleep(600)")
    try:
        for now in (1000.0, 1000.5, 4599.0, 4600.0, 4600.5):
            log.write_bytes(b"x" * 101)
            toy.tend(now, said.append)
            assert log.read_bytes() == b"", "it is cut all the same"
        assert len(said) == 2 and said[0].startswith("toy's log is not kept short, or what")
        assert toy.running_since is not None
    finally:
        end_all([toy])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk without room")
def test_a_full_disk_keeps_less_of_a_log_and_it_is_cut(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 101)
    monkeypatch.setattr("suture_fl.children._older", lambda _: Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        bound_log(log, 100)
    assert log.read_bytes() == b""


def test_a_pipe_in_the_place_of_what_is_kept_is_not_waited_for(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 101)
    os.mkfifo(tmp_path / "log.1")
    with pytest.raises(OSError, match=r"log\.1"):
        bound_log(log, 100)
    assert log.read_bytes() == b""


def test_a_child_whose_log_cannot_be_opened_is_started_again_when_it_can_be(tmp_path):
    said: list[str] = []
    toy = child(tmp_path, "raise SystemExit(3)")
    toy.tend(1000.0, said.append)
    assert toy.wait(120.0)
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()
    for now in (1001.0, 1003.0, 1500.0, 1502.0):
        toy.tend(now, said.append)
    assert toy.running_since is None and toy._pause == 8.0
    assert ["not kept short" in said[0], "status 3" in said[1], "does not start" in said[2]] == [True] * 3
    (tmp_path / "log").rmdir()
    toy.tend(1600.0, said.append)
    assert toy.process is not None
    end_all([toy])


def test_a_child_that_cannot_even_be_started_once_is_an_error(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(IsADirectoryError):
        child(tmp_path, "").tend(1000.0, print)
