"""A SuperLink as it runs in production: three processes, of which one can be reached from outside.

===============  =========================================================================================================
process          what it is
===============  =========================================================================================================
superlink        Flower's SuperLink on the loopback interface: TLS, SuperNodes known by enrolled keys, state in a database
superexec        starts ServerApps beside it; proves itself with a secret, so that nobody else's can take a ServerApp over
superlink-front  :mod:`coordinator.engines.front`: the only door, TLS, fleet calls only
===============  =========================================================================================================

With the database and the separate SuperExec a run survives the death of the SuperLink. Under the given folder, for its owner only::

    superlink.sqlite     Flower's state
    started-by.txt       the command that started it, for whoever finds it away
    superexec.secret     32 random bytes as hexadecimal digits
    flower/config.toml   Flower's home: the ``flwr`` commands find this SuperLink there
    logs/                output of the processes

What is left open: users of this machine reach the loopback interface, and with it Flower's unauthenticated calls.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from coordinator.certificates import Certificates
from coordinator.engines import flower_commands
from coordinator.engines.ports import LOOPBACK
from fl_core.randomness import SEED_SIZE, RandomSource
from ledger.files import write_atomically

SERVED_BY = "started-by.txt"
"""File with the command that started a SuperLink last."""

SUPERLINK, SUPEREXEC, FRONT = "superlink", "superexec", "superlink-front"
PRIVATE, PRIVATE_FOLDER = 0o600, 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperLink:
    """Where a SuperLink keeps its files and listens.

    Attributes:
        folder: Absolute path of its folder.
        certificates: What it and its front show; must be good for 127.0.0.1, too.
        inner: Its own port on the loopback interface.
        host: Address on which the front listens.
        port: Port of the front.
    """

    folder: Path
    certificates: Certificates
    inner: int
    host: str = LOOPBACK
    port: int

    @property
    def home(self) -> Path:
        """Flower's home."""
        return self.folder / "flower"

    @property
    def logs(self) -> Path:
        """Folder for the output of processes."""
        return self.folder / "logs"

    @property
    def secret(self) -> Path:
        """File with what the SuperExec proves itself with."""
        return self.folder / "superexec.secret"

    @property
    def inner_url(self) -> str:
        """Address of the SuperLink itself, for processes of this machine."""
        return f"https://{LOOPBACK}:{self.inner}"

    def prepare(self, random: RandomSource) -> None:
        """Write what the processes read; a secret that is there is kept."""
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for place in (self.home, self.logs):
            place.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        if not self.secret.exists():
            secret = random.secret(SEED_SIZE).reveal().hex().encode()
            write_atomically(self.secret, secret, PRIVATE)
        again = (
            f"suture superlink serve {quote(str(self.folder))} --certificates {quote(str(self.certificates.authority.parent))} "
            f"--host {quote(self.host)} --port {self.port} --inner-port {self.inner}"
        )
        write_atomically(self.folder / SERVED_BY, f"{again}\n".encode(), PRIVATE)
        text = flower_commands.home_config(self.inner, self.certificates.authority)
        write_atomically(self.home / "config.toml", text.encode(), PRIVATE)

    def superlink(self) -> list[str]:
        """Return the command of the SuperLink."""
        return flower_commands.superlink(
            self.inner, self.certificates, database=self.folder / "superlink.sqlite", secret=self.secret
        )

    def superexec(self) -> list[str]:
        """Return the command of the SuperExec."""
        return flower_commands.superexec(self.inner, self.certificates.authority, secret=self.secret)

    def front(self) -> list[str]:
        """Return the command of the front."""
        files = self.certificates
        return [
            # -P: modules are ours, not those in the working folder
            *(sys.executable, "-P", "-m", "coordinator.cli", "superlink", "front", self.inner_url),
            *("--authority", str(files.authority), "--certificate", str(files.certificate)),
            *("--key", str(files.key), "--host", self.host, "--port", str(self.port)),
        ]
