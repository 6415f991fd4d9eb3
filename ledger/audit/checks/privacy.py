"""Check 12: nothing in the folder should not have left its house.

Every file is searched for the marks of private keys and keystores, and for names that such files go by. It is a net for
mistakes: whoever wants to hide a key in a folder can. Of a file that is not in the seal, or not with its size, only the
beginning is searched: it may have any size, and check 1 names it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ledger.archive import MAX_OBJECT_BYTES
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.files import open_plain
from ledger.seal import list_files

MARKS = (
    (b"PRIVATE KEY-----", "a private key in PEM form"),
    (b"AGE-SECRET-KEY-", "a secret key of age"),
    (b'"kdfparams"', "a keystore"),
    (b'"cipherparams"', "a keystore"),
)
SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".env")
NAMES = ("passphrase", "account.json", "transport.json", "data-salt", "outbox.sqlite", "register.sqlite")
MAX_UNSEALED = 1 << 24
"""Bytes that are searched of a file for which no seal vouches."""
_PIECE = 1 << 20  # bytes read at a time
_OVERLAP = max(len(mark) for mark, _ in MARKS) - 1


def check(evidence: Evidence, findings: Findings) -> str:
    """Search all files."""
    folder = evidence.public.path
    names = list_files(folder).files
    for done, name in enumerate(names):
        findings.progress(done, len(names))
        path = folder / name
        if path.suffix in SUFFIXES or path.name in NAMES:
            findings.add(name, "its name is that of a private file")
        most = MAX_OBJECT_BYTES if name in evidence.whole else MAX_UNSEALED
        try:
            for what in sorted(set(_marks(path, name.count("/") + 1, most))):
                findings.add(name, f"it holds {what}")
        except OSError as error:
            findings.add(name, f"it cannot be read ({error.strerror})")
    return f"{len(names)} files"


def _marks(path: Path, parts: int, most: int) -> Iterator[str]:
    """Name what is found in the first ``most`` bytes of a file; a mark may lie across two pieces."""
    rest, left = b"", most
    with open_plain(path, sys.maxsize, parts=parts) as file:
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            window = rest + piece
            yield from (what for mark, what in MARKS if mark in window)
            rest, left = window[-_OVERLAP:], left - len(piece)
