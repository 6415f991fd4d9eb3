"""The CKKS mode's arithmetic: exactness, keys, and bytes that are no ciphertexts."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fl_core.errors import (
    DecodeError,
    InputError,
    LocalProtocolError,
    VerificationError,
)
from fl_core.secagg.ckks.binding import tenseal
from fl_core.secagg.ckks.keys import MAX_KEY, MAX_PUBLIC_CONTEXT, HolderKey, PublicContext
from fl_core.secagg.ckks.parameters import CKKS2048, MAX_HOLDERS, error_bound
from fl_core.secagg.ckks.running import RunningSum
from fl_core.secagg.ckks.structure import check_chunk, max_chunk
from fl_core.secagg.ckks.vector import GRID, MAX_INTEGER, Shape, pack, unpack
from fl_core.secret import Secret
from tests.simulators.ckks_run import deadly

HOLDERS = 4
SHAPE = Shape(parameters=3000, counters=2, weight_cap=1000, clip=0.5)
EXAMPLES = (200, 300, 50, 1500)


@pytest.fixture(scope="module")
def key():
    return HolderKey.generate(CKKS2048, HOLDERS)


@pytest.fixture(scope="module")
def chunk(key):
    return key.encrypt(np.linspace(-1, 1, CKKS2048.slots))[0]


def updates(count=HOLDERS):
    rng = np.random.Generator(np.random.SFC64(7))
    return [rng.uniform(-0.5, 0.5, SHAPE.parameters).astype(np.float32) for _ in range(count)]


# ---------------------------------------------------------------------- precision


@pytest.mark.parametrize("holders", [1, 3, 4, 5, 64])
def test_a_full_sum_is_exact_within_the_stated_bound_and_not_trivially_so(holders):
    key = HolderKey.generate(CKKS2048, holders)
    rng = np.random.Generator(np.random.SFC64(holders))
    values = [rng.uniform(-1, 1, 2000) for _ in range(holders)]
    total = RunningSum(key.public(), 2000)
    for vector in values:
        total.add(key.encrypt(vector))
    error = np.abs(key.decrypt(total.encode(), 2000) - sum(values)).max()
    bound = error_bound(CKKS2048, holders, holders, 2000)
    assert bound / 8 < error <= bound


def test_sums_of_ones_from_the_largest_cohort_do_not_wrap():
    key = HolderKey.generate(CKKS2048, MAX_HOLDERS)
    upload = key.encrypt(np.ones(1024))
    total = RunningSum(key.public(), 1024)
    for _ in range(MAX_HOLDERS):
        total.add(upload)
    opened = key.decrypt(total.encode(), 1024)
    assert np.abs(opened - MAX_HOLDERS).max() < MAX_HOLDERS * error_bound(CKKS2048, MAX_HOLDERS, 1, 1024)
    assert MAX_HOLDERS * CKKS2048.scale(MAX_HOLDERS) < 0.51 * CKKS2048.primes[0] / 2
    with pytest.raises(LocalProtocolError, match="at most 64 uploads"):
        total.add(upload)


def test_the_mean_and_the_integers_come_out_of_the_sum(key):
    total = RunningSum(key.public(), SHAPE.length)
    for update, examples in zip(updates(), EXAMPLES, strict=True):
        total.add(key.encrypt(pack(SHAPE, update, examples, (examples // 2, MAX_INTEGER))))
    opened = unpack(CKKS2048, SHAPE, HOLDERS, key.decrypt(total.encode(), SHAPE.length))
    weights = [min(examples, 1000) for examples in EXAMPLES]
    mean = sum(u.astype(np.float64) * w for u, w in zip(updates(), weights, strict=True)) / sum(weights)
    assert (opened.count, opened.weight) == (4, sum(weights))
    assert opened.counters == (sum(e // 2 for e in EXAMPLES), 4 * MAX_INTEGER)
    slot = error_bound(CKKS2048, HOLDERS, 4, SHAPE.length) + GRID / CKKS2048.scale(HOLDERS) / 2
    assert 0 < np.abs(opened.update - mean).max() <= slot * SHAPE.clip * 1000 / sum(weights) + 2.0**-25


def test_a_drop_out_changes_the_mean_and_nothing_else(key):
    total = RunningSum(key.public(), SHAPE.length)
    for update in updates(3):
        total.add(key.encrypt(pack(SHAPE, update, 1000, (1, 2))))
    opened = unpack(CKKS2048, SHAPE, HOLDERS, key.decrypt(total.encode(), SHAPE.length))
    assert (opened.count, opened.weight, opened.counters) == (3, 3000, (3, 6))
    assert np.abs(opened.update - np.mean(updates(3), axis=0)).max() < 1e-5


def test_updates_are_clipped(key):
    vector = pack(SHAPE, np.full(3000, 9, np.float32), 1000, (0, 0))
    assert (vector[16:] == 1.0).all() and (vector[:4] == [1 / 256, 0, 0, 0]).all()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"update": np.zeros(2999, np.float32)}, LocalProtocolError),
        ({"examples": 0}, LocalProtocolError),
        ({"counters": (1,)}, LocalProtocolError),
        ({"counters": (1, MAX_INTEGER + 1)}, LocalProtocolError),
        ({"counters": (1, -1)}, LocalProtocolError),
        ({"update": np.full(3000, np.nan, np.float32)}, InputError),
    ],
)
def test_what_cannot_be_packed_is_refused(changes, error):
    arguments = {"update": np.zeros(3000, np.float32), "examples": 5, "counters": (1, 2), **changes}
    with pytest.raises(error):
        pack(SHAPE, **arguments)


def test_decrypting_twice_gives_the_same_bits(key):
    chunks = key.encrypt(np.linspace(-1, 1, 2000))
    again = HolderKey.load(CKKS2048, HOLDERS, key.secret())
    assert key.decrypt(chunks, 2000).tobytes() == again.decrypt(chunks, 2000).tobytes()


def test_values_out_of_range_are_not_encrypted(key):
    for value in (1.0001, np.nan, np.inf):
        with pytest.raises(LocalProtocolError):
            key.encrypt(np.full(3, value))


def test_two_encryptions_of_one_vector_differ(key):
    assert key.encrypt(np.zeros(3)) != key.encrypt(np.zeros(3))


# ---------------------------------------------------------------------- keys and contexts


def test_another_key_opens_nothing(key):
    other = HolderKey.generate(CKKS2048, HOLDERS)
    summed = other.decrypt(key.encrypt(np.zeros(SHAPE.length)), SHAPE.length)
    assert np.abs(summed).max() > 1
    with pytest.raises(VerificationError):
        unpack(CKKS2048, SHAPE, HOLDERS, summed)
    assert key.commitment() != other.commitment()


def test_a_key_shows_nothing_of_itself(key):
    secret = key.secret().reveal()
    assert repr(key) == str(key) == "HolderKey(<redacted>)"
    assert len(secret) <= MAX_KEY
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert not hasattr(key, "__dict__")


def test_the_public_context_holds_no_key(key):
    public = key.public()
    assert len(public.encode()) <= MAX_PUBLIC_CONTEXT < len(key.secret())
    assert not tenseal().context_from(public.encode(), 1).has_secret_key()
    again = PublicContext.decode(CKKS2048, HOLDERS, public.encode())
    assert again.digest == public.digest
    with pytest.raises(ValueError, match="encryption"):
        tenseal().ckks_vector(tenseal().context_from(public.encode(), 1), [1.0])


def test_a_context_with_a_key_is_refused(key):
    with pytest.raises(DecodeError, match="a key stays with the holders"):
        PublicContext.decode(CKKS2048, HOLDERS, key.secret().reveal())


def test_contexts_of_other_parameters_are_refused(key):
    data, ts = key.public().encode(), tenseal()

    def context(degree, bits, scale, kind=ts.ENCRYPTION_TYPE.SYMMETRIC, scheme=ts.SCHEME_TYPE.CKKS):
        made = ts.context(scheme, degree, coeff_mod_bit_sizes=bits, encryption_type=kind, n_threads=1)
        if scale:
            made.global_scale = scale
        return made.serialize(
            save_public_key=False, save_secret_key=False, save_galois_keys=False, save_relin_keys=False
        )

    for other in (
        context(4096, [32, 20], 2.0**28),
        context(2048, [33, 20], 2.0**28),
        context(2048, [32, 20], 2.0**27),
        context(2048, [32, 20], 0),
        context(2048, [32, 20], 2.0**28, ts.ENCRYPTION_TYPE.ASYMMETRIC),
        data + b"\x00",
        data[:-1],
        data[:40],
        b"",
        b"\xff" * 80,
        bytes(MAX_PUBLIC_CONTEXT + 1),
    ):
        with pytest.raises(DecodeError):
            PublicContext.decode(CKKS2048, HOLDERS, other)
    with pytest.raises(DecodeError):
        PublicContext.decode(CKKS2048, 8, data)


def test_bytes_that_are_no_key_of_these_parameters_are_refused(key):
    data = key.secret().reveal()
    for bad in (b"", data[:-1], data + b"x", key.public().encode(), bytes(MAX_KEY + 1)):
        with pytest.raises(VerificationError, match="not one of this parameter set"):
            HolderKey.load(CKKS2048, HOLDERS, Secret(bad))
    with pytest.raises(VerificationError):
        HolderKey.load(CKKS2048, 8, Secret(data))


# ---------------------------------------------------------------------- bytes


def test_a_ciphertext_reads_and_its_sizes_are_bounded(key, chunk):
    key.public().read(chunk)
    assert len(chunk) <= max_chunk(CKKS2048)
    assert 16 <= len(chunk) / CKKS2048.slots < 17
    with pytest.raises(DecodeError, match="at most"):
        check_chunk(CKKS2048, CKKS2048.scale(HOLDERS), bytes(max_chunk(CKKS2048) + 1))


def test_truncated_and_trailed_ciphertexts_are_refused_before_seal_sees_them(chunk):
    scale = CKKS2048.scale(HOLDERS)
    check_chunk(CKKS2048, scale, chunk)
    for cut in [*range(64), len(chunk) // 2, len(chunk) - 9, len(chunk) - 1]:
        with pytest.raises(DecodeError):
            check_chunk(CKKS2048, scale, chunk[:cut])
    for extra in (b"\x00", b"\x19" + bytes(8), chunk):
        with pytest.raises(DecodeError):
            check_chunk(CKKS2048, scale, chunk + extra)
    with pytest.raises(DecodeError):
        check_chunk(CKKS2048, scale / 2, chunk)


def test_a_changed_frame_is_refused_before_seal_sees_it(chunk):
    """Every byte up to the content of the zstd frame is checked, but for SEAL's minor version."""
    scale, content = CKKS2048.scale(HOLDERS), chunk.index(b"\x28\xb5\x2f\xfd") + 7
    minor = content - 23 + 4
    for position in set(range(content)) - {minor}:
        bad = bytearray(chunk)
        bad[position] ^= 0x41
        with pytest.raises(DecodeError):
            check_chunk(CKKS2048, scale, bytes(bad))


