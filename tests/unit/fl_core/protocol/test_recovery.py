"""The aggregate key comes out of the answers although members lie, and the liars are named."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048
from fl_core.protocol.recovery import opens, recover_key
from tests.simulators.cheating import false_sum
from tests.simulators.dry_round import DryRound


@pytest.fixture(scope="module", params=[4, 7])
def dry(request):
    dry = DryRound(request.param)  # t is 3 of 4 and 5 of 7
    dry.send(*range(request.param))
    dry.pass_check(*range(request.param))
    return dry


def shares(dry, members, liars=()):
    """The checked answers of members, of whom some lie."""
    found = {}
    for position in members:
        reveal = false_sum(dry, position) if position in liars else dry.reveal(position)
        found[dry.parties[position].address] = dry.check(reveal)
    return found


def names(dry, positions):
    return tuple(dry.parties[position].address for position in positions)


def test_without_a_liar_any_t_members_give_the_same_key(dry):
    t, everybody = dry.header.threshold, range(len(dry.parties))
    keys = [dry.recover_from(shares(dry, members)) for members in (everybody, everybody[:t], everybody[-t:])]
    assert all(found.liars == () for found in keys)
    assert all(np.array_equal(found.key, keys[0].key) for found in keys)
    assert dry.open(keys[0].key).count == len(dry.parties)


@pytest.mark.parametrize("liar", range(4))
def test_one_liar_is_named_and_makes_no_difference_to_the_key(dry, liar):
    everybody = range(len(dry.parties))
    honest = dry.recover_from(shares(dry, everybody))
    found = dry.recover_from(shares(dry, everybody, {liar}))
    assert found.liars == names(dry, [liar])
    assert np.array_equal(found.key, honest.key)


@pytest.mark.parametrize("liars", [(0, 1), (2, 6), (5, 6)])
def test_two_liars_of_seven_are_named(liars):
    dry = DryRound(7)
    dry.send(*range(7))
    dry.pass_check(*range(7))
    found = dry.recover_from(shares(dry, range(7), set(liars)))
    assert found.liars == names(dry, liars)
    assert dry.open(found.key).count == 7


def test_too_many_liars_leave_no_key(dry):
    t, everybody = dry.header.threshold, len(dry.parties)
    liars = set(range(everybody - t + 1))
    with pytest.raises(VerificationError, match=f"of {everybody} answers no {t} combine"):
        dry.recover_from(shares(dry, range(everybody), liars))


def test_a_liar_among_just_t_answers_leaves_no_key(dry):
    t = dry.header.threshold
    with pytest.raises(VerificationError, match=f"of {t} answers no {t} combine"):
        dry.recover_from(shares(dry, range(t), {0}))


def test_fewer_answers_than_the_threshold_are_our_own_error(dry):
    t = dry.header.threshold
    for count in range(t):
        with pytest.raises(LocalProtocolError, match=f"{t} answers open the aggregate key, {count} came"):
            dry.recover_from(shares(dry, range(count)))


def test_a_key_that_is_not_accepted_is_not_returned(dry):
    """An auditor accepts the ledger's key only: honest answers do not make another one."""
    with pytest.raises(VerificationError, match="combine to the aggregate key"):
        recover_key(dry.header, shares(dry, range(len(dry.parties))), accept=lambda key: False)


def test_a_key_opens_its_own_sum_and_no_other(dry):
    count = len(dry.parties)
    key = dry.recover_from(shares(dry, range(count))).key
    accept = opens(dry.header, dry.collector.sums, count)
    assert accept(key)
    other = key.copy()
    other[0] ^= np.uint64(1)
    assert not accept(other)


def test_two_that_collude_to_have_others_named_are_named_themselves():
    """Of seven, two add values of x(x-3)(x-4)(x-5): with three honest ones they still make the right key."""
    dry = DryRound(7)
    dry.send(*range(7))
    dry.pass_check(*range(7))
    honest = shares(dry, range(7))
    false = dict(honest)
    for position in (0, 1):
        point, address = position + 1, dry.parties[position].address
        added = point * (point - 3) * (point - 4) * (point - 5) % P2048.modulus
        false[address] = ((honest[address].astype(object) + added) % P2048.modulus).astype(np.uint64)
    found = dry.recover_from(false)
    assert np.array_equal(found.key, dry.recover_from(honest).key)
    assert found.liars == names(dry, [0, 1, 5, 6])
