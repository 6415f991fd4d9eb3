"""What an account holds in the state of a checked block: its code's hash and its storage, each word proven by a node.

Proofs speak for themselves, so any node may give them, and what was proven once is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from fl_core.errors import DecodeError, VerificationError
from ledger.chain.ports import Proving
from ledger.errors import ChainUnreachable
from ledger.light.nodes import Block
from ledger.light.proofs import EMPTY_CODE, MAX_SLOTS, Account, AccountProof, prove_account, prove_slot


class ContractState:
    """One account in the state after a block.

    Args:
        connections: Name of a node for people -> connection; the first that gives a proof is taken.
        block: The block, whose header is believed.
        address: The account, 20 bytes.
    """

    def __init__(self, connections: Mapping[str, Proving], block: Block, address: bytes) -> None:
        self._connections = dict(connections)
        self._block = block
        self._address = address
        self._words: dict[int, int] = {}

    @cached_property
    def account(self) -> Account | None:
        """The account, or None where it is proven that there is none.

        Raises:
            VerificationError: No node proves either.
        """
        _name, proof = self._ask([])
        return prove_account(self._block.header.state_root, self._address, proof.nodes)

    @property
    def code_hash(self) -> bytes:
        """keccak-256 of the account's code; that of nothing where there is no account."""
        return EMPTY_CODE if self.account is None else self.account.code_hash

    def words(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """Return what slots of the storage hold, each proven; 0 where there is no account.

        Raises:
            VerificationError: A node proves something else, or none proves anything.
        """
        if self.account is None:
            return (0,) * len(wanted)
        missing = [slot for slot in dict.fromkeys(wanted) if slot not in self._words]
        for first in range(0, len(missing), MAX_SLOTS):
            piece = missing[first : first + MAX_SLOTS]
            name, proven = self._ask(piece)
            for slot in piece:
                if slot not in proven.slots:
                    raise VerificationError(f"{name} leaves out a slot that was asked for")
                self._words[slot] = prove_slot(self.account.storage_root, slot, proven.slots[slot])
        return tuple(self._words[slot] for slot in wanted)

    def _ask(self, wanted: Sequence[int]) -> tuple[str, AccountProof]:
        problems = []
        for name, connection in self._connections.items():
            try:
                return name, AccountProof.of(connection.raw_proof(self._address, wanted, self._block.number))
            except (ChainUnreachable, DecodeError) as error:
                problems.append(f"{name} gives no proof for block {self._block.number}: {error.message}")
        raise VerificationError("; ".join(problems), fix="Use a node that keeps the states of old blocks.")
