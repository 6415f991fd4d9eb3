"""Compiles ``ledger/contracts`` into the checked-in artifacts, or checks that they still follow from the sources.

``python -m ledger.artifacts.compile`` writes; with ``--check`` it writes nothing and exits with 1 when a file differs.
The only module that needs the Vyper compiler, which belongs to the extra ``test``; nothing imports it at run time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ledger.artifacts import NAMES, ArtifactDocument
from ledger.errors import ArtifactError

CONTRACTS = Path(__file__).parent.parent / "contracts"
ARTIFACTS = Path(__file__).parent
EVM_VERSION = "shanghai"


def compile_source(source: str, name: str) -> ArtifactDocument:
    """Compile one contract.

    Args:
        source: Vyper source text; its pragmas decide compiler version and fork.
        name: The contract's name.

    Raises:
        ArtifactError: The source does not ask for the pinned fork, or the compiler is another one than its pragma says.
    """
    import vyper

    if f"# pragma evm-version {EVM_VERSION}\n" not in source:
        raise ArtifactError(f"{name} must say: pragma evm-version {EVM_VERSION}.")
    pinned = re.search(r"^# pragma version (\S+)$", source, re.MULTILINE)
    if pinned is None or pinned[1] != vyper.__version__:
        raise ArtifactError(f"{name} must pin the compiler that is installed, {vyper.__version__}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the compiler leaves its own files open
        output = vyper.compile_code(
            source,
            contract_path=f"{name}.vy",
            output_formats=["abi", "method_identifiers", "layout", "bytecode", "bytecode_runtime"],
        )
    layout = cast("dict[str, dict[str, dict[str, int]]]", output["layout"])
    return ArtifactDocument(
        name=name,
        compiler=f"vyper {vyper.__version__}",
        evm_version=EVM_VERSION,
        source_sha256=hashlib.sha256(source.encode()).hexdigest(),
        abi=output["abi"],
        method_identifiers={
            signature: f"0x{int(selector, 16):08x}"
            for signature, selector in output["method_identifiers"].items()
        },
        storage_layout={key: entry["slot"] for key, entry in layout["storage_layout"].items()},
        immutables={key: entry["offset"] for key, entry in layout["code_layout"].items()},
        bytecode=output["bytecode"],
        runtime=output["bytecode_runtime"],
    )


def render(document: ArtifactDocument) -> str:
    """Return the text of an artifact file: sorted keys outside the ABI, one line per entry, a final newline."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def stale(directory: Path = ARTIFACTS, contracts: Sequence[str] = NAMES) -> list[str]:
    """Return which of ``contracts`` have an artifact in ``directory`` that is not what the source compiles to."""
    names = []
    for name in contracts:
        expected = render(compile_source((CONTRACTS / f"{name}.vy").read_text("utf-8"), name))
        path = directory / f"{name}.json"
        if not path.exists() or path.read_text("utf-8") != expected:
            names.append(name)
    return names


def main(arguments: list[str] | None = None) -> int:
    """Write or check all artifacts; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledger.artifacts.compile", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when an artifact is stale"
    )
    options = parser.parse_args(arguments)
    if options.check:
        names = stale()
        for name in names:
            print(f"{name}.json does not follow from {name}.vy; run: python -m ledger.artifacts.compile")
        return 1 if names else 0
    for name in NAMES:
        document = compile_source((CONTRACTS / f"{name}.vy").read_text("utf-8"), name)
        (ARTIFACTS / f"{name}.json").write_text(render(document), "utf-8")
        print(f"{name}: {len(document['runtime']) // 2 - 1} bytes of code")
    return 0


if __name__ == "__main__":
    sys.exit(main())
