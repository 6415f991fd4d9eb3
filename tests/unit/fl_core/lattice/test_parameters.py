"""The named parameter sets are what their documentation says, and unsound ones cannot be made."""

from __future__ import annotations

import dataclasses

import pytest

from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import (
    DEFAULT_PACKING,
    DEFAULT_PARAMETER_SET,
    P2048,
    P4096,
    PACK15,
    PACKINGS,
    PARAMETER_SETS,
    P4096g,
    Packing,
)

WITNESSES = (
    2,
    3,
    5,
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
)  # decide primality below 2^64 (Sorenson and Webster, 2015)


def is_prime(n: int) -> bool:
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in WITNESSES:
        x = pow(witness, odd, n)
        if x not in (1, n - 1) and all((x := x * x % n) != n - 1 for _ in range(twos - 1)):
            return False
    return True


def test_the_registries_hold_exactly_the_reviewed_names():
    assert dict(PARAMETER_SETS) == {"P4096": P4096, "P2048": P2048, "P4096g": P4096g}
    assert all(name == packing.name for name, packing in PACKINGS.items())
    assert (P4096.degree, 2**53 - P4096.modulus, P4096.security_bits) == (4096, 311295, 294)
    assert (P2048.degree, 2**53 - P2048.modulus, P2048.security_bits) == (2048, 126975, 135)
    assert (P4096g.degree, 2**61 - P4096g.modulus, P4096g.security_bits) == (4096, 139263, 249)
    assert (DEFAULT_PARAMETER_SET, DEFAULT_PACKING) == (P4096, PACK15)


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_modulus_is_the_largest_prime_of_its_length_that_has_the_transform(params):
    step = 2 * params.degree
    assert is_prime(params.modulus)
    assert not any(is_prime(q) for q in range(params.modulus + step, 1 << params.modulus_bits, step))


@pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_root_is_the_least_primitive_one(params):
    square, power = params.root**2 % params.modulus, params.root
    for _ in range(params.degree):
        assert power >= params.root
        power = power * square % params.modulus
    assert power == params.root  # of order dividing 2N, and psi^N = -1 was checked when it was made


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"degree": 3000}, "power of two"),
        ({"degree": 16}, "power of two"),
        ({"degree": 1 << 14}, "power of two"),
        ({"modulus": 2**53 - 311297}, "mod 2N"),
        ({"modulus": 2**61 + 1}, "53 to 61 bits"),
        ({"modulus": 2**52 - 1}, "53 to 61 bits"),
        ({"root": 2}, "psi"),
    ],
)
def test_an_unsound_parameter_set_is_refused(change, rule):
    with pytest.raises(LocalProtocolError, match=rule):
        dataclasses.replace(P4096, **change)


def test_shares_have_whole_bytes():
    assert [params.residue_bytes for params in (P4096, P2048, P4096g)] == [7, 7, 8]


def test_a_packing_holds_the_sum_of_all_parties_but_not_of_one_more_than_fits():
    assert PACK15.max_sum == 64 * 32767 < 2**21
    assert PACK15.max_packed == 64 * 32767 * (2**21 + 1) < (P2048.modulus - 1) // PACK15.delta
    with pytest.raises(LocalProtocolError, match="overflows"):
        dataclasses.replace(PACK15, max_parties=65)


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=lambda p: p.name)
def test_a_packings_name_says_what_it_holds_and_no_slot_is_wider_than_that_needs(packing):
    suffix = "g" if packing.name.endswith("g") else ""
    wanted = f"PACK{packing.value_bits}x{packing.max_parties}{suffix}"
    assert packing.name == ("PACK15" if wanted == "PACK15x64" else wanted)
    assert packing.max_sum.bit_length() == packing.slot_bits


@pytest.mark.parametrize(
    "change",
    [
        {"value_bits": 21},
        {"value_bits": 0},
        {"slots": 0},
        {"max_parties": 0},
        {"dropped_bits": 0},
        {"dropped_bits": 11},
    ],
)
def test_a_packing_without_room_or_purpose_is_refused(change):
    fields = dataclasses.asdict(PACK15) | {"name": "odd", "slot_bits": 40, "max_parties": 1} | change
    with pytest.raises(LocalProtocolError, match="packing odd"):
        Packing(**fields)
