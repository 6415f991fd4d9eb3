"""The images, made by the Dockerfile's own steps without a container engine, and what runs in them.

Every ``RUN`` is run as it stands, in namespaces, on a root folder; :mod:`tests.simulators.images` says what stands for the base, for apt-get and
for layers. Python's packages are installed by pip, without a network, from wheels packed again of what is installed here.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.demo.holders import bundled_csv
from tests.deploy.conftest import Built, pins
from tests.deploy.tools import COPY_PASSPHRASE
from tests.simulators.patience import patient

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.network]

IMAGES = ("node", "coordinator", "auditor")
HARDENED: dict[str, Any] = {
    "read_only": True,
    "confined": True,
    "tmpfs": {"/tmp": "size=256m,mode=1777,noexec,nosuid,nodev"},
}
"""As the documentation says that images are started, and as the compose files start them."""
ENGINE = {"/dev", "/dev/shm"}
"""Folders in memory that every engine gives to a container; the first is its root user's."""
VOLUMES = {
    "node": {"/cache", "/node", "/run/suture"},
    "coordinator": {"/cache", "/coordinator"},
    "auditor": {"/cache"},
}
"""What user 10001 may write besides; /supernode is its other user's."""
PYTHON = "/opt/suture/bin/python3"
WRITABLE = """
import json, os, stat
found = set()
for place, folders, files in os.walk("/"):
    if place in ("/proc", "/sys"):
        folders.clear()
        continue
    try:
        probe = os.path.join(place, ".probe")
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(probe)
        found.add(place)
        continue
    except OSError:
        pass
    for name in files:
        file = os.path.join(place, name)
        try:
            if stat.S_ISREG(os.lstat(file).st_mode):
                os.close(os.open(file, os.O_WRONLY))
                found.add(file)
        except OSError:
            pass
print(json.dumps(sorted(found)))
"""
"""Tries to write everywhere: a new file in every folder, and every file. Prints where it could."""


def output(answer: list[Any]) -> str:
    code, said = answer
    assert code == 0, said
    return str(said)


def writable(built: Built, image: str, **how: Any) -> set[str]:
    said = output(built.host.ask("run", image=image, entrypoint=[PYTHON], command=["-c", WRITABLE], **how))
    return set(json.loads(said.splitlines()[-1]))


# ---------------------------------------------------------------------- the steps


def test_every_step_of_every_stage_was_played(built: Built) -> None:
    wanted = [f"{stage.name}: {step.name}" for stage in built.stages for step in stage.instructions]
    assert built.host.ask("steps") == wanted
    assert set(IMAGES) <= set(built.images)


def test_no_step_changes_a_file_of_an_earlier_stage_in_place(built: Built) -> None:
    assert built.host.ask("altered") == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_pinned_packages_and_neither_pip_nor_sources(built: Built, image: str) -> None:
    program = (
        "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
    )
    said = output(
        built.host.ask("run", image=image, entrypoint=[PYTHON], command=["-c", program], **HARDENED)
    )
    inside = {
        re.sub(r"[-_.]+", "-", name).lower(): version.partition("+")[0]
        for name, version in (word.split("==") for word in said.split())
    }
    assert inside.pop("suture-fl")
    assert inside.items() <= pins().items()
    assert not {"pip", "setuptools", "hatchling"} & set(inside)
    assert ("torch" in inside) == (image != "auditor")
    code, _ = built.host.ask("run", image=image, entrypoint=["/usr/bin/ls"], command=["/src"])
    assert code != 0


# ---------------------------------------------------------------------- what runs in them


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("node", ("suture-node", "serve", "doctor")),
        ("coordinator", ("suture", "launch")),
        ("auditor", ("suture-audit", "verify")),
    ],
)
def test_the_entrypoint_explains_itself_as_a_user_without_rights(
    built: Built, image: str, words: tuple[str, ...]
) -> None:
    said = output(built.host.ask("run", image=image, command=["--help"], **HARDENED))
    assert all(word in said for word in words)


def test_the_auditors_image_explains_itself_without_a_command(built: Built) -> None:
    assert "verify" in output(built.host.ask("run", image="auditor", **HARDENED))


@pytest.mark.parametrize("image", IMAGES)
def test_a_container_is_not_root_and_has_no_capability(built: Built, image: str) -> None:
    said = output(
        built.host.ask(
            "run", image=image, entrypoint=["/usr/bin/cat"], command=["/proc/self/status"], **HARDENED
        )
    )
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert status["Groups"].split() == (["10002"] if image == "node" else [])
    assert status["NoNewPrivs"] == "1"
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_but_volumes_and_memory_can_be_written(built: Built, image: str) -> None:
    assert writable(built, image, **HARDENED) == {"/tmp", "/dev/shm"} | VOLUMES[image]


@pytest.mark.parametrize("image", IMAGES)
def test_not_even_root_writes_to_a_read_only_root(built: Built, image: str) -> None:
    assert writable(built, image, user="0:0", workdir="/", **HARDENED) == {"/tmp"} | ENGINE


