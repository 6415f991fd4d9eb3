"""What another user may reach of a node's folder."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.node.separation import glue_user, separate, share_socket
from fl_core.errors import InputError


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
