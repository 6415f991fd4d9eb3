"""The demo from start to end, without a screen: what happens is told through events."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from coordinator import app
from coordinator.demo.ckks import ckks_rounds
from coordinator.demo.consortium import SCRYPT_COST, found_consortium, write_terms
from coordinator.demo.deployed_run import Deployed, prepare_bundle, run_deployed
from coordinator.demo.holders import Hospital, comparison, hospital_factory, training_task
from coordinator.demo.local_run import run_in_process
from coordinator.demo.options import DemoOptions, Engine, Protection
from coordinator.demo.preflight import preflight
from coordinator.demo.settlement import seal_run, settle_rewards
from coordinator.engines.settings import Setting
from coordinator.errors import CoordinatorError
from coordinator.store.events import Event
from fl_core.errors import InputError
from fl_core.protocol.terms import Terms
from fl_core.randomness import SystemRandomSource
from ledger.files import write_atomically

TASK = "heart-disease"
TRAIN_DEADLINE_S = {Engine.LOCAL: 60.0, Engine.DEPLOYMENT: 180.0}
POLL_S = {Engine.LOCAL: 0.01, Engine.DEPLOYMENT: 0.5}
REVEAL_DEADLINE_S = {Engine.LOCAL: 60.0, Engine.DEPLOYMENT: 120.0}

Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came of the demo.

    Attributes:
        accuracy: The federated model's on the pooled test split, and what it is compared with; see
            ``clients.comparison.compare``.
        rewards: Hospital -> token units that it was paid.
        finalised: Rounds that made a model.
    """

    accuracy: Mapping[str, object]
    rewards: Mapping[str, int]
    finalised: int


def now() -> int:
    """Return the Unix time in seconds."""
    return int(time.time())


def run_demo(options: DemoOptions, listener: Listener) -> DemoResult:
    """Run the demo.

    Args:
        options: What to do.
        listener: Called with every event, from the thread that emits it.

    Raises:
        InputError: Something would make the demo fail; nothing was written.
        CoordinatorError: The run failed; its folder is kept.
    """
    files = preflight(options)
    _make_folder(options)
    hospitals = _create_hospitals(options, files)
    try:
        return _run(options, hospitals, listener)
    finally:
        for hospital in hospitals:
            hospital.close()


def _make_folder(options: DemoOptions) -> None:
    """Make the folder, private; an empty one that exists keeps its mode, what is secret lies in private ones below it."""
    folder, private = options.folder, ["nodes"]
    if options.engine is Engine.DEPLOYMENT:
        private += ["bundle", "deployment"]
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        for name in private:
            (folder / name).mkdir(mode=0o700)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made ({error.strerror}).", fix="Choose another --keep."
        ) from error


def node_folder(folder: Path, index: int, name: str) -> Path:
    """Return where a hospital's node lives; the name comes from a file, so only its letters and digits are used."""
    letters = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return folder / "nodes" / f"{index}-{letters}".rstrip("-")[:40]


def _create_hospitals(options: DemoOptions, files: Mapping[str, bytes]) -> list[Hospital]:
    factory = hospital_factory()
    return [
        factory.create(
            node_folder(options.folder, index, name),
            name,
            records,
            tasks=(TASK,),
            allow_plaintext=options.plain,
            allow_ckks=options.ckks,
            clock=now,
            random=SystemRandomSource(),
            scrypt_cost=SCRYPT_COST,
        )
        for index, (name, records) in enumerate(files.items(), start=1)
    ]


