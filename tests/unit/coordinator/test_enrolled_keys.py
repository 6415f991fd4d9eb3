"""Which key enrolled which node is for people: a file that is missing or damaged is none."""

from __future__ import annotations

import pytest

from coordinator.engines.superlink_service import ENROLLED, enrolled_keys


def test_what_was_noted_is_read(tmp_path):
    (tmp_path / ENROLLED).write_text('{"7": "alder.pub", "8": "birch.pub"}')
    assert enrolled_keys(tmp_path) == {"7": "alder.pub", "8": "birch.pub"}


@pytest.mark.parametrize("content", [None, "", "[]", "{", "7", "[[" * 5000])
def test_what_cannot_be_read_is_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / ENROLLED).write_text(content)
    assert enrolled_keys(tmp_path) == {}
