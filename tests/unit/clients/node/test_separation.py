"""What another user may reach of a node's folder."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.cli import cli
from clients.cli.house_processes import Outside, children
from clients.node.new_house import create_house
from clients.node.policy import Policy
from clients.node.separation import glue_user, separate, share_socket
from fl_core.errors import InputError
from fl_core.randomness import SystemRandomSource

ROOT = Path(__file__).resolve().parents[4]


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_tables_can_be_read_by_the_group_and_everything_else_by_nobody_else(tmp_path):
    folder = tmp_path / "node"
    for name in ("keys", "data/second", "frames", "flower"):
        (folder / name).mkdir(parents=True)
    for name in (
        "keys/passphrase",
        "register.sqlite",
        "data/records.csv",
        "data/second/records.csv",
        "data/second/salt",
    ):
        (folder / name).write_text("x")
        (folder / name).chmod(0o644)
    separate(folder, os.getgid())
    separate(folder, os.getgid())  # again changes nothing
    assert mode(folder) == 0o711
    assert {mode(folder / name) for name in ("data", "data/second")} == {0o750}
    assert {mode(folder / name) for name in ("data/records.csv", "data/second/records.csv")} == {0o640}
    assert {
        mode(folder / name) & 0o077 for name in ("keys", "frames", "register.sqlite", "data/second/salt")
    } == {0}


@pytest.mark.parametrize("name", ["root", "no-such-user-here"])
def test_the_glue_needs_a_user_of_its_own(name):
    with pytest.raises(InputError):
        glue_user(name)


NOBODY = "nobody"
"""A user that systems have, other than the one that these tests run as."""
NODE, GLUE = 10001, 10002
"""The users of the images, by number; nobody has to know them."""


@contextmanager
def node_user(*groups: int) -> Iterator[Path]:
    """Be the node's user of the images with these further groups, and have a folder of its own."""
    before = os.getgroups()
    with tempfile.TemporaryDirectory(prefix="suture-separation-") as name:
        os.chown(name, NODE, NODE)
        os.setgroups(groups)
        os.setegid(NODE)
        os.seteuid(NODE)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become the images' user")
@pytest.mark.parametrize("member", [True, False])
def test_a_node_that_is_not_root_shares_with_a_group_that_it_is_a_member_of(member):
    with node_user(*([GLUE] if member else [])) as folder:
        node, path = folder / "node", folder / "node.sock"
        (node / "data").mkdir(parents=True)
        (node / "data" / "records.csv").write_text("x")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
        if member:
            separate(node, GLUE)
            share_socket(path, GLUE)
            assert {one.stat().st_gid for one in (node / "data" / "records.csv", path)} == {GLUE}
            assert mode(path) == 0o660
            return
        for refused in (lambda: separate(node, GLUE), lambda: share_socket(path, GLUE)):
            with pytest.raises(InputError, match="Operation not permitted") as caught:
                refused()
            assert "root, or as its folder's owner and a member of the glue user's group" in caught.value.fix


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become the images' user")
@pytest.mark.parametrize("member", [True, False])
def test_a_node_that_is_not_root_names_a_glue_user_of_whose_group_it_is_a_member(member):
    group = pwd.getpwnam(NOBODY).pw_gid
    with node_user(*([group] if member else [])):
        if member:
            assert glue_user(NOBODY).pw_gid == group
            return
        with pytest.raises(InputError, match="neither root nor of that user's group") as caught:
            glue_user(NOBODY)
        assert "root; or, with --alone, as a member" in caught.value.fix


SERVE = """
import os, sys
import clients.cli.home, clients.cli.house_processes, clients.cli.serve, clients.node.network, clients.node.separation
import suture_fl.json_log, suture_fl.processes
from clients.cli import main
os.setgroups([int(sys.argv.pop(1))])
os.setgid({node})
os.setuid({node})
main()
"""
"""``suture-node`` as another user, who may not be able to read the installation."""


