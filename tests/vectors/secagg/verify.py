"""Verify the secure-aggregation vectors with schoolbook arithmetic on Python integers.

This file imports nothing of the project. It restates the scheme from the documentation, slowly and differently: integers
instead of 64-bit words, polynomial products by one multiplication of very large integers, the inverse transform by
recursive Chinese remaindering, HPKE written out from RFC 9180. Block ciphers, curves and ML-KEM come from
``cryptography``, hashes from the standard library.

Run it as ``python tests/vectors/secagg/verify.py``; it raises at the first case that does not come out as recorded.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).parent

SETS = {  # degree, modulus, psi
    "P4096": (4096, 2**53 - 311295, 2135425536758),
    "P2048": (2048, 2**53 - 126975, 1999430903908),
    "P4096g": (4096, 2**61 - 139263, 307554654119321),
}
DELTA, DROPPED, SLOTS, SLOT_BITS, SPARE = 2**11, 5, 2, 21, 8
PACK15 = (DELTA, DROPPED, SLOTS, SLOT_BITS)
CHECK_BOUND = 2**20  # the largest noise of a check element that the right key may leave


class Rejected(Exception):
    """A case does not verify."""


# ---------------------------------------------------------------- hashing and streams


def labelled_digest(label, *parts):
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in (label.encode(), *parts))
    return hashlib.sha256(framed).digest()


class Keystream:
    def __init__(self, seed, label):
        key = labelled_digest("suture/v1/stream", label.encode(), seed)
        self.encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def words(self, count):
        raw = self.encryptor.update(bytes(8 * count))
        return [int.from_bytes(raw[8 * i : 8 * i + 8], "little") for i in range(count)]


def residues(stream, degree, modulus):
    masked = [word % 2 ** modulus.bit_length() for word in stream.words(degree + SPARE)]
    return [value for value in masked if value < modulus][:degree]


# ---------------------------------------------------------------- the ring


def coefficients(values, modulus, psi):
    """Interpolate: values[i] is taken at psi^(2*brv(i)+1). Recursively, modulo X^n - psi^e from both factors."""

    def join(part, exponent):
        n = len(part)
        if n == 1:
            return part
        root = exponent // 2
        left = join(part[: n // 2], root)
        right = join(part[n // 2 :], root + len(values))  # psi^N = -1
        inverse_two_root = pow(2 * pow(psi, root, modulus), -1, modulus)
        inverse_two = (modulus + 1) // 2
        low = [(u + v) * inverse_two % modulus for u, v in zip(left, right, strict=True)]
        high = [(u - v) * inverse_two_root % modulus for u, v in zip(left, right, strict=True)]
        return low + high

    return join(list(values), len(values))


def evaluate(polynomial, point, modulus):
    total = 0
    for coefficient in reversed(polynomial):
        total = (total * point + coefficient) % modulus
    return total


def multiply(left, right, modulus):
    """Multiply modulo X^N + 1: one product of integers whose digits are wide enough not to run over."""
    n = len(left)
    width = 18  # bytes: 2*61 + 13 bits < 144
    packed = [
        int.from_bytes(b"".join(c.to_bytes(width, "little") for c in p), "little") for p in (left, right)
    ]
    digits = (packed[0] * packed[1]).to_bytes(2 * n * width, "little")
    product = [int.from_bytes(digits[width * i : width * (i + 1)], "little") for i in range(2 * n)]
    return [(product[i] - product[i + n]) % modulus for i in range(n)]


# ---------------------------------------------------------------- the scheme


def public_elements(set_name, header_digest, count):
    degree, modulus, psi = SETS[set_name]
    seed = labelled_digest("suture/v1/public-elements", header_digest)
    stream = Keystream(seed, "suture/v1/public-elements")
    return [coefficients(residues(stream, degree, modulus), modulus, psi) for _ in range(count)]


def secret_of(set_name, seed):
    degree, modulus, _ = SETS[set_name]
    return residues(Keystream(seed, "suture/v1/stream/secret"), degree, modulus)


def messages(degree, values, slots=SLOTS, slot_bits=SLOT_BITS):
    per_element = slots * degree
    padded = list(values) + [0] * (-len(values) % per_element)
    out = [[0] * degree, [0] * degree]
    for j in range(0, len(padded), per_element):
        block = padded[j : j + per_element]
        out.append(
            [
                sum(block[slot * degree + i] << slot_bits * slot for slot in range(slots))
                for i in range(degree)
            ]
        )
    return out


def encrypt(set_name, public, values, seed, packing=PACK15):
    """Return wire coefficients, one list for each ring element."""
    delta, dropped, slots, slot_bits = packing
    degree, modulus, psi = SETS[set_name]
    secret = coefficients(secret_of(set_name, seed), modulus, psi)
    errors = Keystream(seed, "suture/v1/stream/errors")
    wire = []
    for element, message in zip(public, messages(degree, values, slots, slot_bits), strict=True):
        words = errors.words(2 * degree)
        noise = [words[i].bit_count() - words[degree + i].bit_count() for i in range(degree)]
        product = multiply(element, secret, modulus)
        cipher = [(p + e + delta * m) % modulus for p, e, m in zip(product, noise, message, strict=True)]
        wire.append([(c + 2 ** (dropped - 1)) >> dropped for c in cipher])
    return wire


def wire_bytes(element, width=6):
    """Planes of 4, then 2 (if width is 6 or 7), then 1 byte (if it is 5 or 7)."""
    planes, shift = b"", 0
    for size in {5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}[width]:
        planes += b"".join((c >> shift & 2 ** (8 * size) - 1).to_bytes(size, "little") for c in element)
        shift += 8 * size
    return planes


def tree_root(leaves):
    """RFC 6962, section 2.1, on leaf data."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def ciphertext_root(set_name, length, wire):
    context = labelled_digest(
        "suture/v1/ciphertext-leaf", set_name.encode(), b"PACK15", length.to_bytes(8, "big")
    )
    return tree_root([context + wire_bytes(element) for element in wire])


