"""Entry points of the three commands: what has to happen before the first import that takes time.

Signals are taken, output is made lenient, and the other packages are looked for: one that comes from elsewhere, through
``PYTHONPATH`` for instance, would be imported in place of ours. Only the standard library is used, and little of it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from suture_fl.interruptions import INTERRUPTIONS
from suture_fl.report import JSON_OPTION, lenient_output, report

PACKAGES = ("fl_core", "ledger", "clients", "coordinator")
EXIT_FAILED = 1


def suture() -> None:
    """Run ``suture``."""
    _begin("coordinator.cli")


def suture_node() -> None:
    """Run ``suture-node``."""
    _begin("clients.cli")


def suture_audit() -> None:
    """Run ``suture-audit``."""
    _begin("ledger.audit.cli")


def _begin(module: str) -> None:
    INTERRUPTIONS.install()
    lenient_output()
    if foreign := foreign_package():
        message, fix = foreign
        report(message, fix=fix, kind="InputError", as_json=JSON_OPTION in sys.argv)
        raise SystemExit(EXIT_FAILED)
    import_module(module).main()


def foreign_package() -> tuple[str, str] | None:
    """Return what is wrong and what to do if a package of ours would not be imported from beside this one."""
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            return f"Suture's package {name!r} is not installed.", "Install Suture again."
        places = [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or "."]]
        if places[0] != home / name:
            return (
                f"Python finds another package {name!r} before Suture's, in {places[0].parent}.",
                "Unset PYTHONPATH, or take that folder out of it.",
            )
    return None
