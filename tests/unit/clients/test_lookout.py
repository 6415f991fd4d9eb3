"""The lookout in the glue's processes: real interpreters that reach into a node's folder, and a real node that writes it down."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.supernode_process import supernode_environment, watched
from clients.door import Method, SocketDoor
from clients.errors import DoorError
from clients.lookout import sitecustomize
from clients.node.reached import MAX_LINES
from clients.node.server import NodeServer
from tests.simulators.consortium import Consortium

ROOT = Path(__file__).resolve().parents[3]
SAID = "the training code reached for what is the node's: "


class Site:
    """A node's folder with a key and records in it, the node that is served beside it, and programs of the glue."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.node, self.socket, self._caplog = folder / "node", folder / "s", caplog
        theirs = ("data/records.csv", "flower/state")
        for name in ("keys/passphrase", "data/salt", "data/more/salt", "logs/supernode.log", "logs/gateway.log", *theirs):  # fmt: skip
            path = self.node / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")

    def runs(self, code: str, *, cwd: str = "..", **further: str) -> str:
        """Run Python code as the glue does and return its output; it must not notice anything."""
        done = subprocess.run(**self._call(code, further), capture_output=True, text=True, check=True, cwd=self.node / cwd)  # fmt: skip
        assert done.stderr == ""
        return done.stdout

    def runs_into(self, name: str, code: str, *streams: str) -> None:
        """Run it as ``suture-node serve`` does: its output goes to a file of the node's."""
        with (self.node / name).open("ab") as file:
            subprocess.run(**self._call(code, {}), **dict.fromkeys(streams, file), check=True, cwd="/")

    def _call(self, code: str, further: dict[str, str]) -> dict[str, Any]:
        environment = watched(supernode_environment(self.node / "flower"), self.node, self.socket)
        command = [sys.executable, "-c", f"import os, pathlib, subprocess\nN = {str(self.node)!r}\n{code}"]
        return {"args": command, "env": {**environment, **further}}

    def told(self) -> list[str]:
        said = [r.getMessage() for r in self._caplog.records if getattr(r, "event", "") == "glue-reached"]
        lines = [line.removeprefix(SAID).strip("'").replace(str(self.node), "N") for line in said]
        return [line.replace(str(self.node.parent), "P") for line in lines]


