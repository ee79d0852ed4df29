"""Load the whole configuration: flags over environment over file over defaults. Called once by every queue command.

Raises ConfigError with all problems of `mq:` at once, each with file, line, key, value and what is allowed.
Connects to nothing and imports no backend; sections of backends that aren't chosen are not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from awf_core.config.backend_names import OTHER_NAMES, section_names, twin
from awf_core.config.did_you_mean import did_you_mean
from awf_core.config.model import MqSettings
from awf_core.config.origins import Origin
from awf_core.config.project import Project, load_project
from awf_core.config.section import Filled, Places, fill, variables
from awf_core.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
NO_OVERRIDES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of one process; frozen and safe to share.

    directory   the `.awf` directory of the file, or where the file would be; relative paths of settings start there
    origins     where each value under `mq:` came from, by dotted key
    warnings    sentences for the user: what is ignored, and why
    """

    mq: MqSettings
    project: Project
    places: Places
    filled: Filled[MqSettings]
    warnings: tuple[str, ...] = ()

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Default inputs of the project; values keep their types."""
        return self.project.inputs

    @property
    def notify_backend(self) -> str | None:
        """`notify.default_backend`."""
        return self.project.notify_backend

    @property
    def file(self) -> Path | None:
        """The file that was read, None where there is none."""
        return self.project.file

    @property
    def directory(self) -> Path:
        """The `.awf` directory."""
        return self.project.directory

    @property
    def origins(self) -> Mapping[str, Origin]:
        """The origin of every value under `mq:` that isn't a backend's."""
        return self.filled.origins

    def section(self, backend: str) -> Mapping[str, Any]:
        """What the file says under `mq.<backend>:`, unchecked; empty where it says nothing."""
        values = (self.places.document.values.get("mq") or {}).get(backend)
        return values if isinstance(values, Mapping) else {}

    def backend_settings(self, backend: str, model: type[M], *, aliases: Mapping[str, str] | None = None) -> Filled[M]:
        """The checked section of `backend`: file, AWF_MQ_<BACKEND>_*, `aliases` (variable -> key) and flags.

        Raises ConfigError with every problem in it.
        """
        return fill(model, ("mq", backend), self.places, aliases=aliases)


def load_config(*, cwd: Path, env: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES) -> Config:
    """The configuration that applies in `cwd`. `overrides` maps dotted keys to values or `Flag`s; None = not given.

    Raises ConfigError (exit 2).
    """
    project = load_project(cwd=cwd, env=env)
    if project.missing:
        raise ConfigError(
            f"AWF_CONFIG_PATH: {project.missing} does not exist", hint="create the file or unset the variable"
        )
    places = Places(document=project.document, env=env, flags=overrides)
    backends = section_names()
    filled = fill(MqSettings, ("mq",), places, reserved=backends)
    warnings = (*project.warnings, *_unknown_variables(env, backends))
    return Config(mq=filled.settings, project=project, places=places, filled=filled, warnings=warnings)


def _unknown_variables(env: Mapping[str, str], backends: frozenset[str]) -> list[str]:
    """Variables under AWF_MQ_ that no setting reads. The choice of a backend checks those that end in _URL."""
    known = set(variables(MqSettings, ("mq",)))
    sections = tuple(twin("mq", name) + "_" for name in (*backends, *OTHER_NAMES))
    return [
        f"{name}: unknown variable is ignored.{did_you_mean(name, known)}"
        for name in sorted(env)
        if name.startswith("AWF_MQ_")
        and name not in known
        and not name.startswith(sections)
        and not name.endswith("_URL")
    ]


def unknown_section_variables(config: Config, backend: str, model: type[BaseModel]) -> list[str]:
    """Variables of the chosen backend's section that its settings don't have, as warnings."""
    known = set(variables(model, ("mq", backend)))
    prefix = twin("mq", backend) + "_"
    return [
        f"{name}: unknown variable is ignored.{did_you_mean(name, known)}"
        for name in sorted(config.places.env)
        if name.startswith(prefix) and name not in known
    ]
