"""Who consented to which run, when, and who took it back."""

from __future__ import annotations

from ledger.records import EMPTY_WORD
from ledger.views.window import Answer, Window, table


def consent_history(window: Window, run: bytes | None) -> Answer:
    """List every consent and withdrawal, of one run or of all, and who consents now."""
    changes = [
        {
            "block": event.block_number,
            "time": window.time(event.block_number),
            "run": f"0x{bytes(event.values['run']).hex()}",
            "holder": f"0x{bytes(event.values['holder']).hex()}",
            "given": bool(event.values["given"]),
            "transaction": f"0x{event.tx_hash.hex()}",
        }
        for event in window.reader.events("Consent")
        if run is None or event.values["run"] == run
    ]
    pairs = dict.fromkeys((change["run"], change["holder"]) for change in changes)
    now = [
        {"run": r, "holder": h}
        for r, h in pairs
        if window.reader.consent(bytes.fromhex(str(r)[2:]), bytes.fromhex(str(h)[2:])) != EMPTY_WORD
    ]
    rows = [["when", "run", "holder", ""]] + [
        [str(c["time"]), str(c["run"])[2:14], window.name(bytes.fromhex(str(c["holder"])[2:])),
         "consents" if c["given"] else "withdrawn or struck"]
        for c in changes
    ]  # fmt: skip
    lines = table(rows) if changes else ["Nobody has consented yet."]
    counted = f"{len(now)} consent{'s count' if len(now) != 1 else ' counts'} now."
    return Answer({"changes": changes, "now": now}, [*lines, "", counted] if changes else lines)