def test_the_search_for_what_can_be_written_would_find_it(built: Built) -> None:
    writing = {**HARDENED, "read_only": False}
    assert "/certificates" in writable(built, "coordinator", **writing)
    assert {"/", "/etc", "/opt/suture/bin"} <= writable(
        built, "coordinator", user="0:0", workdir="/", **writing
    )


# ---------------------------------------------------------------------- services and their health checks


def healthy(built: Built, name: str, image: str) -> bool:
    """Ask a running container as the image's HEALTHCHECK says."""
    said = built.images[image]
    code, _, _ = built.host.ask(
        "execute",
        name=name,
        command=said["healthcheck"],
        timeout=patient(float(said["patience"]["timeout"].rstrip("s"))),
    )
    return bool(code == 0)


def becomes_healthy(built: Built, name: str, image: str) -> bool:
    end = time.monotonic() + patient(float(built.images[image]["patience"]["start-period"].rstrip("s")))
    while not healthy(built, name, image):
        assert built.host.ask("ended", name=name) is None, built.host.ask("log", name=name)
        if time.monotonic() > end:
            return False
        time.sleep(2.0)
    return True


def asked(built: Built, name: str, image: str, **how: Any) -> None:
    """Start the image's own command, and see that its health check tells a service that answers from one that is frozen or dead."""
    built.host.ask("start", name=name, image=image, **how)
    assert becomes_healthy(built, name, image), built.host.ask("log", name=name)
    built.host.ask("signal", name=name, which="SIGSTOP", everybody=True)
    assert not healthy(built, name, image), "it is frozen"
    built.host.ask("signal", name=name, which="SIGCONT", everybody=True)
    assert becomes_healthy(built, name, image)
    built.host.ask("signal", name=name, which="SIGKILL")
    check = built.images[image]["healthcheck"]
    code, said = built.host.ask("run", image=image, entrypoint=check[:1], command=check[1:], **how)
    assert code != 0, said
    assert "does not answer" in said


def place(built: Built, name: str) -> str:
    """Return a new folder of user 10001."""
    folder = built.host.folder / name
    built.host.ask(
        "command", command=["install", "-d", "-o", "10001", "-g", "10001", "-m", "0711", str(folder)]
    )
    return str(folder)


def test_the_nodes_health_check_tells_whether_its_service_answers(built: Built) -> None:
    node, door, cache, memory = (place(built, name) for name in ("node", "door", "cache", "memory"))
    where = {"SUTURE_NODE_PASSPHRASE_FILE": "/run/passphrase/passphrase"}
    passphrase = {**built.images["node"]["environment"], **where}
    secret = built.host.folder / "secret"
    built.host.ask("command", command=["install", "-d", "-o", "0", "-g", "10001", "-m", "0750", str(secret)])
    (secret / "passphrase").write_text("not for production\n")
    for change in (["chown", "0:10001"], ["chmod", "0440"]):  # as Kubernetes mounts a Secret
        built.host.ask("command", command=[*change, str(secret / "passphrase")])
    copied = [(str(secret), "/secret", "ro"), (memory, "/run/passphrase", "rw")]
    step = {"entrypoint": COPY_PASSPHRASE[:1], "command": COPY_PASSPHRASE[1:], "mounts": copied}
    output(built.host.ask("run", image="node", **HARDENED, **step))
    mounts = [(node, "/node", "rw"), (door, "/run/suture", "rw"), (cache, "/cache", "rw")]
    mounts.append((memory, "/run/passphrase", "ro"))
    how = {**HARDENED, "environment": passphrase, "mounts": mounts}
    records = (str(bundled_csv()), "/tmp/records.csv", "ro")
    init = ["init", "/node", "--name", "Alder Hospital", "--data", "/tmp/records.csv"]
    output(built.host.ask("run", image="node", command=init, **{**how, "mounts": [*mounts, records]}))
    with (Path(node) / "node.toml").open("a") as toml:
        toml.write('\n[network]\nsuperlink = "federation.example.org:9092"\n')
    assert not (Path(node) / "keys" / "passphrase").exists()
    asked(built, "one-node", "node", **how)
    assert not (Path(node) / "logs").exists(), "it started a gateway and a SuperNode as the keys' user"
    socket = Path(door) / "node.sock"
    assert (socket.stat().st_gid, socket.stat().st_mode & 0o777) == (10002, 0o660)


def test_the_superlinks_health_check_tells_whether_its_service_answers(built: Built) -> None:
    home, certificates, cache = (place(built, name) for name in ("home", "certificates", "cache-superlink"))
    make = [(certificates, "/coordinator", "rw")]
    command = ["certificates", "/coordinator/made", "--name", "localhost"]
    output(built.host.ask("run", image="coordinator", command=command, **HARDENED, mounts=make))
    made = str(Path(certificates) / "made")
    mounts = [(home, "/coordinator", "rw"), (cache, "/cache", "rw"), (made, "/certificates", "ro")]
    asked(built, "one-superlink", "coordinator", **HARDENED, mounts=mounts)
