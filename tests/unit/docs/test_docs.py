"""What the documents say about links, commands, names and checks is true of this repository.

No command is run: command lines are only parsed by the programs' own parsers. Names are looked up in the sources, not
imported. Documents of all authors are checked for links, paths and names.
"""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import click
import pytest
import typer

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PICTURES = sorted((ROOT / "docs").rglob("*.svg"))
PACKAGES = ("fl_core", "ledger", "clients", "coordinator", "suture_fl", "benchmarks")
PROGRAMS = {"suture": "coordinator.cli", "suture-node": "clients.cli", "suture-audit": "ledger.audit.cli"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.(?!sqlite|toml)\w+)+(?::\w+)?")
FILE = re.compile(rf"(?:{'|'.join((*PACKAGES, 'tests', 'docs'))})/[\w./-]*")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:root|home|work|Users|mnt|tmp|usr|opt|var)/")
CITATION = re.compile(
    r"\[([A-Z][A-Za-z]*\d\d|[A-Z][A-Za-z]+(?:00|\d{4})|OPA|ACORN|LERNA|Willow)(?=[\],\s][^\(])"
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without code blocks and comments."""
    return COMMENT.sub("", FENCE.sub("", path.read_text("utf-8")))


def spans(path: Path) -> list[str]:
    return SPAN.findall(prose(path))


def shell_lines(path: Path) -> Iterator[str]:
    """Lines of the shell blocks of a document; lines that end in a backslash are joined."""
    for language, body in FENCE.findall(path.read_text("utf-8")):
        if language in ("sh", "bash", "console"):
            yield from (
                line.removeprefix("$ ") for line in body.replace("\\\n", " ").splitlines() if line.strip()
            )


# ---------------------------------------------------------------------------------------------------------- links


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = FENCE.sub("", path.read_text("utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def broken_links(path: Path, root: Path = ROOT) -> list[str]:
    broken = []
    for target in LINK.findall(prose(path)):
        place, _, anchor = unquote(target).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (path.parent / place).resolve() if place else path
        there = found.is_relative_to(root) and found.exists()
        if not there or (anchor and (found.suffix != ".md" or anchor not in anchors(found))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    assert broken_links(path) == []


def test_a_link_to_a_missing_file_or_heading_is_noticed(tmp_path: Path) -> None:
    probe = tmp_path / "probe.md"
    probe.write_text("[a](missing.md) [b](#nowhere)\n# Here\n[c](#here)", "utf-8")
    assert broken_links(probe, tmp_path) == ["missing.md", "#nowhere"]


def test_every_page_is_on_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / target).resolve() for target in LINK.findall(prose(index))}
    pages = {path for path in DOCUMENTS if path.parent != ROOT and path != index}
    assert sorted(map(name, pages - listed)) == []


def test_documents_that_the_code_names_exist() -> None:
    missing = [
        f"{name(source)}: {reference}"
        for package in PACKAGES
        for source in sorted((ROOT / package).rglob("*.py"))
        for reference in re.findall(r"docs/[\w/-]+\.md", source.read_text("utf-8"))
        if not (ROOT / reference).is_file()
    ]
    assert missing == []


# ------------------------------------------------------------------------------------------------------- commands


def program(command: str) -> click.Command:
    """The parser of one of our programs."""
    module = import_module(PROGRAMS[command])
    (app,) = [value for value in vars(module).values() if isinstance(value, typer.Typer)]
    return typer.main.get_command(app)


def check_command(words: list[str], *, complete: bool) -> None:
    """Parse a command line of ours as far as the parser goes; ``complete`` also asks for what is required.

    Raises:
        click.UsageError: The program has no such command, option, or value of an option, or an argument is missing.
    """
    command = program(words[0])
    context = click.Context(command, info_name=words[0])
    arguments = words[1:]
    while isinstance(command, click.Group):
        if not arguments:
            return
        if arguments[0].startswith("-"):
            command.make_parser(context).parse_args(arguments)
            return
        found = command.get_command(context, arguments[0])
        if found is None:
            raise click.UsageError(f"no such command: {' '.join(words)}")
        command, arguments = found, arguments[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    values, left, _ = command.make_parser(context).parse_args(list(arguments))
    if left:
        raise click.UsageError(f"unexpected arguments: {left}")
    for parameter in command.params:
        value = values.get(parameter.name or "")
        given = isinstance(value, str | bool | list | tuple)
        if given and not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)
        if complete and parameter.required and not given:
            raise click.UsageError(f"{parameter.name} is missing in: {' '.join(words)}")


def our_commands(line: str) -> Iterator[list[str]]:
    """The commands of ours in a shell line, without the folder they are called from and without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for operator, part in itertools.groupby(lexer, lambda token: set(token) <= set("&|;<>()")):
        words = list(part)
        if not operator and words[0].rpartition("/")[2] in PROGRAMS:
            yield [words[0].rpartition("/")[2], *words[1:]]


SHELL_COMMANDS = [
    pytest.param(words, id=f"{name(path)}: {' '.join(words)}")
    for path in DOCUMENTS
    for line in shell_lines(path)
    for words in our_commands(line)
]


@pytest.mark.parametrize("words", SHELL_COMMANDS)
def test_every_command_line_is_one_that_the_program_takes(words: list[str]) -> None:
    check_command(words, complete=True)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_command_within_a_sentence_has_real_options(path: Path) -> None:
    for span in spans(path):
        if span.split()[0] in PROGRAMS:
            check_command(shlex.split(span.replace("[", "").replace("]", "")), complete=False)


@pytest.mark.parametrize(
    "line",
    [
        "suture launch run.toml --fast",
        "suture demo --fast",
        "suture demo --rounds many",
        "suture-node serve folder",
        "suture-audit trace model.safetensors",
    ],
)
def test_a_command_line_that_no_program_takes_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        check_command(line.split(), complete=True)


def section(text: str, heading: str) -> str:
    """The part of a document under one heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {heading!r}"
    return found[1]


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it: "suture ledger create"."""
    groups = [(name, program(name)) for name in PROGRAMS]
    for words, group in groups:
        assert isinstance(group, click.Group)
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                groups.append((f"{words} {name}", command))
            else:
                yield f"{words} {name}", command


def test_the_reference_has_every_command_and_option() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    for words, command in leaves():
        listed = set(re.findall(r"^\| `([^`]+)`", section(text, words), re.MULTILINE))
        context = click.Context(command)
        real = {
            parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.make_metavar(context)
            for parameter in command.params
        }
        assert listed == real, words


def test_the_reference_says_which_options_come_from_the_nodes_file_or_from_a_variable() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    for words, command in leaves():
        rows = dict(re.findall(r"^\| `(-[^`]+)`(.*)$", section(text, words), re.MULTILINE))
        for option in (one for one in command.params if isinstance(one, click.Option)):
            row, where = rows[option.opts[-1]], f"{words} {option.opts[-1]}"
            assert ("[network]" in row) == ("node.toml's" in str(option.help)) or option.is_flag, where
            assert ("`SUTURE_LEDGER`" in row) == (option.envvar == "SUTURE_LEDGER"), where


def commands_with(text: str, word: str) -> list[str]:
    """Lines with ``word``, without pip's switch for quietness."""
    return [line.strip().replace(" -q ", " ") for line in text.splitlines() if word in line]


def test_the_readme_names_the_test_command_that_ci_runs() -> None:
    (readme,) = commands_with("\n".join(shell_lines(ROOT / "README.md")), "pytest")
    ci = commands_with((ROOT / ".ci" / "run").read_text("utf-8"), "pytest")
    assert readme in ci
    (contributing,) = commands_with("\n".join(shell_lines(ROOT / "CONTRIBUTING.md")), "pytest")
    assert contributing == readme


def test_the_readme_begins_with_an_install_that_needs_pip_only() -> None:
    first = next(shell_lines(ROOT / "README.md"))
    assert first == "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/suture demo"


def test_the_readme_names_the_pythons_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11 to 3.13" in (ROOT / "README.md").read_text("utf-8")


# ---------------------------------------------------------------------------------------------------------- names


def defined(path: Path) -> dict[str, ast.AST]:
    """The names that a source file or class body defines or imports at its top, with their definitions."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        found |= _names(node)
    return found


def _names(node: ast.AST) -> dict[str, ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name: node}
    if isinstance(node, ast.Assign):
        return {
            part.id: node
            for target in node.targets
            for part in ast.walk(target)
            if isinstance(part, ast.Name)
        }
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id: node}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name: node for alias in node.names}
    return {}


def exists(reference: str) -> bool:
    """Tell whether ``package.module.name`` or ``package.module:name`` is a name in the sources."""
    place, parts = ROOT, reference.replace(":", ".").split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place /= f"{parts.pop(0)}.py"
    else:
        place /= "__init__.py"
    if not parts:
        return place.is_file()
    node = defined(place).get(parts.pop(0)) if place.is_file() else None
    for part in parts:
        members = node.body if isinstance(node, ast.ClassDef) else []
        node = next((found[part] for found in map(_names, members) if part in found), None)
    return node is not None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_module_function_and_file_in_backticks_exists(path: Path) -> None:
    quoted = [span.removesuffix("()") for span in spans(path)]
    missing = [span for span in quoted if DOTTED.fullmatch(span) and not exists(span)]
    missing += [span for span in quoted if FILE.fullmatch(span) and not (ROOT / span).exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("reference", "there"),
    [
        ("fl_core.protocol.member.answer", True),
        ("clients.app:app", True),
        ("clients.node.policy.Policy.tasks", True),
        ("fl_core.models.encode_model", True),
        ("fl_core.secagg", True),
        ("fl_core.protocol.member.reply", False),
        ("coordinator.relays", False),
        ("clients.node.policy.Policy.colour", False),
    ],
)
def test_a_name_is_found_exactly_if_it_is_defined(reference: str, there: bool) -> None:
    assert exists(reference) is there


def test_every_field_of_flowers_messages_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "flower-messages.md").read_text("utf-8")
    source = ast.parse((ROOT / "fl_core" / "protocol" / "envelope.py").read_text("utf-8"))
    constants = {
        node.targets[0].id: node.value.value
        for node in source.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    assert len(constants) > 10
    missing = [
        f"{key} = {value}"
        for key, value in constants.items()
        if f"`{key}`" not in text or f"`{value}`" not in text
    ]
    assert missing == []


def test_every_key_of_the_literature_is_in_the_references() -> None:
    keys = set(re.findall(r"\*\*\[(\w+)\]\*\*", (ROOT / "docs" / "references.md").read_text("utf-8")))
    sources = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    cited = {
        f"{name(path)}: {key}"
        for path in [*DOCUMENTS, *sources]
        for key in CITATION.findall(path.read_text("utf-8"))
        if key not in keys
    }
    assert sorted(cited) == []


# ---------------------------------------------------------------------------------------------------- checks, ADRs


def numbered(source: str, function: str) -> int:
    """How many obligations the docstring of a function numbers."""
    node = next(
        node
        for node in ast.walk(ast.parse((ROOT / source).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    numbers = [
        int(number) for number in re.findall(r"^\s*(\d+)\. ", ast.get_docstring(node) or "", re.MULTILINE)
    ]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


@pytest.mark.parametrize(
    ("letter", "source", "function"),
    [
        ("H", "fl_core/protocol/header_check.py", "check_header"),
        ("C", "fl_core/protocol/coordinator.py", "accept"),
        ("R", "fl_core/protocol/member.py", "check_request"),
        ("A", "fl_core/protocol/coordinator.py", "check_reveal"),
        ("F", "ledger/chain/embedded/follower.py", "take"),
        ("W", "ledger/finality.py", "judge"),
    ],
)
def test_the_threat_model_has_the_checks_of_the_code(letter: str, source: str, function: str) -> None:
    text = (ROOT / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
    rows = [int(number) for number in re.findall(rf"^\| {letter}(\d+) \|", text, re.MULTILINE)]
    assert rows == list(range(1, numbered(source, function) + 1))


def test_the_threat_model_has_the_checks_of_the_audit() -> None:
    table = import_module("ledger.audit.checks.table").CHECKS
    text = (ROOT / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) (\w+) \|", text, re.MULTILINE)
    assert rows == [(str(check.number), check.name) for check in table]


def test_decisions_are_numbered_without_gaps_and_have_the_four_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]}: "), name(path)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Options", "Decision", "Price"], (
            name(path)
        )


# --------------------------------------------------------------------------------------------------- what must not be


@pytest.mark.parametrize("path", [*DOCUMENTS, *PICTURES], ids=name)
def test_no_document_holds_a_path_of_somebodys_machine(path: Path) -> None:
    found = [line for line in path.read_text("utf-8").splitlines() if MACHINE_PATH.search(line)]
    assert found == []


def test_a_path_of_somebodys_machine_is_noticed() -> None:
    assert MACHINE_PATH.search("see /home/ann/suture")
    assert not MACHINE_PATH.search("see /run/suture/node.sock and https://example.org/home/ann")


@pytest.mark.parametrize("path", PICTURES, ids=name)
def test_a_picture_stands_alone_and_says_what_it_shows(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text("utf-8"))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert {"title", "desc"} <= tags
    assert not tags & {"script", "image", "foreignObject", "style"}
    references = [
        value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")
    ]
    assert references == []
