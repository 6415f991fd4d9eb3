"""Signs statements: what parties with keys add to :mod:`ledger.statements`."""

from __future__ import annotations

from fl_core.protocol.statements import Statement
from ledger.signer import Signer
from ledger.statements import StatementVerifier
from ledger.typed_data import Domain


class LedgerNotary(StatementVerifier):
    """Hashes, verifies and builds trees for one contract on one chain.

    Args:
        chain_id: The chain.
        contract: The contract's address.
    """

    def __init__(self, chain_id: int, contract: bytes) -> None:
        super().__init__(Domain(chain_id=chain_id, contract=contract))


class LedgerSigner:
    """Signs statements with one account's key."""

    def __init__(self, notary: LedgerNotary, signer: Signer) -> None:
        self._notary = notary
        self._signer = signer

    def sign(self, statement: Statement) -> bytes:
        """Return a 65-byte signature over the statement's EIP-712 digest."""
        return self._signer.sign_digest(self._notary.digest(statement))
