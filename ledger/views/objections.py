"""Who objected to which round, when, and the digest of the statement."""

from __future__ import annotations

from ledger.views.window import Answer, Window, table


def objections(window: Window, run: bytes | None) -> Answer:
    """List every objection, of one run or of all."""
    found = [
        {
            "block": event.block_number,
            "time": window.time(event.block_number),
            "run": f"0x{bytes(event.values['run']).hex()}",
            "round": event.values["round"],
            "member": f"0x{bytes(event.values['member']).hex()}",
            "reason": f"0x{bytes(event.values['reason']).hex()}",
            "transaction": f"0x{event.tx_hash.hex()}",
        }
        for event in window.reader.events("Objection")
        if run is None or event.values["run"] == run
    ]
    rows = [["when", "run", "round", "who", "SHA-256 of the statement"]] + [
        [str(o["time"]), str(o["run"])[2:14], str(o["round"] or "all"),
         window.name(bytes.fromhex(str(o["member"])[2:])), str(o["reason"])[2:]]
        for o in found
    ]  # fmt: skip
    return Answer({"objections": found}, table(rows) if found else ["Nobody has objected yet."])