def test_a_changed_content_is_refused_or_another_ciphertext_which_is_why_uploads_are_signed(key, chunk):
    public, outcomes = key.public(), set()
    for position in range(40, len(chunk) - 10, 701):
        bad = bytearray(chunk)
        bad[position] ^= 0xFF
        try:
            public.read(bytes(bad))
            outcomes.add("read")
        except DecodeError:
            outcomes.add("refused")
    assert outcomes <= {"read", "refused"}
    assert "read" in outcomes


def test_a_ciphertext_of_other_parameters_is_refused(key):
    ts = tenseal()
    other = ts.context(
        ts.SCHEME_TYPE.CKKS,
        2048,
        coeff_mod_bit_sizes=[32, 22],
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    other.global_scale = CKKS2048.scale(HOLDERS)
    foreign = ts.ckks_vector(other, [0.0] * 1024).serialize()
    same_data_prime = other.seal_context().data.first_context_data().parms().coeff_modulus()[0].value()
    if same_data_prime != CKKS2048.primes[0]:
        with pytest.raises(DecodeError):
            key.public().read(foreign)
    wider = ts.context(
        ts.SCHEME_TYPE.CKKS,
        4096,
        coeff_mod_bit_sizes=[32, 20],
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    wider.global_scale = CKKS2048.scale(HOLDERS)
    with pytest.raises(DecodeError):
        key.public().read(ts.ckks_vector(wider, [0.0] * 1024).serialize())


def test_a_bad_ciphertext_leaves_the_sum_as_it_was(key):
    total = RunningSum(key.public(), 2000)
    good = key.encrypt(np.full(2000, 0.5))
    total.add(good)
    before = total.encode()
    for bad in ((good[0], good[1][:-1]), good[:1], (*good, good[0])):
        with pytest.raises(DecodeError):
            total.add(bad)
    assert total.encode() == before and total.count == 1
    with pytest.raises(LocalProtocolError):
        RunningSum(key.public(), 5).encode()


def test_a_sum_that_no_honest_uploads_give_is_refused(key):
    length = SHAPE.length
    honest = pack(SHAPE, updates()[0], 500, (1, 2))
    unpack(CKKS2048, SHAPE, HOLDERS, honest)
    for bad in (
        honest[:-1],
        np.where(np.arange(length) == 20, HOLDERS + 1.0, honest),
        np.where(np.arange(length) == 0, 0.5 / 256, honest),
        np.where(np.arange(length) == 0, 0.0, honest),
        np.where(np.arange(length) == 0, 5 / 256, honest),
        np.where(np.arange(length) == 7, 1 / 256, honest),
        np.where(np.arange(length) == 9, -1 / 256, honest),
        np.full(length, np.nan),
    ):
        with pytest.raises(VerificationError):
            unpack(CKKS2048, SHAPE, HOLDERS, bad)


def test_parameters_and_shapes_know_their_limits():
    for holders in (0, MAX_HOLDERS + 1):
        with pytest.raises(LocalProtocolError):
            CKKS2048.scale(holders)
    with pytest.raises(ValueError, match="weight cap"):
        replace(SHAPE, weight_cap=0)
    assert sum(CKKS2048.prime_bits) <= 54, "128 bits at degree 2048 [Albrecht18, Table 1]"


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch):
    tenseal.cache_clear()
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(InputError, match=r"pip install 'suture-fl\[ckks\]'"):
        tenseal()
    monkeypatch.undo()
    tenseal.cache_clear()
    assert tenseal().__name__ == "tenseal"


def test_tenseal_alone_ends_its_process_for_some_parameters():
    """Why contexts are compared before they are read. A TenSEAL in which this fails is as good, and better."""
    context = deadly(HolderKey.generate(CKKS2048, 4).public().encode())
    program = f"import tenseal; tenseal.context_from(bytes.fromhex('{context.hex()}'), 1)"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert child.returncode == -signal.SIGABRT
