"""The front before a SuperLink: real TLS on the loopback interface, and behind it a server that counts what reaches it."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from flwr.superlink.routers.fleet.router import router
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner

from coordinator.cli.superlink import app
from coordinator.engines.front import FLEET_CALLS, server
from coordinator.engines.ports import reserve
from fl_core.errors import InputError
from tests.simulators.certificates import make_certificates

pytestmark = pytest.mark.network


@contextmanager
def running(*servers: uvicorn.Server) -> Iterator[None]:
    """Run servers in threads; one that cannot start is noticed, and none outlives its test."""
    threads = [threading.Thread(target=one.run, daemon=True) for one in servers]
    for thread in threads:
        thread.start()
    try:
        while not all(one.started for one in servers):
            assert all(thread.is_alive() for thread in threads), "one does not start"
            time.sleep(0.01)
        yield
    finally:
        for one in servers:
            one.should_exit = True
        for thread in threads:
            thread.join(30.0)


@dataclass
class Behind:
    """What came through."""

    seen: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[tuple[httpx.Client, Behind]]:
    files, behind = make_certificates(tmp_path_factory.mktemp("c")), Behind()

    async def answer(request: Request) -> Response:
        body = await request.body()
        behind.seen.append((request.url.path, len(body), dict(request.headers)))
        return Response(
            body[:100] + b"!", 207, headers={"x-flower": "yes", "content-type": "application/x-protobuf"}
        )

    inner, outer = reserve([None, None])
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    tls = {"ssl_certfile": str(files.certificate), "ssl_keyfile": str(files.key)}
    config = uvicorn.Config(app, port=inner, log_level="warning", lifespan="off", ws="none", **tls)
    url = f"https://127.0.0.1:{inner}"
    servers = [
        uvicorn.Server(config),
        server(url, files.authority, port=outer, certificate=files.certificate, key=files.key),
    ]
    trust = ssl.create_default_context(cafile=str(files.authority))
    with (
        running(*servers),
        httpx.Client(base_url=f"https://127.0.0.1:{outer}", verify=trust, trust_env=False) as client,
    ):
        yield client, behind


def test_the_calls_that_pass_are_those_of_the_pinned_flower():
    assert {route.path for route in router.routes} == {f"/v1/fleet/{name}" for name in FLEET_CALLS}


def test_a_fleet_call_passes_with_its_headers_and_its_answer_comes_back_as_it_is(front):
    client, behind = front
    behind.seen.clear()
    answer = client.post("/v1/fleet/get-run", content=b"abc", headers={"x-signed": "s"})
    assert (answer.status_code, answer.content, answer.headers["x-flower"]) == (207, b"abc!", "yes")
    [(path, size, headers)] = behind.seen
    assert (path, size, headers["x-signed"]) == ("/v1/fleet/get-run", 3, "s")
    assert headers["host"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/health", "/v1/control/start-run", "/v1/control/register-node", "/v1/runtime/acquire-task", "/v1/fleet/", "/v1/fleet/other",
        "/v1/fleet/get-run/", "/v1/fleet/../control/start-run", "/v1/fleet/%2e%2e/control/start-run", "//v1/fleet/get-run",
        "/v1/fleet/get-run?x=1", "/V1/fleet/get-run", "/v1/control/start-run#/v1/fleet/get-run", "/v1/responses",
    ],
)  # fmt: skip
def test_no_other_path_reaches_the_superlink(front, path):
    client, behind = front
    behind.seen.clear()
    assert raw_post(client, path) == 403
    assert behind.seen == []


def raw_post(client: httpx.Client, path: str) -> int:
    """Post to a path as it is written, without a client that tidies it up."""
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", client.base_url.port, context=context)
    connection.request("POST", path, b"")
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_no_other_method_reaches_the_superlink(front, method):
    client, behind = front
    behind.seen.clear()
    assert client.request(method, "/v1/fleet/get-run").status_code == 403
    assert behind.seen == []


def test_a_body_that_is_too_long_does_not_pass_whether_it_says_so_or_not(front):
    client, behind = front
    behind.seen.clear()
    limit = FLEET_CALLS["get-run"]
    assert client.post("/v1/fleet/get-run", content=bytes(limit)).status_code == 207
    assert client.post("/v1/fleet/get-run", content=bytes(limit + 1)).status_code == 413

    def unannounced() -> Iterator[bytes]:
        for _ in range(limit // 1024 + 2):
            yield bytes(1024)

    assert client.post("/v1/fleet/get-run", content=unannounced()).status_code == 413
    assert [size for _, size, _ in behind.seen] == [limit]


def test_a_chunk_of_a_model_passes_both_ways(front):
    client, behind = front
    behind.seen.clear()
    answer = client.post("/v1/fleet/push-object", content=bytes(6 << 20))
    assert (answer.status_code, behind.seen[0][1]) == (207, 6 << 20)


def test_without_a_superlink_behind_it_says_that_nobody_is_there(tmp_path):
    files = make_certificates(tmp_path)
    inner, outer = reserve([None, None])
    one = server(
        f"https://127.0.0.1:{inner}",
        files.authority,
        port=outer,
        certificate=files.certificate,
        key=files.key,
    )
    trust = ssl.create_default_context(cafile=str(files.authority))
    url = f"https://127.0.0.1:{outer}/v1/fleet/get-run"
    with running(one):
        assert httpx.post(url, verify=trust, trust_env=False).status_code == 503
        with pytest.raises(httpx.HTTPError):
            httpx.post(url.replace("https", "http"), trust_env=False)
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.post(url, trust_env=False)


def test_a_file_that_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path):

    missing = str(tmp_path / "no.pem")
    result = CliRunner().invoke(
        app,
        ["front", "https://127.0.0.1:1", "--authority", missing, "--certificate", missing, "--key", missing],
    )
    assert isinstance(result.exception, InputError) and missing in result.exception.message
    assert "suture certificates" in result.exception.fix
