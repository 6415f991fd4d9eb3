"""Check 7: the encrypted updates are those that the holders signed; one is in memory at a time.

What the share check looks at in each of them is noted on the way; check 8 compares it.
"""

from __future__ import annotations

from fl_core.errors import DecodeError
from fl_core.protocol.setup import layout_of
from fl_core.protocol.share_check import combined_checks
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.layout import CHECK_ELEMENTS
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
            rows = ciphertext[: CHECK_ELEMENTS * layout.element_bytes]
            root = evidence.chronicle.finalised[number].root
            combined = combined_checks(evidence.header(number), root, rows)
            evidence.combined.setdefault(number, {})[account] = combined
    return f"{len(wanted)} ciphertexts"
