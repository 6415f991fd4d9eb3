"""A place for containers that leaves nothing behind: ``python -m tests.simulators.container_host`` in namespaces of its own.

:class:`ContainerHost` starts it there and asks it; requests and answers are lines of JSON. When it ends, every container and mount in it
is gone. It needs root that may make namespaces.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.simulators import dockerfile, images
from tests.simulators.compose import Composition
from tests.simulators.containers import Container, Mount, Spec
from tests.simulators.patience import STOP_S, patient

ROOT = Path(__file__).parents[2]
UNSHARE = [
    "unshare",
    "--mount",
    "--pid",
    "--ipc",
    "--uts",
    "--fork",
    "--mount-proc",
    "--propagation",
    "private",
    "--kill-child",
]
NEEDED = ("unshare", "nsenter", "setpriv", "mount", "pivot_root", "ip", "groupadd", "useradd")
PROBE = (
    "mount -t tmpfs run /run && mkdir /run/x && chown 10002:10002 /run/x && unshare --net ip link set lo up"
)


def missing() -> str:
    """Why there can be no host of containers here; empty where there can."""
    if not sys.platform.startswith("linux"):
        return "containers need Linux"
    if os.geteuid() != 0:
        return "containers need root: the images have several users"
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"containers need the commands {', '.join(lacking)}"
    if not Path("/bin").is_symlink():
        return "the images' base is made of a merged /usr"
    if importlib.util.find_spec("ensurepip") is None:
        return "this Python has no module ensurepip, which Debian has in python3-venv"
    done = subprocess.run([*UNSHARE, "sh", "-ec", PROBE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"root may not make namespaces here, mount or change owners: {done.stderr.strip()}"
    return ""


class ContainerHost:
    """The other end of this module's program.

    Args:
        folder: Work folder, empty. Everything in it is removed by :meth:`close`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "tests.simulators.container_host", str(folder)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def ask(self, call: str, **arguments: Any) -> Any:
        """Call a method of :class:`Inside`; what it raises is raised here as text."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([call, arguments]).encode() + b"\n")
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "the host of the containers has ended"}
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["result"]

    def close(self) -> None:
        """Remove the files and end it with all its containers."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            if self._process.poll() is None:
                self.ask("forget")
        finally:
            self._process.stdin.close()
            self._process.wait(patient(STOP_S))
            self._process.stdout.close()


class Inside:
    """What can be asked for. Containers are named by whoever starts them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._builder: images.Builder | None = None
        self._running: dict[str, Container] = {}
        self._composition: Composition | None = None
        self._number = 0

    # ------------------------------------------------------------------ images

    def build(
        self, text: str, context: str, contexts: dict[str, str], build_args: dict[str, str]
    ) -> dict[str, Any]:
        """Play all stages of a Dockerfile; return the images without their folders."""
        (self._folder / "images").mkdir()
        self._builder = images.Builder(
            self._folder / "images", Path(context), {name: Path(one) for name, one in contexts.items()}
        )
        for stage in dockerfile.parse(text, build_args):
            self._builder.build(stage)
        return {
            name: {key: value for key, value in vars(image).items() if key != "root"}
            for name, image in self._builder.images.items()
        }

    def steps(self) -> list[str]:
        return self._built().steps

    def altered(self) -> list[str]:
        return [str(file) for file in self._built().altered()]

    def _built(self) -> images.Builder:
        assert self._builder is not None, "nothing was built"
        return self._builder

    # ------------------------------------------------------------------ single containers

    def start(self, name: str, image: str, command: list[str] | None = None, **how: Any) -> None:
        """Start a container as ``docker run`` does; ``entrypoint`` and the fields of ``Spec`` replace what the image says."""
        made = self._built().images[image]
        entrypoint = how.pop("entrypoint", made.entrypoint)
        mounts = tuple(
            Mount(source=Path(source), target=target, read_only=mode == "ro")
            for source, target, mode in how.pop("mounts", ())
        )
        mounts = (*made.anonymous({mount.target for mount in mounts}, self._folder), *mounts)
        user, groups = made.identity()
        spec = Spec(
            root=made.root,
            command=[*entrypoint, *(made.command if command is None else command)],
            **{
                "environment": made.environment,
                "user": user,
                "groups": () if "user" in how else groups,
                "workdir": made.workdir,
                "mounts": mounts,
                **how,
            },
        )
        self._number += 1
        self._running[name] = Container(spec, self._folder / f"{self._number}-{name}.log")

    def run(self, image: str, command: list[str] | None = None, **how: Any) -> tuple[int, str]:
        """Run a container to its end; return exit code and output."""
        self.start("run", image, command, **how)
        one = self._running.pop("run")
        code = one.wait()
        return code, one.log.read_text(errors="replace")

    def execute(self, name: str, command: list[str], **how: Any) -> tuple[int, str, str]:
        return self._running[name].execute(command, **how)

    def signal(self, name: str, which: str, everybody: bool = False) -> None:
        one = self._running[name]
        (one.everybody if everybody else one.signal)(getattr(signal, which))

    def ended(self, name: str) -> int | None:
        return self._running[name].ended()

    def log(self, name: str) -> str:
        return self._running[name].log.read_text(errors="replace")

    # ------------------------------------------------------------------ a compose file

    def compose(self, file: dict[str, Any]) -> None:
        """Make networks and volumes of a compose file; nothing is started."""
        self._composition = Composition(file, self._built().images, self._folder / "composed")

    def composed(self, method: str, how: dict[str, Any]) -> Any:
        """Call a method of the composition."""
        assert self._composition is not None, "nothing was composed"
        return getattr(self._composition, method)(**how)

    # ------------------------------------------------------------------ files

    def command(self, command: list[str]) -> str:
        """Run a command on the host itself."""
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def forget(self) -> None:
        """Kill what runs and remove all files."""
        if self._composition is not None:
            self._composition.close()
        for one in self._running.values():
            one.signal(signal.SIGKILL)
            one.wait()
        subprocess.run(["find", self._folder, "-mindepth", "1", "-delete"], check=True)


def _reap_others() -> None:
    """Go on as another process than the first of the namespace, which from now on takes up what lost its parent."""
    working = os.fork()
    while working:
        ended, status = os.wait()
        if ended == working:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    _reap_others()
    inside = Inside(Path(sys.argv[1]))
    for line in sys.stdin:
        call, arguments = json.loads(line)
        try:
            answer = {"result": getattr(inside, call)(**arguments)}
        except Exception:  # noqa: BLE001 - the other end raises it
            answer = {"failed": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
