"""Check 12: nothing in the folder should not have left its house.

Every file is searched for the marks of private keys and keystores, and for names that such files go by. It is a net for
mistakes: whoever wants to hide a key in a folder can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.seal import list_files

MARKS = (
    (b"PRIVATE KEY-----", "a private key in PEM form"),
    (b"AGE-SECRET-KEY-", "a secret key of age"),
    (b'"kdfparams"', "a keystore"),
    (b'"cipherparams"', "a keystore"),
)
SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".env")
NAMES = ("passphrase", "account.json", "transport.json", "data-salt", "outbox.sqlite", "register.sqlite")
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
        try:
            for what in sorted(set(_marks(path))):
                findings.add(name, f"it holds {what}")
        except OSError as error:
            findings.add(name, f"it cannot be read ({error.strerror})")
    return f"{len(names)} files"


def _marks(path: Path) -> Iterator[str]:
    """Name what is found in a file; a mark may lie across two pieces."""
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            window = rest + piece
            yield from (what for mark, what in MARKS if mark in window)
            rest = window[-_OVERLAP:]
