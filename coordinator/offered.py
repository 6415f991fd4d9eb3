"""Transport keys that holders offer when they enrol: checked against the ledger, archived, and named in the run's paper.

The ledger holds a digest of each holder's transport key; the key itself comes from the holder's node, and auditors find it in the
archive. A run that was founded with its holders at hand has them from the start; one that was launched learns them here.
"""

from __future__ import annotations

from dataclasses import replace

from coordinator.context import MAX_TRANSPORT_KEY, RunContext
from fl_core.errors import VerificationError
from fl_core.protocol.prekeys import SignedPrekey, check_prekey
from fl_core.protocol.setup import transport_key_digest
from ledger.files import write_atomically
from ledger.notary import LedgerNotary
from ledger.papers import RunPaper
from ledger.reader import LedgerReader
from ledger.records import Role


class Holders:
    """The accounts that are holders with registered keys now, as a container.

    Args:
        reader: Reads the ledger.
    """

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    def __contains__(self, account: object) -> bool:
        if not isinstance(account, bytes):
            return False
        member = self._reader.member(account)
        return Role.HOLDER in member.roles and member.epoch > 0


def offer_transport_key(run: RunContext, account: bytes, key: bytes) -> None:
    """Archive a holder's transport key and name it in the run's paper.

    A key that is not the registered one is passed over: the holder takes part all the same, and audits say whose key is missing if it
    sits in a committee.
    """
    known = not key or len(key) > MAX_TRANSPORT_KEY or run.transport_keys.get(account) == key
    if known or transport_key_digest(key) != run.reader.keys(account).encryption:
        return
    name = run.archive.put(key).hex()
    paper = RunPaper.decode(run.public.run.read_bytes())
    keys = dict(sorted({**paper.transport_keys, account.hex(): name}.items()))
    write_atomically(run.public.run, replace(paper, transport_keys=keys).encode())
    run.transport_keys[account] = key


def is_genuine(prekey: SignedPrekey, reader: LedgerReader) -> bool:
    """Return whether the key that is registered now for a prekey's member signed it."""
    notary = LedgerNotary(reader.chain_id, reader.address)
    try:
        check_prekey(prekey, signer=reader.keys(prekey.member).signer, notary=notary)
    except VerificationError:
        return False
    return True
