"""Tells the node when a process of the glue reaches for what is the node's: keys, register, logbook, sealed frames.

Python imports the first module of this name at every start, before a bundle's code: ``suture-node serve`` puts this folder at the
front of the SuperNode's ``PYTHONPATH``, which SuperExec and ClientApp inherit. An audit hook (PEP 578) stays until the process ends.

It is a lookout and no wall. The wall is the operating system, where the glue has a user of its own, and it tells nobody of whom it turned
away. What goes round Python, a compiled library say, or alters this module's variables, is not seen here; the system's own audit log sees it (docs/explanation/gateway.md).

Only the standard library: a package of ours that is imported here would be found before the bundle's.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from urllib.parse import unquote_to_bytes

FOLDER, SOCKET = "SUTURE_LOOKOUT_FOLDER", "SUTURE_LOOKOUT_SOCKET"
"""Variables of the environment: the node's folder and its socket."""
DATA, FLOWER, SALT = "data", "flower", "salt"
"""What of the folder is the glue's business: the data sets but for their salts, and Flower's own files."""
LOGS = "logs"
"""Where its output goes, which it may reach as ``/dev/stdout``."""
EVENTS = ("open", "os.", "shutil.", "subprocess.", "sqlite3.connect")
"""Beginnings of the names of the audit events that are looked at."""
NO_FILES = ("os.putenv", "os.unsetenv")
"""Those among them whose texts name no files."""
FILES_AT = {
    "open": (0,),
    "os.getxattr": (0,),
    "os.removexattr": (0,),
    "os.setxattr": (0,),
    "shutil.chown": (0,),
    "shutil.make_archive": (0, 2, 3),
    "shutil.unpack_archive": (0, 1),
}
"""Those some of whose texts name no file but a mode, an owner, an attribute, a format -> where the arguments that do are."""
PROGRAMS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
"""Those that start a program."""
REACHED = 12
"""The call at the node's door; see clients/door.py."""
MAX_TEXT = 512
MAX_TOLD = 20
ANSWER_S = 2.0
_CALLED = (
    "codecs",
    "encodings",
    "enum",
    "genericpath",
    "os",
    "posixpath",
    "re",
    "socket",
    "threading",
    "urllib",
)
"""Modules of the standard library whose code runs when the lookout looks."""
_NO_DATABASE = ("", ":memory:")
_ABSOLUTE = re.compile(r"/[^\s'\"`;|&<>(){}=:,]*")
_PATH_ONLY = getattr(os, "O_PATH", None)  # Linux: resolves a path and opens nothing
_MAX_LINKS = 40  # as Linux has it
_Socket = socket.socket  # an app may put another one in its place, for a proxy


class Lookout:
    """The audit hook.

    Args:
        folder: The node's folder.
        door: The node's socket.
    """

    def __init__(self, folder: str, door: str) -> None:
        self._folder = os.path.realpath(folder)
        self._open = tuple(os.path.join(self._folder, name) for name in (DATA, FLOWER))
        self._logs = os.path.join(self._folder, LOGS)
        self._output = tuple(filter(None, map(_identity, (1, 2))))  # later a bundle may put others there
        self._door = door
        self._told: set[str] = set()
        self._mine = threading.local()  # what the hook does itself is audited too

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        """Look at one event; raises nothing of its own, so the code that is looked at runs as it would."""
        if not event.startswith(EVENTS) or event in NO_FILES or getattr(self._mine, "busy", False):
            return
        self._mine.busy = True
        try:
            for text in _texts([args[place] for place in FILES_AT.get(event, range(len(args)))]):
                if self._is_the_nodes(event, text):
                    self._tell(f"{event} {text}")
        except Exception as error:  # noqa: BLE001 - an app runs as it would without a lookout
            _pass_on(error)
        finally:
            self._mine.busy = False

    def _is_the_nodes(self, event: str, text: str) -> bool:
        if event.startswith(PROGRAMS):
            return self._is_in_script(text)
        if event == "sqlite3.connect":
            text = _database(text)
            return text not in _NO_DATABASE and self._is_path_to_own(text)
        return self._is_path_to_own(text)

    def _is_in_script(self, text: str) -> bool:
        """Look at an argument of a program, which may be a whole shell script."""
        text = _ABSOLUTE.sub(lambda path: os.path.normpath(path[0]), text)
        for allowed in self._open:
            text = re.sub(_name_of(allowed), "", text)
        return re.search(_name_of(self._folder), text) is not None

    def _is_path_to_own(self, path: str) -> bool:
        if self._is_own(os.path.abspath(path)):
            return True
        target = _resolved(path)  # by a link, too
        return self._is_own(target) and not self._is_output(path, target)

    def _is_output(self, path: str, target: str) -> bool:
        """Return whether a link leads to the log that this process was started to write to."""
        return _within(target, self._logs) and _identity(path) in self._output

    def _is_own(self, path: str) -> bool:
        if not _within(path, self._folder):
            return False
        return os.path.basename(path) == SALT or not any(_within(path, allowed) for allowed in self._open)

    def _tell(self, what: str) -> None:
        if what in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add(what)
        payload = what.encode(errors="replace")[:MAX_TEXT]
        try:
            with _Socket(socket.AF_UNIX, socket.SOCK_STREAM) as call:
                call.settimeout(ANSWER_S)
                call.connect(self._door)
                call.sendall(REACHED.to_bytes(1, "big") + len(payload).to_bytes(8, "big") + payload)
                call.recv(16)  # so that the node has it before the app goes on, or kills itself
        except OSError as error:  # the event may name more
            _pass_on(error)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _pass_on(error: Exception) -> None:
    """Raise what is none of the lookout's own: a signal's handler runs wherever the app is, also in here, and its frame is the handler's."""
    place = error.__traceback__
    while place is not None:
        where = place.tb_frame.f_globals
        if where is not globals() and str(where.get("__name__")).partition(".")[0] not in _CALLED:
            raise error
        place = place.tb_next


