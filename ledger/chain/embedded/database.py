"""The store as py-evm sees it: one face that only reads, one that collects the writes of one block.

py-evm writes a block in several batches (state trie, transaction trie, receipts, header). :class:`BlockWrites` gathers
them in memory, so that :meth:`.store.Store.commit` can put them on disk in one transaction; dropping the object undoes
everything, there is nothing else to restore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eth.abc import AtomicWriteBatchAPI
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB

from fl_core.errors import LocalProtocolError

Get = Callable[[bytes], bytes | None]
"""Looks a key up; None when it is absent."""


class ReadFace(BaseAtomicDB):  # type: ignore[misc]  # py-evm is untyped for us
    """Reads through a :data:`Get`; refuses every write.

    Args:
        get: Where to look.
    """

    def __init__(self, get: Get) -> None:
        self._get = get

    def __getitem__(self, key: bytes) -> bytes:
        value = self._get(key)
        if value is None:
            raise KeyError(key)
        return value

    def _exists(self, key: bytes) -> bool:
        return self._get(key) is not None

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise LocalProtocolError("a view of the chain writes nothing")

    def __delitem__(self, key: bytes) -> None:
        raise LocalProtocolError("a view of the chain deletes nothing")

    @contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        """Open a batch (py-evm's name); its commit goes to ``__setitem__``."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch


class BlockWrites(ReadFace):
    """Reads through a :data:`Get` and keeps every write in :attr:`writes`.

    Args:
        get: Where to look for what was not written here.
    """

    def __init__(self, get: Get) -> None:
        super().__init__(get)
        self.writes: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.writes.get(key)
        return super().__getitem__(key) if value is None else value

    def _exists(self, key: bytes) -> bool:
        return key in self.writes or super()._exists(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.writes[key] = bytes(value)
