"""Runs tests against one mutant, in a forked process in which the changed module takes the original's place."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType

from tests.mutation.operators import Mutant

TIMEOUT_S = 300
_PASSED = 0
_NOT_RUN = (3, 4, 5)
"""Exit codes of pytest: an error of its own, wrong usage, no tests. Failed tests and a dead process count as noticed."""
HEAVY = (
    "numpy", "numba", "llvmlite.binding", "cryptography.hazmat.primitives.hpke", "pytest", "tenseal",
    "eth_keys", "eth_utils", "eth_abi", "eth", "coincurve", "flwr.common", "torch",
)  # fmt: skip
"""Imported once, before anything of the project, so that a mutant costs little more than its tests."""


def preload() -> None:
    """Import what takes long and is the same for all mutants."""
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def survives(mutant: Mutant, tests: Iterable[str]) -> bool:
    """Return whether all of ``tests`` pass with the mutant in place."""
    child = os.fork()
    if child == 0:
        os._exit(_run(mutant, tests))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in _NOT_RUN:
        raise RuntimeError(f"the tests of {mutant} did not run (exit code {code})")
    return code == _PASSED


def _run(mutant: Mutant, tests: Iterable[str]) -> int:
    """In the child: pytest's exit code."""
    import pytest

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TIMEOUT_S)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sys.meta_path.insert(0, _Finder(mutant))
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module, and no other."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = mutant.path.removesuffix(".py").replace("/", ".")
        self._mutant = mutant
        if self._name in sys.modules:
            raise RuntimeError(f"{self._name} was imported before it could be changed")

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        file = str(Path(self._mutant.path).resolve())
        return importlib.machinery.ModuleSpec(fullname, _Loader(fullname, file, self._mutant), origin=file)


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the mutant's tree in place of the file's."""

    def __init__(self, name: str, file: str, mutant: Mutant) -> None:
        super().__init__(name, file)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutant.tree, self.path, "exec")
