from __future__ import annotations

import ast
import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import ServerApp

import coordinator.engines
from coordinator.engines import flower_private
from coordinator.engines.environment import FLOWER_VARIABLES, quiet_flower
from coordinator.engines.exchange import Why, exchange
from coordinator.engines.faults import Delay, Die, Drop, NoFaults, Raise
from coordinator.engines.local import FIRST_NODE_ID, LocalGrid, run_local
from tests.simulators.toy_app import ask, client, server

POSITIONS = [{"position": position} for position in range(3)]


class Scripted:
    """Faults by node and message type, before or after the ClientApp."""

    def __init__(self, *, before=None, after=None) -> None:
        self._before, self._after = before or {}, after or {}

    def before(self, node, message):
        return self._before.get((node, message.metadata.message_type))

    def after(self, node, reply):
        return self._after.get((node, reply.metadata.message_type))


def answers_of(grid, kind="query.number", deadline_s=10.0, **values):
    """Ask all listed nodes; return what became of each by the node's position."""
    messages = [ask(node, kind, **values) for node in grid.get_node_ids()]
    found = exchange(grid, messages, deadline_s=deadline_s)
    return {answer.node_id - FIRST_NODE_ID: answer for answer in found}


def whys(answers):
    return {node: answer.why for node, answer in answers.items()}


def config(tmp_path, **changes):
    usual = {"rounds": 2, "numbers": 3, "deadline": 10.0, "patience": 10.0, "large": False, "fail": False}
    return usual | {"report": str(tmp_path / "report")} | changes


# ---------------------------------------------------------------------- whole runs


def test_a_run_gives_every_node_its_config_and_the_server_its_run_config(tmp_path):
    run_local(server, client, POSITIONS, config(tmp_path))
    lines = (tmp_path / "report").read_text().splitlines()
    assert '"total": 3' in lines[0]
    assert '"total": 6' in lines[1]


def test_what_the_server_app_raises_comes_out_and_the_nodes_stop(tmp_path):
    with pytest.raises(RuntimeError, match="told to fail"):
        run_local(server, client, POSITIONS, config(tmp_path, fail=True))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-node")]


def test_an_interrupt_comes_out_and_the_nodes_stop():
    interrupted = ServerApp()

    @interrupted.main()
    def main(grid, context) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_local(interrupted, client, POSITIONS, {})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("local-node")]


def test_a_nodes_state_lasts_for_one_run_and_no_longer():
    for _ in range(2):
        with LocalGrid(client, POSITIONS[:1], {}) as grid:
            for expected in (1, 2, 3):
                assert answers_of(grid, "query.count")[0].reply.content["answer"]["times"] == expected


# ---------------------------------------------------------------------- messages


def test_messages_are_rebuilt_on_the_way_so_that_nothing_is_shared():
    seen = []

    def echo(message: Message, context: Context) -> Message:
        seen.append(message)
        message.content["ask"]["factor"] = 99
        return Message(message.content, reply_to=message)

    with LocalGrid(echo, POSITIONS[:1], {}) as grid:
        question = ask(grid.get_node_ids()[0], factor=1)
        [answer] = exchange(grid, [question], deadline_s=10.0)
    assert question.content["ask"]["factor"] == 1
    assert answer.reply.content["ask"]["factor"] == 99
    assert answer.reply is not seen[0]
    assert answer.reply.metadata.reply_to_message_id == question.metadata.message_id != ""


def test_traffic_is_counted_per_node_in_bytes_of_the_wire():
    with LocalGrid(client, POSITIONS, {}) as grid:
        node = grid.get_node_ids()[1]
        list(exchange(grid, [ask(node, "train")], deadline_s=30.0))
        others = [grid.traffic[other] for other in grid.get_node_ids() if other != node]
        mine = grid.traffic[node]
    assert (mine.messages_down, mine.messages_up) == (1, 1)
    assert 12 * 1024 * 1024 < mine.bytes_up < 12 * 1024 * 1024 + 10_000
    assert 0 < mine.bytes_down < 10_000
    assert all(other.messages_down == other.bytes_down == other.bytes_up == 0 for other in others)