def shares_of(set_name, seed, threshold, points):
    degree, modulus, _ = SETS[set_name]
    stream = Keystream(seed, "suture/v1/stream/sharing")
    rows = [secret_of(set_name, seed)] + [residues(stream, degree, modulus) for _ in range(threshold - 1)]
    return {x: [evaluate(column, x, modulus) for column in zip(*rows, strict=True)] for x in points}


def encode_vector(vector):
    return b"".join(value.to_bytes(7, "little") for value in vector)


def decode_vector(set_name, encoded):
    degree, modulus, _ = SETS[set_name]
    if len(encoded) != 7 * degree:
        raise Rejected("length")
    vector = [int.from_bytes(encoded[7 * i : 7 * i + 7], "little") for i in range(degree)]
    if max(vector) >= modulus:
        raise Rejected("residue")
    return vector


def interpolate_at(set_name, shares, at):
    _, modulus, _ = SETS[set_name]
    total = [0] * len(next(iter(shares.values())))
    for i, vector in shares.items():
        weight = 1
        for j in shares:
            if j != i:
                weight = weight * (at - j) * pow(i - j, -1, modulus) % modulus
        total = [(t + weight * v) % modulus for t, v in zip(total, vector, strict=True)]
    return total


def combine(set_name, threshold, shares):
    if len(shares) < threshold:
        raise Rejected("too few shares")
    points = sorted(shares)
    basis = {x: shares[x] for x in points[:threshold]}
    for x in points[threshold:]:
        if interpolate_at(set_name, basis, x) != shares[x]:
            raise Rejected("not on one polynomial")
    return interpolate_at(set_name, basis, 0)