def _identity(file: int | str) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError as error:
        _pass_on(error)
        return None
    return status.st_dev, status.st_ino


def _resolved(path: str) -> str:
    """Return a path without links, by the kernel where it can, in a third of the time. Each file that is opened waits for this; nothing is remembered, since links change."""
    if _PATH_ONLY is not None:
        try:
            place = os.open(path, _PATH_ONLY | os.O_CLOEXEC)
            try:
                return os.readlink(f"/proc/self/fd/{place}")
            finally:
                os.close(place)
        except OSError as error:
            _pass_on(error)
    return _walked(path)  # also what is not there, or not for us


def _walked(path: str) -> str:
    """Return a path without links, as ``os.path.realpath`` does, which keeps to itself what a signal's handler raises in it."""
    place, links = "/", 0
    from_here = path if path.startswith("/") else f"{os.getcwd()}/{path}"  # which may be gone
    ahead = from_here.split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            place = os.path.dirname(place)
            continue
        place = os.path.join(place, name)
        try:
            target = os.readlink(place) if links < _MAX_LINKS else ""
        except OSError as error:
            _pass_on(error)
            continue
        if target:
            links += 1
            place = "/" if target.startswith("/") else os.path.dirname(place)
            ahead += target.split("/")[::-1]
    return place


def _database(name: str) -> str:
    """Return the file that SQLite opens for a name, which may be a URI, see https://sqlite.org/uri.html."""
    if not name.startswith("file:"):
        return name
    path = re.split("[?#]", name.removeprefix("file:"), maxsplit=1)[0]
    if path.startswith("//"):  # an authority, which is nobody or localhost
        path = "/" + path[2:].partition("/")[2]
    return os.fsdecode(unquote_to_bytes(os.fsencode(path)).partition(b"\0")[0])


def _name_of(path: str) -> str:
    """Return an expression for a path in a text, and not for one whose name is longer, such as that of the folder beside it."""
    return re.escape(path) + r"(?![\w.-])"


def _texts(values: object) -> list[str]:
    """Return the texts among an event's arguments; a command is a sequence of them."""
    if isinstance(values, str):
        return [values]
    if isinstance(values, bytes):
        return [os.fsdecode(values)]
    if isinstance(values, os.PathLike):
        return [os.fsdecode(os.fspath(values))]
    if isinstance(values, (tuple, list)):
        return [text for value in values for text in _texts(value)]
    return []


def _next_of_this_name(here: str) -> None:
    """Import the ``sitecustomize`` that this one stands in front of; an interpreter has one at most."""
    sys.path[:] = [place for place in sys.path if os.path.realpath(place or ".") != here]
    spec = PathFinder.find_spec(__name__, sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


def _begin() -> None:
    folder, door = os.environ.get(FOLDER), os.environ.get(SOCKET)
    if folder and door:
        sys.addaudithook(Lookout(folder, door))
    _next_of_this_name(str(Path(__file__).resolve().parent))


if __name__ == "sitecustomize":
    _begin()