def test_flowers_own_send_and_receive_works_too():
    with LocalGrid(client, POSITIONS, {}) as grid:
        messages = [ask(node) for node in grid.get_node_ids()]
        replies = grid.send_and_receive(messages, timeout=10.0)
        assert sorted(reply.content["answer"]["number"] for reply in replies) == [0, 1, 2]
        hanging = [ask(grid.get_node_ids()[0], "query.hang", seconds=1.0)]
        assert grid.send_and_receive(hanging, timeout=0.1) == []


def test_a_node_takes_one_message_at_a_time_and_no_more_nodes_run_than_there_are_workers():
    running, most, lock = {}, [], threading.Lock()

    def slow(message: Message, context: Context) -> Message:
        with lock:
            running[context.node_id] = running.get(context.node_id, 0) + 1
            most.append((max(running.values()), sum(running.values())))
        time.sleep(0.02)
        with lock:
            running[context.node_id] -= 1
        return Message(RecordDict(), reply_to=message)

    with LocalGrid(slow, POSITIONS + POSITIONS, {}, workers=2) as grid:
        messages = [ask(node, factor=turn) for node in grid.get_node_ids() for turn in range(3)]
        assert len([answer for answer in exchange(grid, messages, deadline_s=30.0) if answer.reply]) == 18
    assert max(per_node for per_node, _ in most) == 1
    assert max(altogether for _, altogether in most) == 2


# ---------------------------------------------------------------------- what goes wrong by itself


def test_an_app_that_raises_is_answered_with_flowers_code_2_and_text():
    with LocalGrid(client, POSITIONS[:1], {}) as grid:
        [reply] = grid.send_and_receive([ask(grid.get_node_ids()[0], "query.crash")], timeout=10.0)
        assert reply.error.code == 2
        assert reply.error.reason == "<class 'ValueError'>:<'no such patient'>"
        assert whys(answers_of(grid)) == {0: Why.ANSWERED}


def test_an_app_that_has_no_such_handler_is_answered_with_code_2():
    with LocalGrid(client, POSITIONS[:1], {}) as grid:
        [answer] = answers_of(grid, "evaluate").values()
    assert answer.why is Why.RAISED
    assert "evaluate" in answer.detail


def test_an_app_that_ends_its_process_is_answered_with_code_8():
    with LocalGrid(client, POSITIONS[:1], {}) as grid:
        assert whys(answers_of(grid, "query.leave")) == {0: Why.CRASHED}
        assert whys(answers_of(grid)) == {0: Why.ANSWERED}


def test_an_app_that_returns_no_message_wedges_its_node_as_in_flower(caplog):
    with LocalGrid(client, POSITIONS, {}) as grid:
        nodes = grid.get_node_ids()
        [lost] = exchange(grid, [ask(nodes[0], "query.nothing")], deadline_s=0.2)
        assert lost.why is Why.DEADLINE
        assert whys(answers_of(grid, deadline_s=0.5)) == {0: Why.DEADLINE, 1: Why.ANSWERED, 2: Why.ANSWERED}
    assert "wedged" in caplog.text


def test_a_message_to_an_unknown_node_is_refused():
    with LocalGrid(client, POSITIONS, {}) as grid:
        assert grid.push_messages([ask(7)]) == [""]


def test_a_reply_can_be_taken_once():
    with LocalGrid(client, POSITIONS[:1], {}) as grid:
        question = ask(grid.get_node_ids()[0])
        assert grid.send_and_receive([question], timeout=10.0)[0].has_content()
        [second] = grid.pull_messages([question.metadata.message_id])
        assert second.error.code == 3
        assert second.metadata.reply_to_message_id == question.metadata.message_id


