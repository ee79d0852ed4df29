"""The lock file, the CI definitions and the packages' metadata agree with each other."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from docs_pages import ROOT

PROJECTS = ["pyproject.toml", *(str(path.relative_to(ROOT)) for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
VERSION = "Programming Language :: Python :: 3."


def project(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def normalized(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def locked() -> set[str]:
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    return {normalized(line) for line in lines if not line.startswith("#")}


def test_the_lock_file_names_no_host_and_no_path() -> None:
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")

    assert re.findall(r"://|^-|^/", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("name", PROJECTS)
def test_the_lock_file_holds_every_dependency(name: str) -> None:
    """If this fails, run `make lock`."""
    content = project(name)
    wanted = [*content["project"]["dependencies"], *content.get("dependency-groups", {}).get("dev", ())]  # type: ignore[index, attr-defined]

    assert {normalized(each) for each in wanted} - {"awf-core"} - locked() == set()


@pytest.mark.parametrize("name", PROJECTS)
def test_every_package_declares_the_licence_file_that_it_ships(name: str) -> None:
    declared = project(name)["project"]["license-files"]  # type: ignore[index]

    assert [(ROOT / name).parent / file for file in declared if not ((ROOT / name).parent / file).is_file()] == []


def test_both_ci_definitions_run_the_same_script_on_the_declared_python_versions() -> None:
    classifiers = project("pyproject.toml")["project"]["classifiers"]  # type: ignore[index]
    declared = [each.removeprefix(VERSION) for each in classifiers if each.startswith(VERSION)]
    github = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]
    gitlab = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))["test"]

    assert [step["run"] for step in github["steps"] if "run" in step] == gitlab["script"] == [".ci/run"]
    assert github["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in declared]
    assert gitlab["parallel"]["matrix"][0]["PYTHON_VERSION"] == [f"3.{minor}" for minor in declared]
