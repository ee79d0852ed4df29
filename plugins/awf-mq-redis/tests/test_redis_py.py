"""The versions of redis-py: the requirement, and the error for one that is too old."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from awf_mq_redis import OLDEST_REDIS_PY

OLDEST = ".".join(map(str, OLDEST_REDIS_PY))


def test_the_requirement_starts_at_the_version_that_is_checked():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]

    assert any(each.startswith(f"redis>={OLDEST},") for each in project["dependencies"])


def test_a_redis_py_that_is_too_old_is_a_configuration_error_that_names_both_versions(tmp_path):
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis/__init__.py").write_text("__version__ = '4.6.0'\n")
    environment = {**os.environ, "AWF_MQ_TYPE": "redis", "PYTHONPATH": str(tmp_path)}

    done = subprocess.run(
        [str(Path(sys.executable).with_name("awf")), "queue", "stats"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert f"awf-mq-redis needs redis-py {OLDEST} or newer, and 4.6.0 is installed" in said
    assert f"pip install 'redis>={OLDEST}'" in said
    assert "Traceback" not in said
