"""Named parameter sets and packings: the only constants the encryption is ever used with.

They are reviewed by people and never computed from anybody's input. A :class:`ParameterSet` fixes the lattice problem
(and with it the security), a :class:`Packing` fixes where small integers sit in one coefficient and how precisely it is
sent (and with it how many parties may be summed). Whether the two fit together is checked by
:class:`fl_core.secagg.layout.Layout`; ``suture parameters`` prints all that do.

Security argument
-----------------
One party encrypts ``c_j = a_j*s + e_j + Delta*m_j mod q`` for j = 0, 1, ... under public, uniform ``a_j``. Without ``s``
this is ring learning with errors (RLWE) with

* secret ``s`` **uniform in R_q**. It is not small: the sum S of all secrets is published, and with a ternary secret and
  two honest parties S would give most coefficients away (97 bits or less are left at these sizes);
* error ``e`` = popcount - popcount of 64 + 64 random bits: centred binomial, variance 32, sigma = 5.66;
* **one hint**: after S and the sum of messages are public, everybody can compute the *sum* of all errors. With two
  honest parties the error of each, given the sum, still has sigma = 5.66/sqrt(2) = 4.0. The figures are for that.

The figures are the minimum over the attacks of the lattice estimator under the MATZOV cost model, error after the hint, rounded
down: 294 bits for P4096, 135 bits for P2048, 249 bits for P4096g. docs/explanation/parameters.md has the call, the commit and the
figure of every attack; ``tests/security_estimate.py`` computes them again from the published formulas. Delta and the dropped
bits do not enter: whatever m is, c is as good as uniform, and dropping low bits of c is a public function of c and cannot help
an attacker.

That the sum over at least two honest parties leaks nothing but the sum is the argument of [OPA, CRYPTO 2025] and
[Stevens22, USENIX Security 2022]; who may be summed is the business of the protocol, not of these constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fl_core.errors import LocalProtocolError

MIN_MODULUS_BITS, MAX_MODULUS_BITS = 53, 61
"""Bits of a modulus; the kernels' overflow bounds are stated for these. Above 58 bits the transforms reduce at every stage,
and above 61 bits 4q would not be below 2^63."""

MIN_DEGREE = 32
"""The smallest degree: kernels add so many coefficients at a time."""

MAX_DEGREE = 1 << 13
"""The largest degree the kernels' overflow bounds are stated for."""

