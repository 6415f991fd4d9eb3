"""The once-only register: what was sent is on disk before it is sent, and never changes."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clients.errors import NodeStateError, PolicyRefusal
from clients.node.register import Register
from fl_core.protocol.phases import ClientPhase, MemberPhase, MemberStep
from ledger.errors import ArchiveError

ROOT = Path(__file__).resolve().parents[4]
HEADER, OTHER, RUN = b"\x01" * 32, b"\x02" * 32, b"\x0a" * 32
U, U2 = b"\x0b" * 32, b"\x0c" * 32
CHECK, REVEAL, BLAME = MemberStep.CHECK, MemberStep.REVEAL, MemberStep.BLAME
EVERY_QUESTION = pytest.mark.parametrize("question", list(MemberStep))
SALTS = (bytes(32), bytes(32))


@pytest.fixture
def register(tmp_path):
    register = Register(tmp_path)
    register.accept_header(HEADER, RUN, 1, b"the header")
    yield register
    register.close()


def reopened(register, tmp_path):
    register.close()
    return Register(tmp_path)


def now_and_after_a_restart(register, tmp_path):
    yield register
    again = reopened(register, tmp_path)
    yield again
    again.close()


def test_an_accepted_header_is_remembered(register, tmp_path):
    register.accept_header(HEADER, RUN, 1, b"the header")
    assert reopened(register, tmp_path).header(HEADER) == b"the header"


def test_a_header_that_was_not_accepted_is_unknown(register):
    with pytest.raises(PolicyRefusal, match="accepted no header"):
        register.header(OTHER)


def test_one_header_for_each_round_of_a_run(register, tmp_path):
    for again in now_and_after_a_restart(register, tmp_path):
        with pytest.raises(PolicyRefusal, match="another header was accepted for round 1"):
            again.accept_header(OTHER, RUN, 1, b"another header")
        with pytest.raises(PolicyRefusal):
            again.header(OTHER)


def test_the_next_round_and_another_run_have_headers_of_their_own(register):
    register.accept_header(OTHER, RUN, 2, b"the next round")
    register.accept_header(b"\x03" * 32, bytes(32), 1, b"another run")
    assert register.header(OTHER) == b"the next round"


def test_a_retry_gets_the_stored_frame(register, tmp_path):
    assert register.frame(HEADER) is None
    assert register.store_contribution(HEADER, b"frame", *SALTS) == b"frame"
    assert register.store_contribution(HEADER, b"another frame", *SALTS) == b"frame"
    assert reopened(register, tmp_path).frame(HEADER) == b"frame"


def test_nothing_is_stored_for_a_header_that_was_not_accepted(register):
    with pytest.raises(PolicyRefusal):
        register.store_contribution(OTHER, b"frame", *SALTS)
    with pytest.raises(PolicyRefusal):
        register.store_answer(REVEAL, OTHER, U, b"answer", b"")
    with pytest.raises(PolicyRefusal, match="no header with that digest"):
        register.frame(OTHER)
    assert register.answer(REVEAL, OTHER, U) is None


@EVERY_QUESTION
def test_each_question_is_answered_for_one_set_in_each_round(register, tmp_path, question):
    assert register.answer(question, HEADER, U) is None
    assert register.store_answer(question, HEADER, U, b"answer", b"") == b"answer"
    assert register.store_answer(question, HEADER, U, b"another", b"") == b"answer"
    for again in now_and_after_a_restart(register, tmp_path):
        assert again.answer(question, HEADER, U) == b"answer"
        for refuse in (
            lambda r: r.answer(question, HEADER, U2),
            lambda r: r.store_answer(question, HEADER, U2, b"x", b""),
        ):
            with pytest.raises(PolicyRefusal, match=f"answered the {question.value} for another set"):
                refuse(again)


def test_the_share_check_and_the_reveal_are_two_questions_with_an_answer_each(register):
    register.store_answer(CHECK, HEADER, U, b"values", b"")
    assert register.answer(REVEAL, HEADER, U2) is None
    register.store_answer(REVEAL, HEADER, U2, b"sum", b"")
    assert (register.answer(CHECK, HEADER, U), register.answer(REVEAL, HEADER, U2)) == (b"values", b"sum")


def test_the_same_question_of_another_round_has_an_answer_of_its_own(register):
    register.accept_header(OTHER, RUN, 2, b"the next round")
    register.store_answer(CHECK, HEADER, U, b"values", b"")
    assert register.answer(CHECK, OTHER, U2) is None
    assert register.store_answer(CHECK, OTHER, U2, b"others", b"") == b"others"


ORDER = [CHECK, REVEAL, BLAME]
PHASES = dict(zip(ORDER, [MemberPhase.CHECKED, MemberPhase.REVEALED, MemberPhase.BLAMED], strict=True))


@pytest.mark.parametrize(("earlier", "later"), [(CHECK, REVEAL), (CHECK, BLAME), (REVEAL, BLAME)])
def test_an_earlier_question_is_refused_after_a_later_one_and_the_later_one_is_not_after_it(
    register, tmp_path, earlier, later
):
    register.store_answer(later, HEADER, U, b"later", b"")
    for again in now_and_after_a_restart(register, tmp_path):
        with pytest.raises(PolicyRefusal, match=f"does not answer a {earlier.value}"):
            again.store_answer(earlier, HEADER, U2, b"earlier", b"")
        assert again.answer(earlier, HEADER, U2) is None
        assert again.member_phase(HEADER) is PHASES[later]
        again.accept_header(OTHER, RUN, 2, b"the next round")
        again.store_answer(earlier, OTHER, U, b"earlier", b"")
        assert again.store_answer(later, OTHER, U2, b"later", b"") == b"later"


def test_an_answer_that_is_stored_is_sent_again_after_later_questions_too(register, tmp_path):
    for step in ORDER:
        register.store_answer(step, HEADER, U, step.value.encode(), b"")
    for again in now_and_after_a_restart(register, tmp_path):
        for step in ORDER:
            assert again.answer(step, HEADER, U) == step.value.encode()
            assert again.store_answer(step, HEADER, U, b"another", b"") == step.value.encode()


def test_a_members_phase_is_what_it_answered_last_also_after_a_restart(register, tmp_path):
    assert register.member_phase(HEADER) is MemberPhase.SEATED
    for step in ORDER:
        register.store_answer(step, HEADER, U, b"answer", b"")
        register = reopened(register, tmp_path)
        assert register.member_phase(HEADER) is PHASES[step]
    register.close()


def test_a_clients_phase_is_what_is_on_disk_also_after_a_restart(register, tmp_path):
    assert register.client_phase(HEADER) is ClientPhase.BEGUN
    register = reopened(register, tmp_path)
    assert register.client_phase(HEADER) is ClientPhase.BEGUN
    register.store_contribution(HEADER, b"frame", *SALTS)
    register = reopened(register, tmp_path)
    assert register.client_phase(HEADER) is ClientPhase.CONTRIBUTED
    register.drop_frames(RUN, 2)
    register = reopened(register, tmp_path)
    assert register.client_phase(HEADER) is ClientPhase.OVER
    assert register.has_contributed(HEADER)
    register.close()


def test_a_header_that_was_not_accepted_has_no_phase(register):
    with pytest.raises(PolicyRefusal, match="no header with that digest"):
        register.client_phase(OTHER)


def test_of_a_round_without_a_contribution_nothing_was_sent(register):
    for header in (HEADER, OTHER):
        with pytest.raises(PolicyRefusal, match="no contribution to that round"):
            register.sent(header)
    register.store_contribution(HEADER, b"frame", *SALTS)
    assert register.sent(HEADER).digest == hashlib.sha256(b"frame").digest()


def test_a_round_that_is_over_takes_no_contribution_although_none_was_made(register, tmp_path):
    register.accept_header(OTHER, RUN, 2, b"the next round")
    register.drop_frames(RUN, 2)
    for again in now_and_after_a_restart(register, tmp_path):
        with pytest.raises(PolicyRefusal, match="this round is over"):
            again.store_contribution(HEADER, b"late", *SALTS)
        assert not again.has_contributed(HEADER)
        assert again.store_contribution(OTHER, b"in time", *SALTS) == b"in time"


def test_no_later_question_comes_between_the_look_at_the_phase_and_the_write(register, tmp_path):
    """Another process on the folder waits until an answer is written; then the phase forbids the earlier question."""
    other, asked, refused = Register(tmp_path), threading.Event(), []
    look = register.member_phase

    def slow_look(header):
        phase = look(header)
        asked.set()
        time.sleep(0.3)  # the other one tries meanwhile
        return phase

    def check():
        assert asked.wait(30.0)
        try:
            other.store_answer(CHECK, HEADER, U, b"values", b"")
        except PolicyRefusal:
            refused.append(CHECK)

    register.member_phase = slow_look
    thread = threading.Thread(target=check)
    thread.start()
    register.store_answer(REVEAL, HEADER, U2, b"sum", b"")
    thread.join()
    assert refused == [CHECK]
    assert other.answer(CHECK, HEADER, U) is None
    other.close()


def test_dropped_frames_are_gone_and_the_round_still_cannot_be_repeated(register, tmp_path):
    register.store_contribution(HEADER, b"frame one", *SALTS)
    register.accept_header(OTHER, RUN, 2, b"the next round")
    register.store_contribution(OTHER, b"frame two", *SALTS)
    register.drop_frames(RUN, 2)
    register.drop_frames(RUN, 2)
    for again in now_and_after_a_restart(register, tmp_path):
        with pytest.raises(PolicyRefusal, match="this round is over"):
            again.frame(HEADER)
        with pytest.raises(PolicyRefusal, match="this round is over"):
            again.store_contribution(HEADER, b"another", *SALTS)
        assert again.frame(OTHER) == b"frame two"


KILLED_BEFORE_THE_RECORD = f"""
import os, signal, sys
from pathlib import Path
from clients.node.register import Register

