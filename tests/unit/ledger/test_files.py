"""Atomic files: whoever reads sees the old or the new version; plain files: nothing else is opened, and nothing waits."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import ledger.files
from ledger.files import open_plain, read_plain, write_atomically

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_is_made_with_its_folders_its_content_and_its_mode(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, b"content", 0o600)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_atomically(path, b"other")
    assert path.read_bytes() == b"other"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_private_file_is_private_from_its_first_byte_on(tmp_path, monkeypatch):
    modes, real = [], os.fchmod

    def watched(descriptor, mode):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    write_atomically(tmp_path / "key", b"secret", 0o600)
    assert modes == [0o600]


def test_nothing_is_left_behind(tmp_path):
    for content in (b"one", b"two"):
        write_atomically(tmp_path / "file", content)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_version_and_no_rest(tmp_path):
    target = tmp_path / "file"
    target.mkdir()
    with pytest.raises(OSError):
        write_atomically(target, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "other", "text")  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(b"kept")
    (tmp_path / "link").symlink_to(kept)
    write_atomically(tmp_path / "link", b"new")
    assert (kept.read_bytes(), (tmp_path / "link").read_bytes()) == (b"kept", b"new")
    assert not (tmp_path / "link").is_symlink()


def test_a_reader_never_sees_a_part(tmp_path):
    path, versions, stop, seen = (
        tmp_path / "file",
        [bytes([i]) * 200_000 for i in range(2)],
        threading.Event(),
        set(),
    )
    write_atomically(path, versions[0])

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(30):
            write_atomically(path, versions[number % 2])
    finally:
        stop.set()
    reader.join()
    assert seen <= set(versions)


def test_kill_9_at_any_moment_leaves_a_whole_version(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom ledger.files import write_atomically\n"
        "number = 0\nwhile True:\n"
        "    write_atomically(Path(sys.argv[1]), bytes([number % 2]) * 300_000)\n"
        "    number += 1\n"
        "    print(number, flush=True)\n"
    )
    path = tmp_path / "file"
    for moment in (1, 5):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, cwd=ROOT
        ) as child:
            for _ in range(moment):
                child.stdout.readline()
            child.kill()
        assert path.read_bytes() in {bytes(300_000), b"\x01" * 300_000}


@pytest.fixture(params=[True, False], ids=["part by part", "looked at before"])
def each_system(request, monkeypatch):
    """Both ways to open a path: where the system can open it part by part, and where it cannot."""
    monkeypatch.setattr(ledger.files, "_RELATIVE", request.param)


def test_a_plain_file_is_read_whole_up_to_the_limit(tmp_path, each_system):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "file"
    path.write_bytes(b"content")
    assert read_plain(path, 7, parts=2) == b"content"
    with open_plain(path, 7) as file:
        assert file.read(3) == b"con"
    with pytest.raises(OSError, match="larger than the 6 bytes allowed"):
        open_plain(path, 6)
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "b", 6)


def test_a_relative_path_is_read(tmp_path, monkeypatch, each_system):
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"content")
    assert read_plain(Path("file"), 7) == b"content"


def make_pipe(path):
    os.mkfifo(path)


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


def link_to_a_file(path):
    path.symlink_to(Path(__file__))


def link_to_nothing(path):
    path.symlink_to(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize(
    "make",
    [make_pipe, link_to_a_device, link_to_a_file, link_to_nothing, make_socket, Path.mkdir],
)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, make, each_system):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(OSError, match="plain file"):
        open_plain(path, 1 << 30)


def test_a_file_behind_a_link_in_the_strangers_folder_is_refused_and_one_behind_a_link_to_it_is_not(
    tmp_path, each_system
):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = tmp_path / "link" / "deep" / "file"
    assert read_plain(path, 7, parts=2) == b"content"
    with pytest.raises(OSError, match="plain file in a plain folder"):
        read_plain(path, 7, parts=3)


def test_a_file_with_a_hole_is_refused_by_its_size(tmp_path, each_system):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(OSError, match="larger than"):
        read_plain(tmp_path / "file", 1 << 20)


def test_nothing_stays_open_when_a_file_is_refused(tmp_path, each_system):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    (tmp_path / "file").write_bytes(b"content")
    for limit in (1, 2, 3):
        with pytest.raises(OSError, match="larger"):
            open_plain(tmp_path / "file", limit)
    assert not before or len(os.listdir("/proc/self/fd")) == before
