"""Any t shares give the secret, fewer give nothing, and a wrong one among more than t is noticed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048, P4096
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.round_secret import RoundSecret
from tests.unit.fl_core.secagg.parties import encrypted, known, layout_of, shares_of
from tests.vectors.secagg import verify

LAYOUT = layout_of(17)
SECRET = encrypted(LAYOUT, 0)[1]


def stream(text: str = "sharing") -> Stream:
    return Stream(known(text), Label.SHARING)


@pytest.mark.parametrize(("threshold", "members"), [(1, 1), (1, 3), (3, 3), (3, 5), (4, 6)])
def test_every_subset_of_t_shares_gives_the_secret(threshold, members):
    shares = dict(zip(range(1, members + 1), shares_of(LAYOUT, 0, SECRET, threshold, members), strict=True))
    for size in (threshold, members):
        for chosen in combinations(shares, size):
            combined = shamir.combine(P2048, threshold, {x: shares[x] for x in chosen})
            assert np.array_equal(combined, SECRET.reveal())


@pytest.mark.parametrize("params", [P2048, P4096], ids=lambda p: p.name)
def test_shares_are_those_of_schoolbook_arithmetic(params):
    layout = layout_of(17, params)
    secret = encrypted(layout, 0)[1]
    expected = verify.shares_of(params.name, known("seed 0"), 3, [1, 2, 9, 65536])
    shares = shamir.share(params, secret, 3, [1, 2, 9, 65536], Stream(known("seed 0"), Label.SHARING))
    assert [share.tolist() for share in shares] == list(expected.values())


def test_fewer_than_t_shares_fit_every_secret():
    """For each candidate secret there is a polynomial through t-1 shares: the shares say nothing about it."""
    shares = shares_of(LAYOUT, 0, SECRET, 3, 4)
    candidate = np.zeros(2048, np.uint64)
    third = verify.interpolate_at(
        "P2048", {0: candidate.tolist(), 1: shares[0].tolist(), 2: shares[1].tolist()}, 3
    )
    forged = {1: shares[0], 2: shares[1], 3: np.array(third, np.uint64)}
    assert not shamir.combine(P2048, 3, forged).any()
    with pytest.raises(VerificationError, match="needed"):
        shamir.combine(P2048, 3, {1: shares[0], 2: shares[1]})


def test_sums_of_shares_are_shares_of_the_sum():
    secrets = [encrypted(LAYOUT, who)[1] for who in range(4)]
    per_client = [shares_of(LAYOUT, who, secret, 2, 3) for who, secret in enumerate(secrets)]
    summed = {x: shamir.add_shares(P2048, [shares[x - 1] for shares in per_client]) for x in (1, 3)}
    total = [
        sum(map(int, column)) % P2048.modulus for column in zip(*(s.reveal() for s in secrets), strict=True)
    ]
    assert shamir.combine(P2048, 2, summed).tolist() == total


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
def test_one_wrong_share_among_more_than_t_is_noticed_wherever_it_is(liar):
    shares = dict(zip(range(1, 5), shares_of(LAYOUT, 0, SECRET, 3, 4), strict=True))
    shamir.combine(P2048, 3, shares)
    shares[liar] = shares[liar].copy()
    shares[liar][2047] ^= np.uint64(1)
    with pytest.raises(VerificationError, match="one polynomial"):
        shamir.combine(P2048, 3, shares)


def test_other_streams_give_other_shares_of_the_same_secret():
    one = shamir.share(P2048, SECRET, 2, [1, 2], stream("one"))
    two = shamir.share(P2048, SECRET, 2, [1, 2], stream("two"))
    assert not any(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    for shares in (one, two):
        assert np.array_equal(shamir.combine(P2048, 2, {1: shares[0], 2: shares[1]}), SECRET.reveal())


@pytest.mark.parametrize("points", [[0, 1, 2], [1, 1, 2], [-1, 1, 2], [1, 2, 65537]])
def test_points_are_distinct_and_never_zero(points):
    with pytest.raises(LocalProtocolError, match="distinct"):
        shamir.share(P2048, SECRET, 2, points, stream())
    shares = {x: np.zeros(2048, np.uint64) for x in points}
    if len(shares) == len(points):
        with pytest.raises(LocalProtocolError, match="distinct"):
            shamir.combine(P2048, 2, shares)


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_a_threshold_without_enough_points_is_refused(threshold):
    with pytest.raises(LocalProtocolError, match="threshold"):
        shamir.share(P2048, SECRET, threshold, [1, 2, 3], stream())


def test_a_threshold_below_one_combines_nothing():
    with pytest.raises(VerificationError, match="needed"):
        shamir.combine(P2048, 0, {1: np.zeros(2048, np.uint64)})


def test_a_secret_of_another_parameter_set_is_refused():
    with pytest.raises(LocalProtocolError, match="P4096"):
        shamir.share(P4096, SECRET, 1, [1], stream())


def test_vectors_that_are_no_residues_are_refused_everywhere():
    bad_vectors = [
        np.full(2048, P2048.modulus, np.uint64),
        np.zeros(2047, np.uint64),
        np.zeros(2048, np.int64),
    ]
    for bad in bad_vectors:
        for use in (
            lambda v: shamir.add_shares(P2048, [v]),
            lambda v: shamir.combine(P2048, 1, {1: v}),
            lambda v: shamir.encode_vector(P2048, v),
        ):
            with pytest.raises(LocalProtocolError):
                use(bad)
    with pytest.raises(LocalProtocolError, match="no shares"):
        shamir.add_shares(P2048, [])


def test_adding_shares_leaves_the_shares_as_they_were():
    one, two = shares_of(LAYOUT, 0, SECRET, 2, 2)
    before = one.copy()
    shamir.add_shares(P2048, [one, two])
    assert np.array_equal(one, before)


@pytest.mark.parametrize("params", [P2048, P4096], ids=lambda p: p.name)
def test_a_vector_is_seven_little_endian_bytes_for_each_residue(params):
    vector = np.zeros(params.degree, np.uint64)
    vector[0], vector[-1] = params.modulus - 1, 0x01020304050607
    encoded = shamir.encode_vector(params, vector)
    assert len(encoded) == shamir.vector_bytes(params) == 7 * params.degree
    assert encoded == verify.encode_vector(vector.tolist())
    assert np.array_equal(shamir.decode_vector(params, encoded), vector)


def test_only_the_canonical_encoding_decodes():
    encoded = shamir.encode_vector(P2048, SECRET.reveal())
    modulus = P2048.modulus.to_bytes(7, "little")
    for bad in (b"", encoded[:-1], encoded + b"\0", modulus + encoded[7:], encoded[:-7] + b"\xff" * 7):
        with pytest.raises(DecodeError):
            shamir.decode_vector(P2048, bad)
    below = (P2048.modulus - 1).to_bytes(7, "little")
    assert shamir.decode_vector(P2048, below + encoded[7:])[0] == P2048.modulus - 1


def test_holders_of_secrets_do_not_leak_through_errors():
    value = P2048.modulus + 12345
    bad = np.full(2048, value, np.uint64)
    with pytest.raises(LocalProtocolError) as caught:
        RoundSecret(P2048, bad)
    assert str(value) not in str(caught.value)
