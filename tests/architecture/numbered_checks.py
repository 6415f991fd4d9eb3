"""Reads the numbered obligations out of docstrings and out of ``docs/explanation/protocol.md``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from fl_core.protocol import blame, client, coordinator, header_check, member, prekeys, share_check, weights

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "protocol.md"

CHECKS: dict[str, tuple[Callable[..., object], tuple[object, ...]]] = {
    "Prekey checks": (prekeys.check_prekey, (prekeys.check_prekey,)),
    "Seat checks": (prekeys.check_seats, (prekeys.check_seats,)),
    "Blame checks": (blame.answer_blame, (blame.answer_blame, blame._check_failure)),
    "Blame answer checks": (blame.verify_blame_answer, (blame.verify_blame_answer,)),
    "Header checks": (header_check.check_header, (header_check,)),
    "Weight request checks": (weights.check_weight_request, (weights.check_weight_request,)),
    "Weight opening checks": (weights.verify_weight_opening, (weights.verify_weight_opening,)),
    "Weight sum checks": (weights.verify_weight_sum, (weights.verify_weight_sum,)),
    "Contribution checks": (coordinator.Collector.accept, (coordinator.Collector,)),
    "Share checks": (share_check.answer_check, (share_check.answer_check,)),
    "Check answer checks": (share_check.verify_check_answer, (share_check.verify_check_answer,)),
    "Reveal checks": (member.check_request, (member,)),
    "Answer checks": (coordinator.check_reveal, (coordinator.check_reveal,)),
}
"""Heading on the page -> the function whose docstring numbers the checks, and the code that performs them."""


def of_docstring(function: Callable[..., object]) -> list[tuple[int, str]]:
    """Return the numbered sentences of a docstring, in the page's spelling."""
    text = inspect.getdoc(function) or ""
    found = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return [(int(number), markdown(sentence)) for number, sentence in found]


def markdown(text: str) -> str:
    """Turn reStructuredText into the page's Markdown, on one line."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def of_page(heading: str) -> list[tuple[int, str]]:
    """Return the numbered sentences under a heading of the page."""
    section = sections()[heading]
    found = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\n|\Z)", section, re.DOTALL | re.MULTILINE)
    return [(int(number), " ".join(sentence.split())) for number, sentence in found]


def sections() -> dict[str, str]:
    """Return the page's text by heading."""
    parts = re.split(r"^#+ (.*)\n", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def performed(code: object) -> set[int]:
    """Return the numbers of the checks that ``code`` raises for."""
    source = inspect.getsource(code)  # type: ignore[arg-type]
    direct = re.findall(r"_expect(?:_signed|ing|, )?\(?\s*(\d+)", source)
    listed = re.findall(r"^ +\(?(\d+),", source, re.MULTILINE)
    spelled = re.findall(r"(?:check|answer) \((\d+)\)", source)
    return {int(number) for number in direct + listed + spelled}


def letters_of_client() -> dict[str, str]:
    """Return the lettered comments of the client's step."""
    return dict(re.findall(r"# \((\w)\) (.*)", inspect.getsource(client._Job)))
