"""Containers made of commands of util-linux and iproute2: what an engine does for one container, and nothing more.

A container has a root folder (an image's), namespaces of its own for mounts, processes, IPC, host name and network, a user, no capability and
no new privileges where it is said so. Its network has nothing but the loopback, unless :mod:`tests.simulators.switchboard` made it one. It is meant to be used inside of :mod:`tests.simulators.container_host`:
namespaces and mounts vanish with that.

The system below the images is this machine's: ``/usr`` is mounted read only, and over its ``/usr/local`` what :data:`LOCAL` says.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulators.patience import patient

DEVICES = ("null", "zero", "full", "random", "urandom")
WAIT_S = 600.0
HOSTS = "127.0.0.1 localhost\n"


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the host inside of a container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What is started.

    Attributes:
        root: The image's root folder.
        command: Program and arguments; the program is looked for on the environment's PATH.
        environment: All of it.
        user: ``UID:GID``.
        workdir: Where it starts.
        mounts: In the order in which they are made.
        tmpfs: Options by folder.
        read_only: Whether the root cannot be written.
        confined: Whether it has no capability and can get none.
        groups: Numbers of further groups of the user.
        network: File of the network namespace that it joins; its own, with nothing but the loopback, where it is empty.
        hosts: Its ``/etc/hosts``.
    """

    root: Path
    command: list[str]
    environment: dict[str, str]
    user: str = "0:0"
    workdir: str = "/"
    mounts: tuple[Mount, ...] = ()
    tmpfs: dict[str, str] = field(default_factory=dict)
    read_only: bool = False
    confined: bool = False
    groups: tuple[str, ...] = ()
    network: str = ""
    hosts: str = HOSTS


LOCAL = "local"
"""Folder beside the images' roots, mounted over ``/usr/local``: ``sbin`` has the stand-ins for programs of the base."""


# ---------------------------------------------------------------------- the script that becomes the container


def _enter(spec: Spec) -> str:
    """Return the shell script that makes the mounts and becomes the program."""
    root = shlex.quote(str(spec.root))
    lines = ["set -e", f"mount --bind {root} {root}", "ip link set lo up"]
    for source, target in _system(spec.root):
        lines += _bound(root, Mount(source=source, target=target, read_only=True))
    lines += [f"mount -t proc proc {root}/proc", f"mount -t tmpfs -o mode=755,nosuid dev {root}/dev"]
    for device in DEVICES:
        lines += [f"touch {root}/dev/{device}", f"mount --bind /dev/{device} {root}/dev/{device}"]
    lines += [f"mkdir {root}/dev/shm", f"mount -t tmpfs -o mode=1777,size=64m shm {root}/dev/shm"]
    lines += [f"ln -s /proc/self/fd {root}/dev/fd", f"printf %s {shlex.quote(spec.hosts)} > {root}/dev/hosts"]
    lines += _bound(root, Mount(source=spec.root / "dev" / "hosts", target="/etc/hosts", read_only=True))
    for target, options in spec.tmpfs.items():
        lines += [f"mkdir -p {root}{target}", f"mount -t tmpfs -o {options} tmpfs {root}{target}"]
    for mount in spec.mounts:
        lines += _bound(root, mount)
    if spec.read_only:
        lines += [f"mount -o remount,bind,ro {root}"]
    lines += [f"cd {root}", "pivot_root . .", "umount -l .", "cd /"]
    return "\n".join([*lines, "exec " + shlex.join(_become(spec, spec.command))])


def _system(root: Path) -> list[tuple[Path, str]]:
    """Return what of this machine is in every image, and where. Its interpreter is in /usr, or becomes one in /usr/local."""
    found, prefix = [(Path("/usr"), "/usr"), (root.parent / LOCAL, "/usr/local")], Path(sys.base_prefix)
    if prefix == Path("/usr"):
        return found
    found += [(prefix / "bin", "/usr/local/bin"), (prefix / "lib", "/usr/local/lib")]
    return [*found, (prefix / "lib", str(prefix / "lib"))]  # where the program looks for its own library


def _bound(root: str, mount: Mount) -> list[str]:
    source, target = shlex.quote(str(mount.source)), root + shlex.quote(mount.target)
    make = f"mkdir -p {target}" if mount.source.is_dir() else f"[ -e {target} ] || touch {target}"
    lines = [make, f"mount --bind {source} {target}"]
    return [*lines, f"mount -o remount,bind,ro {target}"] if mount.read_only else lines


def _become(spec: Spec, command: list[str]) -> list[str]:
    """Return the command that drops what the user shall not have, and becomes ``command``."""
    user, group = spec.user.split(":")
    groups = f"--groups={','.join(spec.groups)}" if spec.groups else "--clear-groups"
    drop = ["setpriv", "--reuid", user, "--regid", group, groups]
    if spec.confined:
        drop += ["--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all", "--ambient-caps", "-all"]
    variables = [f"{name}={value}" for name, value in spec.environment.items()]
    return [*drop, "env", "-i", "-C", spec.workdir, *variables, *command]


# ---------------------------------------------------------------------- one container


class Container:
    """A running container; its output goes to a file."""

    def __init__(self, spec: Spec, log: Path) -> None:
        self.spec, self.log = spec, log
        namespaces = [
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            *(() if spec.network else ("--net",)),
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ]
        join = ["nsenter", f"--net={spec.network}"] if spec.network else []
        with log.open("ab") as out:
            self._outer = subprocess.Popen(
                [*join, "unshare", *namespaces, "sh", "-c", _enter(spec)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def ended(self) -> int | None:
        """Return its exit code, 128 and more for a signal; None while it runs."""
        code = self._outer.poll()
        return code if code is None or code >= 0 else 128 - code

    def wait(self, seconds: float = WAIT_S) -> int:
        self._outer.wait(patient(seconds))
        code = self.ended()
        assert code is not None
        return code

    @property
    def process(self) -> int:
        """The number of the container's first process, as the host counts, once it has become its program."""
        outer = self._outer.pid
        while self._outer.poll() is None:
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
            if children and b"pivot_root" not in Path(f"/proc/{children[0]}/cmdline").read_bytes():
                return int(children[0])
            time.sleep(0.01)
        raise ProcessLookupError(f"the container has ended; its log ends with {self.log.read_text()[-500:]}")

    def signal(self, number: int) -> None:
        """Send a signal to the first process, if there is one."""
        with suppress(ProcessLookupError):
            os.kill(self.process, number)

    def everybody(self, number: int) -> None:
        """Send a signal to every process of the container."""
        space = os.readlink(f"/proc/{self.process}/ns/pid")
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _namespace(folder) == space:
                with suppress(ProcessLookupError):
                    os.kill(int(folder.name), number)

    def execute(self, command: list[str], *, timeout: float = WAIT_S) -> tuple[int, str, str]:
        """Run another command inside; return its exit code, output and errors; 124 where it took too long."""
        namespaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd"]
        try:
            enter = ["timeout", "-k", "5", str(timeout), "nsenter", "-t", str(self.process), *namespaces]
        except ProcessLookupError as error:
            return 126, "", str(error)
        done = subprocess.run(
            [*enter, *_become(self.spec, command)],
            capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


def _namespace(folder: Path) -> str:
    try:
        return os.readlink(folder / "ns" / "pid")
    except OSError:
        return ""


def run(spec: Spec, log: Path) -> tuple[int, str]:
    """Run a container to its end; return its exit code and what it wrote."""
    code = Container(spec, log).wait()
    return code, log.read_text(errors="replace")
