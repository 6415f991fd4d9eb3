"""Everything a public folder says, read on demand and kept, for the checks.

Everything is read once. What cannot be read raises one of our errors, the same every time it is asked for: so the check whose
matter it is reports the fault, and checks that need that check are not made (:mod:`ledger.audit.checks`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from fl_core.digests import DIGEST_SIZE
from fl_core.errors import SutureError
from fl_core.models.artifact import MAX_HEADER_BYTES
from fl_core.protocol.exclusions import MAX_EXCLUSIONS, Exclusions
from fl_core.protocol.header import MAX_HEADER, RoundHeader
from fl_core.protocol.messages import MAX_LEAF, Leaf
from fl_core.protocol.terms import MAX_TERMS, Terms
from ledger.archive import Archive
from ledger.audit.chain import FolderChain, copy_chain
from ledger.audit.chronicle import Chronicle, read_chronicle
from ledger.audit.node_reading import NodeReading
from ledger.audit.papers import RoundFacts, RunFacts, read_round, read_run
from ledger.chain.ports import Reading
from ledger.papers import PublicFolder, SealPaper
from ledger.reader import LedgerReader
from ledger.seal import read_seal
from ledger.statements import StatementVerifier

_FLOAT32 = 4  # bytes
_T = TypeVar("_T")


class Evidence:
    """One public folder. Use it as a context manager: it holds a copy of the ledger in a temporary folder.

    Args:
        public: The folder, from :func:`ledger.audit.papers.open_folder`.
        node: Where the ledger is read, if it is an external chain; the folder's own copy is when None.
    """

    def __init__(self, public: PublicFolder, node: NodeReading | None = None) -> None:
        self.public = public
        self.node = node
        self.archive = Archive(public.archive)
        self.next_artifacts: dict[int, bytes] = {}
        """Round -> SHA-256 of the model that its aggregate makes; filled by the check of the aggregates."""
        self.combined: dict[int, dict[bytes, int]] = {}
        """Round -> account -> what the share check compares of its ciphertext; filled by the check of the ciphertexts."""
        self.whole: set[str] = set()
        """Files that have the size in the seal; filled by the check of the seal."""
        self._scratch = tempfile.TemporaryDirectory(prefix="suture-audit-")
        self._kept: dict[object, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "file" in self.__dict__:
            self.file.close()
        self._scratch.cleanup()

    # ------------------------------------------------------------------ papers and archive

    def _once(self, what: object, read: Callable[[], _T]) -> _T:
        """Read something, or fail to, only the first time."""
        if what not in self._kept:
            try:
                self._kept[what] = read()
            except SutureError as error:
                self._kept[what] = error
        found = self._kept[what]
        if isinstance(found, SutureError):
            raise found
        return cast(_T, found)

    @property
    def run(self) -> RunFacts:
        """``run.json``."""
        return self._once("run", lambda: read_run(self.public))

    @property
    def seal(self) -> SealPaper:
        """``seal.json``."""
        return self._once("seal", lambda: read_seal(self.public))

    def round(self, number: int) -> RoundFacts:
        """The paper of a round."""
        return self._once(("round", number), lambda: read_round(self.public, number))

    def name(self, path: Path) -> str:
        """Return a path relative to the folder."""
        return path.relative_to(self.public.path).as_posix()

    def object(self, digest: bytes) -> str:
        """Return where an archived object is, relative to the folder."""
        return self.name(self.archive.path_of(digest)) if len(digest) == DIGEST_SIZE else "archive"

    def holder(self, account: bytes) -> str:
        """Return what ``run.json`` calls an account, for people; empty where it has no name."""
        return self.run.names.get(account, "")

    # ------------------------------------------------------------------ the ledger

    @cached_property
    def chain_copy(self) -> Path:
        """A private copy of the chain's file."""
        return copy_chain(self.public.chain, Path(self._scratch.name))

    @cached_property
    def file(self) -> FolderChain:
        """The copy, opened."""
        return FolderChain(self.chain_copy, self.run.chain_id)

    @property
    def chain(self) -> Reading:
        """What the ledger is read from: the copy, or a node."""
        return self.file if self.node is None else self.node

    @cached_property
    def reader(self) -> LedgerReader:
        """Reads the run's contract."""
        return LedgerReader(self.chain, self.run.contract)

    @property
    def chronicle(self) -> Chronicle:
        """What the ledger recorded about the run."""
        return self._once("chronicle", lambda: read_chronicle(self.reader, self.run.run))

    @cached_property
    def statements(self) -> StatementVerifier:
        """Verifies members' signatures."""
        return StatementVerifier(self.reader.domain())

    # ------------------------------------------------------------------ archived messages

    @property
    def terms(self) -> Terms:
        """The run's terms."""
        return self._once("terms", lambda: Terms.decode(self.archive.get(self.run.terms, MAX_TERMS)))

    def header(self, number: int) -> RoundHeader:
        """The header of a finalised round."""
        return self._once(
            ("header", number),
            lambda: RoundHeader.decode(self.archive.get(self.round(number).header, MAX_HEADER)),
        )

    def leaf(self, number: int, account: bytes) -> Leaf:
        """The leaf of an accepted contribution."""
        return Leaf.decode(self.archive.get(self.round(number).leaves[account], MAX_LEAF))

    def exclusions(self, number: int) -> Exclusions:
        """Who of the accepted set was left out, as the coordinator says."""
        return Exclusions.decode(self.archive.get(self.round(number).exclusions, MAX_EXCLUSIONS))

    def model(self, artifact: bytes) -> bytes:
        """A model file of the size that the terms imply."""
        parameters = sum(spec.size for spec in self.terms.tensors)
        return self.archive.get(artifact, 8 + MAX_HEADER_BYTES + _FLOAT32 * parameters)