def test_a_message_whose_time_to_live_is_over_is_answered_with_code_3():
    hours_later = 0.0
    with LocalGrid(client, POSITIONS[:1], {}, wall_clock=lambda: time.time() + hours_later) as grid:
        [name] = grid.push_messages([ask(grid.get_node_ids()[0], "query.hang", ttl=3600.0, seconds=0.1)])
        assert grid.pull_messages([name]) == []
        hours_later = 3601.0
        [reply] = grid.pull_messages([name])
    assert reply.error.code == 3
    assert reply.metadata.src_node_id == 1


# ---------------------------------------------------------------------- injected faults


def test_a_message_that_is_dropped_is_not_answered_and_the_next_one_is():
    with LocalGrid(client, POSITIONS, {}, faults=Scripted(before={(1, "query.number"): Drop()})) as grid:
        assert whys(answers_of(grid, deadline_s=0.3)) == {0: Why.ANSWERED, 1: Why.DEADLINE, 2: Why.ANSWERED}
        assert whys(answers_of(grid, "query.count"))[1] is Why.ANSWERED


def test_a_reply_that_is_dropped_leaves_the_node_with_its_work_done():
    faults = Scripted(after={(0, "query.count"): Drop()})
    with LocalGrid(client, POSITIONS[:1], {}, faults=faults) as grid:
        assert whys(answers_of(grid, "query.count", deadline_s=0.3)) == {0: Why.DEADLINE}
        faults._after.clear()
        assert answers_of(grid, "query.count")[0].reply.content["answer"]["times"] == 2


def test_a_delay_makes_a_node_late_and_no_other():
    with LocalGrid(client, POSITIONS, {}, faults=Scripted(before={(0, "query.number"): Delay(0.3)})) as grid:
        assert list(answers_of(grid))[-1] == 0


def test_a_delay_is_not_negative():
    assert Delay(math.inf).seconds == math.inf
    with pytest.raises(ValueError, match="negative"):
        Delay(-1.0)


def test_an_injected_exception_is_answered_like_the_apps_own():
    faults = Scripted(before={(2, "query.number"): Raise(PermissionError("disk full"))})
    with LocalGrid(client, POSITIONS, {}, faults=faults) as grid:
        answer = answers_of(grid)[2]
    assert (answer.why, answer.detail) == (Why.RAISED, "<class 'PermissionError'>:<'disk full'>")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_node_that_dies_is_offline_for_this_and_all_later_messages(moment):
    with LocalGrid(client, POSITIONS, {}, faults=Scripted(**{moment: {(1, "query.number"): Die()}})) as grid:
        assert whys(answers_of(grid)) == {0: Why.ANSWERED, 1: Why.OFFLINE, 2: Why.ANSWERED}
        assert list(grid.get_node_ids()) == [FIRST_NODE_ID, FIRST_NODE_ID + 2]
        [late] = exchange(grid, [ask(FIRST_NODE_ID + 1, "query.count")], deadline_s=5.0)
        assert late.why is Why.OFFLINE


def test_a_reply_that_had_arrived_is_lost_with_its_node_as_in_flower():
    with LocalGrid(client, POSITIONS[:1], {}) as grid:
        node = grid.get_node_ids()[0]
        [name] = grid.push_messages([ask(node)])
        while grid.traffic[node].messages_up == 0:
            time.sleep(0.005)
        grid.kill_node(node)
        [reply] = grid.pull_messages([name])
    assert reply.error.code == 5


def test_without_faults_nothing_goes_wrong():
    with LocalGrid(client, POSITIONS, {}, faults=NoFaults()) as grid:
        assert set(whys(answers_of(grid)).values()) == {Why.ANSWERED}


# ---------------------------------------------------------------------- the interpreter

HANGING = """
    import signal, sys, time
    from flwr.serverapp import ServerApp
    from coordinator.engines.local import run_local

    def hang(message, context):
        sys.stdout.write("hanging\\n")
        sys.stdout.flush()
        time.sleep(600)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
    server = ServerApp()

    @server.main()
    def main(grid, context):
        from flwr.app import Message, RecordDict
        grid.push_messages([Message(RecordDict(), dst_node_id=n, message_type="train") for n in grid.get_node_ids()])
        until = time.monotonic() + {wait}
        while time.monotonic() < until:
            time.sleep(0.1)  # a signal that comes just before a sleep does not end it

    run_local(server, hang, [{{}}], {{}})
"""


