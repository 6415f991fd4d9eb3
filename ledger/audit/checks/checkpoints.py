"""Check 13: enough members executed this chain themselves and signed its newest block.

1. Every file of ``checkpoints/`` is a checkpoint of a block of this chain, signed by the key that its member had there.
   One that names a later block shows that the chain was cut off; one that names another block, that it was rewritten.
2. Of the members with keys that are no coordinators, more than two thirds signed the newest block
   (:mod:`ledger.finality`); so whoever wrote a history that replays cannot pass it off as the one that they saw.

Who the members are is what the chain says. A chain that was invented from its first block on has invented members: compare their
accounts with what the members tell you. On an external chain there are none: its own consensus takes their place.
"""

from __future__ import annotations

from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.checkpoints import CHECKPOINT_SIZE, MAX_CHECKPOINTS
from ledger.files import read_plain
from ledger.finality import Tally, Verdict

_WRONG = {
    Verdict.AHEAD: "a member signed block {number}, which this chain does not have: it was cut off",
    Verdict.CONTRADICTS: "a member signed another block {number} than this chain has: it was rewritten",
    Verdict.WORTHLESS: "it is no checkpoint of this chain, or not signed by its member",
}


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the checkpoints."""
    if evidence.node is not None:
        return "an external chain, which members do not co-sign: its validators do"
    tally = Tally(evidence.file, evidence.run.contract)
    folder = evidence.public.checkpoints
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    findings.expect(len(files) <= MAX_CHECKPOINTS, folder.name, f"more than {MAX_CHECKPOINTS} files")
    for path in files[:MAX_CHECKPOINTS]:
        name = evidence.name(path)
        with findings.at(name):
            try:
                data = read_plain(path, CHECKPOINT_SIZE, parts=2)
            except OSError as error:
                findings.add(name, f"it cannot be read ({error.strerror})")
                continue
            verdict, checkpoint = tally.judge(data)  # (1)
            if verdict is not Verdict.VOUCHES:
                number = "?" if checkpoint is None else checkpoint.number
                findings.add(name, _WRONG[verdict].format(number=number))
    head = evidence.reader.head().number
    signed, needed, witnesses = tally.support(head)
    findings.expect(
        signed >= needed,
        evidence.public.chain.name,
        f"block {head} is co-signed by {signed} of {witnesses} members, {needed} are needed",
    )  # (2)
    return f"{signed} of {witnesses} members co-signed block {head}, {needed} are needed"
