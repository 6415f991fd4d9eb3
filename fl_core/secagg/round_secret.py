"""One party's secret s for one round."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import ParameterSet


class RoundSecret:
    """Holds s in the transform domain and does not show it.

    It is neither printed, compared, hashed, copied nor pickled. Drop it, and the seed, as soon as the shares are made.

    Args:
        params: The parameter set.
        transformed: (N,) uint64, values in [0, q); taken over and made read-only.
    """

    __slots__ = ("_transformed", "params")

    def __init__(self, params: ParameterSet, transformed: npt.NDArray[np.uint64]) -> None:
        if transformed.shape != (params.degree,) or transformed.dtype != np.uint64:
            raise LocalProtocolError(f"a secret of {params.name} is a vector of {params.degree} uint64")
        if int(transformed.max()) >= params.modulus:
            raise LocalProtocolError(f"a secret of {params.name} has residues below its modulus")
        transformed.flags.writeable = False
        self.params = params
        self._transformed = transformed

    def reveal(self) -> npt.NDArray[np.uint64]:
        """Return (N,) uint64, read-only. The name is long so that every use is easy to find in a review."""
        return self._transformed

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("round secrets are not compared")

    def __repr__(self) -> str:
        return f"RoundSecret({self.params.name}, <redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RoundSecret is never pickled")
