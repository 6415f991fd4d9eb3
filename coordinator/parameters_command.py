"""``suture parameters``: every packing under every parameter set that it fits, and what each costs and is worth.

All figures but the security are computed here from the constants in :mod:`fl_core.lattice.parameters` and the bounds in
:mod:`fl_core.secagg.noise`; nothing is chosen. Security figures are the authors' estimates, with their source.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Annotated, Any

import typer
from rich.console import Console

from fl_core.errors import InputError
from fl_core.lattice.parameters import DEFAULT_PACKING, DEFAULT_PARAMETER_SET
from fl_core.secagg.layout import MAX_LENGTH, Layout, valid_layouts
from fl_core.secagg.noise import misread_log2, refusal_log2

EXAMPLE_ROUND = 10**8
"""Parameters of the round that failure probabilities are stated for."""

SECURITY_SOURCE = (
    "least cost over the attacks of the lattice estimator (commit 1bb476f9b0a0) under the MATZOV cost model, for the error "
    "after the published sum of errors of two honest clients; computed again by tests/security_estimate.py, see "
    "docs/explanation/parameters.md"
)

EPILOG = (
    "Examples: suture parameters | suture parameters --clients 200 --parameters 11000000"
    " | suture parameters --bits 8 --json"
)


def parameters(
    clients: Annotated[
        int | None, typer.Option(min=1, help="Only what can sum this many clients.", show_default=False)
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=1, help="Only values of this many bits.", show_default=False)
    ] = None,
    length: Annotated[
        int,
        typer.Option(
            "--parameters", min=1, max=MAX_LENGTH, help="Parameters of the model that bytes are counted for."
        ),
    ] = EXAMPLE_ROUND,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Show every valid combination of packing and parameter set: bytes, clients, failures, security.

    A round's terms name one of each. Failures are bounds for an honest round
    of 100 million parameters with as many clients as the packing can sum.
    """
    layouts = _chosen(length, clients, bits)
    described = [_described(layout, layouts) for layout in layouts]
    if as_json:
        source = {"security": SECURITY_SOURCE, "failures": "fl_core/secagg/noise.py"}
        typer.echo(json.dumps({"parameters": length, "sources": source, "combinations": described}))
    else:
        _show(Console(), length, described)


def _chosen(length: int, clients: int | None, bits: int | None) -> list[Layout]:
    """Return the layouts that are asked for, by bits, clients and bytes.

    Raises:
        InputError: There is none.
    """
    known = valid_layouts(length)
    chosen = [
        layout
        for layout in known
        if (clients is None or layout.packing.max_parties >= clients)
        and (bits is None or layout.packing.value_bits == bits)
    ]
    if not chosen:
        widths = ", ".join(map(str, sorted({layout.packing.value_bits for layout in known})))
        most = max(layout.packing.max_parties for layout in known)
        raise InputError(
            "no packing fits what was asked for.",
            fix=f"Packings hold values of {widths} bits and sum up to {most} clients.",
        )
    return sorted(chosen, key=_order)


def _order(layout: Layout) -> tuple[int, int, Fraction, int]:
    packing = layout.packing
    return packing.value_bits, packing.max_parties, _payload_bytes(layout), -layout.params.security_bits


def _payload_bytes(layout: Layout) -> Fraction:
    """Return the bytes of one parameter, without check elements and the rest of the last ring element."""
    return Fraction(layout.coefficient_bytes, layout.packing.slots)


def _described(layout: Layout, layouts: list[Layout]) -> dict[str, Any]:
    """Return one combination as JSON."""
    packing, params = layout.packing, layout.params
    coefficients = -(-EXAMPLE_ROUND // packing.slots)
    kind = (packing.value_bits, packing.max_parties)
    alike = (other for other in layouts if (other.packing.value_bits, other.packing.max_parties) == kind)
    return {
        "packing": packing.name,
        "parameter_set": params.name,
        "default": (packing, params) == (DEFAULT_PACKING, DEFAULT_PARAMETER_SET),
        "cheapest": _payload_bytes(layout) == min(map(_payload_bytes, alike)),
        "value_bits": packing.value_bits,
        "max_clients": packing.max_parties,
        "payload_bytes_per_parameter": str(_payload_bytes(layout)),
        "bytes_per_parameter": layout.ciphertext_bytes / layout.length,
        "ciphertext_bytes": layout.ciphertext_bytes,
        "misread_log2": _rounded_up(misread_log2(packing, packing.max_parties, coefficients)),
        "refused_log2": _rounded_up(refusal_log2(packing, packing.max_parties, coefficients)),
        "security_bits": params.security_bits,
    }


def _show(console: Console, length: int, rows: list[dict[str, Any]]) -> None:
    """Print the table; lines are never wrapped."""

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)

    say(f"{'':2}{'bits':>4}  {'clients':>7}  {'bytes':>6}  {'with checks':>11}  {'misread':>8}  {'refused':>8}  "
        f"{'security':>8}  {'packing':<13} set", "bold")  # fmt: skip
    for row in rows:
        mark = "* " if row["default"] else "+ " if row["cheapest"] else "  "
        payload = float(Fraction(row["payload_bytes_per_parameter"]))
        say(
            f"{mark}{row['value_bits']:>4}  {row['max_clients']:>7}  {payload:>6.3f}  "
            f"{row['bytes_per_parameter']:>11.3f}  {_power(row['misread_log2']):>8}  "
            f"{_power(row['refused_log2']):>8}  {row['security_bits']:>8}  {row['packing']:<13} {row['parameter_set']}",
            "green" if row["default"] else "",
        )
    say("")
    say("* the default   + the fewest bytes for these bits and clients")
    say(f"bytes: a parameter; with checks: of {length} parameters, check elements and padding included.")
    say(
        "misread, refused: bounds on the chance that an honest round of 10^8 parameters decodes wrongly, or is reported"
    )
    say("as failed, with the most clients; from the derivation in fl_core/secagg/noise.py.")
    say(f"security, in bits: {SECURITY_SOURCE}.")


def _rounded_up(exponent: float) -> float:
    """Return a bound to one decimal place that is still a bound."""
    return math.ceil(exponent * 10) / 10


def _power(exponent: float) -> str:
    """Write 2^exponent, rounded up."""
    return f"2^{-int(-exponent)}"