@pytest.fixture
def site(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    caplog.set_level(logging.INFO)
    consortium = Consortium(tmp_path)
    with tempfile.TemporaryDirectory(prefix="su-") as short:
        site = Site(Path(short).resolve(), caplog)
        server = NodeServer(consortium.holders[0].node, site.socket)
        thread = server.start()
        yield site
        server.close()
        thread.join(5)
    consortium.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("open(N + '/keys/passphrase').read()", "open N/keys/passphrase"),
        ("pathlib.Path(N, 'keys', 'passphrase').read_bytes()", "open N/keys/passphrase"),
        ("os.open(os.fsencode(N) + b'/keys/../keys/passphrase', os.O_RDONLY)", "open N/keys/../keys/passphrase"),
        ("os.chdir(N + '/flower'); open('../logbook.jsonl', 'w')", "open ../logbook.jsonl"),
        ("os.listdir(N)", "os.listdir N"),
        ("list(os.scandir(pathlib.Path(N, 'keys')))", "os.scandir N/keys"),
        ("open(N + '/data/salt')", "open N/data/salt"),
        ("open(N + '/data/more/salt')", "open N/data/more/salt"),
        ("os.symlink(N + '/keys/passphrase', N + '/flower/p')", "os.symlink N/keys/passphrase"),
        ("os.rename(N + '/keys/passphrase', '/dev/null/x')", "os.rename N/keys/passphrase"),
        ("import shutil; shutil.copyfile(N + '/keys/passphrase', N + '/flower/p')", "shutil.copyfile N/keys/passphrase"),
        ("import sqlite3; sqlite3.connect(N + '/register.sqlite')", "sqlite3.connect N/register.sqlite"),
        ("import sqlite3; sqlite3.connect('file:' + N + '/r.sqlite?mode=rwc', uri=True)", "sqlite3.connect file:N/r.sqlite?mode=rwc"),
        ("import sqlite3; sqlite3.connect('file://localhost' + N + '/r.sqlite', uri=True)", "sqlite3.connect file://localhostN/r.sqlite"),
        ("import sqlite3; sqlite3.connect('file:' + N[:-4] + '%6Eode/r.sqlite#/../../x', uri=True)", "sqlite3.connect file:P/%6Eode/r.sqlite#/../../x"),
        ("import sqlite3; sqlite3.connect('file:' + N + '/r.sqlite%00/../../x', uri=True)", "sqlite3.connect file:N/r.sqlite%00/../../x"),
        ("f = N + '/flower/state'; open(f); os.unlink(f); os.symlink('../keys/passphrase', f); open(f)", "open N/flower/state"),
        ("os.symlink(N, N + '-link'); open(N + '-link/keys/passphrase')", "open N-link/keys/passphrase"),
        ("subprocess.run(['cat', N + '/keys/passphrase'], check=True)", "subprocess.Popen N/keys/passphrase"),
        ("subprocess.run(['cat', N + '/data/../keys/passphrase'], check=True)", "subprocess.Popen N/data/../keys/passphrase"),
        ("os.system('cat ' + N + '/keys/passphrase >/dev/null')", "os.system cat N/keys/passphrase >/dev/null"),
        ("os.system('cat</usr/..' + N + '/flower/./../keys/passphrase >/dev/null')", "os.system cat</usr/..N/flower/./../keys/passphrase >/dev/null"),
    ],
)  # fmt: skip
def test_who_reaches_for_what_is_the_nodes_is_written_down_and_does_not_notice(site, code, told):
    site.runs(f"try:\n    {code}\nexcept OSError:\n    pass")
    assert told in site.told()


def test_what_is_the_glues_business_is_not_written_down(site):
    site.runs(
        "open(N + '/data/records.csv').read(); os.listdir(N + '/data'); open(N + '/flower/state', 'a')\n"
        "subprocess.run(['ls', N + '/data', N + '/flower'], stdout=subprocess.DEVNULL, check=True)\n"
        "subprocess.run(['ls', N + '-2', N + '.csv'], stderr=subprocess.DEVNULL)\n"
        "os.mkdir(N + '/data/a b'); subprocess.run(['ls', N + '/data/a b/../records.csv'], stdout=subprocess.DEVNULL, check=True)\n"
        "open('/dev/null'); os.listdir('.'); open(N + '-2', 'w'); import json, sqlite3, numpy"
    )
    assert site.told() == []


def test_an_app_that_runs_in_the_nodes_folder_is_not_told_of_for_texts_that_name_no_file(site):
    site.runs(
        "os.environ['X'] = 'x'; del os.environ['X']; open('/dev/null', 'r')\n"
        "import shutil; shutil.chown('data/records.csv', user=os.getuid(), group=None)\n"
        "shutil.unpack_archive(shutil.make_archive('data/a', 'zip', 'flower'), 'flower', 'zip')\n"
        "for call, more in ((os.setxattr, [b'']), (os.getxattr, []), (os.removexattr, [])):\n"
        "    try: call('data/records.csv', 'user.x', *more)\n"
        "    except OSError: pass\n"
        "import sqlite3; [sqlite3.connect(name, uri=True) for name in ('', ':memory:', 'file::memory:', 'file:?cache=private')]",
        cwd=".",
        PYTHONSAFEPATH="1",  # as a program runs, which looks for no modules where it is
    )
    assert site.told() == []
    site.runs(
        "import sqlite3; sqlite3.connect('file:x', uri=True); open('logbook.jsonl', 'a')",
        cwd=".",
        PYTHONSAFEPATH="1",
    )
    assert site.told() == ["sqlite3.connect file:x", "open logbook.jsonl"]


