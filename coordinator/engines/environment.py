"""The environment that Flower is imported and started in: no telemetry, no update check, no installs at run time.

Flower reads these variables while it is imported, so they must be set before. The package ``coordinator.engines`` calls
:func:`apply` when it is itself imported; any module below it may therefore import Flower at its top. Processes that the
deployment engine starts inherit the same values from :func:`child_environment`, ClientApps included.

Nothing here imports Flower.
"""

from __future__ import annotations

import logging
import os
import sysconfig
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

FLOWER_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
"""What every process of ours that imports Flower must have in its environment."""

GIVE_BACK: Mapping[str, str] = MappingProxyType(
    {
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 24),
    }
)
"""For glibc's allocator, so that a process gives back what a model took. Every call of Flower's grid runs in a thread of its own, whose
arena would keep it; and left to itself glibc takes objects of up to 32 MB from the heap, where small ones that live longer hold them
in place. A ServerApp (11 million parameters, 4 nodes) held 1.35 GB at its peak without this, 0.97 GB with few arenas, 0.87 GB with all three,
and more with each node. Other allocators ignore it. https://man7.org/linux/man-pages/man3/mallopt.3.html"""

FLOWER_LOGGER = "flwr"


def apply(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set :data:`FLOWER_VARIABLES` in ``environ``, whatever was there; call it before Flower is imported."""
    environ.update(FLOWER_VARIABLES)


def child_environment(
    home: Path, extra: Mapping[str, str] | None = None, *, parent: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment for a Flower process that keeps its files under ``home``.

    Flower's own variables of the caller are not handed on, so that a setting in somebody's shell cannot change a run;
    the folder of this interpreter's commands comes first on the path, since Flower starts its parts by name.

    Args:
        home: Becomes ``FLWR_HOME``; connections, installed apps and caches go there.
        extra: Variables that win over all others.
        parent: The environment to start from.
    """
    child = {**GIVE_BACK, **{name: value for name, value in parent.items() if not name.startswith("FLWR_")}}
    child.update(FLOWER_VARIABLES)
    child["FLWR_HOME"] = str(home)
    child["PYTHONUNBUFFERED"] = "1"
    child["PATH"] = os.pathsep.join([scripts_folder(), child.get("PATH", os.defpath)])
    child.update(extra or {})
    return child


def scripts_folder() -> str:
    """Return the folder in which this interpreter's console scripts (``flwr``, ``flower-superlink``) lie."""
    return sysconfig.get_path("scripts")


@contextmanager
def quiet_flower(level: int = logging.WARNING) -> Iterator[None]:
    """Let only Flower's log records of ``level`` and above through while the block runs.

    Flower logs every start and every phase at INFO on the console. Warnings and errors still appear, and exceptions
    are not touched.
    """
    logger = logging.getLogger(FLOWER_LOGGER)
    levels = {handler: handler.level for handler in logger.handlers}
    for handler, usual in levels.items():
        handler.setLevel(max(level, usual))
    try:
        yield
    finally:
        for handler, usual in levels.items():
            handler.setLevel(usual)


def flower_logs_as_json() -> None:
    """Have Flower's warnings and errors come out where ours do, as JSON; call it after Flower and the log were set up.

    What it tells below that is drawn as a page for people, and the coordinator's own lines say the same.
    """
    logger = logging.getLogger(FLOWER_LOGGER)
    for handler in [one for one in logger.handlers if isinstance(one, logging.StreamHandler)]:
        logger.removeHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = True
