"""Core and backends as they are installed: the core alone says what is missing, and a package is all there is to add."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from clean_venv import clean_python, install

from awf_core.testing.brokers import PrivateRedis, redis_program

ROOT = Path(__file__).parents[2]
WORKFLOW = """
name: hello
states:
  initial: greet
  greet: {type: step, command: "echo hello", on_success: done}
  done: {type: terminal}
"""
INSTALL = "Install it with: pip install awf-mq-redis"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment with the core and no plugin."""
    python = clean_python(tmp_path / "venv")
    install(python, ROOT)
    return python


@pytest.fixture
def run(python: Path, tmp_path: Path):
    """Run that environment's `awf` in a project, with AWF_MQ_* variables by name."""
    (tmp_path / ".awf/workflows").mkdir(parents=True)
    (tmp_path / ".awf/workflows/hello.yaml").write_text(WORKFLOW)
    (tmp_path / ".awf/config.yaml").write_text("")

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **{f"AWF_MQ_{name}": value for name, value in variables.items()}}
        return subprocess.run(
            [python.parent / "awf", *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30
        )

    return run


def test_core_alone_refuses_a_backend_of_another_package_and_names_the_package(run, tmp_path):
    by_variable = run("worker", "--burst", REDIS_URL="redis://localhost:6379")
    (tmp_path / ".awf/config.yaml").write_text("mq: {type: redis}\n")
    by_type = run("worker", "--burst")

    said = " ".join(by_type.stderr.split())
    assert by_type.returncode == 2
    assert "mq.type 'redis': no such backend is installed (installed: sqlite)." in said
    assert "Install it with: pip install awf-mq-redis" in said
    said = " ".join(by_variable.stderr.split())
    assert by_variable.returncode == 2
    assert "AWF_MQ_REDIS_URL is set, but no installed backend reads it." in said
    assert "Install one with: pip install awf-mq-redis" in said


@pytest.mark.skipif(redis_program() is None and not os.environ.get("CI"), reason="no redis-server is installed")
def test_installing_the_package_makes_the_backend_work_without_touching_the_core(run, python, tmp_path):
    before = _files_of_core(python)
    install(python, ROOT / "plugins/awf-mq-redis")
    with PrivateRedis(tmp_path / "server", append_only=False) as server:
        submitted = run("submit", "hello", "--reply-to=results", REDIS_URL=server.url)
        worked = run("worker", "--burst", REDIS_URL=server.url)
        answered = run("queue", "browse", "results", "--format=json", REDIS_URL=server.url)

    assert submitted.returncode == 0, submitted.stderr
    assert worked.returncode == 0, worked.stderr
    assert "hello" in answered.stdout
    assert _files_of_core(python) == before


def _files_of_core(python: Path) -> dict[str, int]:
    """Every source file of the installed core and when it was written."""
    where = "import awf_core, pathlib; print(pathlib.Path(awf_core.__file__).parent)"
    found = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True, cwd="/").stdout.strip()
    return {str(path): path.stat().st_mtime_ns for path in Path(found).rglob("*.py")}