def open_sum(set_name, public, sums, count, key, length):
    """Return the sums of the values; raise if the check elements do not accept the key."""
    _, modulus, psi = SETS[set_name]
    aggregate_key = coefficients(key, modulus, psi)
    variance = 32 + (4**DROPPED - 1) / 12
    bound = 9.5 * math.sqrt(count * variance) + count / 2
    opened = []
    for j, (element, total) in enumerate(zip(public, sums, strict=True)):
        product = multiply(element, aggregate_key, modulus)
        residue = [((c << DROPPED) - p) % modulus for c, p in zip(total, product, strict=True)]
        if j < 2:
            noise = [r - modulus if r > modulus // 2 else r for r in residue]
            if max(map(abs, noise)) > CHECK_BOUND:
                raise Rejected("noise of the check elements")
            continue
        packed = [(r + DELTA // 2) % modulus // DELTA for r in residue]
        noise = [abs((r + DELTA // 2) % modulus % DELTA - DELTA // 2) for r in residue]
        if max(noise) > bound:
            raise Rejected("noise of the payload")
        for slot in range(SLOTS):
            opened += [m >> (SLOT_BITS * slot) & (2**SLOT_BITS - 1) for m in packed]
    return opened[:length]


# ---------------------------------------------------------------- boxes: RFC 9180, MLKEM768-X25519


def hkdf_expand(key, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def transport_keys(seed):
    derived = hkdf_expand(hmac.digest(bytes(32), seed, "sha256"), b"suture/v1/transport-seed", 96)
    return MLKEM768PrivateKey.from_seed_bytes(derived[:64]), X25519PrivateKey.from_private_bytes(derived[64:])


def public_transport_key(seed):
    mlkem, x25519 = transport_keys(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def open_box(seed, info, box):
    if len(box) < 1088 + 32 + 16:
        raise Rejected("length")
    mlkem, x25519 = transport_keys(seed)
    encapsulated, point, ciphertext = box[:1088], box[1088:1120], box[1120:]
    own = x25519.public_key().public_bytes_raw()
    exchanged = x25519.exchange(X25519PublicKey.from_public_bytes(point))
    shared = hashlib.sha3_256(
        mlkem.decapsulate(encapsulated) + exchanged + point + own + rb"\.//^\ "[:-1]
    ).digest()
    suite = b"HPKE" + bytes.fromhex("647a 0001 0002")  # MLKEM768-X25519, HKDF-SHA256, AES-256-GCM

    def extract(label, material, salt=bytes(32)):
        return hmac.digest(salt, b"HPKE-v1" + suite + label + material, "sha256")

    def expand(key, label, context, length):
        return hkdf_expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context, length)

    context = b"\x00" + extract(b"psk_id_hash", b"") + extract(b"info_hash", info)  # base mode
    secret = extract(b"secret", b"", shared)
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, b"")
    except InvalidTag:
        raise Rejected("tag") from None


# ---------------------------------------------------------------- the vectors


def verify_round(vector):
    name, length = vector["params"], vector["length"]
    degree, modulus, psi = SETS[name]
    header_digest, threshold = bytes.fromhex(vector["header_digest"]), vector["threshold"]
    points = range(1, vector["members"] + 1)
    public = public_elements(name, header_digest, 2 + -(-length // (SLOTS * degree)))
    sums = [[0] * degree for _ in public]
    summed = {x: [0] * degree for x in points}
    wires = []
    for client in vector["clients"]:
        seed = bytes.fromhex(client["seed"])
        wire = encrypt(name, public, client["values"], seed)
        wires.append(wire)
        body = b"".join(map(wire_bytes, wire))
        expect(hashlib.sha256(body).hexdigest() == client["ciphertext_sha256"], "ciphertext")
        expect(ciphertext_root(name, length, wire).hex() == client["ciphertext_root"], "root")
        expect([element[0] for element in wire] == client["first_coefficients"], "first coefficients")
        shares = shares_of(name, seed, threshold, points)
        digests = [hashlib.sha256(encode_vector(shares[x])).hexdigest() for x in points]
        expect(digests == client["shares_sha256"], "shares")
        sums = [[a + b for a, b in zip(s, w, strict=True)] for s, w in zip(sums, wire, strict=True)]
        summed = {x: [(a + b) % modulus for a, b in zip(summed[x], shares[x], strict=True)] for x in points}
    expect(
        [evaluate(public[0], pow(psi, e, modulus), modulus) for e in (1, degree + 1)]
        == vector["first_public"],
        "a",
    )
    key = combine(name, threshold, {x: summed[x] for x in vector["answering"]})
    expect(hashlib.sha256(encode_vector(key)).hexdigest() == vector["aggregate_key_sha256"], "key")
    count = len(vector["clients"])
    expect(open_sum(name, public, sums, count, key, length) == vector["sums"], "sums")
    for case in vector["tampered"]:
        replay_tampered(case, vector, public, sums, summed, key, wires)
    for case in vector["tolerated"]:
        noisy = [list(row) for row in sums]
        noisy[case["element"]][case["index"]] += case["by"]
        expect(open_sum(name, public, noisy, count, key, length) == vector["sums"], case["name"])


def replay_tampered(case, vector, public, sums, summed, key, wires):
    """Change one thing and see it refused."""
    name, threshold = vector["params"], vector["threshold"]
    _, modulus, _ = SETS[name]
    change = case["change"]
    index, by = case.get("index", 0), case.get("by", 0)
    count, key = len(vector["clients"]), list(key)
    summed = {x: list(summed[x]) for x in case.get("answering", vector["answering"])}
    sums = [list(row) for row in sums]
    try:
        if change == "key":
            key[index] = (key[index] + by) % modulus
        elif change == "check element":
            sums[0][index] += by
        elif change == "ciphertext":
            left_out = wires[case["client"]]
            sums = [[a - b for a, b in zip(s, w, strict=True)] for s, w in zip(sums, left_out, strict=True)]
        elif change == "share":
            x = case["point"]
            summed[x][index] = (summed[x][index] + by) % modulus
        elif change == "encoding":
            encoded = encode_vector(key)
            decode_vector(name, bytes.fromhex(case["prefix"]) + encoded[case["cut"] :])
        if change in ("share", "answering"):
            key = combine(name, threshold, summed)
        open_sum(name, public, sums, count, key, vector["length"])
    except Rejected:
        return
    raise AssertionError(f"{case['name']}: accepted")


def verify_boxes(vector):
    for case in vector["cases"]:
        seed, info, box = (bytes.fromhex(case[field]) for field in ("seed", "info", "box"))
        try:
            plaintext = open_box(seed, info, box)
        except (Rejected, ValueError):
            expect(not case["success"], case["name"])
            continue
        expect(case["success"] and plaintext.hex() == case["plaintext"], case["name"])
        expect(public_transport_key(seed).hex() == case["public_key"], "public key")


def expect(holds, what):
    if not holds:
        raise AssertionError(f"{what} does not come out as recorded")


def load(name):
    return json.loads((HERE / name).read_text())


def main():
    for name in ("round-P2048.json", "round-P4096.json"):
        verify_round(load(name))
    verify_boxes(load("boxes.json"))


if __name__ == "__main__":
    main()
