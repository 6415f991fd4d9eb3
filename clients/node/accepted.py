"""The terms documents that a holder accepted: ``terms/DIGEST.json`` in its folder, seen as the folder is now.

A person consents with one command while another process serves: what was stored counts from the next question on, and what was
removed counts no more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from clients.errors import NodeStateError
from fl_core.errors import SutureError
from fl_core.protocol.terms import MAX_TERMS, Terms
from ledger.files import read_plain, write_atomically

FOLDER = "terms"
PRIVATE = 0o600


class AcceptedTerms(Mapping[bytes, Terms]):
    """Digest -> terms. A document never changes, so each is read once.

    Args:
        folder: The node's folder.

    Raises:
        NodeStateError: A document is damaged; later looks raise it, too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._known: dict[str, Terms] = {}
        for _ in self:
            pass

    def __getitem__(self, digest: bytes) -> Terms:
        path = self._folder / f"{digest.hex()}.json"
        if not path.exists():
            raise KeyError(digest)
        return self._document(path)

    def __iter__(self) -> Iterator[bytes]:
        for path in sorted(self._folder.glob("*.json")):
            yield self._document(path).digest

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _document(self, path: Path) -> Terms:
        if path.stem not in self._known:
            self._known[path.stem] = _read(path)
        return self._known[path.stem]


def _read(path: Path) -> Terms:
    try:
        terms = Terms.decode(read_plain(path, MAX_TERMS))
    except (OSError, SutureError) as error:
        raise NodeStateError(f"{path} is damaged ({error}).", fix=_again(path)) from error
    if terms.digest.hex() != path.stem:
        raise NodeStateError(f"{path} holds other terms than its name says.", fix=_again(path))
    return terms


def _again(path: Path) -> str:
    node = shlex.quote(str(path.parents[1]))
    return f"Remove it, and accept the run's terms again: suture-node consent give {node} --terms terms.json"


def store_terms(folder: Path, terms: Terms) -> None:
    """Remember terms that the holder accepted; called before the acceptance goes to the ledger."""
    write_atomically(folder / FOLDER / f"{terms.digest.hex()}.json", terms.encode(), PRIVATE)


def accepted_terms(folder: Path) -> dict[bytes, Terms]:
    """Return the terms that are accepted now, by digest.

    Raises:
        NodeStateError: A document is damaged.
    """
    return dict(AcceptedTerms(folder))
