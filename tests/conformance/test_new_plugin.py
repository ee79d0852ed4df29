"""`awf plugins new`: the new plugin has its name everywhere, and passes the kit in a clean environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from clean_venv import clean_python, install

from awf_core.cli.new_plugin import new_command, renamed, template_files
from awf_core.errors import SystemFailure, UsageError

ROOT = Path(__file__).parents[2]


def write(name: str, directory: Path) -> None:
    new_command.main([name, str(directory)], standalone_mode=False)


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
    # Most of the kit's time is waiting, so several at once take little longer than one.
    kit = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "6", "-p", "no:cacheprovider", "--awf-scale", "0.5"],
        cwd=tmp_path / "awf-mq-acme", env=env, capture_output=True, text=True, timeout=280,
    )  # fmt: skip

    assert str(tmp_path) in where.stdout
    assert kit.returncode == 0, kit.stdout[-3000:] + kit.stderr[-1000:]
    assert " failed" not in kit.stdout
    assert " passed" in kit.stdout
