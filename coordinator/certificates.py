"""A small certificate authority for one consortium: made by one command, kept in one folder, good for its servers only.

::

    FOLDER/ca.crt        the authority: every node trusts it, and nothing else, for SuperLink and relay
    FOLDER/ca.key        its key, 0600: whoever has it can stand in for the servers; keep it elsewhere if you can
    FOLDER/server.pem    the servers' certificate with all their names
    FOLDER/server.key    its key, 0600

The authority may sign servers only (path length 0, key usage as RFC 5280, 4.2.1.3 and 4.2.1.12 have it); clients are known by
their own keys, not by certificates. Called again, it keeps the authority and makes a new server certificate with a new key.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fl_core.errors import InputError
from ledger.files import read_plain, write_atomically

AUTHORITY_DAYS, SERVER_DAYS = 3650, 365
MAX_DAYS = 825
"""Longest life of a server certificate that common TLS clients accept."""
BACKDATED = datetime.timedelta(minutes=5)
"""A node's clock may be this much behind."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1")
"""Processes of the servers' own machine reach them so."""
MAX_PEM = 1 << 16  # bytes
_PRIVATE = 0o600
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


class Certificates(NamedTuple):
    """PEM files: whom clients trust, what the server shows, and its key."""

    authority: Path
    certificate: Path
    key: Path


def certificates_in(folder: Path) -> Certificates:
    """Return where the files lie in ``folder``."""
    return Certificates(folder / "ca.crt", folder / "server.pem", folder / "server.key")


def make_certificates(
    folder: Path, names: Sequence[str], *, now: datetime.datetime, days: int = SERVER_DAYS
) -> Certificates:
    """Make a server certificate, and the authority where there is none yet.

    Args:
        folder: Is created, for its owner only.
        names: Host names and IP addresses under which nodes reach the servers; the first one names the certificate. Those of
            the loopback interface are added.
        now: With its time zone.
        days: Life of the server certificate.

    Raises:
        InputError: A name is neither a host name nor an address, there is none, the days are out of range, or what is in
            the folder is no authority of ours.
    """
    if not 1 <= days <= MAX_DAYS:
        raise InputError(f"a server certificate lives 1 to {MAX_DAYS} days, not {days}.")
    if not names:
        raise InputError(
            "a server certificate has at least one name.", fix="Give the host name that nodes use."
        )
    alternatives = [_alternative(name) for name in dict.fromkeys((*names, *LOOPBACK_NAMES))]
    made = certificates_in(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, signing = _authority(folder, now)
    if now + datetime.timedelta(days=days) > authority.not_valid_after_utc:
        raise InputError(
            f"the authority in {folder} ends on {authority.not_valid_after_utc:%Y-%m-%d}, before the certificate would.",
            fix="Make a new one in a new folder and give its ca.crt to all nodes.",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server(key.public_key(), authority, signing, names[0], alternatives, now, days)
    write_atomically(made.key, _private_pem(key), _PRIVATE)
    write_atomically(made.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.fullmatch(name.lower()):
        raise InputError(
            f"{name!r} is neither a host name nor an IP address.", fix="Leave scheme and port out."
        )
    return x509.DNSName(name.lower())


def _authority(folder: Path, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the folder's authority and its key; make both where neither exists."""
    path, key_path = folder / "ca.crt", folder / "ca.key"
    if not key_path.exists() and not path.exists():
        write_atomically(key_path, _private_pem(ec.generate_private_key(ec.SECP256R1())), _PRIVATE)
    try:
        key = serialization.load_pem_private_key(read_plain(key_path, MAX_PEM), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("ca.key is no key on an elliptic curve")  # noqa: TRY004 - of a value in a file
        if not path.exists():  # also after a crash between the two files
            write_atomically(path, _root(key, now).public_bytes(serialization.Encoding.PEM))
        certificate = x509.load_pem_x509_certificate(read_plain(path, MAX_PEM))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the authority in {folder} cannot be used ({error}).",
            fix="Restore ca.crt and ca.key, or use a new folder.",
        ) from error
    if key.public_key() != certificate.public_key():
        raise InputError(f"{key_path} is not the key of {path}.", fix="Restore both, or use a new folder.")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise InputError(f"{path} is no authority.", fix="Use a new folder.") from error
    return certificate, key


def _root(key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    # The name holds a random part: two consortia's authorities are never taken for each other.
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Suture consortium {serial % (1 << 32):08x}")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    public: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    signing: ec.EllipticCurvePrivateKey,
    name: str,
    alternatives: Sequence[x509.GeneralName],
    now: datetime.datetime,
    days: int,
) -> x509.Certificate:
    issuer = signing.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(signing, hashes.SHA256())
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
