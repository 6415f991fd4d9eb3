"""Objects by name: ``load("package.module:attribute")``, the form in which Flower names an app's parts.

With it the coordinator runs a ClientApp in process without importing the package that holds it, exactly as a SuperNode
would. References come from our own code or from the person who starts a run, never from a peer: loading one imports code.
"""

from __future__ import annotations

import importlib
import re

from coordinator.errors import BadReference

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"({_NAME}(?:\.{_NAME})*):({_NAME})")


def split(reference: str) -> tuple[str, str]:
    """Return the module and the attribute that ``reference`` names, without importing anything.

    Raises:
        BadReference: It does not have the form ``package.module:attribute`` with one plain attribute.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise BadReference(
            f"A reference has the form package.module:attribute; {reference!r} has not.",
            fix="Name the module as in an import statement, then a colon, then the object.",
        )
    return match[1], match[2]


def load(reference: str) -> object:
    """Import the module that ``reference`` names and return its attribute.

    The caller checks the type of what comes back.

    Args:
        reference: For instance ``"clients.app:app"``.

    Raises:
        BadReference: Bad form, no such module, a module that cannot be imported, or no such attribute.
    """
    module_name, attribute = split(reference)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BadReference(
            f"The module of {reference!r} cannot be imported: {error}.",
            fix="Install the package that holds it, or correct the name.",
        ) from error
    try:
        found: object = getattr(module, attribute)
    except AttributeError as error:
        raise BadReference(
            f"The module {module_name!r} has no {attribute!r}, which {reference!r} names.",
            fix="Correct the name after the colon.",
        ) from error
    return found
