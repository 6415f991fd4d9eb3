"""The coordinator's folder may have any name."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.context import coordinator_signer
from coordinator.demo.consortium import open_office
from fl_core.randomness import SystemRandomSource


@pytest.mark.parametrize("name", ["a#b", "a%20b", "a?b&c=d", "a+b", "a\nb", "-a", "[bold]a", "🏥"])
def test_the_coordinators_account_opens_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    office = open_office(tmp_path / name / "coordinator", SystemRandomSource())
    assert coordinator_signer(office.folder).address == office.signer.address
