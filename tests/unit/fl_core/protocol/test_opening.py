"""Opening: everybody gets the same aggregate from the archived ciphertexts and the key, or an error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_core.errors import VerificationError
from fl_core.protocol.opening import fold, key_digest, open_aggregate
from fl_core.protocol.setup import layout_of
from tests.simulators.dry_round import DryRound


@pytest.fixture(scope="module")
def dry():
    dry = DryRound(4)
    dry.send(0, 1, 2, 3)
    return dry


@pytest.fixture(scope="module")
def key(dry):
    return dry.key(0, 1, 2)


def test_an_auditor_folds_the_archived_ciphertexts_to_the_coordinators_sum_in_any_order(dry, key):
    ciphertexts = [frame.ciphertext for frame in dry.sent.values()]
    sums, count = fold(dry.header, reversed(ciphertexts))
    assert count == 4
    assert np.array_equal(sums, dry.collector.sums)
    assert open_aggregate(dry.header, sums, count, key).digest == dry.open(key).digest


def test_the_key_digest_binds_header_and_key(dry, key):
    other = key.copy()
    other[0] ^= np.uint64(1)
    digests = {key_digest(h, k) for h in (dry.header, replace(dry.header, deadline=5)) for k in (key, other)}
    assert len(digests) == 4


def test_the_aggregate_digest_binds_sums_and_count(dry, key):
    aggregate = dry.open(key)
    changed = aggregate.sums.copy()
    changed[0] += 1
    digests = {aggregate.digest, replace(aggregate, sums=changed).digest, replace(aggregate, count=5).digest}
    assert len(digests) == 3


def garbled(dry, element):
    """Return the sum with one ring element replaced by noise, as one malicious client can do."""
    sums = dry.collector.sums.copy()
    rng = np.frombuffer(dry.random.secret(4 * sums.shape[1]).reveal(), "<u4").astype(np.uint64)
    sums[element] += rng << np.uint64(12)
    return sums


def test_a_garbled_payload_element_counts_as_a_zero_update_and_is_named():
    from fl_core.quantise import Block

    size = 2 * 2048 + 10  # two payload elements; weight and counter lie in the second
    dry = DryRound(4, blocks=(Block("a", size, 1.0),))
    dry.send(0, 1, 2, 3)
    key = dry.key(0, 1, 2)
    honest = dry.open(key)
    opened = open_aggregate(dry.header, garbled(dry, 2), 4, key)
    assert (honest.failed, opened.failed) == ((), (2,))
    assert not opened.update[: 2 * 2048].any()
    assert np.array_equal(opened.update[2 * 2048 :], honest.update[2 * 2048 :])
    assert opened.weight_units == honest.weight_units


def test_a_garbled_element_with_the_weights_leaves_no_aggregate(dry, key):
    assert layout_of(dry.header).elements == 3
    with pytest.raises(VerificationError, match="carries the weights is garbled"):
        open_aggregate(dry.header, garbled(dry, 2), 4, key)


def test_another_key_and_another_header_are_refused(dry, key):
    other = key.copy()
    other[5] = (other[5] + np.uint64(1)) % np.uint64(2**53 - 126975)
    for header, count, tried in ((dry.header, 4, other), (replace(dry.header, deadline=9), 4, key)):
        with pytest.raises(VerificationError, match="does not open the check elements"):
            open_aggregate(header, dry.collector.sums, count, tried)
    assert dry.open(key).count == 4


def test_a_count_that_is_smaller_than_the_set_leaves_no_aggregate(dry, key):
    """How many were summed the ledger says; two parties cannot have sent what four did."""
    with pytest.raises(VerificationError, match="carries the weights is garbled"):
        open_aggregate(dry.header, dry.collector.sums, 1, key)
