"""Boxes: shares sealed to one member, HPKE [RFC 9180] in base mode.

Suite: KEM MLKEM768-X25519 (a hybrid: a box stays closed while either holds), KDF HKDF-SHA256, AEAD AES-256-GCM, all from
``cryptography``. ``info`` binds the box to its place (round, sender, receiver, keys); the caller composes it and owes a
different one for every box. Base mode does not authenticate the sender: the sender's signature over all its boxes does.

A box is ``encapsulation (1120) || ciphertext || tag (16)`` bytes. Every failure to open one is the same error with the
same text, whatever the reason, so that it tells nothing about the key.

A transport key pair is derived from a 32-byte seed: HKDF-SHA256 without salt and with the label TRANSPORT_SEED as info
gives 96 bytes, 64 for ML-KEM-768 (d || z, [FIPS 203 §7.1]) and 32 for X25519 [RFC 7748]. The public key is the ML-KEM
encapsulation key (1184 bytes) followed by the X25519 public key (32).
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_core.digests import Label
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.secret import Secret

SEED_BYTES = 32
"""Bytes of the seed of a transport key pair."""

PUBLIC_KEY_BYTES = 1184 + 32
"""Bytes of a public transport key."""

BOX_OVERHEAD = 1088 + 32 + 16
"""Bytes that a box is longer than what is in it."""

MAX_PLAINTEXT_BYTES = 1 << 20
"""The most that goes into one box."""

_MLKEM_SEED_BYTES = 64
_MLKEM_PUBLIC_BYTES = 1184
_DOES_NOT_OPEN = "the box does not open"
_NOT_USABLE = "a transport key is not usable"

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class TransportPrivateKey:
    """Opens boxes. Get it from :meth:`from_seed`; it is neither printed, compared nor pickled."""

    __slots__ = ("_key", "_public")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._key = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self._public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    @classmethod
    def from_seed(cls, seed: Secret) -> TransportPrivateKey:
        """Derive the key pair of ``seed``, 32 uniform bytes.

        Raises:
            LocalProtocolError: The seed has another size.
        """
        if len(seed) != SEED_BYTES:
            raise LocalProtocolError(f"the seed of a transport key has {SEED_BYTES} bytes, not {len(seed)}")
        kdf = HKDF(algorithm=SHA256(), length=96, salt=None, info=Label.TRANSPORT_SEED.value.encode())
        derived = kdf.derive(seed.reveal())
        mlkem = MLKEM768PrivateKey.from_seed_bytes(derived[:_MLKEM_SEED_BYTES])
        return cls(mlkem, X25519PrivateKey.from_private_bytes(derived[_MLKEM_SEED_BYTES:]))

    @property
    def public(self) -> bytes:
        """The public key, :data:`PUBLIC_KEY_BYTES` bytes."""
        return self._public

    def open(self, info: bytes, box: bytes) -> Secret:
        """Open ``box``, see :func:`open`."""
        if not BOX_OVERHEAD <= len(box) <= BOX_OVERHEAD + MAX_PLAINTEXT_BYTES:
            raise VerificationError(_DOES_NOT_OPEN)
        try:
            return Secret(_SUITE.decrypt(box, self._key, info=info))
        except (InvalidTag, ValueError):
            raise VerificationError(_DOES_NOT_OPEN) from None

    def __repr__(self) -> str:
        return "TransportPrivateKey(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TransportPrivateKey is never pickled")


def check_public_key(public_key: bytes) -> None:
    """Check that ``public_key`` is a key that can be sealed to; members' keys are checked once, when they are learnt.

    Raises:
        DecodeError: (1) its size or encoding is wrong, (2) its X25519 half is a point of small order, with which every
            exchange fails.
    """
    # (1)
    _decode(public_key)
    # (2) Every clamped scalar is a multiple of the cofactor, so one trial exchange with any scalar tells.
    point = X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:])
    try:
        X25519PrivateKey.from_private_bytes(bytes(32)).exchange(point)
    except ValueError:
        raise DecodeError(_NOT_USABLE) from None


def seal(public_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal ``plaintext`` to the holder of the private key of ``public_key``, with fresh randomness of the library's.

    Args:
        public_key: :data:`PUBLIC_KEY_BYTES` bytes.
        info: What the box is bound to; the opener must give the same.
        plaintext: At most :data:`MAX_PLAINTEXT_BYTES` bytes.

    Returns:
        len(plaintext) + :data:`BOX_OVERHEAD` bytes.

    Raises:
        DecodeError: The public key is not usable.
        LocalProtocolError: The plaintext is too long.
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise LocalProtocolError(f"a box holds at most {MAX_PLAINTEXT_BYTES} bytes, not {len(plaintext)}")
    key = _decode(public_key)
    try:
        return _SUITE.encrypt(plaintext, key, info=info)
    except ValueError:  # see (2) of check_public_key
        raise DecodeError(_NOT_USABLE) from None


def open(private: TransportPrivateKey, info: bytes, box: bytes) -> Secret:
    """Open ``box``, which was sealed to ``private`` with the same ``info``.

    Raises:
        VerificationError: It does not open; the reason is not told.
    """
    return private.open(info, box)


def _decode(public_key: bytes) -> hpke.MLKEM768X25519PublicKey:
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise DecodeError(f"a transport key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES])
        return hpke.MLKEM768X25519PublicKey(
            mlkem, X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:])
        )
    except ValueError:
        raise DecodeError(_NOT_USABLE) from None
