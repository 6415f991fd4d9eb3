from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from flwr.clientapp import ClientApp

from coordinator.engines.bundle import build_bundle, write_bundle
from coordinator.engines.bundle_digest import digest_of_installed, verify_installed
from coordinator.engines.environment import child_environment
from coordinator.engines.references import load, split
from coordinator.engines.settings import encode_inline, encode_settings
from coordinator.errors import BadBundle, BadReference, BadSetting
from fl_core.errors import InputError, VerificationError

SERVER = "tests.simulators.toy_app:server"
CLIENT = "tests.simulators.toy_app:client"
CONFIG = {"rounds": 2, "rate": 0.5, "large": False, "report": "a \"quoted\" path\\with 'all' sorts\n"}


def write(folder: Path, **changes) -> Path:
    write_bundle(folder, **({"server": SERVER, "client": CLIENT, "config": CONFIG} | changes))
    return folder


def install(bundle: Path, folder: Path) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return folder


# ---------------------------------------------------------------------- the folder


def test_the_folder_says_what_flower_needs_and_nothing_else(tmp_path):
    folder = write(tmp_path / "toy-app")
    document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    assert document["project"]["name"] == "toy-app"
    assert document["tool"]["flwr"]["app"]["publisher"] == "suture"
    assert document["tool"]["flwr"]["app"]["config"] == CONFIG
    assert sorted(path.name for path in folder.rglob("*.py")) == ["__init__.py", "client.py", "server.py"]


def test_the_components_of_the_bundle_are_the_objects_referred_to(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(write(tmp_path / "toy-app")))
    assert load("suture_bundle.client:app") is load(CLIENT)
    assert load("suture_bundle.server:app") is load(SERVER)


@pytest.mark.parametrize("name", ["my_app", "a" * 33, "-a", "a-", "ä", "a b", "a.b"])
def test_a_name_that_flower_refuses_is_refused(tmp_path, name):
    with pytest.raises(BadBundle, match="32 letters"):
        write(tmp_path / name)
    with pytest.raises(BadBundle, match="32 letters"):
        write(tmp_path / "fine", publisher=name)


def test_the_longest_name_is_accepted_by_flower_too(tmp_path):
    assert build_bundle(write(tmp_path / ("a" * 32))).path.exists()


@pytest.mark.parametrize("version", ["1", "1.0", "1.0.0a", "1.0.0\n", "..."])
def test_a_version_is_three_numbers(tmp_path, version):
    with pytest.raises(BadBundle, match="three numbers"):
        write(tmp_path / "toy-app", version=version)


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "toy-app").mkdir()
    (tmp_path / "toy-app" / "notes.txt").touch()
    with pytest.raises(BadBundle, match="not empty"):
        write(tmp_path / "toy-app")


# ---------------------------------------------------------------------- the bundle


def test_the_digest_is_the_hash_of_the_file(tmp_path):
    bundle = build_bundle(write(tmp_path / "toy-app"))
    assert bundle.path == tmp_path / "toy-app.fab"
    assert bundle.sha256 == sha256(bundle.path.read_bytes()).digest()


def test_equal_folders_give_equal_bundles_wherever_and_whenever(tmp_path):
    first = build_bundle(write(tmp_path / "one" / "toy-app"))
    second = build_bundle(write(tmp_path / "two" / "toy-app"))
    assert first.sha256 == second.sha256
    assert build_bundle(first.path.with_suffix("")).sha256 == first.sha256


@pytest.mark.parametrize(
    "change",
    [{"client": SERVER}, {"config": CONFIG | {"rounds": 3}}, {"version": "0.2.0"}, {"publisher": "somebody"}],
)
def test_whatever_the_terms_must_bind_changes_the_digest(tmp_path, change):
    first = build_bundle(write(tmp_path / "one" / "toy-app"))
    second = build_bundle(write(tmp_path / "two" / "toy-app", **change))
    assert first.sha256 != second.sha256


@pytest.mark.e2e
def test_flowers_own_command_builds_the_same_bundle(tmp_path):
    bundle = build_bundle(write(tmp_path / "toy-app"))
    environment = child_environment(tmp_path / "home")
    (tmp_path / "out").mkdir()
    command = [str(Path(sys.executable).parent / "flwr"), "build", "--app", str(tmp_path / "toy-app")]
    subprocess.run(command, cwd=tmp_path / "out", env=environment, check=True, capture_output=True)
    [built] = (tmp_path / "out").glob("*.fab")
    assert built.read_bytes() == bundle.path.read_bytes()


