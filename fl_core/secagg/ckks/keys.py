"""The holders' key, and the context without a key that everybody else gets.

:class:`HolderKey` encrypts, decrypts and exists at holders only. :class:`PublicContext` adds; it is what the coordinator
has, and :meth:`PublicContext.decode` refuses bytes that hold a key. Encryption is symmetric: there is no public key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.secagg.ckks.binding import tenseal
from fl_core.secagg.ckks.parameters import CkksParameters
from fl_core.secagg.ckks.structure import check_chunk, check_key
from fl_core.secret import Secret

MAX_PUBLIC_CONTEXT = 256  # bytes; no key fits
MAX_KEY = 1 << 15  # bytes; one polynomial over both primes, compressed, has about 16,700

_KEYLESS = {"save_public_key": False, "save_galois_keys": False, "save_relin_keys": False}
_NOT_OURS = "the CKKS key is not one of this parameter set"


class PublicContext:
    """Parameters without any key: what is needed to add ciphertexts. Get it from :meth:`decode` or from a key."""

    def __init__(self, params: CkksParameters, holders: int, context: Any, data: bytes) -> None:  # noqa: ANN401
        self.params = params
        self.holders = holders
        self.scale = params.scale(holders)
        self._context = context
        self._data = data

    @classmethod
    def decode(cls, params: CkksParameters, holders: int, data: bytes) -> PublicContext:
        """Read a context.

        There is one encoding for each parameter set and number of holders. It is compared before SEAL reads it: SEAL's parser
        ends the process for some parameters.

        Raises:
            DecodeError: (1) it is longer than any context without a key, (2) it is not, byte for byte, that encoding.
        """
        # (1)
        if len(data) > MAX_PUBLIC_CONTEXT:
            raise DecodeError(
                f"CKKS context: {len(data)} bytes came; more than {MAX_PUBLIC_CONTEXT} hold a key, and a key"
                " stays with the holders"
            )
        # (2)
        if data != _encoded(params, holders):
            raise DecodeError(f"CKKS context: not the one of {params.name} for {holders} holders")
        context = _load(data)
        assert context is not None and not context.has_secret_key()
        return cls(params, holders, context, data)

    def encode(self) -> bytes:
        """Return the context's bytes."""
        return self._data

    @property
    def digest(self) -> bytes:
        """What a key package's signature binds: 32 bytes."""
        return digest(Label.CKKS_CONTEXT, self._data)

    def read(self, chunk: bytes) -> Any:  # noqa: ANN401 - a TenSEAL vector, used in this package only
        """Read one ciphertext.

        Raises:
            DecodeError: It has another form, see :func:`~fl_core.secagg.ckks.structure.check_chunk`, or SEAL refuses it.
        """
        return _read(self.params, self.scale, self._context, chunk)


