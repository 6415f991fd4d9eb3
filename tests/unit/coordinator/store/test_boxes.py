"""Sealed shares on disk: what is put is what is got, seat by seat, and nothing is left behind."""

from __future__ import annotations

import pytest

from coordinator.store.boxes import BoxFolder
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.protocol.header import MAX_COMMITTEE
from fl_core.protocol.messages import MAX_BOX
from tests.simulators.dry_round import DryRound

ONE, OTHER = b"\x01" * 20, b"\x02" * 20


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "private" / "boxes"


def test_each_seat_gets_the_box_that_the_client_made_for_it(folder):
    spool = BoxFolder(folder)
    spool.put(ONE, (b"for seat 0", b"", b"for seat 2"))
    spool.put(OTHER, (b"x", b"y", b"z"))
    assert [spool.get(ONE, position) for position in range(3)] == [b"for seat 0", b"", b"for seat 2"]
    assert spool.get(OTHER, 1) == b"y"


def test_the_largest_committee_with_the_largest_boxes_fits_and_a_larger_one_does_not(folder):
    spool = BoxFolder(folder)
    boxes = tuple(bytes([seat]) * MAX_BOX for seat in range(MAX_COMMITTEE))
    spool.put(ONE, boxes)
    assert spool.get(ONE, MAX_COMMITTEE - 1) == boxes[-1]
    for too_much in ((*boxes, b""), (bytes(MAX_BOX + 1),)):
        with pytest.raises(LocalProtocolError):
            spool.put(OTHER, too_much)


def test_a_client_that_sent_nothing_and_a_seat_that_is_none_are_our_own_errors(folder):
    spool = BoxFolder(folder)
    spool.put(ONE, (b"x",))
    with pytest.raises(FileNotFoundError):
        spool.get(OTHER, 0)
    with pytest.raises(IndexError):
        spool.get(ONE, 1)


def test_a_file_that_was_cut_is_not_read_as_boxes(folder):
    spool = BoxFolder(folder)
    spool.put(ONE, (b"for seat 0", b"for seat 1"))
    path = folder / ONE.hex()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DecodeError):
        spool.get(ONE, 0)


def test_a_new_round_begins_with_an_empty_folder_that_only_the_owner_enters(folder):
    BoxFolder(folder).put(ONE, (b"of a round that crashed",))
    BoxFolder(folder)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_when_the_round_is_over_the_folder_is_gone_and_to_clear_again_does_no_harm(folder):
    spool = BoxFolder(folder)
    spool.put(ONE, (b"x",))
    spool.clear()
    assert not folder.exists()
    spool.clear()


def test_members_are_asked_the_same_from_disk_as_from_memory(folder):
    dry = DryRound(4)
    on_disk = dry.new_collector(spool=BoxFolder(folder))
    for position in range(4):
        frame = dry.prepare(position).frame
        dry.deliver(frame)
        on_disk.accept(on_disk.decode(frame.encode()))
    for party in dry.parties:
        expected = dry.collector.check_request(party.address, receipt=b"")
        assert on_disk.check_request(party.address, receipt=b"") == expected
