"""The sources of the shipped packages, parsed."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fl_core", "ledger", "clients", "coordinator", "suture_fl")


@dataclass(frozen=True)
class Source:
    """One module."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def module(self) -> str:
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def imports(self) -> set[str]:
        """Return the modules that this one imports, wherever in it."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
        return found

    def functions(self) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Return every function with its qualified name, nested ones too."""
        return [(name, node) for name, node in self._walk() if not isinstance(node, ast.ClassDef)]

    def public(self) -> list[tuple[str, ast.AST]]:
        """Return what others may use: classes, functions and methods without an underscore in their name."""
        hidden = lambda part: part.startswith("_")
        return [(n, node) for n, node in self._walk(nested=False) if not any(map(hidden, n.split(".")))]

    def _walk(self, *, nested: bool = True) -> list[tuple[str, ast.AST]]:
        found: list[tuple[str, ast.AST]] = []

        def visit(node: ast.AST, prefix: str) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    found.append((prefix + child.name, child))
                    if nested or isinstance(child, ast.ClassDef):
                        visit(child, f"{prefix}{child.name}.")
                elif not isinstance(child, ast.expr):
                    visit(child, prefix)

        visit(self.tree, "")
        return found


SOURCES = [Source(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
