"""One party's ciphertext: c_j = a_j*s + e_j + Delta*m_j mod q, low bits rounded away.

This is run by the client. Everything it draws comes from one seed, by label:

==================  =====================================================================================
``Label.SECRET``    s, uniform in the transform domain, exact rejection sampling
``Label.ERRORS``    2*N words per ring element, in order: e = popcount(first N) - popcount(second N)
==================  =====================================================================================

So ring element j has its own place in every stream, and elements can be made in any order or at the same time.

(``Label.SHARING`` of the same seed is for :func:`fl_core.secagg.shamir.share`.)

**The caller owes: a seed is fresh for every call.** Two different vectors under one seed and one header differ by their
plaintext difference; one seed under two headers spends the same secret twice. A retry sends the stored bytes again, it
does not encrypt again. Not constant-time in ``values`` beyond what the straight-line kernels give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label
from fl_core.errors import LocalProtocolError
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream
from fl_core.secagg import kernels
from fl_core.secagg.layout import ALIGNMENT, CHECK_ELEMENTS, Layout
from fl_core.secagg.public_elements import PublicElements, block_elements
from fl_core.secagg.round_secret import RoundSecret
from fl_core.secagg.threads import spread
from fl_core.secret import Secret

Values = npt.NDArray[np.uint16 | np.uint32]
Bytes = npt.NDArray[np.uint8]


def encrypt(
    layout: Layout, header_digest: bytes, values: Values, seed: Secret, threads: int = 1
) -> tuple[Bytes, RoundSecret]:
    """Encrypt one vector under a fresh secret.

    Args:
        layout: The shape of the round's ciphertexts.
        header_digest: 32 bytes; fixes the public elements.
        values: (L,) of the layout's ``value_dtype`` (uint16, or uint32 above 16 bits), values in [0, 2^value_bits).
        seed: 32 fresh random bytes, used for this call only.
        threads: How many threads share the work; the bytes are the same for every number.

    Returns:
        The ciphertext, (ciphertext_bytes,) uint8, and the secret it is under.

    Raises:
        LocalProtocolError: The values have another dtype, shape or range, or the digest or seed another size.
    """
    ciphertext = np.empty(layout.ciphertext_bytes, np.uint8)
    return ciphertext, encrypt_into(layout, header_digest, values, seed, ciphertext, threads)


def encrypt_into(
    layout: Layout, header_digest: bytes, values: Values, seed: Secret, out: Bytes, threads: int = 1
) -> RoundSecret:
    """Like :func:`encrypt`, into a buffer of the caller's (a mapped file, say).

    Args:
        layout: As for :func:`encrypt`.
        header_digest: As for :func:`encrypt`.
        values: As for :func:`encrypt`.
        seed: As for :func:`encrypt`.
        out: (ciphertext_bytes,) uint8, C-contiguous, writable, aligned to four bytes; overwritten.
        threads: How many threads share the work; the bytes are the same for every number.

    Returns:
        The secret that the ciphertext is under.

    Raises:
        LocalProtocolError: As for :func:`encrypt`, or ``out`` has another size.
    """
    if values.shape != (layout.length,):
        raise LocalProtocolError(f"this round's vectors have {layout.length} values, not {values.shape}")
    if out.shape != (layout.ciphertext_bytes,) or not out.flags.c_contiguous:
        raise LocalProtocolError(f"a ciphertext of this round is a vector of {layout.ciphertext_bytes} bytes")
    rows = out.reshape(layout.elements, layout.element_bytes)
    step, width = block_elements(layout.params), layout.values_per_element

    def run(first: int, end: int) -> RoundSecret:
        encryptor = ElementEncryptor(layout, header_digest, seed, first)
        if first == 0:
            encryptor.encrypt_checks(rows[:CHECK_ELEMENTS])
        for start in range(first, end, step):
            stop = min(start + step, end)
            block = rows[CHECK_ELEMENTS + start : CHECK_ELEMENTS + stop]
            encryptor.encrypt(values[start * width : stop * width], block)
        return encryptor.secret

    return spread(run, layout.payload_elements, threads)[0]


class ElementEncryptor:
    """Encrypts ring elements in order, as many at a time as the caller likes: the streaming form of :func:`encrypt`.

    Call :meth:`encrypt_checks` once and then :meth:`encrypt` until all values are in. Scratch memory is proportional to
    the block, never to L.

    Args:
        layout: The shape of the round's ciphertexts.
        header_digest: 32 bytes; fixes the public elements.
        seed: 32 fresh random bytes, used for this object only (and for others that encrypt the same vector).
        first: The payload element to begin with. If it is not 0, the check elements are somebody else's.
    """

    def __init__(self, layout: Layout, header_digest: bytes, seed: Secret, first: int = 0) -> None:
        self._layout = layout
        ring = Ring.of(layout.params)
        (transformed,) = ring.sample_transformed(Stream(seed, Label.SECRET), 1)
        self.secret = RoundSecret(layout.params, transformed)
        self._elements_done = CHECK_ELEMENTS + first if first else 0
        self._values_done = first * layout.values_per_element
        self._public = PublicElements(layout.params, header_digest, transformed, self._elements_done)
        self._errors = Stream(seed, Label.ERRORS, self._elements_done * 2 * ring.degree * 8)
        self._error_words = np.empty((block_elements(layout.params), 2, ring.degree), np.uint64)

    def encrypt_checks(self, out: Bytes) -> None:
        """Write the check elements, encryptions of zero, to ``out``, (CHECK_ELEMENTS, element_bytes) uint8."""
        if self._elements_done or len(out) != CHECK_ELEMENTS:
            raise LocalProtocolError("the check elements come first, and once")
        packing, params = self._layout.packing, self._layout.params
        zeros = np.zeros((CHECK_ELEMENTS, packing.slots, params.degree), self._layout.value_dtype)
        self._write(zeros, out)

    def encrypt(self, values: Values, out: Bytes) -> None:
        """Encrypt the next values of the vector.

        Args:
            values: (n*slots*N,) of the layout's ``value_dtype``, values in [0, 2^value_bits); fewer only at the end of the vector, where the
                rest of the last ring element encrypts zeros.
            out: (n, element_bytes) uint8, C-contiguous, aligned to four bytes, 0 < n <= :func:`block_elements`;
                overwritten.

        Raises:
            LocalProtocolError: (1) out of order or beyond the layout, (2) values of the wrong dtype or number, (3) a
                value out of range, (4) a buffer that is not as described.
        """
        layout = self._layout
        remaining = layout.length - self._values_done
        expected = min(len(out) * layout.values_per_element, remaining)
        # (1)
        if (
            self._elements_done < CHECK_ELEMENTS
            or len(out) != -(-expected // layout.values_per_element)
            or not expected
        ):
            raise LocalProtocolError(
                "ring elements are encrypted in order: check elements, payload, nothing beyond it"
            )
        # (2)
        dtype = layout.value_dtype
        if values.dtype != dtype or values.shape != (expected,):
            raise LocalProtocolError(
                f"the next {len(out)} ring elements take ({expected},) {dtype.__name__} values"
            )
        # (3) Larger values would spill into the next slot once max_parties of them are added.
        if int(values.max()) > layout.packing.max_value:
            raise LocalProtocolError(f"values are below 2^{layout.packing.value_bits}")
        padding = len(out) * layout.values_per_element - expected
        if padding:
            values = np.concatenate([values, np.zeros(padding, dtype)])
        self._write(values.reshape(len(out), layout.packing.slots, layout.params.degree), out)
        self._values_done += expected

    def _write(self, slots: Values, out: Bytes) -> None:
        """Write round((a*s + e + Delta*m mod q) / 2^dropped_bits) for the next ``len(out)`` ring elements."""
        params, packing = self._layout.params, self._layout.packing
        # (4) The kernel checks nothing.
        usable = out.dtype == np.uint8 and out.flags.carray and out.ctypes.data % ALIGNMENT == 0
        if not usable or out.shape[1:] != (self._layout.element_bytes,) or len(out) > len(self._error_words):
            raise LocalProtocolError(
                "ring elements are written to aligned, writable rows, at most a block at a time"
            )
        products = self._public.next_products(len(out))
        words = self._error_words[: len(out)]
        self._errors.fill(words)
        kernels.encode(
            products,
            words,
            slots,
            np.uint64(packing.delta_bits),
            np.uint64(packing.slot_bits),
            np.uint64(packing.dropped_bits),
            np.uint64(params.modulus),
            out,
        )
        self._elements_done += len(out)

    def __repr__(self) -> str:
        return "ElementEncryptor(<redacted>)"