register = Register(Path(sys.argv[1]))
register._alone = lambda: os.kill(os.getpid(), signal.SIGKILL)
register.store_contribution({HEADER!r}, b"never sent", {bytes(32)!r}, {bytes(32)!r})
"""


def test_a_frame_that_a_killed_process_left_without_a_record_goes_once_it_is_old(register, tmp_path):
    register.close()
    subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_RECORD, str(tmp_path)], cwd=ROOT, check=False)
    (left,) = (path for path in (tmp_path / "frames").rglob("*") if path.is_file())
    register = Register(tmp_path)
    register.store_contribution(HEADER, b"another frame", *SALTS)
    register.drop_frames(RUN, 1)
    assert (
        left.read_bytes() == b"never sent"
    )  # for all the register knows, another thread is about to note it
    for path in (tmp_path / "frames").rglob("*"):
        os.utime(path, (0, 0))
    register.drop_frames(RUN, 1)
    assert not left.exists()
    assert register.frame(HEADER) == b"another frame"
    register.close()


def test_rounds_done_counts_contributions_to_earlier_rounds_of_the_run(register):
    assert register.rounds_done(RUN, before=2) == 0
    register.store_contribution(HEADER, b"frame", *SALTS)
    assert [register.rounds_done(RUN, before=n) for n in (1, 2, 9)] == [0, 1, 1]
    assert register.rounds_done(bytes(32), before=9) == 0


def test_an_altered_frame_is_an_error_and_is_not_sent(register, tmp_path):
    register.store_contribution(HEADER, b"frame", *SALTS)
    (stored,) = (p for p in (tmp_path / "frames").rglob("*") if p.is_file())
    stored.write_bytes(b"frXme")
    with pytest.raises(ArchiveError, match="altered"):
        register.frame(HEADER)


def test_a_frame_that_a_crash_left_without_its_entry_was_never_sent(register):
    register._frames.put(b"frame of a crashed call")
    assert register.frame(HEADER) is None
    assert register.store_contribution(HEADER, b"frame", *SALTS) == b"frame"


def test_two_threads_that_race_for_a_round_send_the_same_bytes(register):
    barrier, sent, answered = threading.Barrier(8), [], []

    def race(number):
        barrier.wait()
        sent.append(register.store_contribution(HEADER, b"frame %d" % number, *SALTS))
        answered.append(register.store_answer(REVEAL, HEADER, U, b"answer %d" % number, b""))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == len(answered) == 8
    assert len(set(sent)) == len(set(answered)) == 1


def test_two_processes_on_one_folder_answer_for_one_set(register, tmp_path):
    second = Register(tmp_path)
    register.store_answer(REVEAL, HEADER, U, b"answer", b"")
    with pytest.raises(PolicyRefusal):
        second.store_answer(REVEAL, HEADER, U2, b"another", b"")
    assert second.answer(REVEAL, HEADER, U) == b"answer"
    second.close()


def test_the_database_itself_holds_the_rules(register, tmp_path):
    register.store_answer(REVEAL, HEADER, U, b"answer", b"")
    register.close()
    database = sqlite3.connect(tmp_path / "register.sqlite")
    database.execute("PRAGMA foreign_keys=ON")
    for statement, values in (
        ("INSERT INTO headers VALUES (?, ?, 1, ?, 0)", (OTHER, RUN, b"h")),  # UNIQUE (run, round)
        ("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (HEADER, REVEAL.value, U2, b"a", b"")),  # one answer
        ("INSERT INTO contributions VALUES (?, ?, 1, ?, ?)", (OTHER, U, b"", b"")),  # of a known header
    ):
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(statement, values)
    database.close()


def test_every_commit_waits_for_the_disk(register):
    full = 2
    assert register._db.execute("PRAGMA synchronous").fetchone() == (full,)
    assert register._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("damage", [b"not a database" * 500, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_register_stops_the_node_and_says_what_to_do(tmp_path, damage):
    (tmp_path / "register.sqlite").write_bytes(damage)
    with pytest.raises(NodeStateError, match="Never restore it from a backup"):
        Register(tmp_path)


def test_a_missing_folder_stops_the_node(tmp_path):
    with pytest.raises(NodeStateError):
        Register(tmp_path / "nowhere")


CHILD = """
import sys, time
from pathlib import Path
from clients.node.register import Register
from fl_core.protocol.phases import MemberStep
register = Register(Path(sys.argv[1]))
register.accept_header(b"\\x01" * 32, b"\\x0a" * 32, 1, b"the header")
register.store_contribution(b"\\x01" * 32, b"the first frame", bytes(32), bytes(32))
for question in MemberStep:
    register.store_answer(question, b"\\x01" * 32, b"\\x0b" * 32, b"the first answer", b"")
