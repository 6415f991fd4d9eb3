"""TOML files that a person writes: read with a limit, taken apart key by key, and wrong lines named by their number."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from fl_core.errors import InputError

MAX_TOML = 1 << 20
"""Bytes."""

T = TypeVar("T", str, int, bool)
_MISSING = object()
_KINDS = {str: "a text in quotes", int: "a whole number", bool: "true or false"}


class TomlFile:
    """One file of ``key = value`` lines without sections; keys are taken one by one, and none may be left.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read or is no TOML; names the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_TOML:
                raise InputError(f"{path} is larger than {MAX_TOML} bytes.", fix="Name the right file.")
            self._text = path.read_bytes().decode()
            self._values: dict[str, Any] = tomllib.loads(self._text)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).", fix="Check the path.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text.", fix="Save it as UTF-8.") from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path} is not valid TOML ({error}).", fix="Mend that line.") from error

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """Return the value of a key.

        Raises:
            InputError: It is missing and there is no default, or it is of another type.
        """
        value = self._values.pop(key, _MISSING)
        if value is _MISSING:
            if default is None:
                raise InputError(
                    f"{self.path} does not say {key!r}.", fix=f"Add a line `{key} = ...`: {_KINDS[kind]}."
                )
            return default
        if type(value) is not kind:
            raise self.wrong(key, f"{key!r} is {_KINDS[kind]}", "Mend that line.")
        return value

    def end(self) -> None:
        """Check that every key was taken.

        Raises:
            InputError: There is one that means nothing here.
        """
        for key in self._values:
            raise self.wrong(key, f"{key!r} means nothing here", "Take that line out, or correct its name.")

    def wrong(self, key: str, problem: str, fix: str) -> InputError:
        """Return the error that names a key's line."""
        lines = self._text.splitlines()
        pattern = re.compile(rf'\s*\[*\s*"?{re.escape(key)}"?\s*[\]=.]')
        number = next((n for n, line in enumerate(lines, 1) if pattern.match(line)), 0)
        place = f"{self.path}, line {number}" if number else str(self.path)
        return InputError(f"{place}: {problem}.", fix=fix)


def toml_text(text: str) -> str:
    """Return a TOML string; what JSON writes, but for DEL."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
