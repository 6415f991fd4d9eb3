"""What another user may reach of a node's folder."""

from __future__ import annotations

import os
import stat

import pytest

from clients.node.separation import glue_user, separate
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
