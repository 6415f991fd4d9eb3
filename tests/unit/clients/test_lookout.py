"""The lookout in the glue's processes: real interpreters that reach into a node's folder, and a real node that writes it down."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
        for name in ("keys/passphrase", "data/records.csv", "data/salt", "data/more/salt", "flower/state"):
            path = self.node / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")

    def runs(self, code: str, **further: str) -> str:
        """Run Python code as the glue does and return its output; it must not notice anything."""
        environment = {
            **watched(supernode_environment(self.node / "flower"), self.node, self.socket),
            **further,
        }
        command = [sys.executable, "-c", f"import os, pathlib, subprocess\nN = {str(self.node)!r}\n{code}"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=self.node.parent
        )
        assert done.stderr == ""
        return done.stdout

    def told(self) -> list[str]:
        said = [r.getMessage() for r in self._caplog.records if getattr(r, "event", "") == "glue-reached"]
        return [line.removeprefix(SAID).strip("'").replace(str(self.node), "N") for line in said]


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
        ("os.symlink(N, N + '-link'); open(N + '-link/keys/passphrase')", "open N-link/keys/passphrase"),
        ("subprocess.run(['cat', N + '/keys/passphrase'], check=True)", "subprocess.Popen N/keys/passphrase"),
        ("os.system('cat ' + N + '/keys/passphrase >/dev/null')", "os.system cat N/keys/passphrase >/dev/null"),
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
        "open('/dev/null'); os.listdir('.'); open(N + '-2', 'w'); import json, sqlite3, numpy"
    )
    assert site.told() == []


def test_a_program_that_the_glue_starts_is_looked_at_too(site):
    site.runs("import sys; subprocess.run([sys.executable, '-c', \"import os; open(os.environ['X'])\"], check=True)",
              X=str(site.node / "keys" / "passphrase"))  # fmt: skip
    assert site.told() == ["open N/keys/passphrase"]


def test_each_is_told_once_and_an_app_that_tries_everything_falls_silent(site):
    site.runs(
        "for i in range(50):\n    for _ in 'ab':\n        try: open(f'{N}/keys/{i}')\n        except OSError: pass"
    )
    assert site.told() == [f"open N/keys/{i}" for i in range(sitecustomize.MAX_TOLD)]


def test_an_app_runs_the_same_while_no_node_answers(site):
    os.unlink(site.socket)
    assert site.runs("print(open(N + '/keys/passphrase').read())") == "x\n"


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
