"""Every decoder of the product is fuzzed, or it is written down why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests import fuzz_decoders
from tests.architecture.decoders import FUZZED, OTHERWISE
from tests.architecture.sources import ROOT

PARSERS = {
    "Reader",
    "struct.unpack",
    "rlp.decode",
    "read_json",
    "loads",
    "context_from",
    "ckks_vector_from",
    "frombuffer",
    "from_json",
}
"""A function that calls one of these reads bytes."""
PACKAGES = ("fl_core", "ledger", "clients", "coordinator", "suture_fl")
NO_BYTES = {
    "fl_core.secagg.kernels.decode",  # arithmetic on residues
}


def found(node: ast.AST, name: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from found(child, f"{name}.{child.name}")
        elif isinstance(child, ast.FunctionDef):
            calls = {_called(call.func) for call in ast.walk(child) if isinstance(call, ast.Call)}
            named = child.name.lstrip("_").startswith(("decode", "parse", "load", "from_bytes"))
            given = {a.arg for a in child.args.args + child.args.kwonlyargs} - {"self", "cls"}
            if calls & PARSERS or (named and given):
                yield f"{name}.{child.name}"


def _called(function: ast.expr) -> str:
    if (whole := ast.unparse(function)) in PARSERS:
        return whole
    return getattr(function, "attr", getattr(function, "id", ""))


def decoders_of(source: str, module: str) -> list[str]:
    return list(found(ast.parse(source), module))


def all_decoders() -> set[str]:
    names = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            names.update(decoders_of(path.read_text(), module))
    return names - NO_BYTES


def test_every_decoder_is_fuzzed_or_has_a_reason_why_not():
    forgotten = all_decoders() - set(FUZZED) - set(OTHERWISE)
    assert not forgotten, (
        "give it a target in tests/fuzz_decoders.py and a row in tests/architecture/decoders.py"
    )


def test_the_tables_name_nothing_that_is_gone():
    extra = {
        "fl_core.secagg.boxes.TransportPrivateKey.open"
    }  # opens bytes by a library's call, found by nobody
    assert (set(FUZZED) | set(OTHERWISE)) - all_decoders() == extra
    assert not set(FUZZED) & set(OTHERWISE)


@pytest.mark.parametrize("target", sorted(set(FUZZED.values())))
def test_every_named_target_exists(target):
    assert target in fuzz_decoders.TARGETS


def test_a_new_decoder_would_be_found():
    source = """
class Message:
    def decode(cls, data): ...
def status(data):
    return read_json(data, limit=9, what="status")
def size(data):
    return len(data)
"""
    assert decoders_of(source, "here") == ["here.Message.decode", "here.status"]
