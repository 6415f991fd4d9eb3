"""What the secure aggregation costs, beside plaintext float32 and CKKS with the field's defaults, in the same run.

Every piece of work runs in a process of its own (:mod:`benchmarks.secagg_work`). The model has 11 million parameters, the
cohort 8 clients, as in the design; CKKS is timed on a tenth of them, for it is linear in the number of parameters.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measurement import Case, Measurement
from benchmarks.processes import module, timed

LENGTH = 11_000_000
CLIENTS = 8
CKKS_PART = 10
STREAMED = 100_000_000
IDS = (
    "uplink_bytes_per_param",
    "uplink_bytes_per_param_8bit",
    "client_protect_s",
    "client_protect_two_threads_s",
    "client_cpu_ratio_ckks",
    "client_cpu_ratio_plain",
    "fold_ratio_plain",
    "decrypt_s",
    "coordinator_memory_ratio_64_4",
    "client_memory_1e8_bytes",
    "fresh_process_s",
    "ckks_bytes_per_param_default",
    "ckks_bytes_per_param_tuned",
)


def run() -> Sequence[Measurement]:
    """Make one repeat; takes about three minutes."""
    return [*_sizes(), *_client(), *_coordinator(), *_processes(), *_ckks_sizes()]


def _work(name: str, *arguments: object) -> Mapping[str, Any]:
    command = [*module("benchmarks.secagg_work"), name, *(str(argument) for argument in arguments)]
    last = timed(command).output.splitlines()[-1]  # libraries may print warnings before it
    found: Mapping[str, Any] = json.loads(last)
    return found


def _sizes() -> Sequence[Measurement]:
    figures = []
    for id, packing, goal in (
        ("uplink_bytes_per_param", "PACK15", 3.01),
        ("uplink_bytes_per_param_8bit", "PACK8x64", 2.01),
    ):
        found = _work("size", LENGTH, packing)
        figures.append(
            Measurement(
                id=id,
                value=found["bytes"] / LENGTH,
                unit="bytes",
                goal=goal,
                peers={"float32": 4.0},
                detail={"packing": packing, "parameters": LENGTH},
            )
        )
    return figures


def _client() -> Sequence[Measurement]:
    ours, two = _work("client", LENGTH, CLIENTS, 1), _work("client", LENGTH, CLIENTS, 2)
    plain, ckks = _work("plain-client", LENGTH), _work("ckks-client", LENGTH // CKKS_PART)
    ckks_cpu = ckks["cpu_s"] * CKKS_PART
    peers = {"hash and copy of float32": plain["wall_s"], "CKKS, defaults": ckks["wall_s"] * CKKS_PART}
    detail = {
        "parameters": LENGTH,
        "clients": CLIENTS,
        "frame_bytes": ours["frame"],
        "shares_bytes": ours["frame"] - ours["ciphertext"],
        "cpu_s": {"ours": ours["cpu_s"], "plain": plain["cpu_s"], "ckks": ckks_cpu},
        "ckks_timed_on": LENGTH // CKKS_PART,
    }
    return [
        Measurement(
            id="client_protect_s", value=ours["wall_s"], unit="s", goal=0.15, peers=peers, detail=detail
        ),
        Measurement(
            id="client_protect_two_threads_s",
            value=two["wall_s"],
            unit="s",
            peers={"one thread": ours["wall_s"]},
        ),
        Measurement(
            id="client_cpu_ratio_ckks",
            value=ckks_cpu / ours["cpu_s"],
            unit="x",
            goal=60.0,
            detail=detail,
            more_is_better=True,
        ),
        Measurement(
            id="client_cpu_ratio_plain", value=ours["cpu_s"] / plain["cpu_s"], unit="x", detail=detail
        ),
    ]


def _coordinator() -> Sequence[Measurement]:
    fold, opening = _work("fold", LENGTH, 1), _work("open", LENGTH, 1)
    memory = {count: _work("coordinator-memory", LENGTH, count) for count in (4, 64)}
    above = {count: found["above_bytes"] for count, found in memory.items()}
    return [
        Measurement(
            id="fold_ratio_plain",
            value=fold["fold_s"] / fold["plain_s"],
            unit="x",
            goal=1.1,
            detail={**fold, "parameters": LENGTH},
        ),
        Measurement(
            id="decrypt_s",
            value=opening["wall_s"],
            unit="s",
            goal=0.1,
            detail={"parameters": LENGTH, "cpu_s": opening["cpu_s"]},
        ),
        Measurement(
            id="coordinator_memory_ratio_64_4",
            value=memory[64]["peak_bytes"] / memory[4]["peak_bytes"],
            unit="x",
            goal=1.1,
            detail={
                "parameters": LENGTH,
                "above_start_bytes": above,
                "peak_bytes": {count: found["peak_bytes"] for count, found in memory.items()},
            },
        ),
    ]


def _processes() -> Sequence[Measurement]:
    memory = _work("client-memory", STREAMED)
    _work("first-use")
    started = time.perf_counter()
    _work("first-use")
    seconds = time.perf_counter() - started
    return [
        Measurement(
            id="client_memory_1e8_bytes",
            value=memory["above_bytes"],
            unit="bytes",
            goal=float(32 << 20),
            peers={"the update": 4.0 * STREAMED},
            detail={"parameters": STREAMED, "wall_s": memory["wall_s"]},
        ),
        Measurement(
            id="fresh_process_s",
            value=seconds,
            unit="s",
            detail={"what": "a new process until its first ciphertext, kernels from the cache"},
        ),
    ]


def _ckks_sizes() -> Sequence[Measurement]:
    length = LENGTH // CKKS_PART
    default, tuned = _work("ckks-client", length), _work("ckks-tuned", length, 4)
    return [
        Measurement(
            id=id, value=found["bytes"] / length, unit="bytes", peers={"float32": 4.0}, detail=dict(found)
        )
        for id, found in (
            ("ckks_bytes_per_param_default", default),
            ("ckks_bytes_per_param_tuned", tuned),
        )
    ]


CASE = Case(
    name="secagg",
    measures="the secure aggregation at 11 million parameters, beside plaintext and CKKS",
    ids=IDS,
    run=run,
)
