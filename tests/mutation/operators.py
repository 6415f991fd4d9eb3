"""Makes mutants: a module's source with one check weakened, found in its syntax tree so that a new check cannot be forgotten.

What a check looks like here, and how it is weakened:

==================================  ==================================================================
``_expect(4, condition, ...)``      the condition becomes true; also ``_expecting(4)(condition, ...)``
``(4, condition, "...")``           the same in a table of checks
``a and b and c``                   one of the conjuncts is left out
``(a, b) == (c, d)``                one pair is left out; also where the tuples were given names first
``a < b``                           in a check: ``a <= b``, and the other way round
``verify(...)``, ``check_x(...)``   the call is left out, where its result is not used
``if condition: raise ...``         never refuses; of ``a or b`` one of the two is left out
==================================  ==================================================================
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

EXPECT = re.compile(r"_?expect|_expecting")
CHECKING = re.compile(r"_?(expect|verify|check|ascending|end$|read_version)|accept_header|advance")
NAMED = ("ours", "spoken")
"""Tuples that are compared after they were given these names."""

FLIPPED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: The module's file, relative to the project.
        line: Where.
        what: What is weakened, as source; names the mutant together with ``path``.
        tree: The changed module.
    """

    path: str
    line: int
    what: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.what}"


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    original = ast.parse(source)
    found: dict[str, Mutant] = {}
    for number, node in enumerate(ast.walk(original)):
        for what, change in _changes(node):
            tree = copy.deepcopy(original)
            twin = next(n for i, n in enumerate(ast.walk(tree)) if i == number)
            change(twin)
            made = ast.unparse(ast.fix_missing_locations(tree))
            line = getattr(node, "lineno", 0)
            found.setdefault(made, Mutant(path, line, f"{what} in: {_shown(node)}", tree))
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.what))


Change = Callable[[ast.AST], None]


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Call() if (at := _condition(node)) is not None:
            yield "holds always", lambda n: n.args.__setitem__(at, ast.Constant(True))
            if isinstance(node.args[at], ast.Compare) and type(node.args[at].ops[0]) in FLIPPED:
                yield "bound moved", lambda n: _flip(n.args[at])
        case ast.Tuple(elts=[ast.Constant(value=int()), _, ast.Constant(value=str())]):
            yield "holds always", lambda n: n.elts.__setitem__(1, ast.Constant(True))
        case ast.BoolOp(op=ast.And()):
            for i, value in enumerate(node.values):
                yield f"without `{ast.unparse(value)}`", lambda n, i=i: n.values.pop(i)
        case ast.Compare(left=ast.Tuple(), comparators=[ast.Tuple()], ops=[ast.Eq() | ast.NotEq()]):
            for i, value in enumerate(node.left.elts):
                yield f"without `{ast.unparse(value)}`", lambda n, i=i: _drop_pair(n, i)
        case ast.FunctionDef():
            yield from _named_pairs(node)
        case ast.Expr(value=ast.Call() as call) if (
            CHECKING.match(_name(call.func)) and _condition(call) is None
        ):
            yield "left out", lambda n: setattr(n, "value", ast.Constant(None))
        case ast.If() if _refuses(node.body[-1]):
            yield "never refuses", lambda n: setattr(n, "test", ast.Constant(False))
            if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.Or):
                for i, value in enumerate(node.test.values):
                    yield f"without `{ast.unparse(value)}`", lambda n, i=i: n.test.values.pop(i)


def _refuses(statement: ast.stmt) -> bool:
    """Return whether a branch ends in an error or in a policy's no."""
    return isinstance(statement, ast.Raise) or "Decision(allowed=False" in ast.unparse(statement)


def _condition(call: ast.Call) -> int | None:
    """Return which argument of a call is a check's condition."""
    if isinstance(call.func, ast.Call) and _name(call.func.func) == "_expecting":
        return 0
    name = _name(call.func)
    if not EXPECT.fullmatch(name):
        return None
    at = 1 if name == "_expect" and call.args and isinstance(call.args[0], ast.Constant) else 0
    constant = len(call.args) > at and isinstance(call.args[at], ast.Constant)
    return None if constant or len(call.args) < 2 else at


def _named_pairs(function: ast.FunctionDef) -> Iterator[tuple[str, Change]]:
    """Leave out one component of two tuples that are named first and compared later."""
    given = {
        s.targets[0].id: s.value
        for s in ast.walk(function)
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and isinstance(s.value, ast.Tuple)
    }
    if not all(name in given for name in NAMED):
        return
    for i, value in enumerate(given["spoken"].elts):

        def drop(n: ast.AST, i: int = i) -> None:
            for s in ast.walk(n):
                if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") in NAMED:
                    s.value.elts.pop(i)

        yield f"without `{ast.unparse(value)}`", drop


def _flip(compare: ast.Compare) -> None:
    compare.ops[0] = FLIPPED[type(compare.ops[0])]()


def _drop_pair(compare: ast.Compare, i: int) -> None:
    compare.left.elts.pop(i)
    compare.comparators[0].elts.pop(i)


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef):
        return f"{node.name}()"
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    return ast.unparse(node)
