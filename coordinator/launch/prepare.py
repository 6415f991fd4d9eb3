"""From a run file to papers on disk: terms, first model, app bundle, and the state that names them. Sends nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from coordinator import app
from coordinator.curves.file import check_out
from coordinator.demo.deployed_run import prepare_bundle
from coordinator.demo.holders import training_task
from coordinator.launch.check import account_in, check_settings
from coordinator.launch.run_file import RunFile
from coordinator.launch.state import PRIVATE, LaunchFolder, LaunchState, Step
from fl_core.errors import DecodeError, InputError
from fl_core.models import Tensors, decode_model, encode_model, model_digest, specs_of
from fl_core.protocol.terms import Terms
from ledger.address import EMBEDDED, find_ledger
from ledger.files import read_plain, write_atomically
from ledger.typed_data import run_id
from ledger.views.runs import Money

DAY_S = 86_400
NAME_DIGITS = 16
MAX_MODEL = 1 << 30  # bytes


def check_ledger(file: RunFile) -> None:
    """Check that the ledger's chain is one that the run's folder can use.

    Raises:
        InputError: It cannot be found, or an embedded chain lies elsewhere than in the run's public folder, where nodes and audits
            look for it; names the line.
    """
    try:
        address = find_ledger(file.place("ledger.file"))
    except InputError as error:
        file.wrong("ledger.file", f"cannot be used: {error.message}", error.fix)
    wanted = file.place("folder") / "public" / "ledger.sqlite"
    if address.path is not None and address.path.resolve() != wanted:
        file.wrong(
            "ledger.file",
            f"names an embedded chain outside of the run's folder, {address.path}",
            f"Create the ledger with --chain {EMBEDDED}{wanted}, or use a JSON-RPC node.",
        )


def app_name(file: RunFile) -> str:
    """Return the name of a launch's app: the same run file for the same folder makes the same terms and the same run, whenever it is read."""
    place = f"{file.place('folder')}\0".encode("utf-8", "surrogateescape")
    return f"suture-{hashlib.sha256(place + file.text.encode()).hexdigest()[:NAME_DIGITS]}"


def check_folder(file: RunFile) -> LaunchFolder:
    """Check that nothing was launched in the run's folder and that there is place for it, and return it.

    Raises:
        InputError: A run was launched there, or something else has its place, a link to nowhere included.
    """
    folder = LaunchFolder(file.place("folder"))
    if folder.exists():
        raise InputError(
            f"{folder.path} holds a launched run.", fix=f"Go on with it: suture resume {folder.path}"
        )
    for place in (folder.launch, folder.path, *folder.path.parents):
        if os.path.lexists(place) and (place == folder.launch or not os.path.isdir(place)):
            raise InputError(
                f"{place} is in the way of the launch.",
                fix="Move it away, or give another `folder` in the run file.",
            )
    return folder


def prepare(file: RunFile, money: Money, target: Path) -> tuple[LaunchState, Terms]:
    """Write a launch's papers into ``target`` and return its state and terms.

    Raises:
        InputError: A value cannot be used; names the line.
        BadBundle: Flower refuses the app.
    """
    values = file.values
    try:
        task = training_task(values["task.name"])
    except InputError as error:
        file.wrong("task.name", f"is not usable: {error.message}", "Name an installed task.")
    check_settings(file, task.settings)
    try:
        per_round = money.read(values["rewards.per_round"])
    except InputError as error:
        file.wrong("rewards.per_round", f"cannot be used: {error.message}", error.fix)
    if values["curves"]:
        try:
            check_out(file.place("curves"))
        except InputError as error:
            file.wrong("curves", f"cannot be used: {error.message}", error.fix)
    name = app_name(file)
    bundle = prepare_bundle(target, app.SETTINGS, name)
    tensors = _initial(file, task.initial())
    model = encode_model(tensors)
    try:
        terms = Terms(
            title=values["title"], purpose=values["purpose"], task=values["task.name"], task_settings=dict(file.settings),
            tensors=specs_of(tensors), initial_model=model_digest(model).hex(), strategy="fedavg", rounds=values["rounds"],
            parameter_set=values["protection.parameter_set"], packing=values["protection.packing"],
            weight_cap=values["protection.weight_cap"], counters=task.counters,
            initial_clip=values["protection.initial_clip"], clip_floor=values["protection.clip_floor"],
            clip_factor=values["protection.clip_factor"], n_min=values["members.least"],
            reward_policy=values["rewards.policy"], reward_per_round=per_round, bundle=bundle.sha256.hex(),
            blame_opening=values["protection.blame_opening"],
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"{file.path} makes no terms: {error}.", fix="Correct that value.") from error
    sponsor = account_in(file, "ledger.researcher")
    state = LaunchState(
        step=Step.PREPARED.value, run=run_id(sponsor, terms.digest).hex(), terms=terms.digest.hex(), app=name,
        ledger=str(file.place("ledger.file")), researcher=file.uri("ledger.researcher"),
        coordinator=file.uri("ledger.coordinator"), token=values["rewards.token"].lower().removeprefix("0x"),
        escrow=str(per_round * terms.rounds), budget=values["privacy.budget"],
        closing_delay=values["rewards.closing_delay_days"] * DAY_S, consents=values["members.consents"],
        superlink=str(file.place("superlink.folder")), relay=values["superlink.relay"],
        train_deadline=values["superlink.train_deadline"], reveal_deadline=values["superlink.reveal_deadline"],
        curves=str(file.place("curves")) if values["curves"] else "",
        flower_run="", names={account.hex(): name for account, name in file.names.items()},
    )  # fmt: skip
    for path, data in (
        ("run.toml", file.text.encode()),
        ("terms.json", terms.encode()),
        ("initial.safetensors", model),
    ):
        write_atomically(target / path, data, PRIVATE)
    write_atomically(target / "state.json", state.encode(), PRIVATE)
    return state, terms


def _initial(file: RunFile, made: Tensors) -> Tensors:
    """Return the model that round 1 trains from: the one that the run file names, or the task's own.

    Raises:
        InputError: The file cannot be read, or is no model of the task; names the line.
    """
    if not file.values["task.initial"]:
        return made
    key, path = "task.initial", file.place("task.initial")
    fix = "Name a model.safetensors that suture fetch made, of a run of the same task."
    try:
        tensors = decode_model(read_plain(path, MAX_MODEL), MAX_MODEL)
    except OSError as error:
        file.wrong(key, f"names {path}, which cannot be read ({error.strerror})", fix)
    except DecodeError as error:
        file.wrong(key, f"names {path}, which is no such model: {error.message}", fix)
    if specs_of(tensors) != specs_of(made):
        file.wrong(
            key, f"names a model whose tensors are not those of the task {file.values['task.name']!r}", fix
        )
    return tensors


def keep(file: RunFile, money: Money) -> LaunchFolder:
    """Prepare a launch in the run's folder; it is there as a whole or not at all.

    Raises:
        InputError: A run was launched there before, or a value cannot be used.
    """
    folder = check_folder(file)
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".launch-", dir=folder.path))
    try:
        prepare(file, money, half)
        _place(half, file, folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return folder


def _place(half: Path, file: RunFile, folder: LaunchFolder) -> None:
    """Give a prepared launch its name.

    Raises:
        InputError: Another launch of the same run was faster.
    """
    try:
        half.rename(folder.launch)
    except OSError:
        check_folder(file)
        raise
