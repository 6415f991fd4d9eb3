"""What the deployment decides by itself; the real thing is in tests/e2e/test_deployment_engine.py."""

from __future__ import annotations

import datetime
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.certificates import make_certificates
from coordinator.cli import cli
from coordinator.engines import flower_commands
from coordinator.engines.control import FlowerControl
from coordinator.engines.deployment import Deployment
from coordinator.engines.environment import FLOWER_VARIABLES, child_environment, scripts_folder
from coordinator.engines.hospitals import MAX_SOCKET_PATH, Helper, Hospital
from coordinator.engines.ports import holder_of, reserve
from coordinator.engines.readiness import accepts, healthy, says
from coordinator.engines.superlink import SuperLink
from coordinator.errors import EngineError, NotReady, PortInUse, ProcessDied, SuperLinkAway
from fl_core.errors import InputError
from fl_core.randomness import SystemRandomSource
from tests.simulators import toy_helper
from tests.simulators.process_tree import MARK, marked


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def short_path(tmp_path_factory) -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        yield Path(folder)


def helper(path: Path, *arguments: str) -> Helper:
    return Helper(
        command=[sys.executable, str(Path(toy_helper.__file__)), str(path), *arguments], socket=path
    )


# ---------------------------------------------------------------------- ports


@pytest.mark.network
def test_a_port_in_use_is_refused_with_its_number_its_holder_and_what_to_do(listener):
    port = listener.getsockname()[1]
    with pytest.raises(PortInUse) as caught:
        reserve([None, port])
    assert f"Port {port} is in use by process {os.getpid()} (" in caught.value.message
    assert "choose another port" in caught.value.fix
    assert isinstance(caught.value, InputError)


@pytest.mark.network
def test_a_port_that_was_closed_a_moment_ago_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    assert reserve([port]) == [port]


@pytest.mark.network
def test_ports_that_nobody_asked_for_are_free_and_all_different():
    [wanted] = reserve([None])
    ports = reserve([None, wanted, None, None])
    assert len(set(ports)) == 4
    assert ports[1] == wanted


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(PortInUse, match="between 1 and 65535"):
        reserve([port])


def test_the_same_port_twice_is_refused():
    [port] = reserve([None])
    with pytest.raises(PortInUse, match="twice"):
        reserve([port, port])


def test_the_holder_of_a_free_port_is_nobody():
    [port] = reserve([None])
    assert holder_of(port) is None
    assert holder_of(port, proc=Path("/no/such/folder")) is None


@pytest.mark.network
def test_a_deployment_whose_port_is_taken_starts_and_writes_nothing(tmp_path, listener):
    port = listener.getsockname()[1]
    for deployment in (
        Deployment(tmp_path / "work", [Hospital()], port=port),
        Deployment(tmp_path / "work", [Hospital(port=port)]),
    ):
        with pytest.raises(PortInUse, match=str(port)), deployment:
            raise AssertionError("never entered")
    assert not (tmp_path / "work").exists()


@pytest.mark.network
def test_a_relay_whose_port_is_taken_says_by_whom_and_opens_nothing(tmp_path, listener):
    pem = tmp_path / "server.pem"
    pem.touch()
    words = ["relay", str(tmp_path), "--certificate", str(pem), "--key", str(pem), "--port"]
    for host in ("127.0.0.1", "0.0.0.0"):
        error = CliRunner().invoke(cli, [*words, str(listener.getsockname()[1]), "--host", host]).exception
        assert isinstance(error, PortInUse) and f"by process {os.getpid()}" in error.message


# ---------------------------------------------------------------------- helpers


def test_a_socket_path_that_some_systems_cannot_open_is_refused():
    Helper(command=["x"], socket=Path("/" + "a" * (MAX_SOCKET_PATH - 1)))
    with pytest.raises(EngineError, match="shorter path"):
        Helper(command=["x"], socket=Path("/" + "a" * MAX_SOCKET_PATH))


@pytest.mark.e2e
def test_a_helper_that_dies_ends_the_start_with_its_last_words_and_nothing_left(tmp_path, short_path):
    mark = short_path.name
    hospital = Hospital(helpers=[helper(short_path / "door", "0.1", "fail")])
    deployment = Deployment(tmp_path, [hospital], environment={MARK: mark})
    with (
        pytest.raises(ProcessDied, match=r"helper-0-0 ended with status 1\.(?s:.)*the key file is missing"),
        deployment,
    ):
        raise AssertionError("never entered")
    assert marked(mark) == set()