class HolderKey:
    """The key that all holders of a run share; it is neither printed, compared nor pickled."""

    __slots__ = ("_context", "holders", "params")

    def __init__(self, params: CkksParameters, holders: int, context: Any) -> None:  # noqa: ANN401
        self.params = params
        self.holders = holders
        self._context = context

    @classmethod
    def generate(cls, params: CkksParameters, holders: int) -> HolderKey:
        """Make a fresh key, with SEAL's own randomness."""
        ts = tenseal()
        context = ts.context(
            ts.SCHEME_TYPE.CKKS,
            params.degree,
            coeff_mod_bit_sizes=list(params.prime_bits),
            encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
            n_threads=1,
        )
        context.global_scale = params.scale(holders)
        if not _fits(params, holders, context):
            raise LocalProtocolError(f"SEAL made other parameters than {params.name} has")
        return cls(params, holders, context)

    @classmethod
    def load(cls, params: CkksParameters, holders: int, data: Secret) -> HolderKey:
        """Read a key.

        Raises:
            VerificationError: It is none for these parameters; the reason is not told.
        """
        try:
            check_key(params, _encoded(params, holders), data.reveal() if len(data) <= MAX_KEY else b"")
            context = _load(data.reveal())
        except DecodeError:
            raise VerificationError(_NOT_OURS) from None
        if context is None or not context.has_secret_key() or not _fits(params, holders, context):
            raise VerificationError(_NOT_OURS)
        key = cls(params, holders, context)
        if key.secret() != data:
            raise VerificationError(_NOT_OURS)
        return key

    def secret(self) -> Secret:
        """Return the key's bytes, for a box or the holder's own folder."""
        return Secret(self._context.serialize(save_secret_key=True, **_KEYLESS))

    def commitment(self) -> bytes:
        """Return a digest that binds the key and, since the key has more than 3,000 bits of entropy, hides it."""
        return digest(Label.CKKS_KEY, self.secret().reveal())

    def public(self) -> PublicContext:
        """Return the context without the key."""
        return PublicContext.decode(self.params, self.holders, _without_key(self._context))

    def encrypt(self, values: npt.NDArray[np.float64]) -> tuple[bytes, ...]:
        """Encrypt values in [-1, 1], ``slots`` in each ciphertext; the last one is filled up with zeros.

        Raises:
            LocalProtocolError: A value lies outside.
        """
        if not (np.abs(values) <= 1.0).all():
            raise LocalProtocolError("values under CKKS lie in [-1, 1]")
        ts, slots = tenseal(), self.params.slots
        padded = np.zeros(self.params.chunks(values.size) * slots)
        padded[: values.size] = values
        return tuple(
            ts.ckks_vector(self._context, row.tolist()).serialize() for row in padded.reshape(-1, slots)
        )

    def decrypt(self, chunks: Sequence[bytes], length: int) -> npt.NDArray[np.float64]:
        """Open a sum.

        Returns:
            ``(length,) float64``; the same bytes give the same values on the same build of SEAL, see ``vector``.

        Raises:
            DecodeError: The number or the form of the ciphertexts is wrong.
        """
        if len(chunks) != self.params.chunks(length):
            raise DecodeError(f"a vector of {length} values has {self.params.chunks(length)} ciphertexts")
        return np.concatenate([self._rows(chunks)])[:length]

    def _rows(self, chunks: Iterable[bytes]) -> npt.NDArray[np.float64]:
        scale = self.params.scale(self.holders)
        rows = [_read(self.params, scale, self._context, chunk).decrypt() for chunk in chunks]
        return np.array(rows, dtype=np.float64).reshape(-1)

    def __repr__(self) -> str:
        return "HolderKey(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a HolderKey is never pickled")


@lru_cache(maxsize=16)
def _encoded(params: CkksParameters, holders: int) -> bytes:
    """Return the one encoding of the context without a key. TenSEAL makes no context without a key, so one is made and dropped."""
    return _without_key(HolderKey.generate(params, holders)._context)


def _without_key(context: Any) -> bytes:  # noqa: ANN401
    return bytes(context.serialize(save_secret_key=False, **_KEYLESS))


def _load(data: bytes) -> Any:  # noqa: ANN401
    """Return a TenSEAL context, or None where it cannot be read."""
    try:
        return tenseal().context_from(data, 1)
    except (RuntimeError, ValueError):
        return None


def _fits(params: CkksParameters, holders: int, context: Any) -> bool:  # noqa: ANN401
    """Return whether a context has these parameters; SEAL itself has checked the security level."""
    inner = context.seal_context().data.key_context_data().parms()
    primes = tuple(prime.value() for prime in inner.coeff_modulus())
    try:
        scale = context.global_scale
    except ValueError:  # TenSEAL's way to say that there is none
        return False
    return _is_symmetric(context) and (inner.poly_modulus_degree(), primes, inner.scheme().name, scale) == (
        params.degree,
        params.primes,
        "CKKS",
        params.scale(holders),
    )


def _is_symmetric(context: Any) -> bool:  # noqa: ANN401
    """Return whether a context has no public key by design; TenSEAL says so only when it is asked for one."""
    try:
        context.has_public_key()
    except ValueError:
        return True
    return False


def _read(params: CkksParameters, scale: float, context: Any, chunk: bytes) -> Any:  # noqa: ANN401
    """Check and load one ciphertext; SEAL checks residues and parameters' id, and we check what SEAL accepts beyond."""
    check_chunk(params, scale, chunk)
    try:
        vector = tenseal().ckks_vector_from(context, chunk)
        (inner,) = vector.ciphertext()
    except (RuntimeError, ValueError):
        raise DecodeError("CKKS ciphertext: SEAL cannot read it") from None
    first = context.seal_context().data.first_parms_id()
    facts = (inner.parms_id(), inner.size(), inner.poly_modulus_degree(), inner.coeff_modulus_size())
    if facts != (first, 2, params.degree, 1) or inner.scale != scale or not inner.is_ntt_form():
        raise DecodeError("CKKS ciphertext: made under other parameters")
    if inner.is_transparent():
        raise DecodeError("CKKS ciphertext: it is not encrypted")
    return vector
