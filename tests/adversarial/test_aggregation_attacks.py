"""Attacks that want a sum over fewer clients than everybody agreed to. One test for each row of README.md."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clients.errors import PolicyRefusal
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.lattice.ring import Ring
from fl_core.protocol.messages import Frame, RevealRequest
from fl_core.protocol.rules import threshold_of
from fl_core.protocol.setup import layout_of
from fl_core.secagg.encrypt import encrypt
from fl_core.secret import Secret
from ledger.records import RoundState
from tests.simulators.consortium import Consortium
from tests.simulators.dry_round import DryRound


@pytest.fixture
def consortium(tmp_path):
    consortium = Consortium(tmp_path)
    yield consortium
    consortium.close()


def test_small_secret_and_public_aggregate_key():
    """With small secrets, S of two parties would show where both are 1. Here every residue is uniform, in both domains."""
    layout = layout_of(DryRound(4).header)
    ring, q, eighths = Ring.of(P2048), P2048.modulus, []
    for number in range(8):
        _, secret = encrypt(
            layout, bytes(32), np.zeros(layout.length, np.uint16), Secret(bytes([number]) * 32)
        )
        transformed = secret.reveal()
        ones = np.ones_like(transformed)
        coefficients = ring_product(ring, transformed.copy(), ones)
        for residues in (transformed, coefficients):
            assert int(residues.max()) < q
            assert (
                np.unique(residues).size == residues.size
            )  # a birthday in 2^53 among 2,048 is a 1-in-10^9 event
            eighths.append(np.bincount((residues // np.uint64(q // 8 + 1)).astype(int), minlength=8))
    expected = sum(map(sum, eighths)) / 8
    chi_square = ((sum(eighths) - expected) ** 2 / expected).sum()
    assert chi_square < 40  # 7 degrees of freedom: exceeded by chance once in a million


def ring_product(ring, elements, factor):
    """Return the coefficients of transformed ``elements``."""
    rows = elements.reshape(1, -1)
    ring.multiply_and_invert(rows, factor, ring.quotients(factor))
    return rows[0]


@pytest.mark.parametrize("targets", [1, 2])
def test_sum_over_one_client_or_one_victim_plus_colluders(consortium, targets):
    """The coordinator puts a tiny included set on the ledger, or a tiny n_min into the header: honest members refuse both."""
    machine = consortium.contributed(consortium.open_round())
    consortium.commit(machine)
    chosen = machine.accepted[:targets]
    root = consortium.notary.root([(a.leaf.statement.member, a.digest) for a in chosen])
    consortium.facts.commit_included(consortium.run, 1, root, targets)
    for position in range(4):
        request = RevealRequest.decode(consortium.request(machine, position))
        small = replace(request, included=request.included[:targets])
        with pytest.raises(VerificationError, match=r"reveal check \(3\)"):
            consortium.reveal(position, small.encode())
    consortium.facts.end(consortium.run, 1)
    with pytest.raises(VerificationError, match=r"header check \(6\)"):
        consortium.begin(0, consortium.open_round(2, n_min=targets))


def test_different_included_sets_shown_to_different_members(consortium):
    """The coordinator splits the members' view of the ledger: each answers once, and t of them never agree on both sets."""
    machine = consortium.contributed(consortium.open_round())
    consortium.commit(machine)
    pairs = [(a.leaf.statement.member, a.digest) for a in machine.accepted]
    answered: dict[int, set[int]] = {4: set(), 3: set()}
    for shown, asked in ((pairs, (0, 1)), (pairs[1:], (0, 1, 2, 3)), (pairs, (0, 1, 2, 3))):
        consortium.facts.commit_included(consortium.run, 1, consortium.notary.root(shown), len(shown))
        for position in asked:
            request = RevealRequest.decode(consortium.request(machine, position))
            chosen = tuple(s for s in request.included if s.leaf.statement.member in dict(shown))
            try:
                consortium.reveal(position, replace(request, included=chosen).encode())
                answered[len(shown)].add(position)
            except PolicyRefusal as refusal:
                assert "the reveal for another set" in str(refusal)
    assert answered == {4: {0, 1}, 3: {2, 3}}
    assert machine.header.threshold == 3
    # Even members that answer for both sets do not lead to t answers for each while they are fewer than a third.
    for members in range(3, 129):
        colluding = (members - 1) // 3
        assert 2 * threshold_of(members) > members + colluding


