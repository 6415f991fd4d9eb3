"""The key by which a SuperLink knows a SuperNode that has no gateway; with a gateway the holder's own side has it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ledger.files import write_atomically


def make_node_key(path: Path) -> Path:
    """Make a private key in ``path``, as ``ssh-keygen -t ecdsa -b 384`` does; return the file with its public half beside it."""
    key, public = ec.generate_private_key(ec.SECP384R1()), path.with_suffix(".pub")
    encoding, form = serialization.Encoding, serialization.PrivateFormat
    write_atomically(path, key.private_bytes(encoding.PEM, form.OpenSSH, serialization.NoEncryption()), 0o600)
    text = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_atomically(public, text + b"\n")
    return public
