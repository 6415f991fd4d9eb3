"""``python -m coordinator.cli`` is ``suture``."""

from __future__ import annotations

from coordinator.cli import main

main()
