"""The gateway's two sides over real sockets: TLS to the SuperLink, bounded HTTP to the SuperNode."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from flwr.proto import fleet_pb2
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from clients.gateway.gateway import MAX_REQUEST, Gateway
from clients.gateway.ports import SuperLinkError
from clients.gateway.questions import Questions
from clients.gateway.server import AT_A_TIME, server
from clients.gateway.superlink import HttpSuperLink, node_key
from clients.node.network import check_address
from coordinator.engines.ports import reserve
from fl_core.errors import InputError
from suture_fl.alive import NoAnswer, check_alive
from tests.simulators.certificates import make_certificates
from tests.simulators.fleet import FleetInMemory, Log, ScriptedHolder, bundle

pytestmark = pytest.mark.network


@contextmanager
def running(service: uvicorn.Server):
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    while not service.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield
    finally:
        service.should_exit = service.force_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def superlink_service(certificates, port: int, seen: list) -> uvicorn.Server:
    async def answer(request):
        seen.append(dict(request.headers))
        if request.url.path.endswith("get-run"):
            return Response(b'{"code": 2004, "detail": "no"}', 412)
        found = fleet_pb2.ActivateNodeResponse(node_id=7)
        return Response(found.SerializeToString())

    app = Starlette(routes=[Route("/v1/fleet/{name}", answer, methods=["POST"])])
    return uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            log_level="error",
            ws="none",
            lifespan="off",
            ssl_certfile=str(certificates.certificate),
            ssl_keyfile=str(certificates.key),
        )
    )


def test_the_superlink_is_called_over_tls_with_the_nodes_key_and_bounded_answers(tmp_path, certificates):
    (tmp_path / "keys").mkdir()
    key, seen = node_key(tmp_path / "keys" / "supernode.pem"), []
    assert node_key(tmp_path / "keys" / "supernode.pem").private_numbers() == key.private_numbers(), (
        "made once"
    )
    assert (tmp_path / "keys" / "supernode.pub").read_text().startswith("ecdsa-sha2-nistp384 ")
    [port] = reserve([None])
    request = fleet_pb2.ActivateNodeRequest(public_key=b"x", heartbeat_interval=30)
    good = HttpSuperLink(f"https://127.0.0.1:{port}", key, certificates.authority)
    strange = HttpSuperLink(f"https://127.0.0.1:{port}", key, None)
    with running(superlink_service(certificates, port, seen)):
        found = good.call("activate-node", request, fleet_pb2.ActivateNodeResponse, 100)
        assert found.node_id == 7
        assert {"flwr-public-key", "flwr-signature", "flwr-timestamp"} <= set(seen[-1])
        with pytest.raises(SuperLinkError) as refused:
            good.call("get-run", request, fleet_pb2.ActivateNodeResponse, 100)
        assert (refused.value.status, refused.value.code) == (412, 2004)
        with pytest.raises(SuperLinkError, match="more than 1 bytes"):
            good.call("activate-node", request, fleet_pb2.ActivateNodeResponse, 1)
        calls = len(seen)
        with pytest.raises(SuperLinkError) as unknown:
            strange.call("activate-node", request, fleet_pb2.ActivateNodeResponse, 100)
        assert (unknown.value.status, len(seen)) == (503, calls), "another authority's server gets nothing"
        good.close()
        strange.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://superlink.example.org:9092",
        "superlink:9092",
        "https://",
        "https://h/path",
        "ftp://h",
        "https://h?x=1",
        "https://h:port",
        "https://h:0",
        "https://[h",
    ],
)
def test_a_superlink_is_named_by_an_https_address(url):
    with pytest.raises(InputError, match="no address of a SuperLink"):
        check_address(url)


class Untouched:
    """Stands where the holder is, and fails whoever asks it."""

    def __getattr__(self, name: str):
        raise AssertionError(f"the health check asked for {name}")


def test_the_health_check_asks_nobody_tells_nothing_and_is_not_written_down(tmp_path):
    log, questions = Log(), Questions(tmp_path / "gateway.sqlite")
    gateway = Gateway(Untouched(), Untouched(), questions, log, clock=time.time)
    [port] = reserve([None])
    with (
        running(server(gateway, log, port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        answer = client.get("/health")
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.headers) == {"date"}
        assert log.entries == []
        for path in ("/health/", "/health/node", "/healthz", "/v1/fleet/health"):
            assert client.get(path).status_code == 403, path
        assert client.post("/health").status_code == 403
    gateway.close()
    questions.close()
    assert len(log.of("call-refused")) == 5


def test_the_health_check_is_answered_while_all_calls_wait(tmp_path):
    """A SuperLink that is slow is no reason to start the gateway again."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow(FleetInMemory):
        def call(self, *arguments, **more):
            begun.release()
            assert go_on.wait(30.0)
            return super().call(*arguments, **more)

    log, questions = Log(), Questions(tmp_path / "gateway.sqlite")
    gateway = Gateway(ScriptedHolder(), Slow(bundle()), questions, log, clock=time.time)
    [port] = reserve([None])
    place = f"http://127.0.0.1:{port}"

    def activate() -> None:
        httpx.post(f"{place}/v1/fleet/activate-node", content=b"", trust_env=False, timeout=60.0)

    waiting = [threading.Thread(target=activate) for _ in range(AT_A_TIME + 1)]
    with running(server(gateway, log, port)):
        for thread in waiting:
            thread.start()
        for _ in range(AT_A_TIME):
            assert begun.acquire(timeout=30.0)
        check_alive(f"{place}/health")
        go_on.set()
        for thread in waiting:
            thread.join(60.0)
    gateway.close()
    questions.close()


def test_a_gateway_listens_at_the_address_of_its_name_and_at_no_other(tmp_path):
    log, questions = Log(), Questions(tmp_path / "gateway.sqlite")
    gateway = Gateway(ScriptedHolder(), FleetInMemory(bundle()), questions, log, clock=time.time)
    [port] = reserve([None])
    with running(server(gateway, log, port, "localhost")):
        check_alive(f"http://127.0.0.1:{port}/health")
        with pytest.raises(NoAnswer):
            check_alive(f"http://127.0.0.2:{port}/health")
    with running(server(gateway, log, port, "0.0.0.0")):
        check_alive(f"http://127.0.0.2:{port}/health")
    with pytest.raises(SystemExit):
        server(gateway, log, port, "no-such-name.invalid").run()
    gateway.close()
    questions.close()


def test_the_supernodes_side_knows_fleet_calls_only_and_bounds_them(tmp_path):
    log, questions = Log(), Questions(tmp_path / "gateway.sqlite")
    gateway = Gateway(ScriptedHolder(), FleetInMemory(bundle()), questions, log, clock=time.time)
    [port] = reserve([None])
    with (
        running(server(gateway, log, port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert client.post("/v1/fleet/activate-node", content=b"").status_code == 200
        for path in ("/health", "/v1/control/start-run", "/v1/runtime/push-logs", "/v1/fleet/other", "/v1/fleet/../control/x",
                     "/v1/fleet/pull-messages?rows=63"):  # fmt: skip
            assert client.post(path, content=b"").status_code == 403, path
        assert client.get("/v1/fleet/pull-messages").status_code == 403
        assert client.post("/v1/fleet/activate-node", content=bytes(MAX_REQUEST + 1)).status_code == 413
        assert client.post("/v1/fleet/activate-node", content=b"").status_code == 200, "it goes on"
    gateway.close()
    questions.close()
    assert len(log.of("call-refused")) == 8