print("stored", flush=True)  # the bytes would leave now
time.sleep(60)
"""


KILLED_WHILE_WRITING = """
import sys, time
from pathlib import Path
from clients.node.register import Register
register = Register(Path(sys.argv[1]))
register.accept_header(b"\\x01" * 32, b"\\x0a" * 32, 1, b"the header")
def write(file):
    file.write(b"the first half")
    file.flush()
    print("half", flush=True)
    time.sleep(60)
register.store_written(b"\\x01" * 32, write)
"""


def test_after_kill_9_while_a_frame_is_written_there_is_none_and_another_can_be_made(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout.readline() == b"half\n"
        os.kill(child.pid, signal.SIGKILL)
    register = Register(tmp_path)
    assert register.client_phase(HEADER) is ClientPhase.BEGUN
    assert register.frame(HEADER) is None
    assert register.store_contribution(HEADER, b"frame", *SALTS) == b"frame"
    register.close()


def test_a_writer_that_fails_leaves_the_round_as_it_was(register):
    def fail(file):
        file.write(b"half")
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        register.store_written(HEADER, fail)
    assert register.client_phase(HEADER) is ClientPhase.BEGUN
    assert register.store_contribution(HEADER, b"frame", *SALTS) == b"frame"


def test_after_kill_9_between_storing_and_sending_the_same_bytes_are_sent_and_nothing_else(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout.readline() == b"stored\n"
        os.kill(child.pid, signal.SIGKILL)
    register = Register(tmp_path)
    assert register.header(HEADER) == b"the header"
    assert (
        register.frame(HEADER) == register.store_contribution(HEADER, b"again", *SALTS) == b"the first frame"
    )
    for question in MemberStep:
        assert register.answer(question, HEADER, U) == b"the first answer"
        assert register.store_answer(question, HEADER, U, b"again", b"") == b"the first answer"
        with pytest.raises(PolicyRefusal):
            register.store_answer(question, HEADER, U2, b"again", b"")
    assert register.rounds_done(RUN, before=2) == 1
    register.close()
