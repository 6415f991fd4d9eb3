"""Whatever is changed in a public folder, the check whose matter it is fails and names it."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusion, Exclusions, Reason
from fl_core.protocol.messages import Leaf
from ledger.archive import Archive
from ledger.audit.findings import Fault
from ledger.audit.papers import read_round
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.records import EMPTY_WORD, Act, Role
from ledger.seal import write_seal
from ledger.typed_data import Domain
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
(
    SEAL,
    LEDGER,
    MEMBERS,
    TERMS,
    ROUNDS,
    LEAVES,
    CIPHERTEXTS,
    ANSWERS,
    AGGREGATES,
    MODELS,
    REWARDS,
    PRIVACY,
    CHECKPOINTS,
) = range(1, 14)

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


# ---------------------------------------------------------------------- papers


@pytest.mark.parametrize("offset", [0, 40, 400, -2])
def test_a_flipped_byte_of_a_rounds_paper_fails_seal_and_the_check_of_what_it_names(
    copied: PublicRun, honest: PublicRun, offset: int
) -> None:
    flip(copied.public.round(3), offset)
    found = failures(copied, honest)
    assert SEAL in found
    assert found.keys() & {ROUNDS, LEAVES, CIPHERTEXTS, ANSWERS, AGGREGATES, MODELS, REWARDS}


def test_a_missing_paper_of_a_round_fails_even_when_it_is_sealed(
    copied: PublicRun, honest: PublicRun
) -> None:
    copied.public.round(3).unlink()
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {ROUNDS}
    assert [(fault.path, fault.round) for fault in found[ROUNDS]] == [("rounds/00003.json", 3)]


def test_a_paper_of_a_round_that_was_aborted_fails(copied: PublicRun, honest: PublicRun) -> None:
    write_paper(copied, 2, {**read_paper(copied, 3), "round": 2})
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {ROUNDS}
    assert [(fault.path, fault.round) for fault in found[ROUNDS]] == [("rounds/00002.json", 2)]


@pytest.mark.parametrize("keys", [(), HOLDERS[:2]])
def test_transport_keys_that_the_folder_keeps_to_itself_are_missed(
    copied: PublicRun, honest: PublicRun, keys: tuple[str, ...]
) -> None:
    paper = read_paper(copied, None)
    kept = {copied.holders[name].hex() for name in keys}
    paper["transport_keys"] = {a: key for a, key in paper["transport_keys"].items() if a in kept}
    write_paper(copied, None, paper)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {MEMBERS}
    missing = {account.hex() for account in copied.holders.values()} - kept
    assert {fault.holder for fault in found[MEMBERS]} == missing
    assert {fault.round for fault in found[MEMBERS]} == {1, 3, 4}


def test_papers_of_two_rounds_that_were_exchanged_fail(copied: PublicRun, honest: PublicRun) -> None:
    one, three = read_paper(copied, 1), read_paper(copied, 3)
    write_paper(copied, 1, {**three, "round": 1})
    write_paper(copied, 3, {**one, "round": 3})
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {ROUNDS}
    assert {fault.round for fault in found[ROUNDS]} == {1, 3}


@pytest.mark.parametrize("field", ["ciphertexts", "leaves", "checks", "reveals"])
def test_objects_of_two_holders_that_were_exchanged_fail_for_both(
    copied: PublicRun, honest: PublicRun, field: str
) -> None:
    paper = read_paper(copied, 1)
    alder, birch = (copied.holders[name].hex() for name in (ALDER, BIRCH))
    paper[field] |= {alder: paper[field][birch], birch: paper[field][alder]}
    write_paper(copied, 1, paper)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {
        {"ciphertexts": CIPHERTEXTS, "leaves": LEAVES, "checks": ANSWERS, "reveals": ANSWERS}[field]
    }
    (faults,) = found.values()
    assert {(fault.round, fault.holder) for fault in faults} == {(1, alder), (1, birch)}


def test_a_leaf_that_was_left_out_of_the_paper_fails(copied: PublicRun, honest: PublicRun) -> None:
    paper = read_paper(copied, 1)
    account = copied.holders[BIRCH].hex()
    del paper["leaves"][account], paper["ciphertexts"][account]
    paper["included"].remove(account)
    write_paper(copied, 1, paper)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {LEAVES}
    assert {(fault.path, fault.round) for fault in found[LEAVES]} == {("rounds/00001.json", 1)}


def test_an_included_set_that_is_not_the_ledgers_fails(copied: PublicRun, honest: PublicRun) -> None:
    paper = read_paper(copied, 1)
    account = copied.holders[BIRCH].hex()
    del paper["ciphertexts"][account]
    paper["included"].remove(account)
    write_paper(copied, 1, paper)
    copied.seal()
    assert failures(copied, honest).keys() == {LEAVES}


def test_fewer_answers_than_the_threshold_fail_and_more_than_needed_may_be_missing(
    copied: PublicRun, honest: PublicRun
) -> None:
    for number in (1, 3):  # four answers in round 1, exactly three in round 3
        paper = read_paper(copied, number)
        del paper["reveals"][copied.holders[ALDER].hex()]
        write_paper(copied, number, paper)
    copied.seal()
    found = failures(copied, honest)
    assert {number: [fault.round for fault in faults] for number, faults in found.items()} == {ANSWERS: [3]}


@pytest.mark.parametrize(
    ("field", "value", "covering"),
    [
        ("chain_id", 1, LEDGER),
        ("chain_id", True, LEDGER),
        ("contract", "11" * 20, LEDGER),
        ("token", "11" * 20, LEDGER),
        ("run", "11" * 32, LEDGER),
        ("terms", "11" * 32, TERMS),
        ("terms", 7, LEDGER),
        ("initial_model", "11" * 32, TERMS),
        ("names", [], LEDGER),
        ("transport_keys", {"11" * 20: "11" * 32}, MEMBERS),
    ],
)
def test_a_false_entry_of_the_runs_paper_fails_the_check_that_covers_it(
    copied: PublicRun, honest: PublicRun, field: str, value: object, covering: int
) -> None:
    write_paper(copied, None, {**read_paper(copied, None), field: value})
    found = failures(copied, honest)
    assert {SEAL, covering} <= found.keys()
    assert [fault.path for fault in found[SEAL]] == ["run.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("leaves", []),
        ("leaves", {"zz": "11" * 32}),
        ("included", "everybody"),
        ("included", [1, 2]),
        ("header", "AB" * 32),
        ("rewards", None),
        ("round", "3"),
        ("round", 3.0),
    ],
)
def test_an_entry_of_the_wrong_form_is_a_fault_of_the_paper(
    copied: PublicRun, honest: PublicRun, field: str, value: object
) -> None:
    write_paper(copied, 3, {**read_paper(copied, 3), field: value})
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {ROUNDS}
    assert [(fault.path, fault.round) for fault in found[ROUNDS]] == [("rounds/00003.json", 3)]


# ---------------------------------------------------------------------- the ledger


def _execute(statement: str, *arguments: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path, isolation_level=None) as database:
            assert database.execute(statement, arguments).rowcount == 1
        database.close()

    return change


@pytest.mark.parametrize(
    "change",
    [
        _execute("UPDATE genesis SET timestamp = timestamp + 1"),
        _execute("UPDATE genesis SET chain_id = 1"),
        _execute("UPDATE log SET data = zeroblob(length(data)) WHERE block = 30 AND position = 0"),
        _execute("DELETE FROM log WHERE block = 30 AND position = 0"),
        _execute(
            "INSERT INTO log SELECT 999, position, tx, address, topic0, topic1, topic2, topic3, data FROM log LIMIT 1"
        ),
        _execute("DELETE FROM kv WHERE k = (SELECT k FROM kv WHERE length(k) = 32 LIMIT 1 OFFSET 40)"),
        _execute("INSERT INTO kv VALUES (?, ?)", b"k" * 32, b"something else"),
        _execute("UPDATE kv SET v = zeroblob(32) WHERE k = ?", b"v1:canonical_head_hash"),
    ],
    ids=["time", "chain", "event", "lost event", "extra event", "lost node", "extra entry", "head"],
)
def test_a_ledger_that_was_changed_does_not_replay(
    copied: PublicRun, honest: PublicRun, change: Callable[[Path], None]
) -> None:
    change(copied.public.chain)
    copied.seal()
    found = failures(copied, honest)
    assert LEDGER in found
    assert {fault.path for fault in found[LEDGER]} == {"ledger.sqlite"}
    assert found.keys() <= {SEAL, LEDGER}


def test_a_flipped_byte_in_any_page_of_the_ledger_fails_the_seal_and_where_it_has_a_meaning_the_ledger(
    copied: PublicRun, honest: PublicRun
) -> None:
    original = copied.public.chain.read_bytes()
    draw = random.Random(5)
    replay_failed = 0
    for _ in range(6):
        copied.public.chain.write_bytes(flipped(original, draw.randrange(len(original))))
        found = failures(copied, honest)
        assert "ledger.sqlite" in {fault.path for fault in found[SEAL]}
        replay_failed += LEDGER in found
        assert found.keys() <= {SEAL, LEDGER}
    assert replay_failed, "some of these bytes belong to blocks"


def test_a_missing_ledger_fails_and_everything_that_needs_it_is_skipped(
    copied: PublicRun, honest: PublicRun
) -> None:
    copied.public.chain.unlink()
    found = failures(copied, honest)
    assert found.keys() == {SEAL, LEDGER}
    assert {fault.path for fault in (*found[SEAL], *found[LEDGER])} == {"ledger.sqlite"}


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


# ---------------------------------------------------------------------- coordinators that lie on the ledger


def test_lies_on_the_ledger_are_found_by_recomputing(dishonest: PublicRun) -> None:
    found = failures(dishonest, dishonest)
    assert found.keys() == {AGGREGATES, MODELS, REWARDS}
    papers = {number: read_round(dishonest.public, number) for number in range(1, 7)}
    assert [(fault.round, fault.path) for fault in found[MODELS]] == [(2, object_name(papers[2].model.hex()))]
    assert [(fault.round, fault.path) for fault in found[AGGREGATES]] == [
        (3, object_name(papers[3].metrics.hex())),
        (6, object_name(papers[6].header.hex())),
    ]
    assert found[REWARDS][0].round == 4
    assert found[REWARDS][0].problem == "the ledger has the root of another division"
    assert found[REWARDS][0].path == object_name(papers[4].rewards.hex())


def test_an_initial_model_that_is_not_on_the_ledger_is_found(tmp_path: Path) -> None:
    run = Consortium(tmp_path / "run", registered=False).close()
    found = failures(run, run)
    name = object_name(digest_of(run, None, "initial_model"))
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {TERMS: [name]}


def test_first_clips_that_are_not_those_of_the_terms_are_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.begin_with_clips(2.0)
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    name = object_name(digest_of(run, 1, "header"))
    assert {number: [fault.path for fault in faults] for number, faults in found.items()} == {ROUNDS: [name]}


def test_a_round_that_does_not_train_from_the_newest_model_is_found(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.play()
    consortium.play_from_root()
    run = consortium.close()
    found = failures(run, run)
    assert found.keys() == {MODELS}
    name = object_name(digest_of(run, 2, "model"))
    assert [(fault.path, fault.round) for fault in found[MODELS]] == [(name, 2), ("model.safetensors", 0)]


def test_an_address_with_other_code_is_not_taken_for_the_ledger(copied: PublicRun, honest: PublicRun) -> None:
    paper = read_paper(copied, None)
    write_paper(copied, None, {**paper, "contract": paper["token"]})
    (fault,) = failures(copied, honest)[LEDGER]
    assert fault.path == "run.json"
    assert "is not this version's TrainingLedger" in fault.problem


def test_terms_that_differ_in_one_word_are_found_by_the_digest_on_the_ledger(
    copied: PublicRun, honest: PublicRun
) -> None:
    name = substitute(copied, None, "terms", lambda document: document.replace(b"A test run", b"A best run"))
    copied.seal()
    (faults,) = failures(copied, honest).values()
    assert (name, "the ledger has the digest of other terms") in {(f.path, f.problem) for f in faults}


def test_another_key_and_another_reward_on_the_ledger_are_found(misstated: PublicRun) -> None:
    found = failures(misstated, misstated)
    assert found.keys() == {ANSWERS, REWARDS}
    paper = read_round(misstated.public, 1)
    assert [fault.path for fault in found[ANSWERS]] == [object_name(paper.aggregate_key.hex())]
    assert [fault.path for fault in found[REWARDS]] == [object_name(paper.rewards.hex())]


def test_the_data_of_a_holder_that_had_withdrawn_is_found(unconsented: PublicRun) -> None:
    found = failures(unconsented, unconsented)
    assert found.keys() == {MEMBERS, ROUNDS}
    account = unconsented.holders[ALDER].hex()
    assert [(fault.round, fault.holder) for fault in found[MEMBERS]] == [(2, account)]
    assert [fault.round for fault in found[ROUNDS]] == [2]


# ---------------------------------------------------------------------- consent and roles


def _change_roles(consortium: Consortium, name: str, roles: Role) -> None:
    """Have the others remove a holder and admit it again."""
    account = insecure_key(name).address
    voters = [consortium.holders[insecure_key(other).address].writer for other in HOLDERS if other != name][
        :2
    ]
    for act, given in ((Act.REMOVE, Role(0)), (Act.ADMIT, roles)):
        for writer in voters:
            writer.vote(act, account, given, EMPTY_WORD, intent=f"{act.name} {name} {roles}")


@pytest.mark.parametrize("roles", [Role.AUDITOR, Role.HOLDER], ids=["an auditor now", "a holder again"])
def test_the_consent_of_an_earlier_membership_does_not_count(tmp_path: Path, roles: Role) -> None:
    consortium = Consortium(tmp_path / "run", careful=False)
    _change_roles(consortium, CEDAR, roles)
    account = insecure_key(CEDAR).address
    assert consortium.reader.consent(consortium.context.run, account) == EMPTY_WORD
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    assert found.keys() == {MEMBERS, ROUNDS}
    assert [(fault.round, fault.holder) for fault in found[MEMBERS]] == [(1, account.hex())]


def test_a_coordinator_asks_nobody_whose_consent_does_not_count_and_everybody_who_consents_again(
    tmp_path: Path,
) -> None:
    consortium = Consortium(tmp_path / "run")
    account = insecure_key(CEDAR).address
    _change_roles(consortium, CEDAR, Role.AUDITOR)
    consortium.play(away=(CEDAR,))
    _change_roles(consortium, CEDAR, Role.HOLDER | Role.AUDITOR)
    consortium.play(away=(CEDAR,))
    holder = consortium.holders[account]
    holder.writer.withdraw(consortium.context.run, intent="withdraw")
    holder.writer.accept(consortium.context.run, consortium.context.terms.digest, intent="accept again")
    consortium.play()
    run = consortium.close()
    assert failures(run, run) == {}
    assert [account.hex() in read_paper(run, number)["leaves"] for number in (1, 2, 3)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("named", ["own", "none", "another"])
def test_a_contribution_names_the_data_set_of_the_consent_if_that_names_one(
    tmp_path: Path, named: str
) -> None:
    dataset = {"own": dataset_of(CEDAR), "none": EMPTY_WORD, "another": dataset_of("another")}[named]
    consortium = Consortium(tmp_path / "run")
    account, run = insecure_key(CEDAR).address, consortium.context.run
    writer = consortium.holders[account].writer
    writer.withdraw(run, intent="withdraw")
    writer.accept(run, consortium.context.terms.digest, dataset, intent="accept again")
    consortium.play()
    found = failures(folder := consortium.close(), folder)
    assert found.keys() == ({LEAVES} if named == "another" else set())
    assert [(f.round, f.holder, f.problem) for f in found.get(LEAVES, ())] == (
        [(1, account.hex(), "the leaf names another data set than the holder's consent")]
        if named == "another"
        else []
    )


# ---------------------------------------------------------------------- reasons for leaving somebody out


def test_a_holder_that_is_left_out_for_a_reason_that_the_answers_do_not_give_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = insecure_key(CEDAR).address
    reason = Exclusion(client=client, reason=Reason.WRONG_KEY, disputed_by=())
    monkeypatch.setattr(
        "coordinator.rounds.machine.judge", lambda *_, **__: Exclusions(excluded=(reason,), unreliable=())
    )
    consortium = Consortium(tmp_path / "run")
    consortium.play()
    run = consortium.close()
    found = failures(run, run)
    assert {number: [fault.problem for fault in faults] for number, faults in found.items()} == {
        ANSWERS: ["the share check leaves out others than the document says"]
    }


@pytest.mark.parametrize("document", [b"[NaN]", b"{}", b""])
def test_what_is_no_document_of_exclusions_is_found(
    copied: PublicRun, honest: PublicRun, document: bytes
) -> None:
    name = substitute(copied, 1, "exclusions", lambda _: document)
    copied.seal()
    found = failures(copied, honest)
    assert found.keys() == {LEAVES}
    assert name in {fault.path for fault in found[LEAVES]}  # rounds without exclusions share the document
