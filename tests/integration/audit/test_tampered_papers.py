"""Whatever is changed in the papers or the ledger of a public folder, the check whose matter it is fails and names it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulators.check_numbers import (
    AGGREGATES,
    ANSWERS,
    CIPHERTEXTS,
    LEAVES,
    LEDGER,
    MEMBERS,
    MODELS,
    REWARDS,
    ROUNDS,
    SEAL,
    TERMS,
)
from tests.simulators.public_folder import HOLDERS, PublicRun
from tests.simulators.tampering import (
    failures,
    flip,
    flipped,
    read_paper,
    write_paper,
)

ALDER, BIRCH, CEDAR, DAMSON = HOLDERS

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
