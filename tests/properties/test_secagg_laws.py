"""Laws of secure aggregation, for drop-outs, orders, ranges and encodings that hypothesis chooses."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_core.digests import Label
from fl_core.errors import DecodeError, VerificationError
from fl_core.hashtree import inclusion_proof, leaf_hash, tree_root, verify_inclusion
from fl_core.lattice.parameters import P2048, PACK15
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret

LAW = settings(max_examples=25, deadline=None)
SEEDS = st.binary(min_size=32, max_size=32)
VALUES = st.one_of(st.sampled_from([0, 1, 16383, 32766, 32767]), st.integers(0, 32767))


@st.composite
def rounds(draw):
    """Parties with values, who of them is folded and excluded again, a committee and who of it answers."""
    length = draw(st.integers(1, 20))
    vectors = draw(st.lists(st.lists(VALUES, min_size=length, max_size=length), min_size=1, max_size=6))
    included = draw(st.sets(st.integers(0, len(vectors) - 1), min_size=1))
    members = draw(st.integers(1, 6))
    threshold = draw(st.integers(1, members))
    answering = draw(st.sets(st.integers(1, members), min_size=threshold))
    order = draw(st.permutations(range(len(vectors))))
    return draw(SEEDS), vectors, included, members, threshold, answering, order


@LAW
@given(rounds())
def test_the_sum_opens_to_the_sum_for_every_pattern_of_drop_outs(scenario):
    header_digest, vectors, included, members, threshold, answering, order = scenario
    layout = Layout(params=P2048, packing=PACK15, length=len(vectors[0]))
    accumulator, ciphertexts, shares = Accumulator(layout), {}, {}
    for who in order:
        seed = Secret(hashlib.sha256(header_digest + bytes([who])).digest())
        ciphertexts[who], secret = encrypt(layout, header_digest, np.array(vectors[who], np.uint16), seed)
        points = range(1, members + 1)
        shares[who] = shamir.share(P2048, secret, threshold, points, Stream(seed, Label.SHARING))
        accumulator.add(ciphertexts[who])
    for who in set(order) - included:
        accumulator.subtract(ciphertexts[who])
    summed = {x: shamir.add_shares(P2048, [shares[who][x - 1] for who in included]) for x in answering}
    key = shamir.combine(P2048, threshold, summed)
    opened = decrypt(layout, header_digest, accumulator.sums, len(included), key)
    assert opened.values.tolist() == [
        sum(column) for column in zip(*(vectors[i] for i in included), strict=True)
    ]
    assert opened.failed_elements == ()


@LAW
@given(seed=SEEDS, count=st.sampled_from([1, 2, 63, 64]), low=VALUES, high=VALUES)
def test_no_sum_within_the_bound_spills_into_its_neighbour(seed, count, low, high):
    layout = Layout(params=P2048, packing=PACK15, length=4096)
    values = np.repeat(np.array([low, high], np.uint16), 2048)  # the two slots of every coefficient
    accumulator, secrets = Accumulator(layout), []
    for who in range(count):
        party = Secret(hashlib.sha256(seed + bytes([who])).digest())
        ciphertext, secret = encrypt(layout, seed, values, party)
        accumulator.add(ciphertext)
        secrets.append(secret.reveal())
    opened = decrypt(layout, seed, accumulator.sums, count, shamir.add_shares(P2048, secrets))
    assert np.array_equal(opened.values, count * values.astype(np.int64))


@LAW
@given(SEEDS, st.integers(0, 2047), st.integers(0, P2048.modulus - 1))
def test_decode_undoes_encode_and_encode_undoes_decode(seed, at, value):
    vector = shamir.add_shares(P2048, [_residues(seed)])
    vector[at] = value
    encoded = shamir.encode_vector(P2048, vector)
    decoded = shamir.decode_vector(P2048, encoded)
    assert np.array_equal(decoded, vector)
    assert shamir.encode_vector(P2048, decoded) == encoded


@LAW
@given(SEEDS, st.integers(0, 2047), st.integers(P2048.modulus, 2**56 - 1))
def test_a_residue_that_is_not_below_the_modulus_is_refused(seed, at, value):
    encoded = bytearray(shamir.encode_vector(P2048, _residues(seed)))
    encoded[7 * at : 7 * at + 7] = value.to_bytes(7, "little")
    with pytest.raises(DecodeError, match="modulus"):
        shamir.decode_vector(P2048, bytes(encoded))


@LAW
@given(st.integers(0, 2 * 7 * 2048).filter(lambda size: size != 7 * 2048))
def test_any_other_length_is_refused(size):
    with pytest.raises(DecodeError, match="bytes"):
        shamir.decode_vector(P2048, bytes(size))


@LAW
@given(SEEDS, st.integers(1, 5), st.data())
def test_a_single_wrong_residue_is_noticed_by_any_member_too_many(seed, threshold, data):
    members = data.draw(st.integers(threshold + 1, 7))
    points = data.draw(st.lists(st.integers(1, 65536), min_size=members, max_size=members, unique=True))
    layout = Layout(params=P2048, packing=PACK15, length=1)
    _, secret = encrypt(layout, seed, np.zeros(1, np.uint16), Secret(seed))
    shares = dict(
        zip(points, shamir.share(P2048, secret, threshold, points, Stream(seed, Label.SHARING)), strict=True)
    )
    assert np.array_equal(shamir.combine(P2048, threshold, shares), secret.reveal())
    liar, at = data.draw(st.sampled_from(points)), data.draw(st.integers(0, 2047))
    off = data.draw(st.integers(1, P2048.modulus - 1))
    shares[liar] = shares[liar].copy()
    shares[liar][at] = (int(shares[liar][at]) + off) % P2048.modulus
    with pytest.raises(VerificationError):
        shamir.combine(P2048, threshold, shares)


@LAW
@given(SEEDS, st.integers(0, 2047), st.integers(1, P2048.modulus - 1))
def test_no_other_key_opens_the_check_elements(seed, at, off):
    layout = Layout(params=P2048, packing=PACK15, length=1)
    ciphertext, secret = encrypt(layout, seed, np.ones(1, np.uint16), Secret(seed))
    accumulator = Accumulator(layout)
    accumulator.add(ciphertext)
    wrong = secret.reveal().copy()
    wrong[at] = (int(wrong[at]) + off) % P2048.modulus
    assert decrypt(layout, seed, accumulator.sums, 1, secret.reveal()).values.tolist() == [1]
    with pytest.raises(VerificationError):
        decrypt(layout, seed, accumulator.sums, 1, wrong)


@LAW
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_every_leaf_of_every_tree_is_provable_and_nothing_else_is(contents, data):
    leaves = [leaf_hash(content) for content in contents]
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = tree_root(leaves), inclusion_proof(leaves, index)
    verify_inclusion(root, leaves[index], index, len(leaves), proof)
    with pytest.raises(VerificationError):
        verify_inclusion(root, leaf_hash(b"something else"), index, len(leaves), proof)


def _residues(seed: bytes) -> np.ndarray:
    layout = Layout(params=P2048, packing=PACK15, length=1)
    return encrypt(layout, seed, np.zeros(1, np.uint16), Secret(seed))[1].reveal()
