"""The frozen vectors come out of our code and of the independent verifier, and tampering with them does not."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import RemoteProtocolError
from fl_core.lattice.parameters import PACKINGS, PARAMETER_SETS
from fl_core.randomness import Stream
from fl_core.secagg import boxes, shamir
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret
from tests.vectors.secagg import generate, verify

ROUNDS = ("round-P2048.json", "round-P4096.json")
BOXES = verify.load("boxes.json")["cases"]
TAMPERED = [(name, case) for name in ROUNDS for case in verify.load(name)["tampered"]]
TOLERATED = [(name, case) for name in ROUNDS for case in verify.load(name)["tolerated"]]


@pytest.mark.parametrize("name", ROUNDS)
def test_the_independent_verifier_accepts_the_round(name):
    verify.verify_round(verify.load(name))


def test_the_independent_verifier_accepts_the_boxes():
    verify.verify_boxes(verify.load("boxes.json"))


def test_the_independent_verifier_imports_nothing_of_ours():
    tree = ast.parse(Path(verify.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {n.module if isinstance(n, ast.ImportFrom) else a.name for n in imports for a in n.names}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("ciphertext_sha256", "00" * 32),
        ("ciphertext_root", "00" * 32),
        ("first_coefficients", [0, 0, 0]),
        ("shares_sha256", ["00" * 32] * 4),
    ],
)
def test_the_independent_verifier_refuses_a_changed_record_of_a_client(field, wrong):
    vector = verify.load("round-P2048.json")
    vector["clients"][0][field] = wrong
    with pytest.raises(AssertionError):
        verify.verify_round(vector)


def test_our_code_generates_the_rounds_byte_for_byte():
    for name, text in generate.round_vectors().items():
        assert (verify.HERE / name).read_text() == text


def replay(vector):
    """Return layout, header digest, sums, summed shares and ciphertexts of a recorded round."""
    params = PARAMETER_SETS[vector["params"]]
    layout = Layout(params=params, packing=PACKINGS[vector["packing"]], length=vector["length"])
    header_digest, points = bytes.fromhex(vector["header_digest"]), range(1, vector["members"] + 1)
    accumulator, shares, ciphertexts = Accumulator(layout), [], []
    for client in vector["clients"]:
        seed = Secret(bytes.fromhex(client["seed"]))
        values = np.array(client["values"], np.uint16)
        ciphertext, secret = encrypt(layout, header_digest, values, seed)
        accumulator.add(ciphertext)
        alone = Accumulator(layout)
        alone.add(ciphertext)
        ciphertexts.append(alone.sums.copy())
        stream = Stream(seed, Label.SHARING)
        shares.append(shamir.share(params, secret, vector["threshold"], points, stream))
    summed = {x: shamir.add_shares(params, [s[x - 1] for s in shares]) for x in points}
    return layout, header_digest, accumulator.sums.copy(), summed, ciphertexts


@pytest.mark.parametrize(("name", "case"), TAMPERED, ids=[f"{n}: {c['name']}" for n, c in TAMPERED])
def test_our_code_refuses_the_tampered_round(name, case):
    vector = verify.load(name)
    layout, header_digest, sums, summed, ciphertexts = replay(vector)
    params, threshold, count = layout.params, vector["threshold"], len(vector["clients"])
    answering = case.get("answering", vector["answering"])
    good = shamir.combine(params, threshold, {x: summed[x] for x in vector["answering"]})
    assert decrypt(layout, header_digest, sums, count, good).values.tolist() == vector["sums"]

    def tampered() -> None:
        key = good.copy()
        if case["change"] == "key":
            key[case["index"]] = (int(key[case["index"]]) + case["by"]) % params.modulus
        elif case["change"] == "check element":
            sums[0, case["index"]] += np.uint64(case["by"])
        elif case["change"] == "ciphertext":
            sums[:] -= ciphertexts[case["client"]]
        elif case["change"] == "share":
            share = summed[case["point"]]
            share[case["index"]] = (int(share[case["index"]]) + case["by"]) % params.modulus
        elif case["change"] == "encoding":
            encoded = shamir.encode_vector(params, key)
            shamir.decode_vector(params, bytes.fromhex(case["prefix"]) + encoded[case["cut"] :])
        if case["change"] in ("share", "answering"):
            key = shamir.combine(params, threshold, {x: summed[x] for x in answering})
        decrypt(layout, header_digest, sums, count, key)

    with pytest.raises(RemoteProtocolError):
        tampered()


@pytest.mark.parametrize(("name", "case"), TOLERATED, ids=[f"{n}: {c['name']}" for n, c in TOLERATED])
def test_noise_in_a_check_element_below_its_bound_changes_no_value(name, case):
    vector = verify.load(name)
    layout, header_digest, sums, summed, _ = replay(vector)
    key = shamir.combine(layout.params, vector["threshold"], {x: summed[x] for x in vector["answering"]})
    sums[case["element"], case["index"]] += np.uint64(case["by"])
    assert decrypt(layout, header_digest, sums, len(vector["clients"]), key).values.tolist() == vector["sums"]


@pytest.mark.parametrize("case", BOXES, ids=[case["name"] for case in BOXES])
def test_our_code_opens_exactly_the_boxes_that_open(case):
    private = boxes.TransportPrivateKey.from_seed(Secret(bytes.fromhex(case["seed"])))
    info, box = bytes.fromhex(case["info"]), bytes.fromhex(case["box"])
    if case["success"]:
        assert private.public.hex() == case["public_key"]
        assert boxes.open(private, info, box).reveal().hex() == case["plaintext"]
    else:
        with pytest.raises(RemoteProtocolError):
            boxes.open(private, info, box)


@pytest.mark.slow
def test_a_processor_without_vector_extensions_gives_the_same_bytes(tmp_path):
    """The kernels are compiled again for the plainest processor, in a process and a cache of their own."""
    environment = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(verify.HERE.parents[2]),
    }
    code = (
        "from tests.vectors.secagg import generate; print(*generate.round_vectors().values(), sep='', end='')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == "".join((verify.HERE / name).read_text() for name in ROUNDS)