def test_re_sum_of_a_subset_after_a_failure(consortium):
    """After an abort the coordinator reopens the round with a smaller set, or repeats its number: members refuse both."""
    machine = consortium.included()
    first = consortium.request(machine, 0)
    consortium.reveal(0, first)
    consortium.facts.end(consortium.run, 1)
    smaller = RevealRequest.decode(first)
    smaller = replace(smaller, included=smaller.included[1:])
    for state in (
        RoundState.ABORTED,
        RoundState.INCLUDED,
    ):  # a dishonest ledger even says that the round goes on
        consortium.facts.end(consortium.run, 1, state)
        pairs = [
            (s.leaf.statement.member, consortium.notary.digest(s.leaf.statement)) for s in smaller.included
        ]
        consortium.facts.rounds[consortium.run, 1] = replace(
            consortium.facts.rounds[consortium.run, 1],
            included=consortium.notary.root(pairs),
            included_count=len(pairs),
        )
        with pytest.raises((VerificationError, PolicyRefusal)):
            consortium.reveal(0, smaller.encode())
    consortium.facts.end(consortium.run, 1)
    again = consortium.open_round(1)
    with pytest.raises(PolicyRefusal, match="another header was accepted for round 1"):
        consortium.begin(0, again)


def test_same_secret_with_two_messages(consortium):
    """The glue asks for the round's frame again with another update: it gets the old bytes, and a new round has a new secret."""
    header = consortium.open_round()
    consortium.begin(0, header)
    first = consortium.protect(0, header)
    for value in (-0.5, 0.75):
        assert consortium.protect(0, header, update=np.full(5, value, "<f4").tobytes()) == first
    consortium.facts.end(consortium.run, 1)
    second = consortium.open_round(2)
    consortium.begin(0, second)
    size = layout_of(header).ciphertext_bytes
    one, other = (
        Frame.decode(data, ciphertext_bytes=size).ciphertext
        for data in (first, consortium.protect(0, second))
    )
    equal = np.mean(np.frombuffer(one, "<u2") == np.frombuffer(other, "<u2"))
    assert equal < 0.01  # unrelated ciphertexts agree in one of 65,536 places


def test_fewer_members_than_the_threshold_learn_nothing():
    """t - 1 colluding members hold shares that fit every secret; and their sum does not pass for the aggregate key."""
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    dry.pass_check(0, 1, 2, 3)
    shares = {dry.parties[p].address: dry.check(dry.reveal(p)) for p in range(2)}
    with pytest.raises(LocalProtocolError, match="3 answers open"):
        dry.recover_from(shares)
    for guess in (np.zeros(2048, np.uint64), shares[dry.parties[0].address]):
        forged = {**shares, dry.parties[2].address: guess}
        with pytest.raises(VerificationError, match="of 3 answers no 3 combine to the aggregate key"):
            dry.recover_from(forged)


def test_differencing_between_consecutive_rounds_is_open():
    """Not closable by cryptography, and shown here: if only the victim leaves and nothing else changes, the difference is it."""
    everybody, without = DryRound(5, seed="a"), DryRound(5, seed="a")
    everybody.send(0, 1, 2, 3, 4)
    without.send(1, 2, 3, 4)
    sums = [dry.open(dry.key(1, 2, 3, 4)).sums for dry in (everybody, without)]
    victim = (sums[0] - sums[1])[: everybody.header.parameters]
    units, half = round(32766 * 0.7), 16383
    clips = np.repeat([1.0, 0.5], [3, 2])
    recovered = (victim - half) * (clips / half) / (units / 32766)
    assert np.allclose(recovered, everybody.update(0), atol=1e-3)
