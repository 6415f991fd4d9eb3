"""A dry run in which clients send ring elements that are not well-formed, up to the blame opening.

Parameter set P2048 and three payload elements: 9000 parameters, the weight and one counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from fl_core.digests import Label, digest
from fl_core.lattice.parameters import PACK15
from fl_core.protocol.blame import (
    answer_blame,
    coefficient_at,
    find_place,
    name_spoilers,
    show,
    verify_blame_answer,
)
from fl_core.protocol.blame_messages import BlameAnswer, BlameRequest, Place
from fl_core.protocol.check_messages import encode_values
from fl_core.protocol.messages import Frame
from fl_core.protocol.setup import layout_of
from fl_core.quantise import Block
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.layout import Layout
from tests.simulators.dry_round import DryRound

PARAMETERS = 9000
NOISE = 1 << (PACK15.delta_bits - PACK15.dropped_bits - 1)
"""On the wire, half of Delta: as much noise as there is."""
OVERFLOW = 1 << (18 + PACK15.delta_bits - PACK15.dropped_bits)
"""On the wire, 2^18 in the first slot: eight times what one party may put there."""

Garbage = Mapping[tuple[int, int], int]
"""What is added to the wire coefficient at (element, coefficient)."""


def garbled(layout: Layout, ciphertext: bytes, garbage: Garbage) -> bytes:
    """Return a ciphertext with some coefficients changed."""
    size, degree, data = layout.element_bytes, layout.params.degree, bytearray(ciphertext)
    for (element, coefficient), by in garbage.items():
        start = element * size
        row = layout.coefficients(bytes(data[start : start + size]), 1)[0]
        row[coefficient] = (int(row[coefficient]) + by) % layout.max_wire
        low, high = (row & np.uint64(0xFFFFFFFF)).astype("<u4"), (row >> np.uint64(32)).astype("<u2")
        assert len(low) == degree
        data[start : start + size] = low.tobytes() + high.tobytes()
    return bytes(data)


class SpoiltRound:
    """A round that is opened.

    Args:
        garbage: What the clients at some positions add to their ciphertexts.
        count: Number of parties.
    """

    def __init__(self, garbage: Mapping[int, Garbage], count: int = 4) -> None:
        self.dry = DryRound(count, blocks=(Block("a", PARAMETERS, 1.0),))
        self.header, self.layout = self.dry.header, layout_of(self.dry.header)
        for position in range(count):
            self.dry.deliver(self.frame(position, garbage.get(position, {})))
        self.dry.pass_check(*range(count))
        self.key = self.dry.key(*range(count))
        self.aggregate = self.dry.open(self.key)
        self.count = self.aggregate.count
        self.place = self.find()

    def frame(self, position: int, garbage: Garbage) -> Frame:
        frame = self.dry.prepare(position).frame
        ciphertext = garbled(self.layout, frame.ciphertext, garbage)
        root = ciphertext_root(self.layout, ciphertext)
        return self.dry.resign(position, replace(frame, ciphertext=ciphertext), ciphertext=root)

    def find(self, failed: Iterable[int] | None = None) -> Place | None:
        chosen = self.aggregate.failed if failed is None else tuple(failed)
        return find_place(self.header, self.dry.collector.sums, self.count, self.key, chosen)

    def account(self, position: int) -> bytes:
        return self.dry.parties[position].address

    # ------------------------------------------------------------------ members

    def request(self, position: int, place: Place | None = None) -> BlameRequest:
        """What a member is asked about the failed place, or about another one."""
        asked = place or self.place
        assert asked is not None
        shown = tuple(
            show(
                self.header,
                self.dry.collector.sealed(accepted, position),
                self.dry.sent[accepted.leaf.statement.member].ciphertext,
                asked,
            )
            for accepted in self.dry.collector.accepted
        )
        key = shamir.encode_vector(self.layout.params, self.key)
        request = BlameRequest(header=self.header.digest, key=key, place=asked, included=shown)
        return BlameRequest.decode(request.encode())

    def answer(self, position: int, **changes: object) -> BlameAnswer:
        """Let a member answer; ``changes`` replace arguments of ``answer_blame``."""
        party = self.dry.parties[position]
        arguments = {
            "request": None,
            "me": party.address,
            "committed": self.dry.committed(),
            "transport": party.transport,
            "notary": self.dry.notary,
            "signer": party,
            **changes,
        }
        return answer_blame(self.header, arguments.pop("request") or self.request(position), **arguments)

    def say(self, position: int, values: Iterable[int]) -> BlameAnswer:
        """Return an answer with these values that the party at ``position`` signed, whatever they are."""
        honest, values = self.answer(position), tuple(values)
        statement = replace(honest.statement, values=digest(Label.BLAME_VALUES, encode_values(values)))
        signature = self.dry.parties[position].sign(statement)
        return replace(honest, statement=statement, values=values, signature=signature)

    # ------------------------------------------------------------------ anybody

    def verify(self, answer: BlameAnswer, **changes: object) -> None:
        committed = self.dry.committed()
        arguments = {
            "place": self.place,
            "included_root": committed.included_root,
            "included_count": committed.included_count,
            "signers": self.dry.signers,
            "notary": self.dry.notary,
            **changes,
        }
        verify_blame_answer(self.header, answer, **arguments)

    def names(self, answers: Iterable[BlameAnswer]) -> tuple[bytes, ...]:
        """Check the answers and return who spoilt the sum."""
        values = {}
        for answer in answers:
            self.verify(BlameAnswer.decode(answer.encode()))
            values[answer.statement.member] = answer.values
        return self.names_from(values)

    def names_from(self, values: Mapping[bytes, tuple[int, ...]]) -> tuple[bytes, ...]:
        assert self.place is not None
        coefficients = [
            (client, coefficient_at(self.header, frame.ciphertext, self.place))
            for client, frame in sorted(self.dry.sent.items())
        ]
        return name_spoilers(self.header, place=self.place, coefficients=coefficients, answers=values)
