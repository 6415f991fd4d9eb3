"""Only the sum of exactly the right secrets opens a sum, and what is not honest is reported."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048, P4096
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import (
    NO_SUM,
    Decrypted,
    decrypt,
    decrypt_blocks,
    verify_aggregate_key,
    verify_rows,
)
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.noise import key_noise_bound
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, known, layout_of, summed, values_of

LAYOUT = layout_of(3 * 4096 + 5)
ACCUMULATOR, KEY, TOTAL = summed(LAYOUT, range(4))


@pytest.mark.parametrize(("params", "length"), [(P2048, 17), (P2048, 4096 * 9), (P4096, 8193)])
def test_the_opened_sum_is_the_sum(params, length):
    layout = layout_of(length, params)
    accumulator, key, total = summed(layout, range(5))
    opened = decrypt(layout, HEADER, accumulator.sums, 5, key)
    assert opened.values.dtype == np.int64
    assert np.array_equal(opened.values, total)
    assert opened.failed_elements == ()
    assert 0 < opened.max_noise < 300


def test_blocks_are_the_pieces_of_the_whole():
    pieces = [block.values.copy() for block in decrypt_blocks(LAYOUT, HEADER, ACCUMULATOR.sums, 4, KEY)]
    assert np.array_equal(np.concatenate(pieces), TOTAL)


def test_the_right_key_is_accepted():
    verify_aggregate_key(LAYOUT, HEADER, ACCUMULATOR.sums, 4, KEY)


@pytest.mark.parametrize("at", [0, 1, 1024, 2047])
@pytest.mark.parametrize("by", [1, 2**26, P2048.modulus - 1])
def test_a_key_that_is_off_in_one_residue_is_refused(at, by):
    wrong = KEY.copy()
    wrong[at] = (int(wrong[at]) + by) % P2048.modulus
    with pytest.raises(VerificationError, match="does not open"):
        verify_aggregate_key(LAYOUT, HEADER, ACCUMULATOR.sums, 4, wrong)
    with pytest.raises(VerificationError, match="does not open"):
        decrypt(LAYOUT, HEADER, ACCUMULATOR.sums, 4, wrong)


def test_the_key_of_fewer_or_more_parties_is_refused():
    secrets = [encrypted(LAYOUT, who)[1].reveal() for who in range(5)]
    for parties in (secrets[:3], secrets, [*secrets[:3], secrets[4]]):
        with pytest.raises(VerificationError, match="does not open"):
            verify_aggregate_key(LAYOUT, HEADER, ACCUMULATOR.sums, 4, shamir.add_shares(P2048, parties))


def test_one_partys_secret_opens_nothing_but_its_own_ciphertext():
    secret = encrypted(LAYOUT, 0)[1].reveal()
    with pytest.raises(VerificationError):
        decrypt(LAYOUT, HEADER, ACCUMULATOR.sums, 4, secret)


def test_another_header_is_refused():
    with pytest.raises(VerificationError, match="does not open"):
        decrypt(LAYOUT, known("another header"), ACCUMULATOR.sums, 4, KEY)


@pytest.mark.parametrize("claimed", [1, 2, 3, 5, 8, 64])
def test_the_key_does_not_depend_on_the_count_that_is_claimed(claimed):
    """Which set was summed the key itself says; how many were in it is the ledger's to say."""
    verify_aggregate_key(LAYOUT, HEADER, ACCUMULATOR.sums, claimed, KEY)


def test_a_count_that_is_too_small_for_the_values_fails_every_element_that_shows_it():
    opened = decrypt(LAYOUT, HEADER, ACCUMULATOR.sums, 1, KEY)
    assert opened.failed_elements
    assert (opened.values[:4096] == NO_SUM).all()


@pytest.mark.parametrize("element", [0, 1])
def test_noise_in_a_check_element_is_refused_beyond_the_bound_and_changes_no_value_within_it(element):
    """Whoever could void a round with noise that is too large for honest parties would never be named."""
    bound = key_noise_bound(P2048)
    for noise, accepted in ((64 << 5, True), (bound - 1024, True), (bound + 1024, False), (1 << 40, False)):
        for sign in (1, -1):
            sums = ACCUMULATOR.sums.copy()
            sums[element, 7] = int(sums[element, 7]) + sign * (noise >> 5)
            if accepted:
                assert np.array_equal(decrypt(LAYOUT, HEADER, sums, 4, KEY).values, TOTAL)
            else:
                with pytest.raises(VerificationError, match="does not open the check elements"):
                    decrypt(LAYOUT, HEADER, sums, 4, KEY)


