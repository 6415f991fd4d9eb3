"""Microsoft SEAL decrypts our summed ciphertexts, and gets our integers.

Delta = (q-1)/t makes (2^5 * sum of wire coefficients, -a_j) a BFV ciphertext with plain modulus t under the aggregate key,
so SEAL, through ``tenseal.sealapi``, is an oracle that shares no line with us. Its objects are handed over as files in
SEAL's own uncompressed layout (16-byte header: magic, header size, version 4.3, no compression, total size).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tenseal.sealapi as seal

from fl_core.lattice.parameters import P2048, P4096, ParameterSet
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.public_elements import PublicElements
from tests.unit.fl_core.secagg.parties import HEADER, layout_of, summed

PARTIES = 5


class SealDecryptor:
    """Decrypts (c0, c1) given in coefficients, under a key given in SEAL's transform order."""

    def __init__(self, params: ParameterSet, key: np.ndarray, folder: Path) -> None:
        description = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
        description.set_poly_modulus_degree(params.degree)
        description.set_coeff_modulus([seal.Modulus(params.modulus)])
        description.set_plain_modulus(params.plain_modulus)
        self.context = seal.SEALContext(description, True, seal.SEC_LEVEL_TYPE.NONE)
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


def framed(body: bytes) -> bytes:
    return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, 16 + len(body)) + body


def words(values: np.ndarray) -> bytes:
    return framed(struct.pack("<Q", values.size) + values.astype("<u8").tobytes())


@pytest.mark.parametrize("params", [P2048, P4096], ids=lambda p: p.name)
def test_seal_opens_the_sum_to_the_same_integers(params, tmp_path):
    layout = layout_of(3 * params.degree, params)
    accumulator, key, total = summed(layout, range(PARTIES))
    opened = decrypt(layout, HEADER, accumulator.sums, PARTIES, key)
    assert np.array_equal(opened.values, total)

    oracle = SealDecryptor(params, key, tmp_path)
    one = np.ones(params.degree, np.uint64)
    public = PublicElements(params, HEADER, one).next_products(layout.elements)
    padded = np.zeros((layout.payload_elements, 2, params.degree), np.int64)
    padded.reshape(-1)[: layout.length] = opened.values
    q = np.uint64(params.modulus)
    for j in range(layout.elements):
        plaintext = oracle.decrypt(accumulator.sums[j] * np.uint64(32) % q, (q - public[j]) % q)
        if j < 2:
            assert plaintext == [0] * params.degree
        else:
            low, high = padded[j - 2]
            assert plaintext == (low + (high << 21)).tolist()


def test_seal_reads_another_key_as_garbage(tmp_path):
    layout = layout_of(17)
    accumulator, key, _ = summed(layout, range(PARTIES))
    wrong = key.copy()
    wrong[0] ^= np.uint64(1)
    oracle = SealDecryptor(P2048, wrong, tmp_path)
    one = np.ones(P2048.degree, np.uint64)
    public = PublicElements(P2048, HEADER, one).next_products(1)
    q = np.uint64(P2048.modulus)
    ciphertext = accumulator.sums[0] * np.uint64(32) % q, (q - public[0]) % q
    with pytest.raises(AssertionError):  # no noise budget is left
        oracle.decrypt(*ciphertext)