def test_what_flower_cannot_bundle_is_an_error_with_its_reason(tmp_path):
    folder = write(tmp_path / "toy-app")
    (folder / "pyproject.toml").write_text("[project]\nname = 'toy-app'\n")
    with pytest.raises(BadBundle, match="version"):
        build_bundle(folder)


# ---------------------------------------------------------------------- the installed files


def test_the_digest_is_found_again_in_the_installed_files(tmp_path):
    bundle = build_bundle(write(tmp_path / "toy-app"))
    installed = install(bundle.path, tmp_path / "installed")
    (installed / "suture_bundle" / "__pycache__").mkdir()
    (installed / "suture_bundle" / "__pycache__" / "client.cpython-311.pyc").write_bytes(b"byte code")
    assert digest_of_installed(installed) == bundle.sha256
    verify_installed(installed, bundle.sha256)


def test_a_changed_an_added_and_a_missing_file_are_found(tmp_path):
    bundle = build_bundle(write(tmp_path / "toy-app"))
    changed, added, missing, foreign = (install(bundle.path, tmp_path / name) for name in "camf")
    (changed / "suture_bundle" / "client.py").write_text("app = None\n")
    (added / "flwr.py").touch()
    (missing / "suture_bundle" / "server.py").unlink()
    (foreign / "suture_bundle" / "client.so").touch()
    for folder in (changed, added, missing, foreign):
        with pytest.raises(VerificationError):
            verify_installed(folder, bundle.sha256)


def test_a_folder_without_an_app_and_one_that_is_too_large_are_refused(tmp_path):
    with pytest.raises(VerificationError, match="cannot be read"):
        digest_of_installed(tmp_path)
    folder = install(build_bundle(write(tmp_path / "toy-app")).path, tmp_path / "installed")
    (folder / "large.json").write_bytes(bytes(10 * 1024 * 1024))
    with pytest.raises(VerificationError, match="larger"):
        digest_of_installed(folder)


# ---------------------------------------------------------------------- references


def test_a_reference_leads_to_its_object():
    assert split("a.b:c") == ("a.b", "c")
    assert isinstance(load(CLIENT), ClientApp)


@pytest.mark.parametrize(
    "reference", ["", "module", "module:", ":attribute", "a.:b", "a:b.c", "a:b:c", "a b:c", "a:b\n"]
)
def test_a_reference_of_another_form_is_refused(reference):
    with pytest.raises(BadReference, match=r"package\.module:attribute"):
        split(reference)


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("tests.simulators.nowhere:app", "cannot be imported"),
        ("tests.simulators.toy_app:nothing_here", "has no"),
    ],
)
def test_a_reference_that_leads_nowhere_says_which_part(reference, what):
    with pytest.raises(BadReference, match=what) as caught:
        load(reference)
    assert isinstance(caught.value, InputError)
    assert reference in str(caught.value)


# ---------------------------------------------------------------------- settings

SETTINGS = {
    "yes": True,
    "no": False,
    "zero": 0,
    "large": 2**63 - 1,
    "small": -(2**63),
    "half": 0.5,
    "tiny": 1e-300,
    "path": '/srv/hospital 1/it\'s "quoted"\\ \t\n\x7f\x00 äß漢🎉 = # [x]',
    "trap": "settings.toml",
    "backslashes": '\\"\\\\"',
    "empty": "",
}


def test_settings_survive_toml():
    assert tomllib.loads(encode_settings(SETTINGS)) == SETTINGS


def test_settings_survive_flowers_own_parser_of_command_lines():
    from flwr.common.config import parse_config_args

    assert parse_config_args([encode_inline(SETTINGS)]) == SETTINGS


def test_settings_are_written_in_the_order_of_their_names():
    assert encode_settings({"b": 1, "a": 2}) == "a = 2\nb = 1\n"


@pytest.mark.parametrize("value", [2**63, float("nan"), float("inf"), "\ud800"])
def test_a_value_without_an_exact_form_is_refused(value):
    with pytest.raises(BadSetting):
        encode_settings({"name": value})


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a=b", "ä", "a\n", "a" * 65])
def test_a_name_that_flower_would_cut_is_refused(name):
    with pytest.raises(BadSetting, match="name"):
        encode_settings({name: 1})
