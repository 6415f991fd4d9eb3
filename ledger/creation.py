"""How contracts of ours come into being, and what may happen on a chain that holds nothing else.

The code at an address says nothing about how it came there: a constructor of somebody's own can write members, keys and
consents into the storage, emit any event, and then return the genuine code. So a contract is ours only if it was created
directly, by a transaction whose data is the artifact's bytecode followed by the canonical encoding of its arguments; then
everything that it holds was put there by its own code. :class:`OurContracts` draws the line for a whole chain: each
transaction creates a contract of ours or calls one, so there is nothing else that could emit, destroy or take long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import rlp
from eth_utils.crypto import keccak

from fl_core.errors import DecodeError, VerificationError
from ledger.artifacts import NAMES, load
from ledger.chain.abi import interface
from ledger.chain.ports import Sent
from ledger.records import ADDRESS_SIZE
from ledger.typed_data import Domain

LEDGER, TOKEN = "TrainingLedger", "RewardToken"
FOUNDING = ("MemberAdmitted", "ThresholdSet")
"""The only events of a ledger's constructor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A contract of ours, from the transaction that created it.

    Attributes:
        name: One of :data:`ledger.artifacts.NAMES`.
        address: Where it is, 20 bytes.
        arguments: What its constructor was given.
    """

    name: str
    address: bytes
    arguments: Sequence[object]

    def code(self, chain_id: int) -> bytes:
        """Return the code that this creation leaves on the chain; there is none where the constructor refused."""
        artifact = load(self.name)
        if self.name == LEDGER:
            domain = Domain(chain_id=chain_id, contract=self.address)
            return artifact.deployed_code({"DOMAIN": domain.separator()})
        minter, cap = cast(tuple[bytes, int], tuple(self.arguments))
        return artifact.deployed_code({"MINTER": minter.rjust(32, b"\0"), "CAP": cap.to_bytes(32, "big")})


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that an account's transaction with this nonce creates."""
    return keccak(rlp.encode([sender, nonce]))[-ADDRESS_SIZE:]


def read_creation(sent: Sent) -> Creation:
    """Read the creation of a contract of ours.

    Raises:
        VerificationError: The transaction creates nothing, or not with an artifact's bytecode and canonical arguments.
    """
    if sent.to is not None:
        raise VerificationError("the transaction is a call and creates no contract directly")
    for name in NAMES:
        bytecode = load(name).bytecode
        if sent.data.startswith(bytecode):
            try:
                arguments = interface(name).constructor_arguments(sent.data[len(bytecode) :])
            except DecodeError as error:
                raise VerificationError(f"the arguments of the new {name} are not canonical") from error
            address = contract_address(sent.sender, sent.nonce)
            return Creation(name=name, address=address, arguments=arguments)
    raise VerificationError("it creates a contract with other code than this version's contracts have")


class OurContracts:
    """Follows the transactions of a chain in order and knows the contracts of ours on it.

    Attributes:
        created: Address -> creation; also of those whose constructor refused, at whose address there is no code.
    """

    def __init__(self) -> None:
        self.created: dict[bytes, Creation] = {}

    def admit(self, sent: Sent) -> None:
        """Take the next transaction.

        Raises:
            VerificationError: It neither creates a contract of ours nor calls one.
        """
        if sent.to is None:
            creation = read_creation(sent)
            self.created[creation.address] = creation
        elif sent.to not in self.created:
            raise VerificationError(f"it calls 0x{sent.to.hex()}, which is none of this version's contracts")
