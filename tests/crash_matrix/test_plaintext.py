"""The search for plaintext finds what it is for, in each form in which it may lie on a disk."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy as np
import pytest

from tests.crash_matrix.plaintext import Needles, search
from tests.simulators.tap import PIECE, noting, pieces

UPDATE = np.random.default_rng(7).standard_normal(64).astype("<f4").tobytes()
ROW = b"63,1,1,145,233,1,2,150,0,2.3,3,0,6,0"
PADDING = bytes(range(256)) * 5
MIDDLE = UPDATE[len(UPDATE) // 2 - PIECE : len(UPDATE) // 2 + PIECE]
IN_A_FILE = {
    "all of an update": UPDATE,
    "the middle of an update": MIDDLE,
    "an update in hexadecimal digits": UPDATE.hex().encode(),
    **{
        f"an update in base64, {n} bytes after something": base64.b64encode(bytes(n) + UPDATE)
        for n in range(3)
    },
    "a row": b"a," + ROW + b"\n",
    "a row as float32": np.array(ROW.split(b","), "<f4").tobytes(),
    "a row as float64": np.array(ROW.split(b","), "<f8").tobytes(),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A node's folder with a data set, and beside it a tap that noted one update."""
    (tmp_path / "node" / "data").mkdir(parents=True)
    (tmp_path / "node" / "data" / "records.csv").write_bytes(b"age,sex\n" + ROW + b"\n")
    (tmp_path / "elsewhere").mkdir()
    noting(tmp_path / "tap")("update", UPDATE)
    return tmp_path


def found(house: Path, *processes: int) -> list[str]:
    return search(house / "tap", [house / "node"], [house], processes)


@pytest.mark.parametrize("data", IN_A_FILE.values(), ids=IN_A_FILE)
def test_what_lies_in_a_file_is_found(house: Path, data: bytes) -> None:
    (house / "elsewhere" / "file").write_bytes(PADDING + data + PADDING)
    [said] = found(house)
    assert said.endswith("elsewhere/file") and said.split()[0] in ("update", "row")


def test_rows_may_lie_in_their_holders_own_data_set_and_updates_may_not(house: Path) -> None:
    assert found(house) == []
    (house / "node" / "data" / "cache").write_bytes(UPDATE)
    [said] = found(house)
    assert said.startswith("update in ")


def test_a_file_that_was_deleted_and_is_still_open_is_found(house: Path) -> None:
    path = house / "elsewhere" / "gone"
    with path.open("w+b") as file:
        file.write(UPDATE)
        file.flush()
        path.unlink()
        assert found(house) == []
        [said] = found(house, os.getpid())
    assert "gone (deleted)" in said


def test_what_shares_its_beginning_only_is_not_found() -> None:
    needles = Needles({"secret": [b"0123456789abcdef", b"0123456789ABCDEF"]})
    assert needles.within(b"..0123456789abcdXX..") == set()
    assert needles.within(b"..0123456789ABCDEF") == {"secret"}


def test_pieces_that_would_be_found_anywhere_are_not_looked_for() -> None:
    assert pieces(bytes(100)) == []
    assert pieces(UPDATE[:PIECE] + bytes(100)) == [UPDATE[:PIECE]]
