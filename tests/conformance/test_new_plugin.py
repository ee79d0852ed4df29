"""`awf plugins new`: the new plugin has its name everywhere, and passes the kit in a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clean_venv import clean_python, install

from awf_core.cli.new_plugin import EXTENSIONS, new_command, renamed, renamed_extension, template_files
from awf_core.errors import SystemFailure, UsageError

ROOT = Path(__file__).parents[2]
AWF = Path(sys.executable).with_name("awf")


def write(name: str, directory: Path, *options: str) -> None:
    new_command.main([name, str(directory), *options], standalone_mode=False)


def contents(directory: Path) -> dict[str, str]:
    paths = [path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(directory)): path.read_text() for path in paths}


def test_a_new_plugin_has_its_name_everywhere(tmp_path):
    write("my-broker", tmp_path / "here")

    written = contents(tmp_path / "here")
    assert "src/awf_mq_my_broker/backend.py" in written
    assert 'name = "awf-mq-my-broker"' in written["pyproject.toml"]
    assert 'my-broker = "awf_mq_my_broker.backend:Backend"' in written["pyproject.toml"]
    assert "class TestMyBroker(" in written["tests/test_conformance.py"]
    assert not [path for path, text in written.items() if "template" in (path + text).lower()]


def test_a_new_plugin_is_valid_python_for_any_name():
    for path, source in template_files():
        if path.endswith(".py"):
            compile(renamed(source.read_text(), "a-b2-c"), path, "exec")


@pytest.mark.parametrize("name", ["My", "a_b", "-a", "a--b", "1a", "a b"])
def test_a_name_that_no_package_could_have_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="can't be the name of a backend"):
        new_command.main(["--", name, str(tmp_path / "x")], standalone_mode=False)


def test_a_name_that_is_taken_is_refused(tmp_path):
    with pytest.raises(UsageError, match="'redis' is taken by awf-mq-redis"):
        write("redis", tmp_path / "x")


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(UsageError, match="is not empty"):
        write("acme", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SystemFailure, match="file"):
        write("acme", tmp_path / "file" / "below")


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_a_new_extension_has_its_name_everywhere_and_is_valid_python(kind: str, tmp_path: Path) -> None:
    write("my-thing", tmp_path / "here", "--kind", kind)

    written = contents(tmp_path / "here")
    assert f"src/awf_plugin_my_thing/{kind}.py" in written
    assert 'name = "awf-plugin-my-thing"' in written["pyproject.toml"]
    assert 'my-thing = "awf_plugin_my_thing"' in written["pyproject.toml"]
    assert not [path for path, text in written.items() if "sample" in (path + text).lower()]
    for path, text in written.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
    assert renamed_extension("sample, awf_plugin_sample", "a-b") == "a-b, awf_plugin_a_b"


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_a_name_that_no_plugin_can_have_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'builtin' is taken"):
        write("builtin", tmp_path / "x", "--kind", kind)
    with pytest.raises(UsageError, match="'My' can't be the name of a plugin"):
        write("My", tmp_path / "x", "--kind", kind)


def test_new_extensions_pass_their_own_tests_where_they_are_installed(tmp_path: Path) -> None:
    """All four kinds beside each other, so that one installation and one run of pytest do."""
    projects = [tmp_path / f"awf-plugin-my-{kind}" for kind in EXTENSIONS]
    for kind, project in zip(EXTENSIONS, projects, strict=True):
        made = subprocess.run(
            [AWF, "plugins", "new", f"my-{kind}", "--kind", kind], cwd=tmp_path, capture_output=True, text=True
        )
        assert (made.returncode, made.stdout) == (0, f"{project.name}\n"), made.stderr
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "--target", "site", *projects,
        ],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)}

    tests = [project / "tests" for project in projects]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", projects[0] / "pyproject.toml"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    doctor = subprocess.run([AWF, "plugins", "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    assert "17 passed" in ended.stdout
    assert [line.split()[1] for line in doctor.stdout.splitlines() if " my-" in line] == [
        f"my-{kind}" for kind in sorted(EXTENSIONS)
    ]


@pytest.mark.timeout(300)
def test_a_new_plugin_passes_the_kit_in_a_clean_environment(tmp_path):
    python = clean_python(tmp_path / "venv")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    install(python, ROOT)
    subprocess.run(
        [python.parent / "awf", "plugins", "new", "acme"], cwd=tmp_path, env=env, check=True, capture_output=True
    )
    install(python, tmp_path / "awf-mq-acme")

    where = subprocess.run(
        [python, "-c", "import awf_core; print(awf_core.__file__)"], capture_output=True, text=True, cwd=tmp_path
    )
    # Most of the kit's time is waiting, so three at once take little longer than one on two cores.
    kit = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "3", "-p", "no:cacheprovider", "--awf-scale", "0.5"],
        cwd=tmp_path / "awf-mq-acme", env=env, capture_output=True, text=True, timeout=280,
    )  # fmt: skip

    assert str(tmp_path) in where.stdout
    assert kit.returncode == 0, kit.stdout[-3000:] + kit.stderr[-1000:]
    assert " failed" not in kit.stdout
    assert " passed" in kit.stdout
