"""Check 1: the folder is whole, and it is the one that the coordinator sealed.

1. The folder holds plain files only.
2. ``seal.json`` is a seal, and lists exactly the other files of the folder.
3. Every file has the SHA-256 that is listed.
4. Every archived object is stored under its own SHA-256.
5. The seal is of this run and signed with the coordinator's registered key.

The key for (5) is read from the ledger, which is one of the files. Where that cannot be read there is a fault already, and the
signature is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_core.errors import SutureError
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.papers import SealPaper
from ledger.seal import check_seal, hash_file, list_files, read_seal, sealed_files


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the seal."""
    public = evidence.public
    seal_name = public.seal.name
    found = _hash_all(evidence, findings)
    _check_archive(evidence, findings, found)
    try:
        paper = read_seal(public)
        listed = sealed_files(paper)
    except SutureError as error:
        findings.add(seal_name, error.message)
        return ""
    _compare(findings, listed, found)
    _check_signature(evidence, findings, paper)
    return f"{len(found)} files"


def _hash_all(evidence: Evidence, findings: Findings) -> dict[str, bytes]:
    """Hash every file; (1)."""
    folder, found = evidence.public.path, {}
    listing = list_files(folder)
    for name in listing.others:
        findings.add(name, "it is not a plain file")
    for done, name in enumerate(listing.files):
        findings.progress(done, len(listing.files))
        try:
            found[name] = hash_file(folder / name)
        except OSError as error:
            findings.add(name, f"it cannot be read ({error.strerror})")
    return found


def _check_archive(evidence: Evidence, findings: Findings, found: Mapping[str, bytes]) -> None:
    """(4)."""
    prefix = f"{evidence.public.archive.name}/"
    for name, digest in found.items():
        if name.startswith(prefix) and name != evidence.object(digest):
            findings.add(name, "an archived object is stored under its SHA-256, this one is not")


def _compare(findings: Findings, listed: Mapping[str, bytes], found: Mapping[str, bytes]) -> None:
    """(2) and (3)."""
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            findings.add(name, "the seal lists this file, but it is missing")
        elif name not in listed:
            findings.add(name, "the seal does not list this file")
        elif listed[name] != found[name]:
            findings.add(name, "the file was altered after it was sealed: its SHA-256 is not the listed one")


def _check_signature(evidence: Evidence, findings: Findings, paper: SealPaper) -> None:
    """(5)."""
    try:
        run, domain = evidence.run.run, evidence.reader.domain()
        signer = evidence.chronicle.coordinator_signer()
    except Exception as error:  # noqa: BLE001 - a ledger that was not replayed yet may be damaged in any way
        if not findings.faults:
            findings.add(evidence.public.chain.name, f"the coordinator's key cannot be read ({error})")
        return
    with findings.at(evidence.public.seal.name):
        check_seal(paper, run=run, domain=domain, signer=signer)
