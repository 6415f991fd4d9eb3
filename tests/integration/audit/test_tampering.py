"""Whatever is changed in a public folder, the check whose matter it is fails and names it: objects, the seal, files."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusions
from fl_core.protocol.messages import Leaf
from ledger.archive import Archive
from ledger.audit.findings import Fault
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.seal import write_seal
from ledger.typed_data import Domain
from tests.simulators.check_numbers import (
    AGGREGATES,
    ANSWERS,
    CIPHERTEXTS,
    LEAVES,
    MEMBERS,
    MODELS,
    PRIVACY,
    REWARDS,
    ROUNDS,
    SEAL,
    TERMS,
)
from tests.simulators.public_folder import CHAIN_ID, HOLDERS, Consortium, PublicRun, dataset_of, insecure_key
from tests.simulators.tampering import (
    Key,
    digest_of,
    failures,
    flip,
    flipped,
    object_name,
    read_paper,
    substitute,
    write_paper,
)

ALDER, BIRCH, CEDAR, DAMSON = HOLDERS

OBJECTS: dict[str, tuple[int | None, Key, int]] = {
    "terms": (None, "terms", TERMS),
    "initial model": (None, "initial_model", TERMS),
    "transport key": (None, ("transport_keys", CEDAR), MEMBERS),
    "header": (3, "header", ROUNDS),
    "leaf": (3, ("leaves", BIRCH), LEAVES),
    "exclusions": (1, "exclusions", LEAVES),
    "ciphertext": (1, ("ciphertexts", DAMSON), CIPHERTEXTS),
    "check answer": (3, ("checks", BIRCH), ANSWERS),
    "reveal": (3, ("reveals", ALDER), ANSWERS),
    "aggregate key": (4, "aggregate_key", ANSWERS),
    "metrics": (3, "metrics", AGGREGATES),
    "rewards": (3, "rewards", REWARDS),
    "model": (1, "model", MODELS),
    "newest model": (4, "model", MODELS),
}
"""Kind -> round whose paper names it (none: run.json), entry of the paper, check that covers it."""


def _check_blame(faults: tuple[Fault, ...], name: str, number: int | None, key: Key, run: PublicRun) -> None:
    """An object is blamed, with its round and its holder where it has them."""
    holder = "" if isinstance(key, str) else run.holders[key[1]].hex()
    assert (name, number or 0, holder) in {(fault.path, fault.round, fault.holder) for fault in faults}


@pytest.mark.parametrize("offset", [0.37, -1])
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_flipped_byte_of_an_archived_object_fails_the_seal_and_the_check_that_covers_it(
    copied: PublicRun, honest: PublicRun, kind: str, offset: float
) -> None:
    number, key, covering = OBJECTS[kind]
    name = object_name(digest_of(copied, number, key))
    path = copied.path / name
    flip(path, int(offset * path.stat().st_size) if offset > 0 else int(offset))
    found = failures(copied, honest)
    assert {SEAL, covering} <= found.keys()
    assert {fault.path for fault in found[SEAL]} == {name}
    _check_blame(found[covering], name, number, key, copied)


@pytest.mark.parametrize("offset", [0, 0.37])
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_was_replaced_in_good_form_and_sealed_again_fails_exactly_the_check_that_covers_it(
    copied: PublicRun, honest: PublicRun, kind: str, offset: float
) -> None:
    number, key, covering = OBJECTS[kind]

    def change(data: bytes) -> bytes:
        return flipped(data, int(offset * len(data)) if offset > 0 else int(offset))

    name = substitute(copied, number, key, change)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {covering}
    _check_blame(found[covering], name, number, key, copied)


def test_changed_salt_of_the_metrics_is_found_by_the_digest_on_the_ledger(
    copied: PublicRun, honest: PublicRun
) -> None:
    def change(document: bytes) -> bytes:
        values = json.loads(document)
        values["salt"] = "00" * 32
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    name = substitute(copied, 3, "metrics", change)
    copied.seal()
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        AGGREGATES: [name]
    }


def test_other_exclusions_in_good_form_are_found_by_the_digest_on_the_ledger(
    copied: PublicRun, honest: PublicRun
) -> None:
    other = Exclusions(excluded=(), unreliable=(copied.holders[BIRCH],))
    assert (
        copied.path / object_name(digest_of(copied, 1, "exclusions"))
    ).read_bytes() == NO_EXCLUSIONS.encode()
    name = substitute(copied, 1, "exclusions", lambda document: other.encode())
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {LEAVES}
    assert name in {fault.path for fault in found[LEAVES]}


def test_exclusions_that_hide_who_was_left_out_are_found(disputed: PublicRun, tmp_path: Path) -> None:
    copy = disputed.moved(Path(shutil.copytree(disputed.path, tmp_path / "public")))
    name = substitute(copy, 2, "exclusions", lambda document: NO_EXCLUSIONS.encode())
    copy.seal()
    found = failures(copy, disputed)
    assert {number: {(f.path, f.round) for f in faults} for number, faults in found.items()} == {
        LEAVES: {(name, 2)}
    }


def test_a_holder_that_was_left_out_against_the_members_values_is_found(tmp_path: Path) -> None:
    """The coordinator's document is on the ledger, with its digest; only judging again finds the lie."""
    consortium = Consortium(tmp_path / "run")
    consortium.play()
    consortium.play_without(CEDAR)
    run = consortium.close()
    found = failures(run, run)
    assert found.keys() == {ANSWERS}
    name = object_name(digest_of(run, 2, "exclusions"))
    assert [(f.path, f.round, f.problem) for f in found[ANSWERS]] == [
        (name, 2, "the share check leaves out others than the document says")
    ]


