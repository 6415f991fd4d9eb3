"""The gateway's lines, and how the node's logbook binds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.cli import cli
from clients.errors import NodeStateError
from clients.gateway.outgoing import MAX_REFUSALS, OutgoingFile
from clients.gateway.replies import AGAIN
from clients.node.gateway_lines import FILE, altered, lines_by_digest
from clients.node.logbook import Logbook, read_logbook
from fl_core.randomness import SystemRandomSource
from fl_core.secret import Secret
from ledger.logbook import Kind
from ledger.signer import create_keystore, keystore_address


class House:
    """A node's folder with an account, its logbook and its gateway's file."""

    def __init__(self, folder: Path) -> None:
        self.folder, key = folder, folder / "keys" / "account.json"
        key.parent.mkdir(parents=True, mode=0o700)
        create_keystore(key, Secret(b"x"), source=SystemRandomSource(), scrypt_cost=2)
        account = keystore_address(key)
        assert account is not None
        self.logbook = Logbook(folder, account, clock=lambda: 7)
        self.outgoing = OutgoingFile(folder, self.logbook, clock=lambda: 7.5)

    def entries(self):
        return [entry for entry, _ in read_logbook(self.folder)]

    def close(self) -> None:
        self.outgoing.close()
        self.logbook.close()


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path / "node")
    yield made
    made.close()


def test_what_left_and_what_was_kept_back_is_in_one_chain_with_what_the_node_sealed(house):
    house.logbook.append(Kind.FRAME, b"frame", to="11" * 20)
    house.outgoing.record("reply-sent", kind="frame", digest="aa", bytes=5)
    house.outgoing.record("error-sent", reason="the holder refuses this bundle")
    house.outgoing.record("reply-withheld", reason="it was answered before")
    entries = house.entries()
    assert [(e.kind, e.to) for e in entries[1:]] == [("reply", "superlink")] * 2 + [("withheld", "")]
    lines = lines_by_digest(house.folder)
    assert [json.loads(lines[e.digest][0])["event"] for e in entries[1:]] == [
        "reply-sent",
        "error-sent",
        "reply-withheld",
    ]
    assert house.logbook.total() == (4, 5), "what a reply carries is counted once"
    assert altered(entries, house.folder) == []


def test_refused_calls_have_lines_up_to_a_limit_and_no_entries(house, monkeypatch):
    monkeypatch.setattr(house.outgoing, "_left", 2)
    for _ in range(5):
        house.outgoing.record("call-refused", call="other")
    assert (house.folder / FILE).read_text().count("\n") == 2 < MAX_REFUSALS
    assert house.entries() == []


@pytest.mark.parametrize("change", ["altered", "removed", "cut off", "gone"])
def test_a_line_that_was_changed_is_named_by_the_entry_about_it(house, change):
    for number in range(3):
        house.outgoing.record("reply-sent", kind="frame", number=number)
    path = house.folder / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "altered": [lines[0], lines[1].replace(b"frame", b"grape"), lines[2]],
        "removed": [lines[0], lines[2]],
        "cut off": [lines[0], lines[1][:-9] + b"\n", lines[2]],
        "gone": [],
    }[change]
    path.unlink() if change == "gone" else path.write_bytes(b"".join(changed))
    problems = altered(house.entries(), house.folder)
    assert len(problems) == (3 if change == "gone" else 1)
    assert f"entry {1 if change == 'gone' else 2} of the logbook" in problems[0]


def test_the_same_line_twice_is_two_lines_and_one_of_them_is_missed(house):
    for _ in range(2):
        house.outgoing.record("reply-withheld", reason="it was answered before")
    path = house.folder / FILE
    assert altered(house.entries(), house.folder) == []
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert len(altered(house.entries(), house.folder)) == 1


def test_a_line_without_an_entry_is_a_crash_before_anything_left(house):
    house.outgoing.record("reply-sent", kind="frame")
    with (house.folder / FILE).open("ab") as file:
        file.write(b'{"event": "reply-sent"}\n')
    assert altered(house.entries(), house.folder) == []


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next_one(house):
    with (house.folder / FILE).open("ab") as file:
        file.write(b'{"event": "reply-se')
    house.outgoing.record("reply-sent", kind="frame")
    assert altered(house.entries(), house.folder) == []
    assert (house.folder / FILE).read_bytes().count(b"\n") == 2


def test_nothing_is_sent_when_the_logbook_was_altered(house):
    house.outgoing.record("reply-sent", kind="frame")
    (house.folder / "logbook.jsonl").write_bytes(b"")
    with pytest.raises(NodeStateError, match="became shorter"):
        house.outgoing.record("reply-sent", kind="frame")


def test_the_command_shows_the_gateways_words_beside_the_entries(house):
    house.outgoing.record("reply-sent", kind="frame", digest="ab" * 32, bytes=5)
    house.outgoing.record("reply-sent", kind="frame", digest="ab" * 32, bytes=5, again=AGAIN)
    house.outgoing.record("bundle-refused", bundle="cd" * 32, reason="no accepted terms name it")
    shown = CliRunner().invoke(cli, ["log", "show", str(house.folder)]).output
    assert "reply-sent frame abab" in shown and "superlink" in shown
    assert shown.count("once more") == 1
    assert "bundle-refused cdcd" in shown and "no accepted terms name it" in shown
    said = json.loads(CliRunner().invoke(cli, ["log", "show", str(house.folder), "--json"]).output)
    assert [entry["kind"] for entry in said["entries"]] == ["reply", "reply", "withheld"]
    assert said["entries"][2]["gateway"].endswith("no accepted terms name it")
