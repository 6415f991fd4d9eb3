"""The benchmarks: every module in here has a ``CASE``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from benchmarks.measurement import Case


def all_cases() -> Mapping[str, Case]:
    """Return the benchmarks by name, in the order of their names."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    cases: list[Case] = [module.CASE for module in modules]
    return {case.name: case for case in sorted(cases, key=lambda case: case.name)}
