"""The consortium's small authority."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from coordinator.certificates import make_certificates
from fl_core.errors import InputError

NOW = datetime.datetime.now(datetime.UTC)


def make(folder: Path, *names: str, days: int = 30):
    return make_certificates(folder, names or ("federation.example.org", "192.0.2.7"), now=NOW, days=days)


def test_a_server_certificate_has_all_its_names_and_its_key_is_private(tmp_path):
    made = make(tmp_path / "c")
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["federation.example.org", "localhost"]
    addresses = [ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("127.0.0.1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    for private in (made.key, tmp_path / "c" / "ca.key"):
        assert private.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700


def test_made_again_the_authority_stays_and_the_server_gets_a_new_key(tmp_path):
    first = make(tmp_path)
    before = [path.read_bytes() for path in first]
    again = [path.read_bytes() for path in make(tmp_path, "other.example.org")]
    assert (before[0] == again[0], before[1] == again[1], before[2] == again[2]) == (True, False, False)


def test_a_crash_between_key_and_certificate_of_the_authority_is_mended_by_the_next_call(tmp_path):
    authority = make(tmp_path).authority
    authority.unlink()
    assert handshake(make(tmp_path), "localhost")


def handshake(made, name: str, authority: Path | None = None) -> bool:
    """Open a TLS session with a server that shows the certificate, under the strictest rules that Python has."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    client = ssl.create_default_context(cafile=str(authority or made.authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    with near, far:

        def serve() -> None:
            try:
                server.wrap_socket(far, server_side=True).close()
            except OSError:
                far.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client.wrap_socket(near, server_hostname=name).close()
            return True
        finally:
            near.close()
            thread.join()


def test_clients_that_trust_the_authority_accept_the_servers_names_and_no_others(tmp_path):
    made, other = make(tmp_path / "a"), make(tmp_path / "b")
    for name in ("federation.example.org", "192.0.2.7", "localhost", "127.0.0.1"):
        assert handshake(made, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(made, "elsewhere.example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "localhost", authority=other.authority)


@pytest.mark.parametrize("name", ["https://a.example", "a:9092", "a b", "", "-a", "a..b", "x" * 300])
def test_what_is_neither_host_nor_address_is_refused_and_nothing_is_made(tmp_path, name):
    with pytest.raises(InputError, match="neither a host name"):
        make_certificates(tmp_path / "c", [name], now=NOW)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("days", [0, 826])
def test_a_life_that_clients_refuse_is_refused(tmp_path, days):
    with pytest.raises(InputError, match="1 to 825 days"):
        make(tmp_path / "c", days=days)


def test_a_server_certificate_that_outlives_its_authority_is_refused(tmp_path):
    make(tmp_path)
    later = NOW + datetime.timedelta(days=3650 - 10)
    with pytest.raises(InputError, match="before the certificate would"):
        make_certificates(tmp_path, ["localhost"], now=later, days=30)


def test_another_authoritys_key_is_refused(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b")
    (tmp_path / "a" / "ca.key").write_bytes((tmp_path / "b" / "ca.key").read_bytes())
    with pytest.raises(InputError, match="is not the key of"):
        make(tmp_path / "a")
