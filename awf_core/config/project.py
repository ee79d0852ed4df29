"""The parts of `.awf/config.yaml` that every command reads: inputs, notify, telemetry, executor.

Called by `awf run` and load.py. Follows the original tool: unknown keys only warn. `mq:` is not checked here, so that
a mistake there never stops `awf run`. Imports no pydantic: every command loads this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from awf_core.config.did_you_mean import did_you_mean
from awf_core.config.yaml_source import Document, read_document
from awf_core.errors import ConfigError

CONFIG_VARIABLE = "AWF_CONFIG_PATH"
TOP_KEYS = (
    "inputs",
    "notify",
    "telemetry",
    "executor",
    "executor_path",
    "mq",
    "version",
    "log_level",
    "output_format",
)
_NOTIFY_KEYS = ("default_backend",)
_TELEMETRY_KEYS = ("exporter", "service_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project's settings. `file` is None where there is none; `directory` is the `.awf` of the file, real or not.

    `missing` names a file that AWF_CONFIG_PATH points at and that doesn't exist. `executor` runs the workflows, None =
    our own engine; `executor_path` is its program.
    """

    document: Document
    directory: Path
    file: Path | None = None
    missing: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    notify_backend: str | None = None
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    executor: str | None = None
    executor_path: str | None = None
    warnings: tuple[str, ...] = ()


def load_project(*, cwd: Path, env: Mapping[str, str]) -> Project:
    """Read the project's file. Raises ConfigError naming file and line when it is unreadable or of the wrong shape.

    A missing file is an empty one, as in the original, with a warning where AWF_CONFIG_PATH named it.
    """
    path, label = _locate(cwd, env)
    if not path.exists():
        named = bool(env.get(CONFIG_VARIABLE))
        warnings = (f"{CONFIG_VARIABLE}: {label} does not exist; defaults are used",) if named else ()
        document = Document(label=label)
        return Project(document=document, directory=path.parent, missing=label if named else None, warnings=warnings)
    document = read_document(path, label=label)
    notify = _mapping(document, "notify")
    telemetry = _mapping(document, "telemetry")
    return Project(
        document=document,
        directory=path.parent,
        file=path,
        inputs=_mapping(document, "inputs"),
        notify_backend=_text(document, notify, ("notify", "default_backend")),
        telemetry=telemetry,
        executor=_text(document, document.values, ("executor",)),
        executor_path=_text(document, document.values, ("executor_path",)),
        warnings=tuple(_warnings(document, notify, telemetry)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorChoice:
    """The name of an executor, None = our own engine, and the place that says so."""

    name: str | None
    where: str = "executor"


def executor_choice(project: Project, workflow: str) -> ExecutorChoice:
    """The choice for `workflow`: its own rule, else that of the last glob that fits, else the project's.

    For commands that need no queue: what else is wrong under `mq:` never stops them.
    """
    chosen = ExecutorChoice(name=project.executor, where=f"{project.document.where(('executor',))}: executor")
    section = project.document.values.get("mq")
    rules = section.get("workflows") if isinstance(section, Mapping) else None
    if not isinstance(rules, Mapping):
        return chosen
    globs = [pattern for pattern in rules if pattern != workflow and fnmatchcase(workflow, str(pattern))]
    for pattern in [*globs, workflow]:
        rule = rules.get(pattern)
        name = rule.get("executor") if isinstance(rule, Mapping) else None
        if isinstance(name, str):
            path = ("mq", "workflows", pattern, "executor")
            chosen = ExecutorChoice(name=name, where=f"{project.document.where(path)}: {'.'.join(path)}")
    return chosen


def _locate(cwd: Path, env: Mapping[str, str]) -> tuple[Path, str]:
    given = env.get(CONFIG_VARIABLE)
    path = cwd / given if given else cwd / ".awf" / "config.yaml"
    return path, str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def _mapping(document: Document, key: str) -> Mapping[str, Any]:
    value = document.values.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{document.where((key,))}: {key}: not a mapping (allowed: keys, as in `{key}: {{a: 1}}`)")
    return value


def _text(document: Document, section: Mapping[str, Any], path: tuple[str, ...]) -> str | None:
    value = section.get(path[-1])
    if value is None or isinstance(value, str):
        return value
    raise ConfigError(f"{document.where(path)}: {'.'.join(path)}: {value!r} is not a text (put quotes around it)")


def _warnings(document: Document, notify: Mapping[str, Any], telemetry: Mapping[str, Any]) -> list[str]:
    groups = (
        ((), document.values, TOP_KEYS),
        (("notify",), notify, _NOTIFY_KEYS),
        (("telemetry",), telemetry, _TELEMETRY_KEYS),
    )
    return [
        f"{document.where((*path, key))}: unknown key {key!r} is ignored.{did_you_mean(key, known)}"
        for path, values, known in groups
        for key in values
        if key not in known
    ]
