"""The one door to TenSEAL, which is installed only where somebody asked for the CKKS mode."""

from __future__ import annotations

from functools import cache
from typing import Any

from fl_core.errors import InputError


@cache
def tenseal() -> Any:  # noqa: ANN401 - the library ships no types
    """Return the module ``tenseal``.

    Raises:
        InputError: It is not installed, or has no wheel for this machine and could not be loaded.
    """
    try:
        import tenseal
        import tenseal.sealapi  # registers the types of SEAL that a context's parameters are made of
    except ImportError as error:
        raise InputError(
            f"the CKKS mode needs TenSEAL, which cannot be imported ({error}).",
            fix="Install it with `pip install 'suture-fl[ckks]'`, or use the default protection, which does not need it.",
        ) from error
    return tenseal
