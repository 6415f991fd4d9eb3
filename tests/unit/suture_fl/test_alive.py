"""The health check: what counts as an answer."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from clients.cli import cli as node_cli
from coordinator.certificates import make_certificates
from coordinator.cli import cli as suture_cli
from fl_core.errors import InputError
from suture_fl.alive import NoAnswer, check_alive


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_any_answer_that_is_no_failure_of_the_server_counts(port, status):
    check_alive(f"http://127.0.0.1:{port}/{status}")


@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_of_the_server_is_told(port, status):
    with pytest.raises(NoAnswer, match=f"status {status}"):
        check_alive(f"http://127.0.0.1:{port}/{status}")


def test_an_accepted_connection_counts_over_tcp_and_a_closed_port_does_not(port, closed):
    check_alive(f"tcp://127.0.0.1:{port}")
    for kind in ("tcp", "http", "https"):
        with pytest.raises(NoAnswer, match=r"does not answer \(nothing listens there\)"):
            check_alive(f"{kind}://127.0.0.1:{closed}")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + bytes(70_000),
        b"HTTP/1.1 200 OK\r\n" + 200 * b"a: b\r\n",
    ],
)
def test_what_does_not_speak_http_is_no_answer(said):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            caller, _ = server.accept()
            with caller:
                caller.recv(1000)
                caller.sendall(said + b"\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(NoAnswer, match="does not speak HTTP"):
            check_alive(f"http://127.0.0.1:{server.getsockname()[1]}/health")
        thread.join()


def test_over_https_the_authority_that_is_named_must_vouch(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    ours, other = (make_certificates(tmp_path / name, ["127.0.0.1"], now=now) for name in ("ours", "other"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.certificate, ours.key)
    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    place = f"https://127.0.0.1:{server.server_address[1]}"
    try:
        check_alive(place, ours.authority)
        for authority in (other.authority, None):
            with pytest.raises(NoAnswer, match="its certificate is refused"):
                check_alive(place, authority)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "place", ["", "localhost:80", "https://localhost", "ftp://a:1", "http://a:999999", "http://[:1"]
)
def test_what_is_no_place_is_refused_with_the_forms(place):
    with pytest.raises(InputError, match="tcp://HOST:PORT"):
        check_alive(place)


def test_an_authority_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "ca.crt").write_text("no certificate")
    for name in ("ca.crt", "missing"):
        with pytest.raises(InputError, match=name):
            check_alive("https://127.0.0.1:1", tmp_path / name)


@pytest.mark.parametrize("cli", [suture_cli, node_cli], ids=["suture", "suture-node"])
def test_a_program_is_told_in_one_json_object_who_answers_and_what_does_not(port, closed, cli):
    there, away = f"http://127.0.0.1:{port}", f"tcp://127.0.0.1:{closed}"
    told = CliRunner().invoke(cli, ["alive", there, "--json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout) == {"alive": True, "answered": [there]}
    told = CliRunner().invoke(cli, ["alive", there, away, "--json"])
    said = json.loads(told.stdout)
    assert told.exit_code == 1 and said["alive"] is False and said["answered"] == [there]
    assert said["kind"] == "NoAnswer" and away in said["error"]
    assert said["fix"] == "Check host and port, and that it runs. If it runs, look at its log."
    told = CliRunner().invoke(cli, ["alive", there, away])
    assert told.stdout == f"{there} answers\n" and isinstance(told.exception, NoAnswer)
