"""Launching on a real embedded chain: every step is taken again after a kill, with one effect; what cannot go on says why."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coordinator.certificates import make_certificates
from coordinator.demo.holders import training_task
from coordinator.engines.flower_commands import home_config
from coordinator.engines.ports import reserve
from coordinator.errors import EngineError, SuperLinkAway
from coordinator.launch import drive as driving
from coordinator.launch.check import check_escrow, check_keys, check_people, rehearse
from coordinator.launch.drive import drive
from coordinator.launch.prepare import check_folder, prepare
from coordinator.launch.run_file import read_run_file
from coordinator.launch.state import Step
from coordinator.relay.open import open_relay
from fl_core.errors import InputError, VerificationError
from fl_core.models import encode_model, model_digest
from fl_core.protocol.terms import Terms
from ledger.address import find_ledger, open_ledger
from ledger.views.runs import Money
from ledger.views.terms import terms_in_words
from tests.simulators.launch_office import (
    Killed,
    created,
    edited,
    launch_office,
    prepared,
    runs,
    seen,
)
from tests.simulators.office import Office, with_member
from tests.simulators.terminal import Terminal


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Office:
    return launch_office(tmp_path, Terminal(monkeypatch, capsys))


@pytest.mark.parametrize("at", ["_fund", "_root", "_publish"])
@pytest.mark.parametrize("after", [False, True])
def test_a_launch_that_is_killed_around_any_ledger_step_is_resumed_with_one_effect(
    office, monkeypatch, at, after
):
    folder = prepared(office)
    real = getattr(driving, at)

    def killed(*arguments):
        if after:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(driving, at, killed)
        with pytest.raises(Killed):
            drive(folder, timeout_s=0, say=lambda line: None)
    assert folder.read().step == Step.PREPARED.value
    with pytest.raises(InputError, match="0 of 3 consents came"):
        drive(folder, timeout_s=0, say=lambda line: None)
    assert folder.read().step == Step.CREATED.value
    [run] = runs(office)
    assert run["run"] == f"0x{folder.read().run}"
    ledger = open_ledger(find_ledger(office.ledger))
    assert len(ledger.reader.events("RunCreated")) == len(ledger.reader.events("RootRegistered")) == 1
    ledger.close()


def test_a_superlink_that_is_not_there_is_told_before_anything_is_written(office):
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", "--yes")
    assert "line 1: 'superlink.folder' cannot be used" in line, "it has its default"
    assert "is not the folder of a SuperLink" in line and "suture superlink serve" in line
    assert not (office.folder / "run" / "launch").exists() and runs(office) == []


@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "secrets/coordinator",
            "secrets/researcher",
            "'ledger.coordinator' cannot be used: The passphrase does not open",
        ),
        ("secrets/researcher", "secrets/nobody", "'ledger.researcher' cannot be used: "),
        ('"ledger.toml"', '"nosuch.toml"', "'ledger.file' cannot be used: There is no ledger file"),
    ],
)
def test_what_a_launch_would_be_stuck_with_is_told_with_the_line_before_anything_is_written(
    office, monkeypatch, old, new, words, option
):
    edited(office, old, new)
    monkeypatch.setattr("coordinator.engines.control.FlowerControl.runs", lambda self, name: [])
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", option)
    assert re.search(rf"run.toml, line \d+: {re.escape(words)}", line), line
    assert not (office.folder / "run" / "launch").exists()


def test_a_key_that_no_program_holds_is_told_with_the_line(office):
    program = {"address": office.account("coordinator"), "command": ["/nonexistent/sign"]}
    file = office.folder / "keys" / "hsm.json"
    wrong = edited(
        office, "file:keys/coordinator.json?passphrase-file=secrets/coordinator", "program:keys/hsm.json"
    )
    with pytest.raises(InputError, match=r"line 9: .* names .*hsm.json, which is not there") as refused:
        check_keys(wrong)
    assert "suture keys new" not in refused.value.fix, "it makes no such file"
    closed = office.folder / ("too-long" * 40)
    for command in ("/nonexistent/sign", str(file), str(closed)):  # the second is there, and is no program
        file.write_text(json.dumps(program | {"command": [command]}))
        file.chmod(0o600)
        words = f"line 9: 'ledger.coordinator' cannot be used: {command} is no program that this user can run"
        with pytest.raises(InputError, match=re.escape(words)):
            check_keys(wrong)
    file.write_text(json.dumps(program | {"command": [sys.executable]}))
    check_keys(wrong)


def test_a_superlink_that_refuses_is_not_blamed_on_the_run_file(office, monkeypatch):
    def refuses(control, name):
        raise EngineError("The SuperLink does not do it: database is locked")

    monkeypatch.setattr("coordinator.engines.control.FlowerControl.runs", refuses)
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", "--dry-run")
    assert "database is locked" in line and "run.toml, line" not in line


def test_accounts_without_their_roles_are_told_with_the_line_before_anything_is_written(office):
    file = edited(
        office, "file:keys/researcher.json?passphrase-file=secrets/researcher", office.uri("auditor")
    )
    with pytest.raises(
        InputError, match=r"line 8: 'ledger.researcher' is the account 0x\w+, which is no researcher"
    ):
        check_people(file, seen(office))
    file = edited(office, office.uri("auditor"), "file:keys/nobody.json?passphrase-file=secrets/nobody")
    with pytest.raises(
        InputError, match=r"line 8: 'ledger.researcher' names .*nobody.json, which is not there"
    ):
        check_people(file, seen(office))


def test_too_few_holders_with_keys_are_told_with_the_line_and_enough_are_listed(office):
    file = read_run_file(office.folder / "run.toml")
    with pytest.raises(
        InputError, match=r"line 16: 'members.consents' waits for more consents than the 0 holders"
    ):
        check_people(file, seen(office))
    for name in ("birch", "cedar", "dogwood"):
        with_member(office, name)
    found = check_people(file, seen(office))
    assert next((holder.account.hex(), holder.keys) for holder in found) == (
        office.account("alder")[2:],
        False,
    )
    assert sum(holder.keys for holder in found) == 3


def test_an_escrow_that_the_researcher_has_not_is_told_with_the_line_and_a_rehearsal_costs_nothing(
    office, tmp_path
):
    token = str(office.act("researcher", "token", "create", "--cap", "1000")["token"])
    rewards = f'consents = 3\n[rewards]\ntoken = "{token}"\nper_round = "20"'
    file = edited(office, "consents = 3", rewards)
    window = seen(office)
    money = Money.of(window.reader, bytes.fromhex(token[2:]))
    state, terms = prepare(file, money, tmp_path / "scratch")
    with pytest.raises(
        InputError, match=r"line 19: 'rewards.per_round' makes an escrow of 40 SUTC, the researcher has 0"
    ):
        check_escrow(file, window, money, state)
    office.act("researcher", "token", "mint", token, "40")
    check_escrow(file, seen(office), money, state)
    sent = rehearse(file, seen(office), money, state, terms)
    assert [one["function"] for one in sent] == ["approve", "createRun"] and all(
        one["gas"] > 0 for one in sent
    )
    assert runs(office) == []


def test_the_same_run_file_makes_the_same_run_and_another_folder_another_one(office, tmp_path):
    file = read_run_file(office.folder / "run.toml")
    first, second = (prepare(file, Money(), tmp_path / name)[0] for name in ("a", "b"))
    assert first == second
    other = edited(office, 'folder = "run"', 'folder = "run2"')
    assert prepare(other, Money(), tmp_path / "c")[0].run != first.run


def test_curves_are_kept_with_the_launch_and_told_with_the_line_where_the_extra_is_missing(
    office, monkeypatch, tmp_path
):
    pytest.importorskip("tensorboard", reason="the extra 'curves' is not installed")
    file = edited(office, "rounds = 2", 'rounds = 2\ncurves = "plots"')
    state, _ = prepare(file, Money(), tmp_path / "with")
    assert state.curves == str(office.folder / "plots")
    assert driving._config(prepared(office), state, 2)["curves"] == state.curves
    assert not (office.folder / "plots").exists(), "a check makes nothing"
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    line = file.text.splitlines().index('curves = "plots"') + 1
    with pytest.raises(
        InputError, match=rf"line {line}: 'curves' cannot be used: training curves need"
    ) as refused:
        prepare(file, Money(), tmp_path / "without")
    assert "suture-fl[curves]" in refused.value.fix
    assert not (tmp_path / "without").exists()


def test_a_run_begins_with_the_model_that_its_file_names_and_its_digest_is_in_the_terms(office):
    own = training_task("heart-disease").initial()
    model = encode_model({name: values + np.float32(1) for name, values in own.items()})
    (office.folder / "earlier.safetensors").write_bytes(model)
    plain = prepare(read_run_file(office.folder / "run.toml"), Money(), office.folder / "scratch")[0]
    edited(office, 'name = "heart-disease"', 'name = "heart-disease"\ninitial = "earlier.safetensors"')
    folder = created(office)
    (office.folder / "earlier.safetensors").unlink()
    state, terms = folder.read(), Terms.decode((folder.launch / "terms.json").read_bytes())
    assert state.run != plain.run and terms.initial_model == model_digest(model).hex()
    assert any(terms.initial_model in line for line in terms_in_words(terms, str))
    assert (folder.path / "public" / "model.safetensors").read_bytes() == model
    ledger = open_ledger(find_ledger(office.ledger))
    [root] = ledger.reader.events("RootRegistered")
    assert ledger.reader.model(bytes(root.values["model"])).artifact.hex() == terms.initial_model
    ledger.close()


def test_a_run_that_was_closed_is_not_launched_again_by_a_folder_that_was_removed(office):
    folder = created(office)
    office.terminal.sent("suture", "abort", folder.path)
    shutil.rmtree(folder.launch)
    with pytest.raises(InputError, match="is on the ledger already, and is CLOSING"):
        drive(prepared(office), timeout_s=0, say=lambda line: None)


def test_a_launch_that_has_its_consents_waits_for_the_superlink_and_keeps_its_step(office):
    folder = prepared(office)
    with pytest.raises(InputError):
        drive(folder, timeout_s=0, say=lambda line: None)
    folder.reach(folder.read(), Step.CONSENTED)
    with pytest.raises(EngineError, match="is not the folder of a SuperLink"):
        drive(folder, timeout_s=0, say=lambda line: None)
    assert folder.read().step == Step.CONSENTED.value
    assert office.terminal.done("suture", "status", folder.path)["step"] == "consented"


def test_a_superlink_that_does_not_answer_is_waited_for_as_long_as_was_asked_and_said_once(office):
    folder, superlink, said = created(office), office.folder / "superlink", []
    folder.reach(folder.read(), Step.CONSENTED)
    home = superlink / "flower"
    home.mkdir(parents=True)
    authority = make_certificates(superlink / "c", ["127.0.0.1"], now=datetime.now(UTC)).authority
    home.joinpath("config.toml").write_text(home_config(*reserve([None]), authority))
    began = time.monotonic()
    with pytest.raises(SuperLinkAway, match="does not answer") as away:
        drive(folder, timeout_s=driving.SUPERLINK_S, say=said.append)
    assert time.monotonic() - began >= driving.SUPERLINK_S
    assert f"suture superlink serve {superlink}" in away.value.fix
    assert said == [f"{away.value.message} Waiting for it. {away.value.fix}"]
    assert folder.read().step == Step.CONSENTED.value


def test_a_bundle_that_is_not_the_one_of_the_terms_is_refused_before_anything_is_sent(office):
    folder = prepared(office)
    server = folder.launch / folder.read().app / "suture_bundle" / "server.py"
    server.write_text(server.read_text() + "\n# more\n")
    with pytest.raises(VerificationError, match="is not the one of the terms"):
        drive(folder, timeout_s=0, say=lambda line: None)
    assert runs(office) == []


def test_one_folder_takes_one_launch_and_one_process(office):
    folder = prepared(office)
    with pytest.raises(InputError, match="holds a launched run"):
        prepared(office)
    with folder.alone(), pytest.raises(InputError, match="Another suture launch"):
        drive(folder, timeout_s=0, say=lambda line: None)


def test_whoever_looks_whether_a_command_is_at_work_keeps_none_out(office):
    folder = prepared(office)
    with folder.alone():
        pass
    with (folder.launch / ".lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        release = threading.Timer(0.2, fcntl.flock, (looking, fcntl.LOCK_UN))
        release.start()
        with folder.alone():
            assert folder.busy()
        release.join()


def test_what_has_a_launchs_name_already_stays_and_nothing_is_left_beside_it(office, monkeypatch):
    folder, theirs = office.folder / "run", office.folder / "run" / "launch" / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(InputError, match="is in the way of the launch"):
        prepared(office)
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", "--dry-run")
    assert "is in the way of the launch" in line
    assert {path.name for path in folder.iterdir()} == {"launch", "public"} and theirs.read_text() == "mine"
    shutil.rmtree(theirs.parent)
    theirs.parent.symlink_to("nowhere")
    line = office.terminal.refused("suture", "launch", office.folder / "run.toml", "--dry-run")
    assert f"{theirs.parent} is in the way of the launch" in line
    theirs.parent.unlink()
    real = Path.rename

    def second(half: Path, target: Path) -> Path:  # another launch of the same run is faster
        monkeypatch.undo()
        prepared(office)
        return real(half, target)

    monkeypatch.setattr(Path, "rename", second)
    with pytest.raises(InputError, match="holds a launched run"):
        prepared(office)
    assert {path.name for path in folder.iterdir()} == {"launch", "public"}


def test_a_file_in_the_place_of_the_runs_folder_is_told_before_anything_is_written(office):
    for folder, old in (("run.toml", "run"), ("run.toml/deeper", "run.toml")):
        wrong = edited(office, f'folder = "{old}"', f'folder = "{folder}"')
        with pytest.raises(InputError, match=r"run.toml is in the way of the launch"):
            check_folder(wrong)


def test_a_relay_serves_the_chain_before_there_is_a_run_when_it_is_told_which_ledger(office):
    folder, other = office.folder / "run", office.folder / "other.toml"
    with pytest.raises(InputError, match="is not the folder of a run"), open_relay(folder):
        pass
    with open_relay(folder, office.ledger):
        assert (folder / "coordinator" / "duties.sqlite").is_file()
    other.write_text(office.ledger.read_text().replace("run/public/ledger.sqlite", "elsewhere.sqlite"))
    with pytest.raises(InputError, match="the relay serves the chain"), open_relay(folder, other):
        pass
