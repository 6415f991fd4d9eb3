"""The journal: an entry is written once, and a crash loses none that was written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.errors import RunStateError
from coordinator.store.journal import Entry, Journal
from fl_core.errors import LocalProtocolError

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def test_an_entry_is_read_as_it_was_written_and_after_a_restart(journal, tmp_path):
    for entry in Entry:
        journal.write(3, entry, entry.value.encode())
    journal.write(3, Entry.HEADER, b"header")
    journal.close()
    again = Journal(tmp_path / "journal.sqlite")
    assert all(again.read(3, entry) == entry.value.encode() for entry in Entry)
    again.close()


def test_what_was_never_written_is_none(journal):
    assert journal.read(1, Entry.KEY) is None
    assert journal.last(Entry.KEY) is None


@pytest.mark.parametrize("entry", list(Entry))
def test_another_value_for_an_entry_is_refused_and_the_first_one_stays(journal, entry):
    journal.write(1, entry, b"first")
    journal.write(1, entry, b"first")
    with pytest.raises(LocalProtocolError, match=f"round 1 has another {entry.value}"):
        journal.write(1, entry, b"second")
    assert journal.read(1, entry) == b"first"


def test_an_empty_value_is_a_value(journal):
    journal.write(1, Entry.REWARDS, b"")
    assert journal.read(1, Entry.REWARDS) == b""
    with pytest.raises(LocalProtocolError):
        journal.write(1, Entry.REWARDS, b"x")


def test_rounds_and_entries_do_not_mix(journal):
    journal.write(1, Entry.MODEL, b"one")
    journal.write(2, Entry.MODEL, b"two")
    journal.write(1, Entry.KEY, b"key")
    assert (journal.read(1, Entry.MODEL), journal.read(2, Entry.MODEL), journal.read(2, Entry.KEY)) == (
        b"one",
        b"two",
        None,
    )


def test_the_last_entry_is_that_of_the_newest_round_that_has_it(journal):
    for number, value in ((2, b"two"), (10, b"ten"), (9, b"nine")):
        journal.write(number, Entry.BLOCKS, value)
    journal.write(11, Entry.HEADER, b"h")
    assert journal.last(Entry.BLOCKS) == (10, b"ten")


def test_a_round_that_never_was_is_forgotten_and_no_other(journal):
    journal.write(1, Entry.HEADER, b"one")
    journal.write(2, Entry.HEADER, b"two")
    journal.forget(2)
    journal.write(2, Entry.HEADER, b"another")
    assert (journal.read(1, Entry.HEADER), journal.read(2, Entry.HEADER)) == (b"one", b"another")


def test_the_values_of_entries_are_distinct():
    assert len({entry.value for entry in Entry}) == len(Entry.__members__)


@pytest.mark.parametrize("make", [lambda p: p.write_bytes(b"no database" * 500), Path.mkdir])
def test_a_damaged_journal_stops_the_coordinator(tmp_path, make):
    path = tmp_path / "journal.sqlite"
    make(path)
    with pytest.raises(RunStateError, match="cannot be read"):
        Journal(path)


def test_every_write_waits_for_the_disk(journal):
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


CHILD = """
import sys, time
from pathlib import Path
from coordinator.store.journal import Entry, Journal
journal = Journal(Path(sys.argv[1]))
journal.write(1, Entry.KEY, b"the key")
print("written", flush=True)
time.sleep(60)
"""


def test_an_entry_survives_kill_9(tmp_path):
    path = tmp_path / "journal.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout.readline() == b"written\n"
        os.kill(child.pid, signal.SIGKILL)
    journal = Journal(path)
    assert journal.read(1, Entry.KEY) == b"the key"
    with pytest.raises(LocalProtocolError):
        journal.write(1, Entry.KEY, b"another key")
    journal.close()
