"""The logbook: on disk before anything leaves, shared by processes, and no line of it can be changed unseen."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients.door import Method
from clients.errors import NodeStateError
from clients.node.logbook import FILE, Logbook
from clients.node.register_view import contradictions, read_register
from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.anchor import verify_anchor
from fl_core.protocol.messages import Frame
from fl_core.protocol.setup import layout_of
from ledger.logbook import Entry, Kind, first_head, read_entries
from tests.simulators.consortium import Consortium

ME, OTHER = b"\x01" * 20, b"\x02" * 20
RUN = b"\x0a" * 32


def open_logbook(folder: Path, account: bytes = ME) -> Logbook:
    return Logbook(folder, account, clock=lambda: 1_800_000_000)


def filled(folder: Path, count: int = 4) -> list[bytes]:
    """Make a logbook and return its lines."""
    logbook = open_logbook(folder)
    for number in range(1, count + 1):
        logbook.append(Kind.FRAME, b"frame %d" % number, to=OTHER.hex(), run=RUN, number=number)
    logbook.close()
    return (folder / FILE).read_bytes().splitlines(keepends=True)


def test_an_entry_says_what_left_to_whom_and_holds_nothing_of_it(tmp_path):
    logbook = open_logbook(tmp_path)
    entry = logbook.append(Kind.REVEAL, b"the shares", to=OTHER.hex(), run=RUN, number=3)
    assert (entry.kind, entry.run, entry.round, entry.size) == ("reveal", RUN.hex(), 3, 10)
    assert (entry.digest, entry.to) == (hashlib.sha256(b"the shares").hexdigest(), OTHER.hex())
    assert b"the shares" not in (tmp_path / FILE).read_bytes()
    assert Entry.decode((tmp_path / FILE).read_bytes()) == entry
    logbook.close()


def test_the_file_is_its_owners_alone(tmp_path):
    filled(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_logbook_that_is_opened_again_goes_on_from_its_head(tmp_path):
    filled(tmp_path)
    logbook = open_logbook(tmp_path)
    assert logbook.state().count == 4
    assert logbook.append(Kind.CHECK, b"x", to=OTHER.hex()).n == 5
    assert logbook.has(Kind.CHECK, hashlib.sha256(b"x").digest())
    assert not logbook.has(Kind.REVEAL, hashlib.sha256(b"x").digest())
    logbook.close()


def test_two_processes_on_one_folder_make_one_chain(tmp_path):
    mine, other = open_logbook(tmp_path), open_logbook(tmp_path)
    for _ in range(3):
        mine.append(Kind.FRAME, b"a", to=OTHER.hex())
        other.append(Kind.TRANSACTION, b"b", to="ledger")
    assert mine.state() == other.state()
    entries = list(read_entries(ME, (tmp_path / FILE).read_bytes().splitlines(keepends=True)))
    assert [entry.n for entry, _ in entries] == [1, 2, 3, 4, 5, 6]
    mine.close()
    other.close()


def altered(lines: list[bytes]) -> dict[str, list[bytes]]:
    """Every way to tamper with a middle line."""
    edited = lines[1].replace(b'"round":2', b'"round":9')
    forged = Entry.decode(lines[1])
    return {
        "edited": [lines[0], edited, *lines[2:]],
        "removed": [lines[0], *lines[2:]],
        "moved": [lines[0], lines[2], lines[1], lines[3]],
        "added": [lines[0], lines[0], *lines[1:]],
        "first removed": lines[1:],
        "in another form": [lines[0], lines[1].replace(b":", b": ", 1), *lines[2:]],
        "renumbered": [lines[0], forged.encode().replace(b'"n":2', b'"n":3'), *lines[2:]],
    }


@pytest.mark.parametrize("how", ["edited", "removed", "moved", "added", "first removed", "in another form", "renumbered"])  # fmt: skip
def test_a_line_that_was_tampered_with_is_found_and_stops_the_node(tmp_path, how):
    lines = altered(filled(tmp_path))[how]
    with pytest.raises(VerificationError, match=r"altered|does not follow"):
        list(read_entries(ME, lines))
    (tmp_path / FILE).write_bytes(b"".join(lines))
    with pytest.raises(NodeStateError, match="line") as stopped:
        open_logbook(tmp_path)
    assert "log verify" in stopped.value.fix


def test_lines_cut_off_are_found_by_an_anchored_head_only(tmp_path):
    lines = filled(tmp_path)
    states = [state for _, state in read_entries(ME, lines)]
    assert [state for _, state in read_entries(ME, lines[:2])] == states[:2]  # a shorter chain is a chain
    assert states[3].head not in {state.head for state in states[:3]}


def test_the_logbook_of_another_holder_is_not_this_holders(tmp_path):
    filled(tmp_path)
    with pytest.raises(NodeStateError, match="does not follow"):
        open_logbook(tmp_path, OTHER)
    assert first_head(ME) != first_head(OTHER)


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_a_crash_cut_off_is_removed_and_that_is_noted(tmp_path, kept):
    lines = filled(tmp_path)
    (tmp_path / FILE).write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    logbook = open_logbook(tmp_path)
    assert logbook.state().count == 4
    after = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    assert after[:3] == lines[:3]
    mended = Entry.decode(after[3])
    assert (mended.kind, mended.size, mended.to) == ("mended", len(lines[-1][:kept]), "")
    logbook.close()


def test_a_file_that_shrinks_or_is_rewritten_under_the_node_stops_it(tmp_path):
    filled(tmp_path)
    logbook = open_logbook(tmp_path)
    os.truncate(tmp_path / FILE, 100)
    with pytest.raises(NodeStateError, match="shorter"):
        logbook.append(Kind.FRAME, b"", to=OTHER.hex())
    logbook.close()


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0},
        {"time": -1},
        {"kind": "gift"},
        {"to": "nobody"},
        {"to": "AA" * 20},
        {"digest": ""},
        {"previous": "0g" * 32},
        {"run": "00"},
        {"round": True},
    ],
)
def test_values_that_no_entry_has_are_refused(change):
    good = {"n": 1, "time": 1, "kind": "frame", "run": "", "round": 1, "size": 1, "to": ""}
    good |= {"digest": "00" * 32, "previous": "11" * 32}
    assert Entry(**good).encode()
    with pytest.raises(ValueError):
        Entry(**{**good, **change})


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[]\n", b"null\n", b"{" * 500, b"x" * 2000])
def test_what_is_no_line_is_a_decode_error(line):
    with pytest.raises(DecodeError):
        Entry.decode(line)


# ---------------------------------------------------------------------- the node


def entries_of(holder):
    lines = (holder.folder / FILE).read_bytes().splitlines(keepends=True)
    return list(read_entries(holder.account, lines))


def test_a_round_leaves_one_line_for_everything_that_left(tmp_path):
    consortium = Consortium(tmp_path)
    machine = consortium.included()
    answer = consortium.reveal(0, consortium.request(machine, 0))
    found = entries_of(consortium.holders[0])
    assert [entry.kind for entry, _ in found] == ["prekey", "frame", "check", "reveal"]
    assert found[-1][0].digest == hashlib.sha256(answer).hexdigest()
    assert {entry.to for entry, _ in found[1:]} == {consortium.coordinator.address.hex()}
    consortium.close()


def test_the_frame_binds_the_head_before_it_and_a_retry_names_the_same_head(tmp_path):
    consortium = Consortium(tmp_path)
    header = consortium.open_round()
    consortium.begin(0, header)
    data = consortium.protect(0, header)
    consortium.restart(0)
    assert consortium.protect(0, header) == data
    leaf = Frame.decode(data, ciphertext_bytes=layout_of(header).ciphertext_bytes).leaf
    found = entries_of(consortium.holders[0])
    frames = [entry for entry, _ in found if entry.kind == "frame"]
    assert len(frames) == 2 and frames[0].digest == frames[1].digest == hashlib.sha256(data).hexdigest()
    for entry in frames:
        assert entry.anchor == 1
        verify_anchor(leaf.statement.metrics, bytes.fromhex(entry.hidden), found[entry.anchor - 1][1].head)
    consortium.close()


def test_a_register_that_was_rolled_back_is_told_by_the_logbook_and_an_honest_one_is_not(tmp_path):
    consortium = Consortium(tmp_path)
    holder = consortium.holders[0]
    holder.node.close()
    backup = {path: path.read_bytes() for path in holder.folder.glob("register.sqlite*")}
    holder.node = consortium.start(holder)
    machine = consortium.included()
    consortium.reveal(0, consortium.request(machine, 0))
    entries = [entry for entry, _ in entries_of(holder)]
    assert contradictions(entries, read_register(holder.folder)) == []
    holder.node.close()
    assert contradictions(entries, read_register(holder.folder)) == []
    for path in holder.folder.glob("register.sqlite*"):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)
    told = contradictions(entries, read_register(holder.folder))
    assert [line.split(": the ")[1] for line in told] == [
        f"{kind} of round 1 is not in the register" for kind in ("frame", "check", "reveal")
    ]
    consortium.restart(1)


def test_looking_at_a_register_changes_nothing_in_its_folder(tmp_path):
    consortium = Consortium(tmp_path)
    consortium.included()
    holder = consortium.holders[0]
    holder.node.close()
    before = {path.name: path.read_bytes() for path in holder.folder.iterdir() if path.is_file()}
    assert len(read_register(holder.folder).contributions) == 1
    assert {path.name: path.read_bytes() for path in holder.folder.iterdir() if path.is_file()} == before


def test_a_prekey_is_noted_when_it_is_first_told_and_not_again(tmp_path):
    consortium = Consortium(tmp_path)
    holder = consortium.holders[0]
    for _ in range(3):
        holder.node.call(Method.STATUS, b"")
    assert [entry.kind for entry, _ in entries_of(holder)] == ["prekey"]
    consortium.close()


def test_nothing_leaves_when_the_line_cannot_be_written(tmp_path):
    consortium = Consortium(tmp_path)
    header = consortium.open_round()
    consortium.begin(0, header)
    holder = consortium.holders[0]
    path = holder.folder / FILE
    lines = path.read_bytes()
    os.truncate(path, 10)
    with pytest.raises(NodeStateError, match="shorter"):
        consortium.protect(0, header)
    path.write_bytes(lines)
    consortium.restart(0)
    assert consortium.protect(0, header)
    consortium.close()


KILLED = """
import os, sys
from pathlib import Path
from clients.node import logbook as module
from clients.node.logbook import Logbook
from ledger.logbook import Kind
book = Logbook(Path(sys.argv[1]), b"\\x01" * 20, clock=lambda: 1)
at, real = sys.argv[2], os.fsync
def die(*_): os.kill(os.getpid(), 9)
if at == "before the write": module.os.write = die
if at == "in the write": module.os.write = lambda f, line: (os.pwrite(f, line[:40], 0), die())
if at == "before the disk": module.os.fsync = die
book.append(Kind.FRAME, b"x", to="ledger")
print("left")
"""


@pytest.mark.parametrize("at", ["before the write", "in the write", "before the disk"])
def test_a_node_that_is_killed_while_it_writes_has_sent_nothing_and_its_logbook_goes_on(tmp_path, at):
    command = [sys.executable, "-c", KILLED, str(tmp_path), at]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, "")
    logbook = open_logbook(tmp_path)
    after = logbook.append(Kind.FRAME, b"y", to="ledger")
    assert after.n == {"before the write": 1, "in the write": 2, "before the disk": 2}[at]
    logbook.close()
