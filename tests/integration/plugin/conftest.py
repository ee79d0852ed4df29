"""Packages for tests: a module and a dist-info in a temporary directory, which is all an installed plugin is."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.config import backend_names as backend_names_module
from awf_core.plugin import loader as loader_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NUMBERS = count()

BACKEND = """
from pydantic import BaseModel, ConfigDict
from awf_core import hookimpl
from awf_core.contract import Capabilities, Stats
from awf_core.units import DurationS
from pydantic import Field

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str = "fake://localhost"
    queue: str = "awf-workflows"
    lease_s: DurationS = Field(60.0, alias="lease")

class Backend:
    api_version = 1
    Settings = Settings

    def __init__(self, settings, context):
        self.settings, self.context = settings, context
        self.capabilities = Capabilities(lease_s=settings.lease_s)

    @hookimpl
    def awf_mq_open(self): self.opened = True
    @hookimpl
    def awf_mq_close(self): pass
    @hookimpl
    def awf_mq_ensure(self, queue, role, dead_letter): pass
    @hookimpl
    def awf_mq_consume(self, queue, limit, wait_s): return []
    @hookimpl
    def awf_mq_interrupt(self): pass
    @hookimpl
    def awf_mq_publish(self, messages): return [None for _ in messages]
    @hookimpl
    def awf_mq_ack(self, acks): return [None for _ in acks]
    @hookimpl
    def awf_mq_nack(self, nacks): return [None for _ in nacks]
    @hookimpl
    def awf_mq_dead_letter(self, dead_letters): return [None for _ in dead_letters]
    @hookimpl
    def awf_mq_extend(self, deliveries): return []
    @hookimpl
    def awf_mq_stats(self, queue): return Stats(ready=7)
"""


@dataclass
class Packages:
    """Installs packages into a directory on `sys.path`."""

    site: Path
    modules: list[str] = field(default_factory=list)

    def install(
        self,
        name: str,
        *,
        source: str = BACKEND,
        version: str = "1.0",
        value: str = "{module}:Backend",
        requires: Sequence[str] = (),
        **groups: str,
    ) -> str:
        """Install distribution `name` with one module of `source`; returns the module's name.

        `groups` maps a group's key (`mq`, `env`, `plugins`) to the entry point's name; its value is `value`.
        """
        module = f"fake_{name.replace('-', '_')}_{next(_NUMBERS)}"
        (self.site / f"{module}.py").write_text(source)
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
        points = {"mq": "awf.mq", "env": "awf.mq.env", "plugins": "awf.plugins", "scripts": "console_scripts"}
        lines = [f"[{points[key]}]\n{entry} = {value.format(module=module)}\n" for key, entry in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        self.modules.append(module)
        importlib.invalidate_caches()
        return module


@pytest.fixture(autouse=True)
def only_the_core_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the project's own plugins, which a developer's environment has, is seen: only what a test installs."""
    from importlib.metadata import EntryPoints, entry_points

    def seen(**conditions: str) -> EntryPoints:
        return EntryPoints(
            point
            for point in entry_points(**conditions)
            if point.dist is not None
            and (point.dist.name == "awf-core" or tmp_path in Path(str(point.dist.locate_file(""))).parents)
        )

    for module in (loader_module, backend_names_module):
        monkeypatch.setattr(module, "entry_points", seen)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    installed = Packages(site=site)
    yield installed
    for module in installed.modules:
        sys.modules.pop(module, None)


@pytest.fixture
def changed() -> Callable[[str, str], str]:
    """The source of a good backend with one piece of it replaced."""

    def change(old: str, new: str) -> str:
        assert old in BACKEND
        return BACKEND.replace(old, new)

    return change
