"""Plays a Dockerfile: every stage in a root folder of its own, every ``RUN`` in a container on it, without a network.

What stands for something else:

* the base image: a skeleton of folders over this machine's ``/usr``, and a ``/usr/local`` with this interpreter;
* ``apt-get``: knows the packages that the skeleton stands for, and refuses any other;
* layers: files of a stage that another one starts from or copies of are hard links. :meth:`Builder.altered` tells whether any step
  changed a file in place.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests.simulators.containers import LOCAL, Mount, Spec, run
from tests.simulators.dockerfile import Instruction, Stage

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "python3 python3-venv ca-certificates"
FOLDERS = (
    "dev",
    "etc",
    "home",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var/lib/apt/lists",
)
SETTINGS = (
    "alternatives", "ca-certificates", "default", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "login.defs",
    "nsswitch.conf", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
"""What the skeleton has of this machine's /etc, where it is there."""
APT_GET = f"""#!/bin/sh
# stands for apt-get: the packages below are there already
set -e
command=$1; shift
[ "$command" = update ] && exit 0
[ "$command" = install ] || {{ echo "this base knows no apt-get $command" >&2; exit 100; }}
for word; do
  case " {PACKAGES} --no-install-recommends -y " in
    *" $word "*) ;;
    *) echo "this base does not stand for the package $word" >&2; exit 100 ;;
  esac
done
"""


class StepFailed(Exception):
    """A step of a Dockerfile failed; the text says which, and what it wrote."""


@dataclass(kw_only=True)
class Image:
    """What the steps made: a root folder and what a container of it does by itself."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0:0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    healthcheck: list[str] | None = None
    patience: dict[str, str] = field(default_factory=dict)

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Return user and group, and further groups: an engine asks the image's own files for what USER does not name.

        Where USER names a group, it is the only one.
        """
        if ":" in self.user:
            return self.user, ()
        users = [line.split(":") for line in (self.root / "etc" / "passwd").read_text().splitlines()]
        groups = [line.split(":") for line in (self.root / "etc" / "group").read_text().splitlines()]
        [(name, group)] = [(one[0], one[3]) for one in users if one[2] == self.user]
        return f"{self.user}:{group}", tuple(one[2] for one in groups if name in one[3].split(","))

    def volume(self, target: str, folder: Path) -> Path:
        """Return a named volume's folder. A new one gets content, owner and rights of the image's own, as engines do it."""
        if not folder.exists():
            subprocess.run(["cp", "-a", "-T", self.root / target.lstrip("/"), folder], check=True)
        return folder

    def anonymous(self, taken: set[str], folder: Path) -> list[Mount]:
        """Return new volumes in ``folder`` for what the image says to be volumes, but for those targets that have something else."""
        targets = [target for target in self.volumes if target not in taken]
        return [
            Mount(source=self.volume(target, folder / secrets.token_hex(8)), target=target)
            for target in targets
        ]


