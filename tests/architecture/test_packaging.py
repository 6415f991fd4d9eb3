"""What is installed: five packages, three commands, and nothing of the tests."""

from __future__ import annotations

import tomllib

from tests.architecture.sources import PACKAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_exactly_the_five_packages():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == list(PACKAGES)
    assert set(wheel) == {"packages"}


def test_every_package_is_typed_and_importable():
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file(), f"{package} ships no py.typed marker"


def test_every_folder_of_code_is_a_package():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_no_test_lies_in_a_package():
    assert not [
        p for package in PACKAGES for p in (ROOT / package).rglob("*test*") if "__pycache__" not in p.parts
    ]


def test_the_commands_lead_to_modules_that_exist():
    for name, target in PROJECT["project"]["scripts"].items():
        module, _, function = target.partition(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{name}: {target}"
        assert f"def {function}(" in path.read_text()


def test_what_is_licensed_elsewhere_is_not_a_dependency():
    """AGPL code (snekmate, say) may not be imported."""
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    assert not [name for group in groups for name in group if "snekmate" in name]
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_pytest_is_strict():
    options = PROJECT["tool"]["pytest"]["ini_options"]
    assert {"--strict-markers", "--strict-config", "--import-mode=importlib"} <= set(options["addopts"])
    assert options["xfail_strict"] is True
    assert options["filterwarnings"][0] == "error"


def test_the_contracts_and_the_type_checker_cover_every_package():
    assert set(PACKAGES) <= set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert set(PACKAGES) <= set(PROJECT["tool"]["mypy"]["packages"])
    assert PROJECT["tool"]["mypy"]["strict"] is True
