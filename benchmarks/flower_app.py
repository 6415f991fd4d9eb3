"""Federated averaging as Flower's own documentation has it: the plaintext peer of a protected round.

Nothing of Suture is in it but the training task, so that both sides do the same work. FedAvg and the grid are Flower's as they
come. The ServerApp notes the time at the end of each round.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from clients.training.tasks import load_task
from coordinator.engines.settings import Setting

client = ClientApp()
server = ServerApp()

CONFIG: Mapping[str, Setting] = {"task": "", "settings": "{}", "rounds": 3, "nodes": 4, "times": ""}


@client.train()
def train(message: Message, context: Context) -> Message:
    """Train the task and return model and number of examples."""
    arrays = message.content.array_records["arrays"]
    tensors = {name: array.numpy() for name, array in arrays.items()}
    config, number = message.content.config_records["config"], int(str(context.run_config["rounds"]))
    started = time.perf_counter()
    result = load_task(str(context.run_config["task"])).run(
        tensors,
        Path(str(context.node_config["data"])),
        json.loads(str(context.run_config["settings"])),
        int(str(config.get("server-round", number))),
        str(context.node_config["holder"]),
    )
    seconds = time.perf_counter() - started
    metrics = MetricRecord({"num-examples": result.examples, "train-ms": 1000 * seconds})
    trained = ArrayRecord({name: Array(tensor) for name, tensor in result.tensors.items()})
    return Message(RecordDict({"arrays": trained, "metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds; each end is noted as a line of seconds."""
    config = context.run_config
    nodes = int(str(config["nodes"]))
    model = load_task(str(config["task"])).initial()
    strategy = FedAvg(
        fraction_evaluate=0.0, min_train_nodes=nodes, min_evaluate_nodes=nodes, min_available_nodes=nodes
    )

    def note(number: int, arrays: ArrayRecord) -> MetricRecord | None:
        with Path(str(config["times"])).open("a") as file:
            file.write(f"{time.time()}\n")
        return None

    arrays = ArrayRecord({name: Array(tensor) for name, tensor in model.items()})
    strategy.start(grid, arrays, num_rounds=int(str(config["rounds"])), timeout=600, evaluate_fn=note)
