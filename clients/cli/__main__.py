"""``python -m clients.cli`` is ``suture-node``."""

from __future__ import annotations

from clients.cli import main

main()
