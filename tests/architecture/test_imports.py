"""Who may import whom: the contracts of pyproject.toml, and the purity of the core beyond what they can say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT, SOURCES

PURE_STANDARD_LIBRARY = {
    "__future__", "collections", "dataclasses", "enum", "functools", "hashlib", "hmac", "itertools", "json", "math", "re",
    "struct", "types", "typing",
}  # fmt: skip
PURE_THIRD_PARTY = {"numpy", "numba", "llvmlite", "cryptography", "tenseal"}
IMPURE_WITH_A_REASON = {
    "fl_core/randomness.py": {"os"},  # the one door to the operating system's generator
    "fl_core/secagg/threads.py": {
        "concurrent"
    },  # threads that end with the call and share disjoint rows only
    "fl_core/protocol/client.py": {"io"},  # a buffer in memory that gives up its bytes without copying them
    "fl_core/lattice/kernels.py": {"logging"},  # says once that compiled code cannot be stored; no data
}
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "compile", "breakpoint", "__import__"}
PURE = [s for s in SOURCES if s.name.startswith("fl_core/")]
ALSO_PURE = {
    "clients/node/decisions.py",
    "clients/node/policy.py",
    "clients/node/manifest.py",
    "clients/training/settings.py",
    "coordinator/rounds/machine.py",
    "coordinator/rounds/plan.py",
}


def test_the_import_contracts_hold():
    """The command of the project's own check; it reads the contracts from pyproject.toml."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("source", PURE, ids=lambda s: s.module)
def test_the_core_imports_values_and_arithmetic_only(source):
    allowed = PURE_STANDARD_LIBRARY | PURE_THIRD_PARTY | {"fl_core"}
    allowed |= IMPURE_WITH_A_REASON.get(source.name, set())
    assert {name.split(".")[0] for name in source.imports()} <= allowed


@pytest.mark.parametrize("source", [s for s in SOURCES if s.name in ALSO_PURE], ids=lambda s: s.module)
def test_decisions_outside_of_the_core_are_pure_as_well(source):
    allowed = PURE_STANDARD_LIBRARY | {"fl_core", "numpy"}
    own = {
        "clients.node.policy",
        "clients.training.settings",
        "coordinator.errors",
        "coordinator.rounds.blame",
        "coordinator.rounds.weights",
    }
    assert {n if n in own else n.split(".")[0] for n in source.imports()} <= allowed | own


@pytest.mark.parametrize("source", PURE, ids=lambda s: s.module)
def test_the_core_neither_opens_files_nor_prints_nor_runs_text(source):
    defined = {name for name, _ in source.functions()}
    called = {
        n.func.id for n in ast.walk(source.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert not (called & IMPURE_CALLS) - defined


def test_only_command_lines_print_or_exit():
    from tests.architecture.sources import Source

    def prints(source: Source) -> bool:
        calls = [n for n in ast.walk(source.tree) if isinstance(n, ast.Call)]
        return (
            any(isinstance(c.func, ast.Name) and c.func.id in ("print", "exit") for c in calls)
            or "sys.exit(" in source.text
        )

    talkative = {source.name for source in SOURCES if prints(source)}
    allowed = {name for name in talkative if name.endswith(("/cli.py", "/__main__.py"))}
    reasons = {
        "ledger/artifacts/compile.py",  # a script of its own: python -m ledger.artifacts.compile
        "coordinator/engines/supervisor.py",  # the other end of a pipe to its own process
        "coordinator/demo/show.py",  # the demo's commands for its screen, and what they print
    }
    assert talkative - allowed <= reasons


def test_nothing_unpickles():
    banned = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
    assert not [s.name for s in SOURCES if {n.split(".")[0] for n in s.imports()} & banned]
    assert not [
        s.name for s in SOURCES if "torch.load" in s.text or "np.load(" in s.text or "allow_pickle" in s.text
    ]


def test_no_untrusted_json_is_parsed_without_a_bound_on_its_nesting_in_the_protocol():
    """``json.loads`` recurses in C; ``fl_core.codec.read_json`` is for what peers send. The others are listed with a reason."""
    reasons = {
        "clients/app.py": "settings of a run without protection, from Flower's own message",
        "coordinator/papers.py": "the coordinator's own journal",
        "coordinator/store/events.py": "the run's own event file",
        "coordinator/engines/supervised.py": "a pipe to a process of its own",
        "coordinator/engines/supervisor.py": "a pipe from its parent process",
        "ledger/artifacts/__init__.py": "a file of the package",
        "ledger/artifacts/compile.py": "a file of the package",
        "ledger/signer.py": "the holder's own keystore",
        "fl_core/codec.py": "read_json itself",
    }
    using = {s.name for s in SOURCES if "json.loads(" in s.text or "json.load(" in s.text}
    assert using <= set(reasons)