class Builder:
    """Builds the stages of one Dockerfile.

    Args:
        folder: Where the root folders go.
        context: The folder that is sent to the build, less what its ``.dockerignore`` leaves out.
        contexts: Folders by name, as given by ``--build-context``; each stands in the place of the stage with its name.
    """

    def __init__(self, folder: Path, context: Path, contexts: Mapping[str, Path]) -> None:
        self._folder, self._context, self._contexts = folder, context, contexts
        self._ignore = (context / ".dockerignore").read_text().splitlines()
        self._seen: dict[Path, tuple[int, int]] = {}
        self.images: dict[str, Image] = {}
        self.steps: list[str] = []

    def build(self, stage: Stage) -> Image:
        """Play one stage; those that it needs have been played."""
        base = self.images.get(stage.base)
        root = self._folder / stage.name
        if stage.name in self._contexts:
            image = self.images[stage.name] = Image(root=self._contexts[stage.name])
            return image
        if stage.base == "scratch":
            root.mkdir()
            image = Image(root=root)
        elif base is None:
            image = Image(root=root)
            skeleton(root)
        else:
            known = {k: v.copy() if isinstance(v, dict | list) else v for k, v in vars(base).items()}
            image = Image(**{**known, "root": root})
            _linked(base.root, root)
        arguments: dict[str, str] = {}
        for instruction in stage.instructions:
            self._play(image, arguments, instruction)
            self.steps.append(f"{stage.name}: {instruction.name}")
        self.images[stage.name] = image
        for file in root.rglob("*"):
            if file.is_file() and not file.is_symlink():
                self._seen.setdefault(file, _state(file))
        return image

    def altered(self) -> list[Path]:
        """Return files of the stages that a later step changed in place, which layers would not show."""
        return [file for file, state in self._seen.items() if not file.exists() or _state(file) != state]

    def _play(self, image: Image, arguments: dict[str, str], step: Instruction) -> None:
        match step.name:
            case "ARG":
                arguments.update(word.split("=", 1) for word in step.words)
            case "ENV":
                image.environment.update(word.split("=", 1) for word in step.words)
            case "RUN":
                self._run(image, {**arguments, **image.environment}, step)
            case "COPY":
                self._copy(image, step)
            case "USER":
                image.user = step.words[0]
            case "WORKDIR":
                image.workdir = step.words[0]
                (image.root / image.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "ENTRYPOINT":
                image.entrypoint, image.command = step.words, []
            case "CMD":
                image.command = step.words
            case "VOLUME":
                image.volumes += step.words
            case "EXPOSE":
                image.exposed += step.words
            case "STOPSIGNAL":
                image.stop_signal = step.words[0]
            case "HEALTHCHECK":
                image.healthcheck, image.patience = step.words or None, step.flags
            case _:
                raise StepFailed(f"nobody plays {step.name}")

    def _run(self, image: Image, environment: dict[str, str], step: Instruction) -> None:
        mounted = {target: self.images[stage].root for target, stage in step.flags.items()}
        user, groups = image.identity()
        spec = Spec(
            root=image.root,
            command=["/bin/sh", "-c", step.words[0]],
            environment={"HOME": "/root", **environment},
            user=user,
            groups=groups,
            workdir=image.workdir,
            mounts=tuple(Mount(source=root, target=to, read_only=True) for to, root in mounted.items()),
        )
        code, said = run(spec, self._folder / f"{image.root.name}-{len(self.steps)}.log")
        for target in mounted:
            (image.root / target.lstrip("/")).rmdir()
        if code != 0:
            raise StepFailed(f"RUN {step.words[0]} ended with {code}: {said[-2000:]}")

    def _copy(self, image: Image, step: Instruction) -> None:
        *sources, target = step.words
        inside = image.root / target.lstrip("/")
        origin = self.images[step.flags["from"]].root if "from" in step.flags else self._context
        inside.parent.mkdir(parents=True, exist_ok=True)
        for name in sources:
            source = origin / name.lstrip("/")
            if "from" in step.flags:
                _linked(source, inside)
                continue
            if not self.sent(name):
                raise StepFailed(f"COPY {name}: .dockerignore leaves it out")
            if source.is_dir():
                shutil.copytree(source, inside, ignore=self._left_out)
            else:
                place = inside / source.name if target.endswith("/") else inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        place = Path(folder).relative_to(self._context)
        return {name for name in names if not self.sent(str(place / name))}

    def sent(self, name: str) -> bool:
        """Whether ``.dockerignore`` lets a path through: the last line that speaks of it, or of a folder it is in, decides."""
        sent = True
        places = [Path(name), *Path(name).parents][:-1]
        for line in filter(None, self._ignore):
            pattern = line.removeprefix("!")
            if not line.startswith("#") and any(_speaks_of(pattern, place) for place in places):
                sent = line.startswith("!")
        return sent


def _speaks_of(pattern: str, place: Path) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(place.name, pattern[3:])
    return len(place.parts) == len(Path(pattern).parts) and fnmatch(str(place), pattern)


def _linked(source: Path, target: Path) -> None:
    """Copy a folder: its files are hard links, owners and rights stay."""
    subprocess.run(["cp", "-al", "-T", source, target], check=True, capture_output=True)


def _state(file: Path) -> tuple[int, int]:
    found = file.lstat()
    return found.st_size, found.st_mtime_ns


def skeleton(root: Path) -> None:
    """Make the base: folders, the few settings that programs of this machine look for, and what stands for programs."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for link in Path("/").glob("*bin"), Path("/").glob("lib*"):
        for one in link:
            if one.is_symlink():
                (root / one.name).symlink_to(os.readlink(one))
    for name in SETTINGS:
        source, target = Path("/etc") / name, root / "etc" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            shutil.copyfile(source, target)
    files = {
        "passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "shadow": "root:*:1::::::\n",
        "group": "root:x:0:\n",
    }
    for name, text in {**files, "gshadow": "root:*::\n", "hosts": ""}.items():
        (root / "etc" / name).write_text(text)
    programs = root.parent / LOCAL / "sbin"
    if programs.exists():
        return
    for name in ("sbin", "bin", "lib"):
        (root.parent / LOCAL / name).mkdir(parents=True)
    (programs / "apt-get").write_text(APT_GET)
    (programs / "apt-get").chmod(0o755)
    if Path(sys.base_prefix) == Path("/usr"):
        (root.parent / LOCAL / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
