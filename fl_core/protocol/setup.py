"""What every party derives from a header in the same way: layout, quantiser, box contexts."""

from __future__ import annotations

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import PACKINGS, PARAMETER_SETS
from fl_core.protocol.header import RoundHeader, Seat
from fl_core.quantise import Quantiser
from fl_core.secagg.layout import Layout


def layout_of(header: RoundHeader) -> Layout:
    """Return the layout of the round's ciphertexts.

    Raises:
        VerificationError: The header names parameters that this software does not know or that do not fit its cohort.
    """
    parameters, packing = PARAMETER_SETS.get(header.parameter_set), PACKINGS.get(header.packing)
    if parameters is None or packing is None:
        raise VerificationError(
            f"unknown parameters {header.parameter_set!r} with packing {header.packing!r}",
            party="coordinator",
        )
    if len(header.cohort) > packing.max_parties:
        raise VerificationError(
            f"packing {packing.name} holds at most {packing.max_parties} clients, the cohort has {len(header.cohort)}",
            party="coordinator",
        )
    return Layout(params=parameters, packing=packing, length=header.length)


def quantiser_of(header: RoundHeader) -> Quantiser:
    """Return the map between floats and slots of this round."""
    bits = PACKINGS[header.packing].value_bits
    return Quantiser(
        blocks=header.blocks, counters=header.counters, weight_cap=header.weight_cap, value_bits=bits
    )


def transport_key_digest(public_key: bytes) -> bytes:
    """Return what the ledger registers about a transport public key."""
    return digest(Label.TRANSPORT_KEY, public_key)


def box_context(header: RoundHeader, sender: bytes, seat: Seat) -> bytes:
    """Return HPKE's ``info`` for the box from ``sender`` to ``seat``: a box opens in one round, for one pair only."""
    return digest(Label.BOX_CONTEXT, header.digest, sender, seat.address, seat.transport_key)