@pytest.mark.parametrize(
    ("words", "said", "fix"),
    [
        ([], "not said as whom the SuperNode runs", "as root with --glue-user NAME"),
        (["--same-user", "--glue-user", NOBODY], "contradict each other", "Leave one of them out"),
    ],
)
def test_serve_with_a_superlink_starts_nothing_before_it_is_said_as_whom_the_training_code_runs(
    tmp_path, words, said, fix
):
    folder = tmp_path / "node"
    policy = Policy(tasks=("heart-disease",))
    create_house(folder, "Alder", b"age\n1\n", policy, random=SystemRandomSource(), scrypt_cost=2)
    before = sorted(tmp_path.rglob("*"))
    command = ["serve", str(folder), "--socket", str(tmp_path / "s"), "--superlink", "https://127.0.0.1:1"]
    refused = CliRunner().invoke(cli, [*command, *words])
    assert isinstance(refused.exception, InputError)
    assert said in refused.exception.message and fix in refused.exception.fix
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "ftp://127.0.0.1:1", "superlink.example.org:9092"])
def test_serve_with_a_superlink_starts_nothing_where_the_gateway_would_only_end_again_and_again(
    tmp_path, url, monkeypatch
):
    monkeypatch.setattr("clients.cli.serve._serve", lambda *arguments: pytest.fail("it serves"))
    folder = tmp_path / "node"
    policy = Policy(tasks=("heart-disease",))
    create_house(folder, "Alder", b"age\n1\n", policy, random=SystemRandomSource(), scrypt_cost=2)
    before = sorted(tmp_path.rglob("*"))
    command = ["serve", str(folder), "--socket", str(tmp_path / "s"), "--superlink", url, "--same-user"]
    refused = CliRunner().invoke(cli, command).exception
    assert isinstance(refused, InputError)
    if url.startswith("https://"):
        assert "names no ledger" in refused.message
        assert refused.fix.endswith(f"suture-node join {folder} ledger.toml")
    else:
        assert refused.message == f"{url!r} is no address of a SuperLink." and "https://HOST" in refused.fix
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become the images' user")
def test_serve_with_a_glue_user_and_without_root_is_refused_before_anything_starts():
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder, records = Path(name) / "node", b"age,outcome\n50,1\n60,0\n"
        policy = Policy(tasks=("heart-disease",))
        create_house(folder, "Alder", records, policy, random=SystemRandomSource(), scrypt_cost=2)
        for path in (Path(name), folder, *folder.rglob("*")):
            os.chown(path, NODE, NODE)
        before = sorted(Path(name).rglob("*"))
        group = pwd.getpwnam(NOBODY).pw_gid
        done = subprocess.run(
            [sys.executable, "-P", "-c", SERVE.format(node=NODE), str(group), "serve", str(folder), "--socket",
             f"{name}/s", "--superlink", "https://127.0.0.1:1", "--glue-user", NOBODY],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 1
        assert "--glue-user runs the SuperNode as another user, which only root can" in done.stderr
        assert "Start it as root; or add --alone" in done.stderr and done.stderr.count("\n") == 1
        assert sorted(Path(name).rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become the images' user")
@pytest.mark.parametrize("user", [None, (GLUE, GLUE)])
def test_only_root_runs_the_supernode_as_another_user(user):
    how = {"superlink": "https://s:1", "certificates": None, "gateway_port": 1, "supernode_port": 2}
    assert Outside(**how, user=user).user == user
    with node_user(GLUE):
        if user is None:
            assert Outside(**how, user=user).user is None
            return
        with pytest.raises(InputError, match="only root can"):
            Outside(**how, user=user)


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs a SuperNode as another user")
@pytest.mark.parametrize("user", [None, (GLUE, GLUE)])
def test_a_supernode_of_the_nodes_own_user_is_warned_of_with_the_fix(user, tmp_path, caplog):
    how = {"superlink": "https://s:1", "certificates": None, "gateway_port": 1, "supernode_port": 2}
    kept = children(tmp_path, tmp_path / "s", Outside(**how, user=user))
    assert [child.name for child in kept if child.quoted] == ["gateway"], (
        "the SuperNode's log can hold records"
    )
    said = [record.getMessage() for record in caplog.records]
    if user is not None:
        assert said == []
        return
    [warning] = said
    assert "can read the keys, and the passphrase" in warning and "--glue-user" in warning
