"""The chain of a public folder, read without web3 and without touching the folder.

The audit works on a copy of the database file: sqlite would put files of its own beside one that was not closed well, and
what is replayed must be what is read afterwards.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fl_core.errors import DecodeError
from ledger.chain.embedded import open_embedded
from ledger.chain.embedded.reading import ChainReading
from ledger.files import open_plain
from ledger.papers import MAX_CHAIN_BYTES

_PIECE = 1 << 20  # bytes copied at a time


def copy_chain(source: Path, folder: Path) -> Path:
    """Copy the chain in ``source`` into ``folder`` and return the copy.

    Raises:
        DecodeError: There is no such file, it cannot be read, or it is larger than :data:`ledger.papers.MAX_CHAIN_BYTES`.
    """
    target = folder / source.name
    try:
        with open_plain(source, MAX_CHAIN_BYTES) as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy, _PIECE)
    except FileNotFoundError as error:
        raise DecodeError(
            f"the ledger cannot be read ({error.strerror}); if it is an external chain, name a node with --rpc"
        ) from error
    except OSError as error:
        raise DecodeError(f"the ledger cannot be read ({error.strerror})") from error
    return target


class FolderChain(ChainReading):
    """An embedded chain for :class:`ledger.reader.LedgerReader`; a :class:`ledger.chain.ports.Reading`.

    Args:
        path: The file.
        chain_id: Which chain it must be.

    Raises:
        LedgerError: It is no chain, another one, or damaged.
    """

    def __init__(self, path: Path, chain_id: int) -> None:
        self._file = open_embedded(path, chain_id=chain_id, read_only=True)
        super().__init__(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