@contextmanager
def hanging_run(wait: float) -> Iterator[subprocess.Popen[str]]:
    """Run a ServerApp that leaves after ``wait`` seconds, on a node whose ClientApp hangs."""
    program = textwrap.dedent(HANGING.format(wait=wait))
    run = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with run:
        try:
            yield run
        finally:
            run.kill()


@pytest.mark.e2e
def test_an_app_that_hangs_does_not_keep_the_interpreter_alive():
    with hanging_run(wait=0.3) as run:
        _, errors = run.communicate(timeout=120.0)
    assert run.returncode == 0, errors


@pytest.mark.e2e
def test_ctrl_c_ends_a_run_whose_apps_hang():
    with hanging_run(wait=600.0) as run:
        assert run.stdout.readline() == "hanging\n"
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120.0)
    assert run.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors


@pytest.mark.e2e
def test_flower_is_imported_with_telemetry_and_update_check_off_whatever_the_shell_says():
    program = (
        "import coordinator.engines.local, os; from flwr.supercore import telemetry; "
        "print(telemetry.FLWR_TELEMETRY_ENABLED, os.environ['FLWR_DISABLE_UPDATE_CHECK'])"
    )
    shell = {**os.environ, "FLWR_TELEMETRY_ENABLED": "1", "FLWR_DISABLE_UPDATE_CHECK": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=shell, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "1"]
    assert {name: os.environ[name] for name in FLOWER_VARIABLES} == dict(FLOWER_VARIABLES)


def test_quiet_flower_hides_information_and_lets_warnings_through():
    logger = logging.getLogger("flwr")
    shown = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.levelno)
    logger.addHandler(handler)
    try:
        with quiet_flower():
            logger.info("Starting Flower")
            logger.warning("something odd")
            logger.error("something bad")
        logger.info("after")
    finally:
        logger.removeHandler(handler)
    assert shown == [logging.WARNING, logging.ERROR, logging.INFO]


# ---------------------------------------------------------------------- what Flower does not promise


def test_this_release_of_flower_is_the_one_whose_private_parts_were_checked():
    assert version("flwr").rpartition(".")[0] == flower_private.CHECKED_VERSION


def test_only_two_modules_touch_what_flower_does_not_promise():
    public = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}
    offenders = set()
    for file in Path(coordinator.engines.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "flwr" and name not in public for name in names):
                offenders.add(file.stem)
            if isinstance(node, ast.Constant) and node.value == "_message_id":
                offenders.add(file.stem)
    assert offenders == {"flower_private", "flower_superlink"}


def test_flowers_private_parts_still_do_what_we_need():
    flower_private.identify(41)
    message = Message(
        RecordDict({"c": ConfigRecord({"x": [], "b": b""})}), dst_node_id=2**63 + 5, message_type="query"
    )
    assert (message.metadata.run_id, message.metadata.src_node_id) == (41, 1)

    packed = flower_private.pack(message)
    assert packed.message_id == flower_private.pack(message).message_id
    assert packed.size == sum(map(len, packed.objects.values())) > 0
    rebuilt = flower_private.unpack(packed)
    assert rebuilt.metadata.message_id == packed.message_id
    assert rebuilt.metadata.dst_node_id == 2**63 + 5
    assert dict(rebuilt.content["c"]) == {"x": [], "b": b""}

    error = flower_private.error_from_superlink(rebuilt.metadata, 5, "gone", now=message.metadata.created_at)
    assert (error.error.code, error.error.reason) == (5, "gone")
    assert error.metadata.reply_to_message_id == packed.message_id
    assert flower_private.empty_run(41).run_id == 41
