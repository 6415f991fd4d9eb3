"""Where metrics may be shown: on loopback, or at one address of a private network with a warning; never to everybody."""

from __future__ import annotations

import logging
import socket

import pytest

from fl_core.errors import InputError
from suture_fl.scrapes import ScrapeServer, listening_place


def known(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    """Have this machine know one name, as a container's network does."""
    ask = socket.getaddrinfo

    def answer(host, *how):
        return ask(address if host == name else host, *how)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize("place", ["127.0.0.1:9464", "127.0.0.2:0", "10.1.2.3:9464", "100.64.0.7:1", "192.168.1.5:65535"])  # fmt: skip
def test_loopback_and_addresses_of_private_networks_are_places(place):
    host, _, port = place.partition(":")
    assert listening_place(place) == (host, int(port))


@pytest.mark.parametrize("place", ["0.0.0.0:9464", "8.8.8.8:9464", "224.0.0.1:9464", "0:9464"])
def test_all_interfaces_and_addresses_of_the_internet_are_refused(place):
    with pytest.raises(InputError, match="could be read by anybody") as refused:
        listening_place(place)
    assert "127.0.0.1:9464" in refused.value.fix


@pytest.mark.parametrize("place", ["9464", ":9464", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1", "[::1]:9464", "no..name:1"])  # fmt: skip
def test_what_is_no_address_and_port_is_refused(place):
    with pytest.raises(InputError, match="no address and port that is known here"):
        listening_place(place)


def test_a_name_is_the_address_that_it_has_and_no_other(monkeypatch):
    known(monkeypatch, "node-scrape", "172.18.0.2")
    assert listening_place("node-scrape:9464") == ("172.18.0.2", 9464)
    known(monkeypatch, "outside", "8.8.8.8")
    with pytest.raises(InputError, match="could be read by anybody"):
        listening_place("outside:9464")


def own_address() -> str:
    """Return an address of this machine that is not a loopback one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.99", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback ones")
        return str(probe.getsockname()[0])


@pytest.mark.network
@pytest.mark.parametrize("private", [False, True])
def test_the_log_says_who_can_read_there_unless_it_is_this_machine(private, monkeypatch, caplog):
    address = own_address() if private else "127.0.0.1"
    known(monkeypatch, "node-scrape", address)
    with caplog.at_level(logging.WARNING, "suture.metrics"):
        server = ScrapeServer(lambda: "", "node-scrape:0")
    try:
        socket.create_connection((address, server.port), 5.0).close()
        if private:
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", server.port), 5.0)
    finally:
        server.close()
    assert [f"whoever reaches {address}" in line.getMessage() for line in caplog.records] == [True] * private
