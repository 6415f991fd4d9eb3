"""What a command prints adds no line and hides none, whoever wrote the words in it."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import SOURCES, Source

SAFE_CALLS = ("one_line", "dumps", "json.dumps")
"""Write line breaks and escape codes out."""

OUR_OWN = {
    ("clients/cli/doctor.py", "shown"): "a word of ours in its colour",
    ("coordinator/cli/metrics.py", "counted.text()"): "the lines of Prometheus, which its own form escapes",
    ("suture_fl/version.py", "version_line()"): "our name and version",
}


def safe(printed: ast.expr) -> bool:
    """Whether nobody else's words can come to a terminal in what is printed."""
    if isinstance(printed, ast.Call):
        return ast.unparse(printed.func) in SAFE_CALLS
    if isinstance(printed, ast.IfExp):
        return safe(printed.body) and safe(printed.orelse)
    return isinstance(printed, ast.Constant)


def unsafe(source: Source) -> list[str]:
    return [
        ast.unparse(node.args[0])
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "typer.echo"
        and not safe(node.args[0])
        and (source.name, ast.unparse(node.args[0])) not in OUR_OWN
    ]


@pytest.mark.parametrize("source", [s for s in SOURCES if "typer.echo" in s.text], ids=lambda s: s.name)
def test_a_command_prints_constants_json_and_lines_without_codes(source):
    assert unsafe(source) == [], "wrap it into suture_fl.report.one_line"


def test_a_title_that_is_printed_as_it_is_would_be_found():
    tree = ast.parse('typer.echo(f"Run: {title}")\ntyper.echo(title)\ntyper.echo(one_line(title))')
    source = Source(SOURCES[0].path)
    source.__dict__["tree"] = tree  # instead of the file's
    assert unsafe(source) == ["f'Run: {title}'", "title"]
