"""Clients and members of a :class:`~tests.simulators.dry_round.DryRound` that break the protocol in one place each.

Every frame is signed by its client and in good form, so that the coordinator accepts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from fl_core.digests import Label, digest
from fl_core.lattice.parameters import P2048
from fl_core.protocol.check_messages import CheckAnswer
from fl_core.protocol.messages import Frame, Reveal, boxes_digest
from fl_core.protocol.setup import box_context, layout_of
from fl_core.protocol.share_check import combined_checks
from fl_core.secagg import boxes, shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.functional import challenge
from fl_core.secagg.layout import CHECK_ELEMENTS
from fl_core.secagg.reed_solomon import value_at_zero
from tests.simulators.dry_round import DryRound

Q = P2048.modulus


def with_shares(dry: DryRound, position: int, change: Callable[[int, np.ndarray], np.ndarray]) -> Frame:
    """A frame in which the client changed its shares, each by the seat of its member, before it sealed them."""
    sender, frame = dry.parties[position], dry.prepare(position).frame
    sealed = []
    for seat, box in enumerate(frame.boxes):
        receiver = dry.parties[seat].transport
        context = box_context(dry.header, sender.address, dry.header.committee[seat])
        share = shamir.decode_vector(P2048, receiver.open(context, box).reveal())
        changed = shamir.encode_vector(P2048, change(seat, share.copy()) % np.uint64(Q))
        sealed.append(boxes.seal(receiver.public, context, changed))
    return with_boxes(dry, position, frame, sealed)


def with_boxes(dry: DryRound, position: int, frame: Frame, sealed: Iterable[bytes]) -> Frame:
    """``frame`` with other boxes."""
    sealed = tuple(sealed)
    return dry.resign(position, replace(frame, boxes=sealed), boxes=boxes_digest(sealed))


def wrong_key(dry: DryRound, position: int) -> Frame:
    """Consistent shares of a secret that the ciphertext is not under."""
    return with_shares(dry, position, lambda seat, share: share + np.uint64(1))


def bad_shares(dry: DryRound, position: int, *seats: int) -> Frame:
    """Shares that are off the polynomial for the members in these seats."""
    return with_shares(
        dry, position, lambda seat, share: share + np.uint64((seat + 2) ** 5 * (seat in seats))
    )


def closed_boxes(dry: DryRound, position: int, *seats: int) -> Frame:
    """Boxes that do not open for the members in these seats."""
    frame = dry.prepare(position).frame
    nonsense = bytes(len(frame.boxes[0]))
    return with_boxes(
        dry, position, frame, (nonsense if s in seats else box for s, box in enumerate(frame.boxes))
    )


def copied(dry: DryRound, position: int, original: Frame) -> Frame:
    """Another client's ciphertext and boxes under this client's own signature."""
    return dry.resign(position, original, member=dry.parties[position].address)


def noisy_checks(dry: DryRound, position: int, units: int, coefficients: int = 1) -> Frame:
    """Additional noise of ``units * 32`` in the first ``coefficients`` coefficients of the first check element."""
    frame, layout = dry.prepare(position).frame, layout_of(dry.header)
    row = layout.coefficients(frame.ciphertext[: CHECK_ELEMENTS * layout.element_bytes], CHECK_ELEMENTS)[0]
    row[:coefficients] = (row[:coefficients] + np.uint64(units)) % np.uint64(layout.max_wire)
    low, high = (row & np.uint64(0xFFFFFFFF)).astype("<u4"), (row >> np.uint64(32)).astype("<u2")
    ciphertext = low.tobytes() + high.tobytes() + frame.ciphertext[layout.element_bytes :]
    root = ciphertext_root(layout, ciphertext)
    return dry.resign(position, replace(frame, ciphertext=ciphertext), ciphertext=root)


# ---------------------------------------------------------------------- members


def false_values(dry: DryRound, position: int, clients: Iterable[int], by: int = 1 << 40) -> CheckAnswer:
    """A member's check answer, off by ``by`` for the clients at these positions of V."""
    clients = set(clients)
    honest = dry.check_answer(position).values
    return dry.say(position, ((v + by * (i in clients)) % Q for i, v in enumerate(honest)))


def framing_values(
    dry: DryRound, position: int, victim: int, clients: Iterable[int], among: Iterable[int]
) -> CheckAnswer:
    """Values chosen so that those of ``among``, this member included and ``victim`` not, fit a secret's value plus 1.

    Whoever knows the challenges can do that alone: it needs its own value and everybody's seats.
    """
    points = [seat + 1 for seat in sorted({*among, position} - {victim})][: dry.header.threshold]
    assert position + 1 in points
    unit = {x: int(x == position + 1) for x in points}
    weight = value_at_zero(Q, dry.header.threshold, unit, points)
    return false_values(dry, position, clients, pow(weight, -1, Q))


def passing_off(dry: DryRound, position: int, *, client: int, victim: int) -> int:
    """The value with which a member passes a wrong key off as right, by a set of t members without ``victim``.

    The member works together with the client at ``client`` of V, so it knows what value the ciphertext asks for.
    """
    seats = [seat for seat in range(len(dry.parties)) if seat not in (position, victim)]
    points = sorted([position + 1, *(seat + 1 for seat in seats[: dry.header.threshold - 1])])
    root, accepted = dry.on_ledger.root, dry.collector.accepted[client]
    challenges = challenge(P2048, dry.header.digest, root)
    wanted = combined_checks(dry.header, root, accepted.check_rows) - int(challenges.sum()) // 2
    values = {x: dry.check_answer(x - 1).values[client] if x != position + 1 else 0 for x in points}
    unit = {x: int(x == position + 1) for x in points}
    missing = wanted - value_at_zero(Q, dry.header.threshold, values, points)
    return missing * pow(value_at_zero(Q, dry.header.threshold, unit, points), -1, Q) % Q


def false_sum(dry: DryRound, position: int, honest: Reveal | None = None) -> Reveal:
    """A member's signed answer at the reveal, one residue of which is off."""
    honest = honest or dry.reveal(position)
    shares = shamir.decode_vector(P2048, honest.shares).copy()
    shares[7] = (int(shares[7]) + (position + 2) ** 5) % Q
    lie = shamir.encode_vector(P2048, shares)
    statement = replace(honest.statement, shares=digest(Label.SHARES, lie))
    return replace(honest, shares=lie, statement=statement, signature=dry.parties[position].sign(statement))
