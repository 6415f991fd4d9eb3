"""What a node keeps of its runs in the CKKS mode: files that are on disk before anything that follows from them is sent.

::

    FOLDER/ckks/RUN/         readable by the node's user only
      package                plan and key package: one for each run, ever
      key                    the key that all holders of the run share
      uploads/ROUND          the signed upload: one for each round, sent again on a retry
      sums/ROUND             digest of the sum that the node opened: one for each round, ever
      reports/ROUND          what it reported of it
      models/SHA256          the run's first model, and models that this node made itself

Deleting ``key`` when the run is over takes this holder's means to open uploads. Other holders have the same key.
"""

from __future__ import annotations

from pathlib import Path

from clients.errors import NodeStateError, PolicyRefusal
from fl_core.errors import DecodeError, VerificationError
from fl_core.models import model_digest
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.ceremony import PARAMETERS
from fl_core.secagg.ckks.keys import HolderKey
from fl_core.secagg.ckks.steps import TakeCall
from fl_core.secret import Secret
from ledger.files import write_atomically

PRIVATE = 0o600


class CkksFiles:
    """The folder of one node.

    Args:
        folder: Made when the first run needs it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, run: bytes) -> tuple[Plan, KeyPackage] | None:
        """Return the plan and package of a run, or None before its ceremony.

        Raises:
            NodeStateError: The file is damaged.
        """
        data = self._read(run, "package")
        if data is None:
            return None
        try:
            call = TakeCall.decode(data)
            return Plan.decode(call.plan), KeyPackage.decode(call.package)
        except DecodeError as error:
            raise self._damaged(run, "package") from error

    def keep_key(self, run: bytes, plan: Plan, package: KeyPackage, key: HolderKey) -> None:
        """Store the key, then the package that says that it is there.

        Raises:
            PolicyRefusal: The run's ceremony has taken place.
        """
        if self.known(run) is not None:
            raise PolicyRefusal("the key ceremony of this run has taken place")
        self._write(run, "key", key.secret().reveal())
        self._write(run, "package", TakeCall(plan=plan.encode(), package=package.encode()).encode())

    def key(self, run: bytes) -> HolderKey:
        """Return the key of a run whose ceremony has taken place.

        Raises:
            NodeStateError: It was deleted or is damaged.
        """
        known, data = self.known(run), self._read(run, "key")
        if known is None or data is None:
            raise self._damaged(run, "key")
        plan, package = known
        try:
            key = HolderKey.load(PARAMETERS, len(plan.cohort), Secret(data))
        except VerificationError as error:
            raise self._damaged(run, "key") from error
        if key.commitment() != package.commitment:
            raise self._damaged(run, "key")
        return key

    def upload(self, run: bytes, number: int) -> bytes | None:
        """Return the stored upload of a round."""
        return self._read(run, f"uploads/{number}")

    def keep_upload(self, run: bytes, number: int, upload: bytes) -> None:
        """Store an upload and empty those of earlier rounds; that they were made stays on record."""
        self._write(run, f"uploads/{number}", upload)
        for path in self._at(run, "uploads").glob("[0-9]*"):
            if int(path.name) < number and path.stat().st_size:
                write_atomically(path, b"", PRIVATE)

    def rounds_done(self, run: bytes, *, before: int) -> int:
        """Return in how many rounds before ``before`` this node made an upload."""
        return sum(int(path.name) < before for path in self._at(run, "uploads").glob("[0-9]*"))

    def uploads(self, *, since: int = 0, outside: tuple[bytes, int] = (b"", 0)) -> int:
        """Return how many uploads were made in all runs, but for one round; since a Unix time, by the files' times.

        A file is emptied when a later round begins, which makes it newer: a limit that counts too many is on the safe side.
        """
        skip = (outside[0].hex(), str(outside[1]))
        return sum(
            (path.parent.parent.name, path.name) != skip and path.stat().st_mtime >= since
            for path in self._folder.glob("*/uploads/[0-9]*")
        )

    def opened(self, run: bytes, number: int) -> bytes | None:
        """Return the digest of the sum that was opened in a round."""
        return self._read(run, f"sums/{number}")

    def keep_opened(self, run: bytes, number: int, total: bytes) -> None:
        """Record that a sum will be opened."""
        self._write(run, f"sums/{number}", total)

    def report(self, run: bytes, number: int) -> bytes | None:
        """Return what was reported of a round."""
        return self._read(run, f"reports/{number}")

    def keep_report(self, run: bytes, number: int, report: bytes) -> None:
        """Store a report."""
        self._write(run, f"reports/{number}", report)

    def model(self, run: bytes, artifact: bytes) -> bytes | None:
        """Return a model by its digest.

        Raises:
            NodeStateError: The file is damaged.
        """
        data = self._read(run, f"models/{artifact.hex()}")
        if data is not None and model_digest(data) != artifact:
            raise self._damaged(run, f"models/{artifact.hex()}")
        return data

    def keep_model(self, run: bytes, model: bytes) -> bytes:
        """Store a model and return its digest."""
        artifact = model_digest(model)
        self._write(run, f"models/{artifact.hex()}", model)
        return artifact

    def keep_only(self, run: bytes, artifact: bytes) -> None:
        """Delete all models but one: the run goes on from it."""
        for path in self._at(run, "models").glob("[0-9a-f]*"):
            if path.name != artifact.hex():
                path.unlink(missing_ok=True)

    def _at(self, run: bytes, name: str) -> Path:
        return self._folder / run.hex() / name

    def _read(self, run: bytes, name: str) -> bytes | None:
        try:
            return self._at(run, name).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, run: bytes, name: str, data: bytes) -> None:
        path = self._at(run, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, data, PRIVATE)

    def _damaged(self, run: bytes, name: str) -> NodeStateError:
        return NodeStateError(
            f"{self._at(run, name)} is missing or damaged.", fix="This node cannot go on with that run."
        )
