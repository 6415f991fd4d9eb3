"""Named parameter sets and packings: the only constants the encryption is ever used with.

They are reviewed by people and never computed from anybody's input. A :class:`ParameterSet` fixes the lattice problem
(and with it the security), a :class:`Packing` fixes how small integers share one coefficient (and with it how many
parties may be summed). Whether the two fit together is checked by :class:`fl_core.secagg.layout.Layout`.

Security argument
-----------------
One party encrypts ``c_j = a_j*s + e_j + Delta*m_j mod q`` for j = 0, 1, ... under public, uniform ``a_j``. Without ``s``
this is ring learning with errors (RLWE) with

* secret ``s`` **uniform in R_q**. It is not small: the sum S of all secrets is published, and with a ternary secret and
  two honest parties S would give most coefficients away (97 bits or less are left at these sizes);
* error ``e`` = popcount - popcount of 64 + 64 random bits: centred binomial, variance 32, sigma = 5.66;
* **one hint**: after S and the sum of messages are public, everybody can compute the *sum* of all errors. With two
  honest parties the error of each, given the sum, still has sigma = 5.66/sqrt(2) = 4.0. The figures are for that.

The figures are the minimum over the attacks of the lattice-estimator under the MATZOV cost model, error after the hint:
294 bits for P4096, 136 bits for P2048. Dropping low bits of c is a public function of c and cannot help an attacker.

That the sum over at least two honest parties leaks nothing but the sum is the argument of [OPA, CRYPTO 2025] and
[Stevens22, USENIX Security 2022]; who may be summed is the business of the protocol, not of these constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fl_core.errors import LocalProtocolError

WIRE_BITS = 48
"""Bits of one ciphertext coefficient on the wire: a 32-bit low plane and a 16-bit high plane."""

MODULUS_BITS = 53
"""Bits of every modulus; the kernels' overflow bounds are stated for it."""

MAX_DEGREE = 1 << 13
"""The largest degree the kernels' overflow bounds are stated for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """The ring Z_q[X]/(X^N + 1), where messages sit in it, and what it is worth.

    Attributes:
        name: How the set is called on the wire and in documents.
        degree: N, a power of two.
        modulus: q, a prime with q = 1 mod 2N (so that the transform exists) and q = 1 mod 2^delta_bits.
        delta_bits: Delta = 2^delta_bits separates noise (below) from message (above). Delta = (q-1)/t for the plain
            modulus t, so the ciphertext is that of BFV with plain modulus t.
        dropped_bits: Low bits of each coefficient that are rounded away before sending.
        security_bits: The estimate of the module docstring.
        root: psi, the least primitive 2N-th root of unity modulo q.
    """

    name: str
    degree: int
    modulus: int
    delta_bits: int
    dropped_bits: int
    security_bits: int
    root: int

    def __post_init__(self) -> None:
        n, q = self.degree, self.modulus
        facts = (
            (8 <= n <= MAX_DEGREE and n & (n - 1) == 0, f"the degree is a power of two in [8, {MAX_DEGREE}]"),
            (q.bit_length() == MODULUS_BITS, f"the modulus has {MODULUS_BITS} bits"),
            ((q - 1) % (2 * n) == 0, "q = 1 mod 2N"),
            ((q - 1) % (1 << self.delta_bits) == 0, "q = 1 mod Delta"),
            (q.bit_length() - self.dropped_bits == WIRE_BITS, f"{WIRE_BITS} bits per coefficient are sent"),
            (0 < self.dropped_bits < self.delta_bits, "fewer bits are dropped than noise has room for"),
            (pow(self.root, n, q) == q - 1, "psi^N = -1"),
        )
        for holds, rule in facts:
            if not holds:
                raise LocalProtocolError(f"parameter set {self.name}: {rule} does not hold")

    @property
    def delta(self) -> int:
        """Delta, the distance between neighbouring messages."""
        return 1 << self.delta_bits

    @property
    def plain_modulus(self) -> int:
        """The modulus of messages, t = (q-1)/Delta: they are integers in [0, t)."""
        return (self.modulus - 1) >> self.delta_bits

    @property
    def max_wire(self) -> int:
        """The largest canonical wire coefficient, round((q-1) / 2^dropped_bits) < 2^48."""
        return (self.modulus - 1 + (1 << (self.dropped_bits - 1))) >> self.dropped_bits


P4096 = ParameterSet(
    name="P4096",
    degree=4096,
    modulus=2**53 - 311_295,
    delta_bits=11,
    dropped_bits=5,
    security_bits=294,
    root=2_135_425_536_758,
)
"""The default, for models of any size."""

P2048 = ParameterSet(
    name="P2048",
    degree=2048,
    modulus=2**53 - 126_975,
    delta_bits=11,
    dropped_bits=5,
    security_bits=136,
    root=1_999_430_903_908,
)
"""For small models: half the bytes when one ring element holds everything."""

PARAMETER_SETS: Mapping[str, ParameterSet] = MappingProxyType({p.name: p for p in (P4096, P2048)})
"""All parameter sets that a round may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How several small integers share one coefficient: m = sum over l of v_l * 2^(slot_bits*l).

    Attributes:
        name: How the packing is called on the wire and in documents.
        slots: Integers per coefficient.
        slot_bits: Bits of one slot, room for the *sum* over all parties.
        value_bits: Bits of one party's integer.
        max_parties: How many parties may be summed: max_parties * (2^value_bits - 1) < 2^slot_bits.
    """

    name: str
    slots: int
    slot_bits: int
    value_bits: int
    max_parties: int

    def __post_init__(self) -> None:
        if not (0 < self.value_bits <= 16 and 0 < self.slots and 0 < self.max_parties):
            raise LocalProtocolError(
                f"packing {self.name}: values are of 1 to 16 bits, slots and parties are positive"
            )
        if self.max_sum >= 1 << self.slot_bits:
            raise LocalProtocolError(f"packing {self.name}: the sum over all parties overflows a slot")

    @property
    def max_value(self) -> int:
        """The largest integer one party may put into a slot."""
        return (1 << self.value_bits) - 1

    @property
    def max_sum(self) -> int:
        """The largest sum a slot can hold after all parties are added."""
        return self.max_parties * self.max_value

    @property
    def max_packed(self) -> int:
        """The largest packed sum: every slot at :attr:`max_sum`."""
        return sum(self.max_sum << (self.slot_bits * slot) for slot in range(self.slots))


PACK15 = Packing(name="PACK15", slots=2, slot_bits=21, value_bits=15, max_parties=64)
"""Two 15-bit values per coefficient, up to 64 parties: 64 * 32767 = 2,097,088 < 2^21 = 2,097,152."""

PACKINGS: Mapping[str, Packing] = MappingProxyType({p.name: p for p in (PACK15,)})
"""All packings that a round may name."""