@pytest.mark.parametrize("error", ["ValueError", "TimeoutError", "TimeoutError(110, 'late')"])
@pytest.mark.parametrize("mode", ["there", "missing"])
def test_what_a_signals_handler_of_the_app_raises_while_the_lookout_looks_gets_to_the_app(site, error, mode):
    opens = {
        "there": "with open(N + '/data/records.csv'): pass",
        "missing": "try: open(N + '/data/none.csv')\n            except FileNotFoundError: pass",
    }
    told = site.runs(
        f"""
import signal, time
def late(*_): raise {error}
signal.signal(signal.SIGALRM, late)
lost = 0
for turn in range(60):
    end = time.monotonic() + 0.05
    signal.setitimer(signal.ITIMER_REAL, 0.003 + turn * 1e-6)
    try:
        while time.monotonic() < end:
            {opens[mode]}
        lost += 1
    except {error.partition("(")[0]}:
        pass
print(lost)"""
    )
    assert (told, site.told()) == ("0\n", [])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_its_own_output_is_an_apps_business_unless_it_is_called_by_the_logs_name(site, stream):
    own = f"open('/dev/{stream}', 'a').write('o')\n"
    own += (
        f"import logging; logging.FileHandler('/dev/{stream}').emit(logging.makeLogRecord({{'msg': 'm'}}))\n"
    )
    rename = "os.rename(N + '/logs/supernode.log', N + '/logs/2')\n"
    site.runs_into("logs/supernode.log", f"{own}{rename}{own}os.unlink(N + '/logs/2')\n{own}", stream)
    assert site.told() == ["os.rename N/logs/supernode.log", "os.rename N/logs/2", "os.remove N/logs/2"]


@pytest.mark.parametrize("name", ["logs/gateway.log", "keys/passphrase", "data/salt"])
def test_nothing_else_becomes_an_apps_output_by_being_put_in_its_place(site, name):
    program = f"os.dup2(os.open(N + '/{name}', os.O_RDONLY), 1); open('/dev/stdout').read()"
    site.runs_into("logs/supernode.log", program, "stdout", "stderr")
    assert site.told() == [f"open N/{name}", "open /dev/stdout"]


def test_a_key_is_no_output_even_if_the_process_was_started_to_write_to_it(site):
    site.runs_into("keys/passphrase", "open('/proc/self/fd/1').read()", "stdout")
    assert site.told() == ["open /proc/self/fd/1"]


