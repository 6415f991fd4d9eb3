"""Files that are either the old or the new version, never half of one; and files of strangers, read without surprises.

Whoever hands over a folder decides what its entries are: a link to somewhere else, a pipe that never ends, a file with a
hole of a terabyte. :func:`open_plain` opens plain files of a bounded size only, and no link leads out of the folder.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from fl_core.errors import InputError

_CLOSED_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_BASE = os.O_RDONLY | _CLOSED_ON_EXEC | getattr(os, "O_DIRECTORY", 0)
_FOLDER = _BASE | getattr(os, "O_NOFOLLOW", 0)
_FILE = (
    os.O_RDONLY
    | _CLOSED_ON_EXEC
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_RELATIVE = {os.open, os.stat} <= os.supports_dir_fd
"""Whether each part of a path can be opened from the one before it, so that nobody can exchange one in between."""


def open_plain(path: Path, limit: int, *, parts: int = 1) -> BinaryIO:
    """Open a plain file of at most ``limit`` bytes for reading; it never waits.

    Where the system cannot open a path part by part (Windows), the parts are looked at one by one before.

    Args:
        path: The file.
        limit: Most bytes it may have.
        parts: How many parts of the path, counted from its end, lie in the stranger's folder; none of them may be a link.

    Raises:
        OSError: It is missing, no plain file, behind a link, too large, or may not be read; ``strerror`` says which.
    """
    try:
        descriptor = _open_below(path, parts) if _RELATIVE else _open_looked_at(path, parts)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _refusal(errno.ELOOP, "it is no plain file in a plain folder", path) from error
        raise
    try:
        found = os.fstat(descriptor)
        _expect_plain(found, path)
        if found.st_size > limit:
            raise _refusal(errno.EFBIG, f"it is larger than the {limit} bytes allowed", path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, limit: int, *, parts: int = 1) -> bytes:
    """Read a whole plain file of at most ``limit`` bytes; arguments and errors are those of :func:`open_plain`.

    Raises:
        OSError: As for :func:`open_plain`.
    """
    with open_plain(path, limit, parts=parts) as file:
        data = file.read(os.fstat(file.fileno()).st_size + 1)  # it may grow meanwhile
    if len(data) > limit:
        raise _refusal(errno.EFBIG, f"it is larger than the {limit} bytes allowed", path)
    return data


def _open_below(path: Path, parts: int) -> int:
    *folders, name = path.parts[-parts:]
    at = os.open(path.parents[parts - 1], _BASE)
    try:
        for folder in folders:
            deeper = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = deeper
        _expect_plain(
            os.stat(name, dir_fd=at, follow_symlinks=False), path
        )  # opening a device may do something
        return os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)


def _open_looked_at(path: Path, parts: int) -> int:
    for part in (path, *path.parents)[:parts]:
        if part.is_symlink():
            raise _refusal(errno.ELOOP, "it is no plain file in a plain folder", path)
    _expect_plain(path.stat(follow_symlinks=False), path)
    return os.open(path, _FILE)


def _expect_plain(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(errno.EINVAL, "it is not a plain file", path)


def _refusal(number: int, problem: str, path: Path) -> OSError:
    return OSError(number, problem, str(path))


def read_private(path: Path, limit: int, what: str) -> bytes:
    """Read a small file that nobody else may read; checked on the open file, so that it cannot be swapped.

    Args:
        path: The file.
        limit: Most bytes.
        what: What it is, for messages.

    Raises:
        InputError: It is missing, readable by others or too large; says how to mend it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InputError(f"Others can read the {what} {path}.", fix=f"Run: chmod 600 {path}")
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise InputError(f"There is no {what} {path}.", fix="Name an existing file, or make one.") from error
    except OSError as error:
        raise InputError(
            f"The {what} {path} cannot be read: {error.strerror}.", fix="Check its owner and mode."
        ) from error
    if len(content) > limit:
        raise InputError(f"The {what} {path} is larger than {limit} bytes.", fix="Name the right file.")
    return content


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by ``data``; it is on disk when this returns, and no reader ever sees a part of it.

    Args:
        path: The file; its folder is made when it does not exist.
        data: Its new content.
        mode: Its permissions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
