"""Members' checkpoints as witnesses: whom the auditor pins, and which blocks they signed.

The signing keys are the auditor's pins, not the ledger's word: whoever forges a chain registers keys on it as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable

from fl_core.errors import VerificationError
from ledger.checkpoints import SignedCheckpoint
from ledger.light.table import CHECKPOINTS, LightCheckFailed
from ledger.typed_data import Domain, recover

Signed = dict[bytes, SignedCheckpoint]
"""Signing key -> its newest checkpoint."""


def newest_by_witness(
    checkpoints: Iterable[SignedCheckpoint], witnesses: frozenset[bytes], domain: Domain
) -> Signed:
    """Return the newest checkpoint of each pinned witness; what others signed is left out.

    Raises:
        LightCheckFailed: Check 6: two checkpoints of pinned witnesses contradict each other.
    """
    newest: Signed = {}
    seen: dict[int, tuple[bytes, SignedCheckpoint]] = {}
    genesis: SignedCheckpoint | None = None
    for checkpoint in checkpoints:
        signer = _signer(checkpoint, domain)
        if signer not in witnesses:
            continue
        genesis = genesis or checkpoint
        if checkpoint.genesis != genesis.genesis:
            raise LightCheckFailed(
                CHECKPOINTS,
                f"witness 0x{signer.hex()} signed for a chain with another block 0 than the others",
            )
        other, earlier = seen.setdefault(checkpoint.number, (signer, checkpoint))
        if earlier.hash != checkpoint.hash:
            raise LightCheckFailed(
                CHECKPOINTS,
                f"block {checkpoint.number} is 0x{earlier.hash.hex()} to witness 0x{other.hex()} "
                f"and 0x{checkpoint.hash.hex()} to witness 0x{signer.hex()}",
                fix="Keep both checkpoints: one of the two signed a false one, or the chain was split.",
            )
        if signer not in newest or newest[signer].number < checkpoint.number:
            newest[signer] = checkpoint
    return newest


def _signer(checkpoint: SignedCheckpoint, domain: Domain) -> bytes:
    """Return whose key signed, or nothing where the signature is none."""
    try:
        return recover(checkpoint.statement.digest(domain), checkpoint.signature)
    except VerificationError:
        return b""
