"""Check 7: the encrypted updates are those that the holders signed; one is in memory at a time."""

from __future__ import annotations

from fl_core.errors import DecodeError
from fl_core.protocol.setup import layout_of
from fl_core.secagg.commitment import ciphertext_root
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the ciphertexts of all finalised rounds."""
    wanted = [
        (number, account, digest)
        for number in evidence.chronicle.finalised
        for account, digest in evidence.round(number).ciphertexts.items()
    ]
    for done, (number, account, digest) in enumerate(wanted):
        findings.progress(done, len(wanted))
        with findings.at(evidence.object(digest), number=number, holder=account):
            layout = layout_of(evidence.header(number))
            ciphertext = evidence.archive.get(digest, layout.ciphertext_bytes)
            signed = evidence.leaf(number, account).statement.ciphertext
            if ciphertext_root(layout, ciphertext) != signed:
                raise DecodeError("the holder signed another ciphertext")
    return f"{len(wanted)} ciphertexts"
