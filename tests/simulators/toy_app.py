"""A ServerApp and a ClientApp that add numbers, return megabytes, crash and hang on request.

They know nothing of the protocol; the engines are tested with them. Run config: ``rounds``, ``numbers`` (how many
nodes to wait for), ``deadline`` (seconds for the numbers; a dead node uses them up), ``large`` (whether to ask for megabytes),
``patience`` (seconds for these; a live node on a busy machine needs some), ``fail``, ``report`` (file the ServerApp writes to).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from coordinator.engines.exchange import exchange

MEGABYTES_12 = 12 * 1024 * 1024

client = ClientApp()
server = ServerApp()


@client.query("number")
def number(message: Message, context: Context) -> Message:
    """Answer the node's own number times the factor asked for."""
    position = int(context.node_config["position"])
    factor = int(message.content["ask"]["factor"])
    return Message(RecordDict({"answer": ConfigRecord({"number": position * factor})}), reply_to=message)


@client.query("count")
def count(message: Message, context: Context) -> Message:
    """Answer how often this node was asked, which only its state knows."""
    seen = int(context.state["seen"]["times"]) if "seen" in context.state else 0
    context.state["seen"] = ConfigRecord({"times": seen + 1})
    return Message(
        RecordDict({"answer": ConfigRecord({"times": seen + 1, "pid": os.getpid()})}), reply_to=message
    )


@client.train()
def megabytes(message: Message, context: Context) -> Message:
    """Answer 12 MB of the node's position."""
    data = np.arange(MEGABYTES_12 // 4, dtype=np.uint32).view(np.uint8).copy()  # no two chunks alike
    data[0] = int(context.node_config["position"])
    array = Array("uint8", data.shape, "toy", data.tobytes())
    return Message(RecordDict({"update": ArrayRecord({"data": array})}), reply_to=message)


@client.query("crash")
def crash(message: Message, context: Context) -> Message:
    """Raise."""
    raise ValueError("no such patient")


@client.query("leave")
def leave(message: Message, context: Context) -> Message:
    """End the process."""
    sys.exit(3)


@client.query("nothing")
def nothing(message: Message, context: Context) -> None:
    """Return what is no message."""


@client.query("hang")
def hang(message: Message, context: Context) -> Message:
    """Take the time asked for."""
    time.sleep(float(message.content["ask"]["seconds"]))
    return Message(RecordDict({"answer": ConfigRecord({"number": 0})}), reply_to=message)


def ask(node_id: int, kind: str = "query.number", ttl: float = 60.0, **values: float) -> Message:
    """Return one question to one node."""
    content = RecordDict({"ask": ConfigRecord({"factor": 1, **values})})
    return Message(content, dst_node_id=node_id, message_type=kind, ttl=ttl)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Sum the nodes' numbers once per round, then collect one large reply from each, reporting to a file."""
    config = context.run_config
    report = Path(str(config["report"]))
    while len(node_ids := list(grid.get_node_ids())) < int(config["numbers"]):
        time.sleep(0.2)
    for turn in range(int(config["rounds"])):
        started = time.monotonic()
        total, why = 0, []
        questions = [ask(node_id, factor=turn + 1) for node_id in node_ids]
        for answer in exchange(grid, questions, deadline_s=float(config["deadline"])):
            why.append(answer.why.name)
            if answer.reply is not None:
                total += int(answer.reply.content["answer"]["number"])
        _report(report, round=turn, total=total, why=sorted(why), seconds=time.monotonic() - started)
    if config["large"]:
        sizes = {}
        messages = [ask(node_id, "train") for node_id in node_ids]
        for answer in exchange(grid, messages, deadline_s=float(config["patience"]), window=2):
            if answer.reply is not None:
                data = np.frombuffer(answer.reply.content["update"]["data"].data, np.uint8)
                sizes[int(data[0])] = int(data.size)
        _report(report, sizes=sizes)
    if config["fail"]:
        raise RuntimeError("the ServerApp was told to fail")


def _report(file: Path, **values: object) -> None:
    with file.open("a") as out:
        out.write(json.dumps(values) + "\n")
