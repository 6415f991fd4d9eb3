"""Flat settings (run config, node config) as TOML, the only form in which they survive Flower's command lines.

Flower's parser of ``key=value`` strings cuts at quotes and spaces; the same options also take a TOML file, and that is
read by a real parser. So settings are always written to files, or, where a string is wanted, escaped so that the cut
cannot happen.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from coordinator.errors import BadSetting

Setting = bool | int | float | str
"""The values that Flower carries in a run config or node config."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INT_BOUND = 2**63


def encode_value(value: Setting) -> str:
    r"""Return ``value`` as TOML.

    Strings become basic strings in which no ``"`` occurs but the outer ones (``\\u0022`` stands for it), so that they
    also pass Flower's ``key=value`` parser.

    Raises:
        BadSetting: The value has no exact TOML form: infinite, not a number, wider than 64 bits, lone surrogates.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -_INT_BOUND <= value < _INT_BOUND:
            raise BadSetting(f"A setting is an integer of at most 64 bits; {value} is not.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadSetting("A setting is a finite number; infinity and NaN are not.")
        return repr(value)
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise BadSetting("A setting is Unicode text; lone surrogates are not.")
    quoted = json.dumps(value, ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f").replace('\\"', "\\u0022")
    return f'"{quoted}"'


def encode_settings(settings: Mapping[str, Setting]) -> str:
    """Return ``settings`` as the lines of a TOML document, sorted by name.

    Raises:
        BadSetting: A name has characters other than letters, digits, ``-`` and ``_``, or a value has no TOML form.
    """
    return "".join(f"{name} = {encode_value(value)}\n" for name, value in _checked(settings))


def encode_inline(settings: Mapping[str, Setting]) -> str:
    """Return ``settings`` as one ``key=value key=value`` line for Flower's ``--node-config``.

    Raises:
        BadSetting: As for :func:`encode_settings`.
    """
    return " ".join(f"{name}={encode_value(value)}" for name, value in _checked(settings))


def _checked(settings: Mapping[str, Setting]) -> list[tuple[str, Setting]]:
    for name in settings:
        if not _KEY.fullmatch(name):
            raise BadSetting(
                f"The name of a setting has 1 to 64 letters, digits, '-' or '_'; {name!r} has not.",
                fix="Rename it.",
            )
    return sorted(settings.items())
