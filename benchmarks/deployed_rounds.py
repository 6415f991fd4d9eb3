"""Times rounds over real processes: ``python -m benchmarks.deployed_rounds FOLDER ROUNDS UPDATES KIND [NODES]``.

A process of its own, so that all kinds begin under the same conditions. SuperLink with TLS, database and SuperExec, SuperNodes with
enrolled keys, four unless said otherwise. The kinds: ``plain`` is Flower's averaging; ``protected`` adds a node and a gateway per
hospital, the relay, and the ledger; ``ungated`` is that without gateways, which the coordinator's memory knows nothing of. A round lasts from the end of
the round before to its own end. The first one loads libraries and is not counted. Prints a JSON object: the rounds, the processor time
of the whole run, and the ServerApp's peak.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import flower_app
from benchmarks.measurement import BenchmarkError
from benchmarks.round_times import FINALISED, durations
from benchmarks.serverapp_memory import ServerAppWatch
from coordinator import app
from coordinator.demo.consortium import SCRYPT_COST, found_consortium, write_terms
from coordinator.demo.deployed_run import Deployed, prepare_bundle, run_deployed
from coordinator.demo.holders import (
    Hospital,
    bundled_csv,
    hospital_factory,
    hospital_files,
    read_csv,
    training_task,
)
from coordinator.demo.options import DemoOptions, Engine, Protection
from coordinator.demo.run import node_folder, now, run_config
from coordinator.engines.bundle import build_bundle, write_bundle
from coordinator.engines.deployment import Deployment
from coordinator.engines.hospitals import Hospital as Site
from coordinator.engines.settings import Setting
from coordinator.store.events import Event
from fl_core.randomness import SystemRandomSource

TASK = "heart-disease-wide"
BATCH_SIZE, LEARNING_RATE, SEED = 32, 0.01, 42
NODES = 4
RUN_S = 900.0
FLOWER = "flower-fedavg"


def _settings(updates: int) -> dict[str, float | int | str]:
    return {"updates": updates, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "seed": SEED}


def options_for(folder: Path, rounds: int, nodes: int = NODES) -> DemoOptions:
    """Return the demo's options for a run of the deployment engine."""
    return DemoOptions(
        engine=Engine.DEPLOYMENT,
        hospitals=str(nodes),
        rounds=rounds,
        seed=SEED,
        folder=folder,
        data=bundled_csv(),
        table=read_csv(bundled_csv()),
        protection=Protection.LATTICE,
        drop=0,
        port=None,
    )


def holders(options: DemoOptions) -> dict[str, bytes]:
    """Return names and records; where there are more holders than hospitals, several have the same records."""
    files = hospital_files(options.table, options.data)
    parts = int(options.hospitals) // len(files)
    if parts == 1:
        return files
    return {f"{name} {part + 1}": data for name, data in files.items() for part in range(parts)}


def found(folder: Path, names: Mapping[str, bytes], updates: int, options: DemoOptions, bundle: str) -> None:
    """Make the nodes' folders and a run on the ledger whose model has 11 million parameters."""
    with ExitStack() as stack:
        hospitals: list[Hospital] = []
        for index, (name, records) in enumerate(names.items(), start=1):
            hospital = hospital_factory().create(
                node_folder(folder, index, name),
                name,
                records,
                tasks=(TASK,),
                allow_plaintext=False,
                allow_ckks=False,
                clock=now,
                random=SystemRandomSource(),
                scrypt_cost=SCRYPT_COST,
            )
            stack.callback(hospital.close)
            hospitals.append(hospital)
        terms, model = write_terms(options, training_task(TASK), len(hospitals), bundle)
        terms = replace(terms, task=TASK, task_settings=_settings(updates))
        found_consortium(options, hospitals, terms, model, clock=now, random=SystemRandomSource())


def protected(
    folder: Path, rounds: int, updates: int, *, nodes: int = NODES, gateways: bool = True
) -> list[dict[str, Any]]:
    """Run rounds with protection and ledger and return their closing events with ``wall_s``."""
    folder.mkdir(mode=0o700)
    options = options_for(folder, rounds, nodes)
    names = holders(options)
    bundle = prepare_bundle(folder / "bundle", app.SETTINGS)
    found(folder, names, updates, options, bundle.sha256.hex())
    seen: list[tuple[float, Event]] = []
    one = Deployed(
        folder=folder / "deployment",
        nodes=[node_folder(folder, index, name) for index, name in enumerate(names, start=1)],
        bundle=bundle,
        port=None,
        drop=0,
        gateways=gateways,
        events=folder / "coordinator" / "events.jsonl",
        relay=folder,
    )
    config = {**run_config(options, len(names)), app.TRAIN_DEADLINE: RUN_S}
    run_deployed(one, config, lambda event: seen.append((time.perf_counter(), event)))
    ended = sum(event["event"] == FINALISED for _, event in seen)
    if ended != rounds:
        raise BenchmarkError(f"{ended} of {rounds} protected rounds made a model; see {folder}.")
    timed = durations(seen)
    if (
        fewest := min(int(one["included"]) for one in timed)
    ) < nodes:  # a lost update costs neither time nor memory
        raise BenchmarkError(f"a round has {fewest} of {nodes} updates; see {folder}.")
    return timed


def plain(folder: Path, rounds: int, updates: int) -> list[dict[str, Any]]:
    """Run rounds of Flower's federated averaging and return ``wall_s`` of each but the first."""
    (folder / "app").mkdir(parents=True)
    application, times = folder / "app" / FLOWER, folder / "times"
    application.mkdir()
    reference = "benchmarks.flower_app"
    write_bundle(
        application, server=f"{reference}:server", client=f"{reference}:client", config=flower_app.CONFIG
    )
    build_bundle(application)
    sites: list[Site] = []
    for name, records in hospital_files(read_csv(bundled_csv()), bundled_csv()).items():
        data = folder / f"{len(sites)}.csv"
        data.write_bytes(records)
        sites.append(Site(config={"data": str(data.absolute()), "holder": name}))
    config: dict[str, Setting] = {
        **flower_app.CONFIG,
        "task": TASK,
        "settings": json.dumps(_settings(updates)),
        "rounds": rounds,
        "nodes": len(sites),
        "times": str(times.absolute()),
    }
    root = str(Path(__file__).resolve().parents[1])
    environment = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    with Deployment(folder.absolute() / "deployment", sites, environment=environment) as deployment:
        outcome = deployment.run(application, config, timeout_s=RUN_S)
    if not outcome.succeeded:
        raise BenchmarkError(f"Flower's run ended as {outcome.status!r}; see {outcome.log}.")
    ends = [float(line) for line in times.read_text().split()]
    return [{"wall_s": after - before} for before, after in pairwise(ends[1:])]


def main(arguments: Sequence[str]) -> None:
    """Run and print."""
    folder, rounds, updates, kind, *more = arguments
    sizes = (Path(folder), int(rounds), int(updates))
    nodes = int(more[0]) if more else NODES
    with ServerAppWatch() as watch:
        counted = (
            plain(*sizes) if kind == "plain" else protected(*sizes, nodes=nodes, gateways=kind == "protected")
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "rounds": counted,
        "cpu_s": used.ru_utime + used.ru_stime,
        "serverapp_peak_bytes": watch.peak_bytes,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