def test_where_a_process_has_no_output_a_link_to_nowhere_is_not_taken_for_it(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "node" / "logs" / "none")
    monkeypatch.setattr(sitecustomize, "_identity", lambda file: None)
    assert sitecustomize.Lookout(str(tmp_path / "node"), "")._is_path_to_own(str(tmp_path / "link"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can be somebody else")
def test_who_is_turned_away_behind_a_link_is_told_of(site):
    for path, mode in ((site.node.parent, 0o755), (site.node, 0o700), (site.socket, 0o777)):
        path.chmod(mode)
    (site.node.parent / "link").symlink_to(site.node / "keys" / "passphrase")
    assert site.runs("os.seteuid(65534)\ntry: open('link')\nexcept PermissionError: print('no')") == "no\n"
    assert site.told() == ["open link"]


def test_a_path_is_resolved_as_the_kernel_does_it_and_component_by_component_where_that_cannot(tmp_path, monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_text("x")
    for link, target in (("l", "a/b"), ("f", "l/../file"), ("gone", "a/none"), ("loop", "loop")):
        (tmp_path / link).symlink_to(target)
    paths = ["a/file", "./a//b/../file", "l", "l/../file", "f", "gone", "none", "none/x", "loop", "f/x", ".", "/", str(tmp_path / "f")]  # fmt: skip
    expected = [os.path.realpath(path) for path in paths]
    assert [sitecustomize._resolved(path) for path in paths] == expected
    monkeypatch.setattr(os.path, "realpath", None)
    with monkeypatch.context() as patched:
        patched.setattr(sitecustomize, "_PATH_ONLY", None)
        assert [sitecustomize._resolved(path) for path in paths] == expected
    if sys.platform == "linux":
        opened = os.listdir("/proc/self/fd")
        monkeypatch.setattr(sitecustomize, "_walked", None)
        assert sitecustomize._resolved("f") == str(tmp_path / "a" / "file"), "not one call for each component"
        assert os.listdir("/proc/self/fd") == opened


def test_a_program_that_the_glue_starts_is_looked_at_too(site):
    site.runs("import sys; subprocess.run([sys.executable, '-c', \"import os; open(os.environ['X'])\"], check=True)",
              X=str(site.node / "keys" / "passphrase"))  # fmt: skip
    assert site.told() == ["open N/keys/passphrase"]


def test_each_is_told_once_and_an_app_that_tries_everything_falls_silent(site):
    site.runs(
        "for i in range(50):\n    for _ in 'ab':\n        try: open(f'{N}/keys/{i}')\n        except OSError: pass"
    )
    assert site.told() == [f"open N/keys/{i}" for i in range(sitecustomize.MAX_TOLD)]


def test_a_link_is_followed_also_where_the_working_folder_is_gone(site):
    (site.node.parent / "link").symlink_to(site.node / "keys" / "none")
    gone = site.node.parent / "gone"
    site.runs(
        f"os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        f"try: open({str(site.node.parent / 'link')!r})\nexcept FileNotFoundError: pass"
    )
    assert site.told() == ["open P/link"]


@pytest.mark.parametrize(
    "before",
    ["", "import socket; socket.socket = type('Proxied', (socket.socket,), {'connect': lambda *_: [][0]})"],
)
def test_an_app_runs_the_same_while_no_node_answers(site, before):
    os.unlink(site.socket)
    assert site.runs(f"{before}\nprint(open(N + '/keys/passphrase').read())") == "x\n"


def test_the_second_of_two_names_is_told_where_telling_the_first_failed(site, monkeypatch):
    told = []

    class Door(socket.socket):
        def __init__(self, *kind: int) -> None:
            told.append(kind)
            super().__init__(*kind)

    monkeypatch.setattr(sitecustomize, "_Socket", Door)
    look = sitecustomize.Lookout(str(site.node), str(site.node / "no-door"))
    look("os.rename", (f"{site.node}/keys/p", f"{site.node}/keys/q", -1, -1))
    assert len(told) == 2


def test_the_interpreters_own_sitecustomize_still_runs_and_nothing_of_ours_is_in_the_apps_way(site, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('the next one')\n")
    path = os.pathsep.join([str(Path(sitecustomize.__file__).parent), str(tmp_path / "site")])
    output = site.runs(
        "import sys; print(*[n for n in sys.modules if n.split('.')[0] in ('clients', 'fl_core')])\n"
        "open(N + '/keys/passphrase'); print(any(place.endswith('clients/lookout') for place in sys.path))",
        PYTHONPATH=path,
    )
    assert output == "the next one\n\nFalse\n"
    assert site.told() == ["open N/keys/passphrase"]


def test_a_bundle_that_makes_such_calls_itself_writes_a_few_short_lines_of_one_line_each(site):
    door = SocketDoor(site.socket, 10)
    with pytest.raises(DoorError, match="a lookout tells at most 512 bytes, 513 came"):
        door.call(Method.REACHED, b"x" * 513)
    for _ in range(MAX_LINES + 20):
        assert door.call(Method.REACHED, b"\n\x1b[2Jall is well\xff") == b""
    assert len(site.told()) == MAX_LINES
    assert set(site.told()[:-1]) == {r"\n\x1b[2Jall is well\ufffd"}
    assert site.told()[-1].endswith("further ones are not logged before the next start")
