"""Microsoft SEAL decrypts our summed ciphertexts, and gets our integers.

Delta = (q-1)/t makes (2^d * sum of wire coefficients, -a_j) a BFV ciphertext with plain modulus t under the aggregate key,
so SEAL, through ``tenseal.sealapi``, is an oracle that shares no line with us. Its objects are handed over as files in
SEAL's own uncompressed layout (16-byte header: magic, header size, version 4.3, no compression, total size).

Where Delta does not divide q - 1, t is the integer nearest to q/Delta, and SEAL's own Delta differs from ours by so little that
the noise has room for it. SEAL takes moduli of at most 60 bits, so it cannot judge P4096g; the schoolbook integers of
``test_combinations.py`` do.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tenseal.sealapi as seal

from fl_core.lattice.parameters import P2048, P4096, PACK15, PACKINGS, P4096g
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.layout import Layout
from fl_core.secagg.public_elements import PublicElements
from tests.unit.fl_core.secagg.parties import HEADER, layout_of, summed

PARTIES = 5


class SealDecryptor:
    """Decrypts (c0, c1) given in coefficients, under a key given in SEAL's transform order."""

    def __init__(self, layout: Layout, key: np.ndarray, folder: Path) -> None:
        params = layout.params
        self.context = context_of(layout)
        self.degree, self.file = params.degree, folder / "object.seal"
        secret_key = seal.SecretKey()
        body = (
            struct.pack("<4Q", *self.context.key_parms_id())
            + struct.pack("<Qd", params.degree, 1.0)
            + words(key)
        )
        self.load(secret_key, body)
        self.decryptor = seal.Decryptor(self.context, secret_key)

    def load(self, target: object, body: bytes) -> None:
        self.file.write_bytes(framed(body))
        target.load(self.context, str(self.file))

    def decrypt(self, c0: np.ndarray, c1: np.ndarray) -> list[int]:
        ciphertext, plaintext = seal.Ciphertext(), seal.Plaintext()
        shape = struct.pack(
            "<BQQQdQ", 0, 2, self.degree, 1, 1.0, 1
        )  # no transform, two polynomials, one modulus
        body = struct.pack("<4Q", *self.context.first_parms_id()) + shape + words(np.concatenate([c0, c1]))
        self.load(ciphertext, body)
        self.decryptor.decrypt(ciphertext, plaintext)
        assert self.decryptor.invariant_noise_budget(ciphertext) > 0
        found = [plaintext.data(i) for i in range(plaintext.coeff_count())]
        return found + [0] * (self.degree - len(found))


def context_of(layout: Layout) -> object:
    description = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    description.set_poly_modulus_degree(layout.params.degree)
    description.set_coeff_modulus([seal.Modulus(layout.params.modulus)])
    delta = layout.packing.delta
    description.set_plain_modulus((layout.params.modulus + delta // 2) // delta)
    return seal.SEALContext(description, True, seal.SEC_LEVEL_TYPE.NONE)


def framed(body: bytes) -> bytes:
    return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, 16 + len(body)) + body


def words(values: np.ndarray) -> bytes:
    return framed(struct.pack("<Q", values.size) + values.astype("<u8").tobytes())


CASES = [
    (P2048, PACK15),
    (P4096, PACK15),
    (P4096, PACKINGS["PACK8x64"]),
    (P4096, PACKINGS["PACK12x16"]),
    (P2048, PACKINGS["PACK16x1024"]),
    (P4096, PACKINGS["PACK20x1024"]),
]


@pytest.mark.parametrize(("params", "packing"), CASES, ids=lambda c: c.name)
def test_seal_opens_the_sum_to_the_same_integers(params, packing, tmp_path):
    layout = layout_of(packing.slots * params.degree + params.degree // 2, params, packing)
    accumulator, key, total = summed(layout, range(PARTIES))
    opened = decrypt(layout, HEADER, accumulator.sums, PARTIES, key)
    assert np.array_equal(opened.values, total)

    oracle = SealDecryptor(layout, key, tmp_path)
    one = np.ones(params.degree, np.uint64)
    public = PublicElements(params, HEADER, one).next_products(layout.elements)
    padded = np.zeros((layout.payload_elements, packing.slots, params.degree), np.int64)
    padded.reshape(-1)[: layout.length] = opened.values
    weights = np.left_shift(1, packing.slot_bits * np.arange(packing.slots))
    for j in range(layout.elements):
        plaintext = oracle.decrypt(scaled(layout, accumulator.sums[j]), negated(layout, public[j]))
        expected = [0] * params.degree if j < 2 else (weights @ padded[j - 2]).tolist()
        assert plaintext == expected


def test_seal_reads_another_key_as_garbage(tmp_path):
    layout = layout_of(17)
    accumulator, key, _ = summed(layout, range(PARTIES))
    wrong = key.copy()
    wrong[0] ^= np.uint64(1)
    oracle = SealDecryptor(layout, wrong, tmp_path)
    one = np.ones(P2048.degree, np.uint64)
    public = PublicElements(P2048, HEADER, one).next_products(1)
    ciphertext = scaled(layout, accumulator.sums[0]), negated(layout, public[0])
    with pytest.raises(AssertionError):  # no noise budget is left
        oracle.decrypt(*ciphertext)


def test_seal_takes_no_modulus_of_61_bits():
    assert context_of(layout_of(17, P4096)).parameters_set()
    assert not context_of(layout_of(17, P4096g)).parameters_set()


def scaled(layout: Layout, sums: np.ndarray) -> np.ndarray:
    q, dropped = layout.params.modulus, layout.packing.dropped_bits
    return np.array([(int(value) << dropped) % q for value in sums], np.uint64)


def negated(layout: Layout, element: np.ndarray) -> np.ndarray:
    q = np.uint64(layout.params.modulus)
    return (q - element) % q
