"""Text that somebody else may have written, for a terminal or a log."""

from __future__ import annotations


def one_line(text: str) -> str:
    r"""Return ``text`` with line breaks, escape codes and undecodable bytes written out as ``\n``, ``\x1b``, ``\udcff``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
