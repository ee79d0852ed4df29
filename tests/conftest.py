"""What every test starts from: no AWF variables of the developer's, no cached entry points, fixed randomness in CI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

# The conformance kit's fixtures. Here and not below: pytest takes plugins from the top conftest only.
pytest_plugins = ["awf_core.testing.pytest_plugin"]

# The machine may be busy with brokers and worker processes: slow generation is no fault of the code under test.
settings.register_profile("local", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), max_examples=200, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the machine's AWF_* and XDG_* settings from a test; the home directory is an empty one."""
    for name in list(os.environ):
        if name.startswith(("AWF_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    return home
