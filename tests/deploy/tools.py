"""Programs that check what is deployed: from the extra `deploy`, or skipped with the reason."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERS, COMPOSE, CHART = DEPLOY / "containers", DEPLOY / "compose", DEPLOY / "helm" / "suture"
COPY_PASSPHRASE = ["install", "-m", "0400", "/secret/passphrase", "/run/passphrase"]
"""The chart's first step, which test_image_steps.py runs in the image."""
INSTALL = "pip install 'suture-fl[deploy]' brings it"


def program(name: str) -> str:
    """Return the path of a program beside this interpreter or on the path; skip without it."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; {INSTALL}")
    return found
