"""Check 1: the folder is whole: it holds the files that its seal lists, byte for byte, and nothing else.

1. The folder holds plain files only, and no empty folders. Where there are links, pipes and the like, nothing further is
   looked at: what is behind them is not the folder's.
2. ``seal.json`` is a seal, and lists exactly the other files of the folder.
3. Every file has the size and the SHA-256 that are listed. A file of another size, or one that is larger than a file in its
   place can be, is not read.
4. Every archived object is stored under its own SHA-256.

Whose seal it is, check 3 says: the key is on the ledger, which only check 2 makes a ledger of.
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_core.errors import SutureError
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.seal import Content, Listing, hash_member, list_files, most_bytes, sealed_files


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the folder against its seal."""
    with findings.at("."):
        listing = list_files(evidence.public.path)
        if _is_plain(findings, listing):
            return _compare(evidence, findings, listing)
    findings.stop("the folder holds more than plain files")
    return ""


def _is_plain(findings: Findings, listing: Listing) -> bool:
    """(1)."""
    for name in listing.others:
        findings.add(name, "it is not a plain file")
    for name in listing.empty:
        findings.add(name, "it is an empty folder, which no seal lists")
    return not listing.others


def _compare(evidence: Evidence, findings: Findings, listing: Listing) -> str:
    """(2) to (4)."""
    try:
        listed = sealed_files(evidence.seal)
    except SutureError as error:
        findings.add(evidence.public.seal.name, error.message)
        return ""
    for name in sorted(listed.keys() - set(listing.files)):
        findings.add(name, "the seal lists this file, but it is missing")
    for done, name in enumerate(listing.files):
        findings.progress(done, len(listing.files))
        if name in listed:
            _check_file(evidence, findings, name, listed)
        else:
            findings.add(name, "the seal does not list this file")
    return f"{len(listing.files)} files"


def _check_file(evidence: Evidence, findings: Findings, name: str, listed: Mapping[str, Content]) -> None:
    """(3) and (4)."""
    public, expected = evidence.public, listed[name]
    altered = "the file was altered after it was sealed"
    try:
        if (public.path / name).lstat().st_size != expected.size:
            findings.add(name, f"{altered}: its size is not the listed one")
            return
        found = hash_member(public, name, most_bytes(public, name))
    except OSError as error:
        findings.add(name, f"it cannot be read ({error.strerror})")
        return
    evidence.whole.add(name)
    findings.expect(found == expected, name, f"{altered}: its SHA-256 is not the listed one")
    archived = name.startswith(f"{public.archive.name}/") and name != evidence.object(found.sha256)
    findings.expect(not archived, name, "an archived object is stored under its SHA-256, this one is not")