@pytest.mark.e2e
def test_a_helper_that_is_never_ready_ends_the_start_in_time_even_if_an_old_socket_lies_there(
    tmp_path, short_path
):
    mark = short_path.name
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(short_path / "door"))
    hospital = Hospital(helpers=[helper(short_path / "door", "600")])
    deployment = Deployment(tmp_path, [hospital], environment={MARK: mark}, start_s=0.5)
    with (
        pytest.raises(NotReady, match=r"helper-0-0 was not ready within 0\.5 s"),
        deployment,
    ):
        raise AssertionError("never entered")
    assert marked(mark) == set()


@pytest.mark.e2e
def test_a_helper_that_cannot_be_started_is_named(tmp_path, short_path):
    hospital = Hospital(helpers=[Helper(command=["/no-such-node"], socket=short_path / "door")])
    with pytest.raises(EngineError, match="no-such-node"), Deployment(tmp_path, [hospital]):
        raise AssertionError("never entered")


def test_a_deployment_that_is_not_running_says_so(tmp_path):
    with pytest.raises(EngineError, match="not running"):
        Deployment(tmp_path, [Hospital()]).kill_node(0)


# ---------------------------------------------------------------------- readiness


@pytest.mark.network
def test_a_unix_socket_is_ready_when_somebody_listens_and_not_before_or_after(short_path):
    path = short_path / "door"
    ready = accepts(path)
    assert not ready()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not ready()
        server.listen()
        assert ready()
    assert not ready()


@pytest.mark.network
def test_a_port_where_nobody_or_somebody_else_answers_is_not_healthy(listener, tmp_path):
    [free] = reserve([None])
    authority = make_certificates(tmp_path, ["localhost"], now=datetime.datetime.now(datetime.UTC)).authority
    assert not healthy(free, authority)()
    assert not healthy(listener.getsockname()[1], authority)(), "it accepts, but says nothing"
    listener.close()
    assert not healthy(free, authority)()


def test_a_log_is_ready_when_it_holds_the_words(tmp_path):
    log = tmp_path / "log"
    log.write_text("Starting\n")
    assert not says(log, b"SuperNode ID")()
    log.write_text("INFO: SuperNode ID: 7\n")
    assert says(log, b"SuperNode ID")()


# ---------------------------------------------------------------------- Flower's commands


def test_flowers_processes_listen_on_the_loopback_interface_only_and_install_nothing(tmp_path):
    one = superlink_in(tmp_path)
    superlink = one.superlink()
    assert superlink[superlink.index("--host") + 1] == "127.0.0.1"
    assert "--disable-runtime-dependency-installation" in superlink
    key, authority = tmp_path / "k", one.certificates.authority
    supernode = flower_commands.supernode(
        8000, 9000, {"door": "unix:/a b", "n": 1}, authority=authority, key=key
    )
    assert supernode[supernode.index("--host") + 1] == "127.0.0.1"
    assert supernode[-2:] == ["--node-config", 'door="unix:/a b" n=1']
    assert "--node-config" not in flower_commands.gated_supernode(8000, 9000, {})


def test_a_superlink_has_tls_enrolled_keys_a_database_and_a_superexec_that_proves_itself(tmp_path):
    one = superlink_in(tmp_path)
    superlink, superexec = one.superlink(), one.superexec()
    assert "--insecure" not in superlink + superexec + one.front()
    assert "--enable-supernode-auth" in superlink
    assert superlink[superlink.index("--isolation") + 1] == "process"
    assert superlink[superlink.index("--database") + 1] == str(tmp_path / "s" / "superlink.sqlite")
    for command in (superlink, superexec):
        secret = Path(command[command.index("--superexec-auth-secret-file") + 1])
        assert len(secret.read_bytes()) == 64 and secret.stat().st_mode & 0o077 == 0
    before = one.secret.read_bytes()
    one.prepare(SystemRandomSource())
    assert one.secret.read_bytes() == before, "made once"
    front = one.front()
    assert front[front.index("--host") + 1] == "0.0.0.0" and "https://127.0.0.1:8001" in front


