"""Run files: what is wrong is told with file, line and fix; the page lists every field with its default."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clients.training.settings import Setting
from coordinator.cli import cli
from coordinator.launch.check import check_settings
from coordinator.launch.prepare import prepare
from coordinator.launch.run_file import FIELDS, RunFile, read_run_file
from fl_core.errors import InputError
from fl_core.models import encode_model
from ledger.views.runs import Money
from tests.architecture.sources import ROOT

PAGE = (ROOT / "docs" / "reference" / "run-file.md").read_text("utf-8")
[GOOD] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
[LEDGER] = re.findall(r"^\[ledger\]\n.*?\n(?=\n)", GOOD, re.DOTALL | re.MULTILINE)


def written(folder: Path, text: str) -> Path:
    path = folder / "heart.toml"
    path.write_text(text)
    return path


def test_the_example_of_the_page_is_read_with_the_defaults(tmp_path):
    file = read_run_file(written(tmp_path, GOOD))
    assert file.values["folder"] == "runs/heart" and file.values["members.least"] == 3
    assert file.settings["updates"] == 100
    assert file.uri("ledger.researcher").startswith(
        f"file:{tmp_path}/keys/researcher.json?passphrase-file={tmp_path}"
    )


def test_an_account_may_be_a_key_that_another_program_holds(tmp_path):
    account = "file:keys/researcher.json?passphrase-file=secrets/researcher"
    assert account in GOOD
    file = read_run_file(written(tmp_path, GOOD.replace(account, "program:keys/hsm.json")))
    assert file.uri("ledger.researcher") == f"program:{tmp_path}/keys/hsm.json"


def test_the_page_lists_every_field_with_its_default():
    rows = re.findall(r"^\| `(?:\[(\w+)\] )?(\w+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    shown = {f"{table}.{key}" if table else key: cell.strip("` ") for table, key, cell in rows}
    assert set(shown) == set(FIELDS)
    for key, field in FIELDS.items():
        default = {None: "", "": "none"}.get(field.default, str(field.default))
        assert shown[key] == (default.lower() if field.kind is bool else default), key


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('title = "Heart disease across hospitals"', "title = 3", 1, "is a text in quotes"),
        ("rounds = 2", "rounds = 0", 3, "is 1 to 100000, not 0"),
        ("rounds = 2", "rounds = true", 3, "is a whole number"),
        ("rounds = 2", 'rounds = "two"', 3, "is a whole number"),
        ("rounds = 2", "rounds = 2\nround = 2", 4, "means nothing here"),
        ('purpose = "Predict heart disease from a first examination."', 'purpose = " "', 2, "is empty"),
        ('title = "Heart disease across hospitals"', 'title = "Heart\\nAllowed."', 1, "'title' has a line break"),
        ('title = "Heart disease across hospitals"', 'title = "Heart\\u001b[8m"', 1, "'title' has a line break or another"),
        ('title = "Heart disease across hospitals"', f'title = "{"x" * 201}"', 1, "at most 200 characters long, not 201"),
        ('purpose = "Predict heart disease from a first examination."', f'purpose = "{"x" * 2001}"', 2, "at most 2000"),
        ('file = "ledger.toml"', 'file = "ledger\\u0007.toml"', 6, "'ledger.file' has a line break"),
        ('file = "ledger.toml"', "", 5, "'ledger.file' is missing"),
        ("?passphrase-file=secrets/researcher", "", 7, "passphrase-file"),
        ('[task]\nname = "heart-disease"', "[task]", 10, "'task.name' is missing"),
        ("updates = 100", "updates = [100]", 14, "of a type that it cannot have"),
        ("consents = 4", "consents = 2", 20, "is 3 to 10000, not 2"),
        ("consents = 4", "consents = 4\nleast = 5", 20, "is less than 'least'"),
        ("consents = 4", 'consents = 4\n[rewards]\nper_round = "5"', 22, "promises rewards of no token"),
        ("consents = 4", 'consents = 4\n[rewards]\ntoken = "0x12"', 22, "is an account"),
        ("consents = 4", 'consents = 4\n[protection]\npacking = "PACK99"', 22, "is one of"),
        ("consents = 4", 'consents = 4\n[protection]\npacking = "PACK8x16g"', 22, "does not fit the parameter set P4096"),
        ("consents = 4", 'consents = 17\n[protection]\npacking = "PACK8x16"', 20, "is more than the 16 clients"),
        ("consents = 4", "consents = 4\n[protection]\ninitial_clip = inf", 22, "not inf"),
        ("consents = 4", "consents = 4\n[protection]\ninitial_clip = 0.0", 22, "'protection.initial_clip' is"),
        ("consents = 4", "consents = 4\n[protection]\nclip_floor = 1e300", 22, "'protection.clip_floor' is"),
        ("consents = 4", "consents = 4\n[protection]\nclip_floor = 2e6", 22, "is more than 1e+06 times 'initial_clip'"),
        ("rounds = 2", 'rounds = 2\nfolder = "/"', 4, "'folder' is the whole file system"),
        ("[members]", "[[members]]", 19, "'members' is a table"),
        ('title = "Heart disease across hospitals"', 'title = "x"\nprivacy = 4', 2, "'privacy' is a table"),
        ("consents = 4", "consents = 4\n[superlnk]\nrelay = true", 21, "means nothing here"),
        ("consents = 4", 'consents = 4\n[members.names]\nalder = "Alder"', 22, "is an account"),
        ("consents = 4", f"consents = 4\n[superlink]\ntrain_deadline = {2**64}", 22, "at most 31536000 (a year), not 18446744073709551616"),
        ("consents = 4", f"consents = 4\n[superlink]\ntrain_deadline = 1{'0' * 400}", 22, "at most 31536000 (a year)"),
        ("consents = 4", "consents = 4\n[superlink]\nreveal_deadline = 31536000.5", 22, "at most 31536000 (a year)"),
        ("consents = 4", "consents = 4\n[superlink]\nreveal_deadline = inf", 22, "at most 31536000 (a year), not inf"),
        ("consents = 4", "consents = 4\n[superlink]\ntrain_deadline = nan", 22, "is at least 1"),
        ("consents = 4", "consents = 4\n[superlink]\ntrain_deadline = 0.9", 22, "is at least 1"),
        ("rounds = 2", f"rounds = 1{'0' * 400}", 3, "is 1 to 100000, not 1000"),
        ("consents = 4", 'consents = 4\n"superlink.relay" = true', 21, "means nothing here"),
        (LEDGER, 'ledger = { file = "ledger.toml", researcher = 3 }\n', 5, "'ledger.researcher' is a text in quotes"),
        (LEDGER, 'ledger = { file = "ledger.toml" }\n', 5, "'ledger.researcher' is missing"),
        (LEDGER, '[ "ledger" ] # names\n"file" = "ledger.toml"\n"\\u0072esearcher" = 3\n', 7, "'ledger.researcher' is a text"),
        ('purpose = "Predict heart disease from a first examination."', 'purpose = """Predict\\\nrounds = 0 \\\n[task]\\\nname = 3"""\nfolder = 3', 6, "'folder' is a text"),
        ("rounds = 2", "rounds = 2\ncurves.rounds.x = [\n  [1, 2], # ]\n]", 4, "'curves' is a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_what_to_do(tmp_path, old, new, line, says):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as refused:
        read_run_file(path)
    assert f"{path}, line {line}: " in refused.value.message, refused.value.message
    assert says in refused.value.message and refused.value.fix


def test_what_is_no_toml_or_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 1"):
        read_run_file(written(tmp_path, "title =\nrounds = 2\n"))
    with pytest.raises(InputError, match="cannot be read"):
        read_run_file(tmp_path / "none.toml")
    with pytest.raises(InputError, match="a number that is too long"):
        read_run_file(written(tmp_path, f"rounds = 1{'0' * 5000}\n"))


def test_the_longest_deadline_is_a_year(tmp_path):
    text = f"{GOOD}[superlink]\ntrain_deadline = 31536000\nreveal_deadline = 31536000.0\n"
    assert read_run_file(written(tmp_path, text)).values["superlink.train_deadline"] == 31_536_000.0


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("updates = 100", "update = 100", 14, "'task.settings.update' is no setting of this task"),
        ("updates = 100", "updates = 1.5", 14, "is a whole number, not 1.5"),
        ("updates = 100", "updates = 0", 14, "'task.settings.updates' is 1 to 100000, not 0"),
        ("updates = 100", "updates = 10000000000000", 14, "is 1 to 100000, not 10000000000000"),
        ("batch_size = 4", "batch_size = -4", 15, "is 1 to 1000000, not -4"),
        ("learning_rate = 0.001", "learning_rate = -1.0", 16, "is 1e-09 to 100.0, not -1.0"),
        ("learning_rate = 0.001", "learning_rate = nan", 16, "is a finite number, not nan"),
        ("learning_rate = 0.001", "learning_rate = inf", 16, "is a finite number, not inf"),
        ("seed = 42", f"seed = {10**28}", 17, "is 0 to 9007199254740992, not 1000"),
        ("seed = 42\n", "", 13, "'task.settings.seed' is missing"),
        ("learning_rate = 0.001", 'learning_rate = "slow"', 16, "is a number, not 'slow'"),
        ('name = "heart-disease"', 'name = "heart"', 11, "the task 'heart' is not installed"),
        ("consents = 4", 'consents = 4\n[rewards]\ntoken = "0x%s"\nper_round = "x"' % ("11" * 20), 23, "'x' is no amount"),
        ("consents = 4", 'consents = 4\n[rewards]\ntoken = "0x%s"\nper_round = "1e99999999"' % ("11" * 20), 23, "is no amount"),
        ("consents = 4", 'consents = 4\n[rewards]\ntoken = "0x%s"\nper_round = "1e600000"' % ("11" * 20), 23, "is no amount"),
    ],
)  # fmt: skip
def test_what_only_the_task_and_the_token_know_is_told_with_its_line_too(tmp_path, old, new, line, says):
    assert old in GOOD
    file = read_run_file(written(tmp_path, GOOD.replace(old, new, 1)))
    with pytest.raises(InputError) as refused:
        prepare(file, Money(), tmp_path / "scratch")
    assert f"{file.path}, line {line}: " in refused.value.message and says in refused.value.message, (
        refused.value
    )
    assert refused.value.fix


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"no model", "is no such model"),
        (encode_model({"w": np.zeros(3, np.float32)}), "tensors are not those of the task 'heart-disease'"),
    ],
)
def test_an_initial_model_that_is_none_of_the_task_is_told_with_its_line(tmp_path, content, says):
    file = read_run_file(
        written(
            tmp_path,
            GOOD.replace('name = "heart-disease"', 'name = "heart-disease"\ninitial = "old.safetensors"'),
        )
    )
    if content is not None:
        (tmp_path / "old.safetensors").write_bytes(content)
    with pytest.raises(InputError) as refused:
        prepare(file, Money(), tmp_path / "scratch")
    assert "line 12: 'task.initial' names" in refused.value.message and says in refused.value.message
    assert "suture fetch" in refused.value.fix


def test_a_whole_number_will_do_for_a_setting_that_is_a_number():
    assert (
        check_settings(RunFile(Path("run.toml"), "", {}, {"rate": 1}, {}), {"rate": Setting(float, 0, 2)})
        is None
    )


@pytest.mark.parametrize(
    ("old", "new", "there"),
    [("[members]", "[membres]", "[members]"), ("[task.settings]", "[task.seting]", "[task.settings]")],
)
def test_the_tables_that_there_are_are_told_when_one_is_misspelt(tmp_path, old, new, there):
    with pytest.raises(InputError, match="means nothing here") as refused:
        read_run_file(written(tmp_path, GOOD.replace(old, new, 1)))
    assert there in refused.value.fix


@pytest.mark.parametrize("command", ["resume", "status", "watch", "abort", "nodes", "fetch"])
def test_the_run_file_in_the_place_of_the_runs_folder_is_told(tmp_path, command):
    path = written(tmp_path, GOOD)
    words = [command, str(path), *([str(tmp_path / "model")] if command == "fetch" else [])]
    error = CliRunner().invoke(cli, words).exception
    assert isinstance(error, InputError), error
    assert (
        error.message == f"{path} is not the folder of a launched run."
        and "`folder` of the run file" in error.fix
    )


def test_runs_are_looked_for_in_a_folder_that_is_there(tmp_path):
    assert CliRunner().invoke(cli, ["status", "--in", str(tmp_path)]).exit_code == 0
    error = CliRunner().invoke(cli, ["status", "--in", str(tmp_path / "nope")]).exception
    assert isinstance(error, InputError) and "is no folder" in error.message and "--in" in error.fix