def test_fewer_check_answers_than_the_threshold_fail_and_more_than_needed_may_be_missing(
    copied: PublicRun, honest: PublicRun
) -> None:
    for number in (1, 3):  # four answers in round 1, exactly three in round 3
        paper = read_paper(copied, number)
        del paper["checks"][copied.holders[ALDER].hex()]
        write_paper(copied, number, paper)
    copied.seal()
    found = failures(copied, honest)
    assert {number: [fault.round for fault in faults] for number, faults in found.items()} == {ANSWERS: [3]}


def test_check_answers_without_which_the_outcome_is_another_one_may_not_be_missing(
    disputed: PublicRun, tmp_path: Path
) -> None:
    """Round 3 left out a holder for one member's word; without that word everybody would be included."""
    copy = disputed.moved(Path(shutil.copytree(disputed.path, tmp_path / "public")))
    paper = read_paper(copy, 3)
    data = (copy.path / object_name(paper["exclusions"])).read_bytes()
    [exclusion] = Exclusions.decode(data).excluded
    [member] = exclusion.disputed_by
    del paper["checks"][member.hex()]
    write_paper(copy, 3, paper)
    copy.seal()
    found = failures(copy, disputed)
    assert {number: [fault.round for fault in faults] for number, faults in found.items()} == {ANSWERS: [3]}


def test_a_well_signed_leaf_that_the_ledger_did_not_accept_fails(
    copied: PublicRun, honest: PublicRun
) -> None:
    archive, paper = Archive(copied.public.archive), read_paper(copied, 3)
    other = Leaf.decode((copied.path / object_name(digest_of(copied, 3, ("leaves", CEDAR)))).read_bytes())
    statement = replace(other.statement, member=copied.holders[DAMSON], dataset=dataset_of(DAMSON))
    signer = LedgerSigner(LedgerNotary(CHAIN_ID, copied.contract), insecure_key(DAMSON))
    leaf = Leaf(statement=statement, signature=signer.sign(statement))
    paper["leaves"][copied.holders[DAMSON].hex()] = archive.put(leaf.encode()).hex()
    write_paper(copied, 3, paper)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {LEAVES}
    assert ("rounds/00003.json", 3) in {(fault.path, fault.round) for fault in found[LEAVES]}


# ---------------------------------------------------------------------- what the seal alone covers


def test_a_flipped_byte_of_the_newest_model_fails_seal_and_models(
    copied: PublicRun, honest: PublicRun
) -> None:
    flip(copied.public.model, -3)
    found = failures(copied, honest)
    assert found.keys() == {SEAL, MODELS}
    assert [fault.path for fault in found[MODELS]] == ["model.safetensors"]


def test_a_coordinator_that_publishes_another_model_and_seals_again_is_caught(
    copied: PublicRun, honest: PublicRun
) -> None:
    substitute(copied, 4, "model", lambda data: flipped(data, -2))
    shutil.copyfile(copied.path / object_name(digest_of(copied, 4, "model")), copied.public.model)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {MODELS}
    assert {fault.path for fault in found[MODELS]} == {
        object_name(digest_of(copied, 4, "model")),
        "model.safetensors",
    }


@pytest.mark.parametrize("offset", [0, 25, 150, -80, -1])
def test_a_flipped_byte_of_the_seal_fails_the_seal_or_its_signature_or_both(
    copied: PublicRun, honest: PublicRun, offset: int
) -> None:
    flip(copied.public.seal, offset)
    found = failures(copied, honest)
    assert found.keys() <= {SEAL, MEMBERS}
    assert [fault.path for fault in found[MEMBERS]] == ["seal.json"]


