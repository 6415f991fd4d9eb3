"""What two people read to each other over the phone before they trust an account or a key set.

80 bits of a labelled hash in Crockford's base 32 (no I, L, O, U), as four groups: ``7Q2M-9XKD-0T4V-HB3N``. Enough against
somebody who searches for a key with the same fingerprint as a given one (2^80 tries); two keys of one's own with the same
fingerprint can be found in 2^40 tries, and gain their maker nothing. Pure.
"""

from __future__ import annotations

from fl_core.digests import Label, digest
from fl_core.protocol.setup import transport_key_digest

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS = 16


def fingerprint(*parts: bytes) -> str:
    """Return the fingerprint of public bytes: an account, or what :func:`keys_fingerprint` joins."""
    number = int.from_bytes(digest(Label.FINGERPRINT, *parts)[:10], "big")
    letters = [_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LETTERS))]
    return "-".join("".join(letters[at : at + 4]) for at in range(0, _LETTERS, 4))


def keys_fingerprint(signer: bytes, encryption: bytes) -> str:
    """Return the fingerprint of a key set as it is on the ledger: signing address and digest of the transport key."""
    return fingerprint(signer, encryption)


def fingerprint_of_keys(signer: bytes, transport: bytes) -> str:
    """Return the fingerprint of a key set from the transport public key itself."""
    return keys_fingerprint(signer, transport_key_digest(transport))
