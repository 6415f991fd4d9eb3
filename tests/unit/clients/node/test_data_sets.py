"""Data sets: committed to, proven, chosen by the policy, and erased so that nothing links commitment and records."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from clients.node import data_sets
from clients.node.data_sets import (
    add,
    check,
    commitment_of,
    erase,
    erased,
    find,
    prove,
    stored,
)
from clients.node.erasure import plan_erasure
from clients.node.house import open_house
from clients.node.manifest import describe, record_leaf, verify_opening
from clients.node.new_house import create_house
from clients.node.policy import Policy
from clients.node.record_file import read_records
from clients.node.signed_manifest import SignedManifest, verify_manifest
from fl_core.errors import DecodeError, InputError, VerificationError
from fl_core.hashtree import tree_root
from fl_core.randomness import SystemRandomSource
from fl_core.secret import Secret
from ledger.files import write_atomically
from ledger.signer import KeySigner

RECORDS = [b"patient-one,63,1", b"patient-two,41,0", b"patient-three,57,1"]
TEXT = b"who,age,sex\n" + b"\n".join(RECORDS) + b"\n"
ACCOUNT = KeySigner(Secret(b"\x05" * 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    house = tmp_path / "node"
    create_house(house, "A", TEXT, Policy(tasks=("t",)), random=SystemRandomSource(), scrypt_cost=2)
    return house


def added(folder: Path, name: str = "cardiology", text: bytes = TEXT, **changes: object) -> SignedManifest:
    source = folder.parent / f"{name}.csv"
    source.write_bytes(text)
    arguments = {
        "task": "t", "account": ACCOUNT, "copy": True, "now": 7, "random": SystemRandomSource(),
        "check_rows": lambda path: None, **changes,
    }  # fmt: skip
    return add(folder, name, source, **arguments)


def test_a_manifest_says_what_others_may_know_and_the_holder_signed_it(folder):
    manifest = added(folder)
    assert (manifest.records, manifest.columns, manifest.task) == (3, "who,age,sex", "t")
    verify_manifest(manifest)
    for change in ({"records": 4}, {"name": "other"}, {"commitment": "00" * 32}, {"signature": ""}):
        with pytest.raises(VerificationError):
            verify_manifest(replace(manifest, **change))
    assert SignedManifest.decode(manifest.encode()) == manifest
    assert b"patient" not in manifest.encode()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"format":"suture-dataset-v1"}', b"x" * (1 << 20)])
def test_what_is_no_manifest_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        SignedManifest.decode(data)


def test_the_same_file_added_twice_has_two_commitments(folder):
    assert added(folder, "one").commitment != added(folder, "two").commitment
    assert [one.name for one in stored(folder)] == ["records", "one", "two"]


def test_salt_and_copied_records_are_the_owners_alone(folder):
    added(folder)
    for path in (folder / "data" / "cardiology").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a,b\n1,2,3\n", "line 2: 3 fields"),
        (b'a,b\n1,"x\ny"\n', "a field holds a line break"),
        (b"a,b\n", "no record"),
        (b"a,b\n\xff\xfe\n", "no CSV file"),
        (b'a,b\n1,"2\n', "no CSV file"),
    ],
)
def test_a_file_that_is_no_table_of_lines_is_refused_and_leaves_nothing(folder, text, problem):
    with pytest.raises(InputError, match=problem):
        added(folder, text=text)
    assert not (folder / "data" / "cardiology").exists()


def test_the_tasks_own_check_comes_before_anything_is_kept(folder):
    def refuse(path: Path) -> None:
        raise InputError("not of this task.")

    with pytest.raises(InputError, match="not of this task"):
        added(folder, check_rows=refuse)
    assert not (folder / "data" / "cardiology").exists()


@pytest.mark.parametrize("name", ["records", "Big", "", "../x", "a b", "a" * 64])
def test_names_that_are_taken_or_strange_are_refused(folder, name):
    with pytest.raises(InputError, match=r"cannot be the name|is reserved"):
        add(folder, name, folder, task="t", account=ACCOUNT, copy=True, now=1, random=SystemRandomSource(),
            check_rows=lambda path: None)  # fmt: skip


def test_an_addition_that_was_killed_is_no_data_set_and_can_be_made_again(folder, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(data_sets, "describe", killed)
        added(folder)
    assert [one.name for one in stored(folder)] == ["records"]
    assert added(folder).records == 3


def test_a_file_that_changed_is_not_what_was_committed_to(folder):
    added(folder, copy=False)
    one = find(folder, "cardiology")
    assert check(one).records == 3
    one.path.write_bytes(TEXT.replace(b"63", b"64"))
    with pytest.raises(InputError, match="changed since"):
        check(one)


@pytest.mark.parametrize("name", ["records", "cardiology"])
def test_an_opening_proves_its_record_and_no_other(folder, name):
    added(folder)
    one, commitment = find(folder, name), commitment_of(folder, name)
    for position, record in enumerate(RECORDS):
        verify_opening(commitment, prove(one, position), record)
    opening = prove(one, 1)
    for commitment_, opening_, record in (
        (commitment, opening, RECORDS[0]),
        (bytes(32), opening, RECORDS[1]),
        (commitment, replace(opening, position=0), RECORDS[1]),
        (commitment, replace(opening, records=4), RECORDS[1]),
        (commitment, replace(opening, salt=Secret(bytes(32))), RECORDS[1]),
        (commitment, replace(opening, path=()), RECORDS[1]),
    ):
        with pytest.raises(VerificationError):
            verify_opening(commitment_, opening_, record)
    with pytest.raises(InputError, match="no record 4"):
        prove(one, 3)


def test_a_large_file_is_read_line_by_line(folder):
    import tracemalloc

    path = folder.parent / "large.csv"
    with path.open("wb") as file:
        file.write(b"a\n")
        file.writelines(b"%0200d\n" % number for number in range(50_000))  # ten megabytes
    tracemalloc.start()
    try:
        assert describe(read_records(path), Secret(bytes(32))).records == 50_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------- choosing


def write_policy(folder: Path, lines: str) -> None:
    write_atomically(folder / "node.toml", f'name = "A"\n[policy]\ntasks = ["t"]\n{lines}'.encode(), 0o600)


def test_the_policy_chooses_the_data_set_of_a_task(folder):
    manifest = added(folder)
    write_policy(folder, 'data = { t = "cardiology" }\n')
    house = open_house(folder)
    assert set(house.data) == {"cardiology"}
    assert house.data["cardiology"].commitment.hex() == manifest.commitment
    write_policy(folder, "")
    assert set(open_house(folder).data) == {"records"}


# ---------------------------------------------------------------------- erasing


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("name", ["records", "cardiology"])
def test_after_an_erasure_nothing_on_disk_links_commitment_and_records(folder, name):
    added(folder)
    one, commitment = find(folder, name), commitment_of(folder, name)
    salt = data_sets.read_salt(one.salt)
    leaves = [record_leaf(salt, position, record) for position, record in enumerate(RECORDS)]
    secrets = [
        salt.reveal(), salt.reveal().hex().encode(), tree_root(leaves), *leaves,
        *(leaf.hex().encode() for leaf in leaves),
    ]  # fmt: skip
    other = "cardiology" if name == "records" else "records"
    assert erase(folder, name, 99) == commitment
    left = everything(folder)
    assert not any(secret in left for secret in secrets)
    assert [found.name for found in stored(folder)] == [other]
    assert erased(folder) == {commitment: 99}
    # whoever has records and commitment, and guesses any salt that is left on the disk, confirms nothing
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size == 64:
            guess = Secret(bytes.fromhex(path.read_text()))
            assert describe(RECORDS, guess).commitment != commitment


def test_the_same_records_again_cannot_be_linked_to_what_was_erased(folder):
    before = added(folder).commitment
    erase(folder, "cardiology", 1)
    assert added(folder).commitment != before


def test_records_that_stayed_outside_stay_and_their_link_goes(folder):
    added(folder, copy=False)
    source = find(folder, "cardiology").path
    plan = plan_erasure(folder, "cardiology")
    assert any("Not erased" in line for line in plan.lines)
    erase(folder, "cardiology", 1)
    assert source.read_bytes() == TEXT


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_erasure_that_was_killed_goes_on(folder, monkeypatch, steps):
    added(folder)
    commitment, real, left = commitment_of(folder, "cardiology"), data_sets._overwrite, [steps]

    def dying(path: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(data_sets, "_overwrite", dying)
        if steps < 3:
            with pytest.raises(KeyboardInterrupt):
                erase(folder, "cardiology", 5)
            patch.setattr(data_sets, "_overwrite", real)
            erase(folder, "cardiology", 6)
        else:
            erase(folder, "cardiology", 5)
    assert erased(folder) == {commitment: 5}
    assert not (folder / "data" / "cardiology").exists()


def test_looking_at_an_erasure_changes_nothing(folder):
    before = everything(folder)
    plan = plan_erasure(folder, "records")
    assert (plan.runs, plan.stays) == ([], 0)
    assert everything(folder) == before


def test_a_house_whose_data_set_was_erased_opens_without_it(folder):
    erase(folder, "records", 1)
    house = open_house(folder)
    assert (house.data, house.manifest.records) == ({}, 0)


def test_a_lost_salt_is_no_erasure(folder):
    (folder / "keys" / "data-salt").unlink()
    with pytest.raises(InputError, match="data-salt cannot be read"):
        open_house(folder)