MAX_VALUE_BITS = 20
"""The widest value that is quantised and packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """The ring Z_q[X]/(X^N + 1), and what it is worth.

    Attributes:
        name: How the set is called on the wire and in documents.
        degree: N, a power of two.
        modulus: q, a prime with q = 1 mod 2N, so that the transform exists.
        security_bits: The estimate of the module docstring.
        root: psi, the least primitive 2N-th root of unity modulo q.
    """

    name: str
    degree: int
    modulus: int
    security_bits: int
    root: int

    def __post_init__(self) -> None:
        n, q = self.degree, self.modulus
        bits = f"the modulus has {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS} bits"
        facts = (
            (
                MIN_DEGREE <= n <= MAX_DEGREE and n & (n - 1) == 0,
                f"the degree is a power of two in [{MIN_DEGREE}, {MAX_DEGREE}]",
            ),
            (MIN_MODULUS_BITS <= q.bit_length() <= MAX_MODULUS_BITS, bits),
            ((q - 1) % (2 * n) == 0, "q = 1 mod 2N"),
            (pow(self.root, n, q) == q - 1, "psi^N = -1"),
        )
        for holds, rule in facts:
            if not holds:
                raise LocalProtocolError(f"parameter set {self.name}: {rule} does not hold")

    @property
    def modulus_bits(self) -> int:
        """The length of q, k with 2^(k-1) < q < 2^k."""
        return self.modulus.bit_length()

    @property
    def residue_bytes(self) -> int:
        """Bytes of one residue in the canonical form of shares and keys: 7 for 53 bits, 8 for 61."""
        return -(-self.modulus_bits // 8)


P4096 = ParameterSet(
    name="P4096", degree=4096, modulus=2**53 - 311_295, security_bits=294, root=2_135_425_536_758
)
"""The default, for models of any size."""

P2048 = ParameterSet(
    name="P2048", degree=2048, modulus=2**53 - 126_975, security_bits=135, root=1_999_430_903_908
)
"""For small models: half the bytes when one ring element holds everything."""

P4096g = ParameterSet(
    name="P4096g", degree=4096, modulus=2**61 - 139_263, security_bits=249, root=307_554_654_119_321
)
"""Eight guard bits more: for packings that 53 bits do not hold. q is the largest prime below 2^61 with q = 1 mod 2^13, which
is 2N and also the largest Delta of the packings made for this set."""

PARAMETER_SETS: Mapping[str, ParameterSet] = MappingProxyType({p.name: p for p in (P4096, P2048, P4096g)})
"""All parameter sets that a round may name."""

DEFAULT_PARAMETER_SET = P4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How several small integers share one coefficient: m = sum over l of v_l * 2^(slot_bits*l), sent as Delta*m + noise.

    Attributes:
        name: How the packing is called on the wire and in documents.
        slots: Integers per coefficient.
        slot_bits: Bits of one slot, room for the *sum* over all parties.
        value_bits: Bits of one party's integer.
        max_parties: How many parties may be summed: max_parties * (2^value_bits - 1) < 2^slot_bits.
        delta_bits: Delta = 2^delta_bits separates the noise of all parties (below) from the message (above). It grows
            with the number of parties and with the dropped bits.
        dropped_bits: Low bits of each coefficient that are rounded away before sending.
    """

    name: str
    slots: int
    slot_bits: int
    value_bits: int
    max_parties: int
    delta_bits: int
    dropped_bits: int

    def __post_init__(self) -> None:
        if not (0 < self.value_bits <= MAX_VALUE_BITS and 0 < self.slots and 0 < self.max_parties):
            raise LocalProtocolError(
                f"packing {self.name}: values are of 1 to {MAX_VALUE_BITS} bits, slots and parties are positive"
            )
        if self.max_sum >= 1 << self.slot_bits:
            raise LocalProtocolError(f"packing {self.name}: the sum over all parties overflows a slot")
        if not 0 < self.dropped_bits < self.delta_bits:
            raise LocalProtocolError(f"packing {self.name}: fewer bits are dropped than noise has room for")

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

    @property
    def delta(self) -> int:
        """Delta, the distance between neighbouring messages."""
        return 1 << self.delta_bits


PACK15 = Packing(
    name="PACK15", slots=2, slot_bits=21, value_bits=15, max_parties=64, delta_bits=11, dropped_bits=5
)
"""The default. Two 15-bit values per coefficient, up to 64 parties: 64 * 32767 = 2,097,088 < 2^21 = 2,097,152."""

DEFAULT_PACKING = PACK15

_TABLE = """
    packing       slots  slot_bits  value_bits  max_parties  delta_bits  dropped_bits
    PACK8x16          3         12           8           16          10             5
    PACK8x64          3         14           8           64          11             5
    PACK8x1024        2         18           8         1024          13             5
    PACK12x16         2         16          12           16          18            13
    PACK12x64         2         18          12           64          11             5
    PACK12x1024       1         22          12         1024          21            13
    PACK15x16         2         19          15           16          10             5
    PACK15x1024       1         25          15         1024          21            13
    PACK16x16         2         20          16           16          10             5
    PACK16x64         1         22          16           64          19            13
    PACK16x1024       1         26          16         1024          21            13
    PACK20x16         1         24          20           16          18            13
    PACK20x64         1         26          20           64          19            13
    PACK20x1024       1         30          20         1024          21            13
    PACK8x16g         4         12           8           16          10             5
    PACK12x16g        3         16          12           16          10             5
    PACK12x1024g      2         22          12         1024          13             5
    PACK16x64g        2         22          16           64          11             5
    PACK20x16g        2         24          20           16          10             5
"""
"""``PACK<value bits>x<parties>`` is the cheapest packing of these values for these parties under a 53-bit modulus, and
``PACK15`` is PACK15x64. A ``g`` marks the ones that need the 61-bit modulus of P4096g; they are listed where they are cheaper.
5 dropped bits leave 48 bits on the wire (53-bit modulus), 13 leave 40. A test searches for cheaper ones."""


def _reviewed(table: str) -> Mapping[str, Packing]:
    columns, *rows = (line.split() for line in table.strip().splitlines())
    packings = {PACK15.name: PACK15}
    for name, *numbers in rows:
        fields = dict(zip(columns[1:], map(int, numbers), strict=True))
        packings[name] = Packing(name=name, **fields)
    return MappingProxyType(packings)


PACKINGS: Mapping[str, Packing] = _reviewed(_TABLE)
"""All packings that a round may name."""
