"""The blame opening of one round as a machine without I/O: whom to ask what, and who spoilt the sum.

It exists only for a round whose sum was opened and failed somewhere, under terms that allow it; see
:mod:`fl_core.protocol.blame`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fl_core.errors import VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.blame import coefficient_at, name_spoilers, show, verify_blame_answer
from fl_core.protocol.blame_messages import BlameAnswer, BlameRequest, Place
from fl_core.protocol.coordinator import Accepted
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Sealed
from fl_core.protocol.statements import Notary
from fl_core.secagg import shamir


class BlameMachine:
    """One blame opening.

    Args:
        header: The round.
        place: Where its sum failed.
        key: The aggregate key.
        included: The included contributions, ascending by client.
        sealed: Returns what the member in a seat is sent of a contribution.
        included_root: Root of U.
        signers: Account -> address of its registered signing key.
        notary: Hashes and verifies statements.
        ciphertext_of: Returns an included client's ciphertext.
    """

    def __init__(
        self,
        header: RoundHeader,
        *,
        place: Place,
        key: npt.NDArray[np.uint64],
        included: tuple[Accepted, ...],
        sealed: Callable[[Accepted, int], Sealed],
        included_root: bytes,
        signers: Mapping[bytes, bytes],
        notary: Notary,
        ciphertext_of: Callable[[bytes], bytes],
    ) -> None:
        self.header = header
        self.place = place
        self._key = shamir.encode_vector(PARAMETER_SETS[header.parameter_set], key)
        self._included = included
        self._sealed = sealed
        self._root = included_root
        self._signers = signers
        self._notary = notary
        self._ciphertext_of = ciphertext_of
        self._answers: dict[bytes, BlameAnswer] = {}

    @property
    def answers(self) -> Mapping[bytes, BlameAnswer]:
        """The checked answers by account."""
        return self._answers

    def request(self, member: bytes) -> BlameRequest:
        """Return what to ask a member."""
        position = self.header.point_of(member) - 1
        shown = tuple(
            show(
                self.header,
                self._sealed(a, position),
                self._ciphertext_of(a.leaf.statement.member),
                self.place,
            )
            for a in self._included
        )
        return BlameRequest(header=self.header.digest, key=self._key, place=self.place, included=shown)

    def add(self, data: bytes) -> BlameAnswer:
        """Take a member's answer.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed, or the member has given another answer; nothing changed.
        """
        answer = BlameAnswer.decode(data)
        verify_blame_answer(
            self.header,
            answer,
            place=self.place,
            included_root=self._root,
            included_count=len(self._included),
            signers=self._signers,
            notary=self._notary,
        )
        earlier = self._answers.setdefault(answer.statement.member, answer)
        if earlier.statement != answer.statement:
            member = answer.statement.member.hex()
            raise VerificationError("the member has given another answer to the same question", party=member)
        return answer

    def spoilers(self) -> tuple[bytes, ...]:
        """Return the clients whose ciphertext is at fault; nobody when too few members answered."""
        if len(self._answers) < self.header.threshold:
            return ()
        clients = (a.leaf.statement.member for a in self._included)
        return name_spoilers(
            self.header,
            place=self.place,
            coefficients=[
                (client, coefficient_at(self.header, self._ciphertext_of(client), self.place))
                for client in clients
            ],
            answers={member: answer.values for member, answer in self._answers.items()},
        )
