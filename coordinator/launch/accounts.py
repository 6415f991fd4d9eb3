"""The two accounts of a launch, which act without anybody at the terminal."""

from __future__ import annotations

from ledger.address import OpenLedger
from ledger.outbox import Outbox
from ledger.signer import Signer, keystore_of
from ledger.writer import LedgerWriter


def writer_of(ledger: OpenLedger, uri: str, signer: Signer) -> LedgerWriter:
    """Open what writes to a ledger as an account; what a crash left of earlier acts is sent first.

    Args:
        ledger: The ledger, open for writing.
        uri: The account; its outbox lies beside its keystore.
        signer: Its key.
    """
    path = keystore_of(uri).parent / "outbox.sqlite"
    outbox = Outbox(path, ledger.connection, signer, confirmations=ledger.address.confirmations)
    writer = LedgerWriter.through(ledger.reader.address, outbox)
    writer.recover()
    return writer
