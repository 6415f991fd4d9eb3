"""What the secure aggregation costs, beside plaintext float32 and CKKS with the field's defaults, in the same run.

Every piece of work runs in a process of its own (:mod:`benchmarks.secagg_work`, :mod:`benchmarks.secagg_memory`). The model has 11 million parameters, the
cohort 8 clients, as in the design; CKKS is timed on a tenth of them, for it is linear in the number of parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
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
    "client_protect_cpu_s",
    "client_protect_two_threads_s",
    "client_protect_two_threads_cpu_s",
    "client_cpu_ratio_ckks",
    "client_cpu_ratio_plain",
    "fold_ratio_plain",
    "fold_cpu_ratio_plain",
    "fold_two_threads_ratio_plain",
    "decrypt_s",
    "decrypt_cpu_s",
    "decrypt_two_threads_s",
    "coordinator_memory_ratio_64_4",
    "client_memory_1e8_bytes",
    "client_message_memory_1e8_ratio",
    "fresh_process_s",
    "first_process_s",
    "ckks_bytes_per_param_default",
    "ckks_bytes_per_param_tuned",
)


def run() -> Sequence[Measurement]:
    """Make one repeat; takes about three minutes."""
    return [
        *_sizes(),
        *_client(),
        *_fold(),
        *_opening(),
        *_coordinator(),
        *_client_memory(),
        *_processes(),
        *_ckks_sizes(),
    ]


def _work(name: str, *arguments: object, program: str = "secagg_work") -> Mapping[str, Any]:
    command = [*module(f"benchmarks.{program}"), name, *(str(argument) for argument in arguments)]
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
        Measurement(id="client_protect_cpu_s", value=ours["cpu_s"], unit="s", goal=0.15, detail=detail),
        Measurement(
            id="client_protect_two_threads_s",
            value=two["wall_s"],
            unit="s",
            peers={"one thread": ours["wall_s"]},
        ),
        Measurement(
            id="client_protect_two_threads_cpu_s",
            value=two["cpu_s"],
            unit="s",
            peers={"one thread": ours["cpu_s"]},
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


def _fold() -> Sequence[Measurement]:
    """Of both kinds of addition the medians count: they were done in turn."""
    figures = []
    for id, threads, clock in (
        ("fold_ratio_plain", 1, "wall"),
        ("fold_cpu_ratio_plain", 1, "cpu"),
        ("fold_two_threads_ratio_plain", 2, "wall"),
    ):
        found = _work("fold", LENGTH, threads)
        name = f"{clock}_median_s"
        figures.append(
            Measurement(
                id=id,
                value=found["ours"][name] / found["plain"][name],
                unit="x",
                goal=1.1,
                detail={**found, "parameters": LENGTH, "threads": threads},
            )
        )
    return figures


def _opening() -> Sequence[Measurement]:
    one, two = _work("open", LENGTH, 1), _work("open", LENGTH, 2)
    detail = {"parameters": LENGTH}
    return [
        Measurement(id="decrypt_s", value=one["wall_s"], unit="s", goal=0.1, detail=detail),
        Measurement(id="decrypt_cpu_s", value=one["cpu_s"], unit="s", goal=0.1, detail=detail),
        Measurement(
            id="decrypt_two_threads_s", value=two["wall_s"], unit="s", peers={"one thread": one["wall_s"]}
        ),
    ]


def _coordinator() -> Sequence[Measurement]:
    found = {count: _work("coordinator", LENGTH, count, program="secagg_memory") for count in (4, 64)}
    return [
        Measurement(
            id="coordinator_memory_ratio_64_4",
            value=found[64]["peak_bytes"] / found[4]["peak_bytes"],
            unit="x",
            goal=1.1,
            detail={
                "parameters": LENGTH,
                "above_start_bytes": {count: one["above_bytes"] for count, one in found.items()},
                "peak_bytes": {count: one["peak_bytes"] for count, one in found.items()},
            },
        )
    ]


def _client_memory() -> Sequence[Measurement]:
    filed, sent = (_work(name, STREAMED, CLIENTS, program="secagg_memory") for name in ("client", "frame"))
    return [
        Measurement(
            id="client_memory_1e8_bytes",
            value=filed["above_bytes"],
            unit="bytes",
            goal=float(32 << 20),
            peers={"the update": 4.0 * STREAMED, "the frame": filed["frame_bytes"]},
            detail={"parameters": STREAMED, **filed},
        ),
        Measurement(
            id="client_message_memory_1e8_ratio",
            value=sent["above_bytes"] / sent["frame_bytes"],
            unit="x",
            detail={"parameters": STREAMED, **sent},
        ),
    ]


def _processes() -> Sequence[Measurement]:
    command = [*module("benchmarks.secagg_work"), "first-use"]
    with TemporaryDirectory() as empty:
        first, fresh = (timed(command, {"NUMBA_CACHE_DIR": empty}).seconds for _ in range(2))
    return [
        Measurement(
            id="fresh_process_s",
            value=fresh,
            unit="s",
            goal=2.0,
            detail={"what": "a new process until its first ciphertext, kernels from the cache"},
        ),
        Measurement(
            id="first_process_s",
            value=first,
            unit="s",
            peers={"the next process": fresh},
            detail={"what": "the same where no kernel was compiled before"},
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