def test_a_folder_without_a_seal_fails_the_seal_and_its_signature(
    copied: PublicRun, honest: PublicRun
) -> None:
    copied.public.seal.unlink()
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        SEAL: ["seal.json"],
        MEMBERS: ["seal.json"],
    }


def test_a_seal_of_another_run_fails_its_signature(copied: PublicRun, honest: PublicRun) -> None:
    domain = Domain(chain_id=CHAIN_ID, contract=copied.contract)
    write_seal(copied.public, run=bytes(32), domain=domain, signer=insecure_key("coordinator"))
    found = failures(copied, honest)
    assert {number: [fault.problem for fault in faults] for number, faults in found.items()} == {
        MEMBERS: ["the seal is of another run"]
    }


def test_a_seal_by_another_key_fails(copied: PublicRun, honest: PublicRun) -> None:
    domain = Domain(chain_id=CHAIN_ID, contract=copied.contract)
    write_seal(copied.public, run=copied.run, domain=domain, signer=insecure_key("somebody"))
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        MEMBERS: ["seal.json"]
    }


def test_a_false_signature_is_found_whatever_else_is_wrong_with_the_folder(
    copied: PublicRun, honest: PublicRun
) -> None:
    domain = Domain(chain_id=CHAIN_ID, contract=copied.contract)
    write_seal(copied.public, run=copied.run, domain=domain, signer=insecure_key("somebody"))
    (copied.path / "notes.txt").write_bytes(b"not in the seal")
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        SEAL: ["notes.txt"],
        MEMBERS: ["seal.json"],
    }


def test_an_empty_folder_fails_the_seal_and_is_named(copied: PublicRun, honest: PublicRun) -> None:
    (copied.path / "archive" / "00" / "deep").mkdir(parents=True)
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        SEAL: ["archive/00/deep"]
    }


@pytest.mark.parametrize("name", ["notes.txt", "ledger.sqlite-wal", "ledger.sqlite-shm", "archive/ab/extra"])
def test_an_extra_file_fails_the_seal_and_is_named(copied: PublicRun, honest: PublicRun, name: str) -> None:
    path = copied.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    found = failures(copied, honest)
    assert found.keys() == {SEAL}
    assert {fault.path for fault in found[SEAL]} == {name}


def test_a_link_in_the_folder_fails_the_seal_and_is_named(copied: PublicRun, honest: PublicRun) -> None:
    (copied.path / "link").symlink_to("/etc/hostname")
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {SEAL: ["link"]}


def test_an_archived_object_under_another_name_fails_even_when_it_is_sealed(
    copied: PublicRun, honest: PublicRun
) -> None:
    path = copied.path / object_name("ab" * 32)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"something")
    copied.seal()
    found = failures(copied, honest)
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {
        SEAL: [object_name("ab" * 32)]
    }


# ---------------------------------------------------------------------- private files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("archive/notes", b"-----BEGIN EC PRIVATE KEY-----\n"),
        ("holder.json", b'{"crypto": {"kdf": "scrypt", "kdfparams": {}}}'),
        ("large", b"x" * (1 << 20) + b"-----BEGIN PRIVATE KEY-----"),
        ("across", b"x" * ((1 << 20) - 20) + b"-----BEGIN PRIVATE KEY-----"),
        ("passphrase", b"horse"),
    ],
)
def test_private_files_fail_even_when_they_are_sealed(
    copied: PublicRun, honest: PublicRun, name: str, content: bytes
) -> None:
    (copied.path / name).write_bytes(content)
    copied.seal()
    found = failures(copied, honest)
    assert name in {fault.path for fault in found[PRIVACY]}
    assert found.keys() <= {PRIVACY, SEAL}


# ---------------------------------------------------------------------- anything at all


def test_a_flipped_byte_anywhere_fails_the_seal_and_names_the_file(
    copied: PublicRun, honest: PublicRun
) -> None:
    draw = random.Random(11)
    files = sorted(path for path in copied.path.rglob("*") if path.is_file() and path != copied.public.chain)
    for path in draw.sample(files, 25):
        original = path.read_bytes()
        path.write_bytes(flipped(original, draw.randrange(len(original))))
        found = failures(copied, honest)
        named = {fault.path for fault in (*found.get(SEAL, ()), *found.get(MEMBERS, ()))}
        assert path.relative_to(copied.path).as_posix() in named
        path.write_bytes(original)
    assert failures(copied, honest) == {}