def superlink_in(folder: Path) -> SuperLink:
    certificates = make_certificates(folder / "c", ["localhost"], now=datetime.datetime.now(datetime.UTC))
    one = SuperLink(folder=folder / "s", certificates=certificates, inner=8001, host="0.0.0.0", port=8000)
    one.prepare(SystemRandomSource())
    return one


@pytest.mark.network
def test_a_superlink_that_does_not_answer_is_told_with_the_command_that_started_it(tmp_path):
    one = superlink_in(tmp_path)
    with pytest.raises(SuperLinkAway) as caught:
        FlowerControl(one.folder).runs("")
    told = shlex.split(caught.value.fix.removeprefix("Start it: "))
    assert told == ["suture", "superlink", "serve", str(one.folder), "--certificates", str(tmp_path / "c"),
                    "--host", "0.0.0.0", "--port", "8000", "--inner-port", "8001"]  # fmt: skip
    with pytest.raises(EngineError, match="is not the folder of a SuperLink") as caught:
        FlowerControl(tmp_path / "c").runs("")
    assert "--certificates FOLDER" in caught.value.fix, "it was never started"


def test_a_flower_process_gets_our_settings_and_nobody_elses(tmp_path):
    parent = {"FLWR_LOG_LEVEL": "DEBUG", "FLWR_TELEMETRY_ENABLED": "1", "PATH": "/usr/bin", "LANG": "C"}
    child = child_environment(tmp_path, {"EXTRA": "1"}, parent=parent)
    assert "FLWR_LOG_LEVEL" not in child
    assert {name: child[name] for name in FLOWER_VARIABLES} == dict(FLOWER_VARIABLES)
    assert child["FLWR_HOME"] == str(tmp_path)
    assert child["MALLOC_ARENA_MAX"] == "2"
    assert child["MALLOC_MMAP_THRESHOLD_"] == "1048576", (
        "a fixed one: glibc's own grows to the size of a contribution"
    )
    assert child_environment(tmp_path, parent={"MALLOC_ARENA_MAX": "7"})["MALLOC_ARENA_MAX"] == "7"
    assert child["PATH"] == f"{scripts_folder()}{os.pathsep}/usr/bin"
    assert (child["EXTRA"], child["LANG"]) == ("1", "C")


def test_the_run_id_is_found_among_notes():
    output = 'Note: {odd}\n{\n "success": true,\n "run-id": "18446744073709551615"\n}\nbye'
    assert flower_commands.read_run_id(output) == 2**64 - 1


@pytest.mark.parametrize(
    "output",
    [
        "",
        "Error: no SuperLink",
        '{"success": false, "error-message": "no SuperLink"}',
        '{"success": true, "run-id": "x"}',
        "[1]",
    ],
)
def test_a_run_that_was_not_started_is_an_error_with_what_flower_said(output):
    with pytest.raises(EngineError, match="did not start") as caught:
        flower_commands.read_run_id(output)
    assert output in str(caught.value)


def test_the_status_of_a_run_is_read():
    output = '{"success": true, "runs": [{"run-id": "7", "status": "finished:failed"}]}'
    assert flower_commands.read_status(output) == "finished:failed"


@pytest.mark.parametrize(
    "output", ["", "{}", '{"runs": []}', '{"runs": [7]}', '{"runs": [{"status": null}]}']
)
def test_an_answer_without_a_status_is_an_error(output):
    with pytest.raises(EngineError, match="did not tell"):
        flower_commands.read_status(output)


def test_nodes_and_the_number_of_a_new_one_are_read_among_notes():
    listed = 'Listing all nodes...\n{"success": true, "nodes": [{"node-id": "7", "status": "online"}]}\n'
    assert flower_commands.read_nodes(listed) == [{"node-id": "7", "status": "online"}]
    assert flower_commands.read_node_id('note\n{"success": true, "node-id": 18446744073709551615}') == str(
        2**64 - 1
    )
    assert flower_commands.read_node_id('{"success": true}') == ""


@pytest.mark.parametrize("output", ["", "{}", '{"nodes": 3}', '{"nodes": ["7"]}', '{"runs": []}'])
def test_an_answer_without_nodes_is_an_error_with_what_flower_said(output):
    with pytest.raises(EngineError, match="did not list its nodes"):
        flower_commands.read_nodes(output)