def test_a_ring_element_with_too_much_noise_is_reported_and_has_no_values():
    sums = ACCUMULATOR.sums.copy()
    sums[3, 9] += np.uint64(24)  # 24 * 2^5 = 768: beyond the noise of four parties, below Delta/2
    opened = decrypt(LAYOUT, HEADER, sums, 4, KEY)
    assert opened.failed_elements == (3,)
    second = slice(4096, 8192)  # ring element 3 is the second of the payload
    assert (opened.values[second] == NO_SUM).all()
    kept = np.ones(LAYOUT.length, bool)
    kept[second] = False
    assert np.array_equal(opened.values[kept], TOTAL[kept])


def test_a_slot_beyond_what_the_parties_can_send_is_reported():
    sums = ACCUMULATOR.sums.copy()
    excess = 4 * 32767 + 1 - int(TOTAL[0])
    sums[2, 0] += np.uint64(excess << 6)  # a message of `excess`, in units of 2^5
    opened = decrypt(LAYOUT, HEADER, sums, 4, KEY)
    assert opened.failed_elements == (2,)
    sums[2, 0] -= np.uint64(1 << 6)
    opened = decrypt(LAYOUT, HEADER, sums, 4, KEY)
    assert opened.failed_elements == ()
    assert opened.values[0] == 4 * 32767


def test_garbage_in_the_last_partial_element_is_reported():
    sums = ACCUMULATOR.sums.copy()
    sums[-1] += np.uint64(12345)
    opened = decrypt(LAYOUT, HEADER, sums, 4, KEY)
    assert opened.failed_elements == (LAYOUT.elements - 1,)
    assert np.array_equal(opened.values, np.append(TOTAL[:-5], [NO_SUM] * 5))


def test_arguments_of_the_wrong_shape_type_or_range_are_refused():
    sums = ACCUMULATOR.sums
    cases = [
        (sums, 0, KEY),
        (sums, 65, KEY),
        (sums[:-1], 4, KEY),
        (sums.astype(np.int64), 4, KEY),
        (np.asfortranarray(sums), 4, KEY),
        (sums, 4, KEY[:-1]),
        (sums, 4, KEY.astype(np.int64)),
        (sums, 4, np.full_like(KEY, P2048.modulus)),
    ]
    for bad_sums, count, key in cases:
        for function in (verify_aggregate_key, decrypt):
            with pytest.raises(LocalProtocolError):
                function(LAYOUT, HEADER, bad_sums, count, key)
    with pytest.raises(LocalProtocolError, match="digest"):
        decrypt(LAYOUT, HEADER[:-1], sums, 4, KEY)


def test_values_are_not_printed():
    values = np.array([123456, 7])
    assert "123456" not in repr(Decrypted(values=values, failed_elements=(), max_noise=1))


@pytest.mark.parametrize("params", [P2048, P4096], ids=lambda p: p.name)
def test_sixty_four_parties_at_the_top_of_the_range_do_not_overflow(params):

    layout = layout_of(2 * params.degree, params)
    top = np.full(layout.length, 32767, np.uint16)
    accumulator, secrets = Accumulator(layout), []
    for who in range(64):
        ciphertext, secret = encrypted(layout, who, top)
        accumulator.add(ciphertext)
        secrets.append(secret.reveal())
    opened = decrypt(layout, HEADER, accumulator.sums, 64, shamir.add_shares(params, secrets))
    assert (opened.values == 64 * 32767).all()
    assert opened.failed_elements == ()


def test_values_of_zero_open_as_zero():
    layout = layout_of(17)
    ciphertext, secret = encrypted(layout, "zero", np.zeros(17, np.uint16))

    accumulator = Accumulator(layout)
    accumulator.add(ciphertext)
    assert not decrypt(layout, HEADER, accumulator.sums, 1, secret.reveal()).values.any()
    assert values_of(layout, "zero").any()


def test_sums_of_check_elements_of_another_shape_or_type_are_our_own_error():
    layout = layout_of(10)
    key = np.zeros(layout.params.degree, np.uint64)
    right = np.zeros((2, layout.params.degree), np.uint64)
    verify_rows(layout, HEADER, right, key)
    for wrong in (
        right[:1],
        right.astype(np.int64),
        np.zeros((2, 2 * layout.params.degree), np.uint64)[:, ::2],
    ):
        with pytest.raises(LocalProtocolError, match="matrix of uint64"):
            verify_rows(layout, HEADER, wrong, key)