def _run(options: DemoOptions, hospitals: Sequence[Hospital], listener: Listener) -> DemoResult:
    listener(
        {
            "event": "hospitals",
            "holders": [h.name for h in hospitals],
            "records": [h.records for h in hospitals],
        }
    )
    bundle = None
    if options.engine is Engine.DEPLOYMENT:
        bundle = prepare_bundle(options.folder.absolute() / "bundle", app.SETTINGS)
    terms, model = write_terms(
        options, training_task(TASK), len(hospitals), bundle.sha256.hex() if bundle is not None else ""
    )
    events = _found(options, hospitals, terms, model, listener)
    config = run_config(options, len(hospitals))
    if bundle is None:
        run_in_process(hospitals, config, drop=options.drop, listener=listener)
    else:
        deployed = Deployed(
            folder=options.folder / "deployment",
            nodes=[node_folder(options.folder, i, h.name) for i, h in enumerate(hospitals, start=1)],
            bundle=bundle,
            port=options.port,
            drop=options.drop,
            gateways=options.protection is Protection.LATTICE,  # nothing but sealed frames passes them
            events=events,
            relay=options.folder if uses_relay(options) else None,
        )
        run_deployed(deployed, config, listener)
    for hospital in hospitals:
        hospital.close()
    return _finish(options, hospitals, terms, listener)


def _found(
    options: DemoOptions, hospitals: Sequence[Hospital], terms: Terms, model: bytes, listener: Listener
) -> Path:
    """Prepare the run's folder and return where its events will be."""
    if options.plain:
        write_atomically(options.folder / "terms.json", terms.encode())
        write_atomically(options.folder / "initial.safetensors", model)
        return options.folder / "events.jsonl"
    started = time.perf_counter()
    found_consortium(options, hospitals, terms, model, clock=now, random=SystemRandomSource())
    elapsed = round(1000 * (time.perf_counter() - started))
    listener({"event": "consortium-founded", "members": len(hospitals) + 3, "milliseconds": elapsed})
    return options.folder / "coordinator" / "events.jsonl"


def uses_relay(options: DemoOptions) -> bool:
    """Return whether the committee is asked over a relay: where there are processes, and a ledger in the public folder."""
    lattice = options.protection is Protection.LATTICE
    return options.engine is Engine.DEPLOYMENT and lattice and options.ledger_url is None


def run_config(options: DemoOptions, nodes: int) -> dict[str, Setting]:
    """Return the ServerApp's settings: its defaults, and what the demo decides itself."""
    return {
        **app.SETTINGS,
        app.FOLDER: str(options.folder.resolve()),
        app.NODES: nodes,
        app.ROUNDS: options.rounds,
        app.TRAIN_DEADLINE: TRAIN_DEADLINE_S[options.engine],
        app.REVEAL_DEADLINE: REVEAL_DEADLINE_S[options.engine],
        app.PROTECTION: options.protection.value,
        app.POLL: POLL_S[options.engine],
        app.RELAY: uses_relay(options),
        app.CURVES: "" if options.curves is None else str(options.curves.resolve()),
    }


def _finish(
    options: DemoOptions, hospitals: Sequence[Hospital], terms: Terms, listener: Listener
) -> DemoResult:
    """Pay the rewards, have the last block co-signed, seal the public folder, and judge the model."""
    if options.plain:
        rewards: dict[str, int] = {}
        finalised, model = options.rounds, options.folder / "model.safetensors"
    elif options.ckks:
        rewards, finalised, model = {}, ckks_rounds(options.folder), options.folder / "model.safetensors"
    else:
        rewards, finalised = settle_rewards(options.folder, clock=now, random=SystemRandomSource())
        alive = hospitals[:-1] if options.drop else hospitals
        for hospital in alive:
            hospital.cosign()
        support = seal_run(options.folder, clock=now, random=SystemRandomSource())
        listener({"event": "sealed", **asdict(support)})
        model = options.folder / "public" / "model.safetensors"
    if finalised == 0:
        raise CoordinatorError(
            "no round made a model.", fix=f"The events are in {options.folder}/coordinator/events.jsonl."
        )
    accuracy = comparison()(
        options.table,
        [hospital.name for hospital in hospitals],
        model.read_bytes(),
        settings=terms.task_settings,
        rounds=options.rounds,
    )
    return DemoResult(accuracy=accuracy, rewards=rewards, finalised=finalised)
