"""How many members must have executed and signed a history before it counts, and who these members are.

**Witnesses** are the members that registered a key and are no coordinator, as the chain itself says at the height in question.
The author of an embedded chain is a coordinator: its own word about its chain adds nothing. With w witnesses a head is
*final* when k = floor(2w/3) + 1 of them signed it, or a block above it: two different heads at one height then take more than
w/3 witnesses that sign both, as for the threshold of a round's committee. A party may ask for another k, but never for less than a
majority. See ``docs/adr/0013-two-thirds-make-a-head-final.md``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import cast

from fl_core.errors import DecodeError, VerificationError
from ledger.chain.abi import interface
from ledger.chain.ports import Reading
from ledger.checkpoints import SignedCheckpoint, check_checkpoint
from ledger.records import ADDRESS_SIZE, Role
from ledger.typed_data import Domain

_CHANGES = ("MemberAdmitted", "MemberRemoved", "KeysSet")


def signatures_needed(witnesses: int, wanted: int = 0) -> int:
    """Return how many of ``witnesses`` members make a head final.

    Args:
        witnesses: How many there are.
        wanted: What a party's policy asks for; 0 for the default, more than two thirds.
    """
    if wanted == 0:
        return 2 * witnesses // 3 + 1
    return max(wanted, witnesses // 2 + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A member with a key.

    Attributes:
        signer: Its signing key's address, 20 bytes.
        witness: Whether its checkpoints count: it is no coordinator.
    """

    signer: bytes
    witness: bool


class Membership:
    """Who the members with keys are, at any height of a chain.

    Args:
        reading: The chain.
        contract: The ledger's contract.
    """

    def __init__(self, reading: Reading, contract: bytes) -> None:
        self._reading = reading
        self._contract = contract
        self._interface = interface("TrainingLedger")
        self._accounts: list[bytes] = []
        self._changes: list[int] = []
        self._read_to = -1
        self._found: dict[int, dict[bytes, Keyed]] = {}

    def at(self, number: int) -> Mapping[bytes, Keyed]:
        """Return the members with keys after block ``number``, by account."""
        self._read_changes()
        place = bisect_right(self._changes, number)
        if place == 0:
            return {}
        block = self._changes[place - 1]
        if block not in self._found:
            members = {account: self._member(account, block) for account in self._accounts}
            self._found[block] = {account: found for account, found in members.items() if found is not None}
        return self._found[block]

    def _read_changes(self) -> None:
        head = self._reading.head().number
        if head <= self._read_to:
            return
        blocks = set(self._changes)
        for name in _CHANGES:
            event = self._interface.event(name)
            for log in self._reading.logs(self._contract, [event.topic], self._read_to + 1, head):
                blocks.add(log.block_number)
                account = log.topics[1][-ADDRESS_SIZE:]
                if account not in self._accounts:
                    self._accounts.append(account)
        self._changes, self._read_to = sorted(blocks), head

    def _member(self, account: bytes, block: int) -> Keyed | None:
        roles, epoch, since = self._ask("member", block, account)
        if not since or not epoch:
            return None
        signer, _, _ = self._ask("keysAt", block, account, epoch)
        return Keyed(signer=bytes(signer), witness=Role.COORDINATOR not in Role(roles))

    def _ask(self, name: str, block: int, *arguments: object) -> tuple[int, ...]:
        found = self._reading.call(self._contract, self._interface.function(name), *arguments, block=block)
        return cast(tuple[int, ...], found[0])


class Verdict(Enum):
    """What a checkpoint is worth."""

    VOUCHES = "it names a block of this chain and its member signed it"
    AHEAD = "it names a block that this chain does not have yet"
    WORTHLESS = "it is malformed, of another chain, not by a member with a key, or not signed by that key"
    CONTRADICTS = "its member signed another block than this chain has"


class Tally:
    """Counts checkpoints of one chain.

    Args:
        reading: The chain, which the caller executed.
        contract: The ledger's contract.
        wanted: See :func:`signatures_needed`.
    """

    def __init__(self, reading: Reading, contract: bytes, *, wanted: int = 0) -> None:
        self._reading = reading
        self._domain = Domain(chain_id=reading.chain_id, contract=contract)
        self._wanted = wanted
        self.membership = Membership(reading, contract)
        self.vouched: dict[bytes, SignedCheckpoint] = {}
        """Member -> its highest checkpoint that vouches for this chain; coordinators' as well, which do not count."""
        self.disgraced: set[bytes] = set()
        """Members that signed another history than this chain: their checkpoints do not count."""

    def judge(self, data: bytes) -> tuple[Verdict, SignedCheckpoint | None]:
        """Judge a checkpoint, and remember one that vouches.

        Obligations, in order:

        1. It is a checkpoint in its wire form.
        2. It is of this chain: its genesis is block 0.
        3. The chain has a block of its height.
        4. The chain says that its member was one, with a key, at that height.
        5. That key signed it.
        6. Its hash is the hash of the chain's block.
        """
        try:
            checkpoint = SignedCheckpoint.decode(data)  # (1)
        except DecodeError:
            return Verdict.WORTHLESS, None
        if checkpoint.genesis != self._reading.block_hash(0):  # (2)
            return Verdict.WORTHLESS, checkpoint
        ours = self._reading.block_hash(checkpoint.number)
        if ours is None:  # (3)
            return Verdict.AHEAD, checkpoint
        member = self.membership.at(checkpoint.number).get(checkpoint.member)
        if member is None:  # (4)
            return Verdict.WORTHLESS, checkpoint
        try:
            check_checkpoint(checkpoint, domain=self._domain, signer=member.signer)  # (5)
        except VerificationError:
            return Verdict.WORTHLESS, checkpoint
        if checkpoint.hash != ours:  # (6)
            return Verdict.CONTRADICTS, checkpoint
        known = self.vouched.get(checkpoint.member)
        if known is None or known.number < checkpoint.number:
            self.vouched[checkpoint.member] = checkpoint
        return Verdict.VOUCHES, checkpoint

    def support(self, number: int) -> tuple[int, int, int]:
        """Return how many witnesses vouch for block ``number``, how many must, and how many there are."""
        witnesses = [account for account, keyed in self.membership.at(number).items() if keyed.witness]
        count = sum(
            account in self.vouched
            and account not in self.disgraced
            and self.vouched[account].number >= number
            for account in witnesses
        )
        return count, signatures_needed(len(witnesses), self._wanted), len(witnesses)

    def final(self) -> int:
        """Return the height of the newest final block; -1 when there is none."""
        for number in sorted({checkpoint.number for checkpoint in self.vouched.values()}, reverse=True):
            count, needed, _ = self.support(number)
            if count >= needed:
                return number
        return -1
