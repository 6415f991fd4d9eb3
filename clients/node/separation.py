"""Run the glue as another user of the system: what that user may reach of a node's folder, and nothing else.

The glue trains, so it needs the records and the node's socket. It gets both through its group: the folder lets everybody pass but shows
nothing, the tables in ``data/`` can be read by the group, everything else by the node's user only. Who gives files to a group is root, or a member of that group; the containers' node is a member.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from fl_core.errors import InputError

_DATA, _RECORDS = "data", ".csv"
_FLOWER = "flower"
"""Where the SuperNode keeps its files; belongs to its user."""
_MEMBER = "Start it as root; or, with --alone, as a member of that user's group."
_MAY = "Start the node as root, or as its folder's owner and a member of the glue user's group."
_GROUP_READS_FOLDER, _GROUP_READS_FILE, _PASS_ONLY = 0o750, 0o640, 0o711


def glue_user(name: str) -> pwd.struct_passwd:
    """Return the user that the glue runs as.

    Raises:
        InputError: There is no such user, it is root, it is the node's own, or this process may give nothing to its group.
    """
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise InputError(
            f"this machine has no user {name!r}.", fix="Make one for the glue, without a login."
        ) from error
    if user.pw_uid in (0, os.getuid()):
        raise InputError(f"{name!r} is the node's user or root.", fix="The glue needs a user of its own.")
    if os.geteuid() != 0 and user.pw_gid not in {os.getegid(), *os.getgroups()}:
        raise InputError(
            f"this process may not share records and socket with {name!r}: it is neither root nor of that user's group.",
            fix=_MEMBER,
        )
    return user


def separate(folder: Path, group: int) -> None:
    """Let members of ``group`` read the records in a node's folder, and keep everything else to the folder's owner.

    Raises:
        InputError: The system does not allow it.
    """
    try:
        for entry in folder.iterdir():
            if entry.name not in (_DATA, _FLOWER):
                _close(entry)
        data = folder / _DATA
        os.chown(data, -1, group)
        data.chmod(_GROUP_READS_FOLDER)
        for path in data.rglob("*"):
            if path.is_symlink():
                continue
            if path.is_dir() or path.suffix == _RECORDS:
                os.chown(path, -1, group)
                path.chmod(_GROUP_READS_FOLDER if path.is_dir() else _GROUP_READS_FILE)
            else:
                _close(path)  # a data set's salt lies beside its records
        folder.chmod(_PASS_ONLY)
    except OSError as error:
        raise InputError(
            f"the rights of {error.filename} cannot be changed ({error.strerror}).", fix=_MAY
        ) from error


def share_socket(path: Path, group: int) -> None:
    """Let members of ``group`` connect to the node's socket.

    Raises:
        InputError: The system does not allow it.
    """
    try:
        os.chown(path, -1, group)
        path.chmod(0o660)
    except OSError as error:
        raise InputError(
            f"the socket {path} cannot be given to the glue's group ({error.strerror}).", fix=_MAY
        ) from error


def _close(entry: Path) -> None:
    """Take every right of others from an entry; what lies below a closed folder is out of reach."""
    if not entry.is_symlink():
        entry.chmod(entry.stat().st_mode & 0o700)
