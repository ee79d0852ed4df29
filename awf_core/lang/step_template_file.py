"""A step template as it is written in its file. Read by `step_templates`. Unknown keys are ignored, as in workflows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.errors import SystemFailure
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.model import TERMINAL, RetryRule, TemplateRef
from awf_core.lang.problems import LoadError, Problem, StepProblem
from awf_core.lang.retry_rule import read_retry
from awf_core.lang.states import read_template_ref
from awf_core.lang.step_types import LANGUAGE_TYPES
from awf_core.lang.yaml_decode import MAX_BYTES, is_null, read_yaml
from awf_core.yaml.nodes import Node, YamlError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

READ_FAILED = "SYSTEM.IO.READ_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryState:
    """The state of a template that others are filled in from. `template`: it is filled in from another one itself."""

    command: str
    dir: str = ""
    timeout_s: int = 0
    retry: RetryRule | None = None
    template: TemplateRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """A template: its name, its parameters, the one state of it that counts."""

    name: str
    primary: PrimaryState
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()


def read_template_file(path: Path) -> TemplateFile:
    """The template in `path`. Raises LoadError for its content, SystemFailure when it can't be read."""
    try:
        with path.open("rb") as file:
            root = read_yaml(file.read(MAX_BYTES + 1))
        return _template(Fields(Node("map", "", 0) if root is None or is_null(root) else root, path=""), path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SystemFailure(f"failed to read step template: {path}: {reason}", code=READ_FAILED) from error
    except YamlError as error:
        raise LoadError(path, [Problem(message=error.text, line=error.line)]) from error
    except StepProblem as raised:
        raise LoadError(path, [Problem(message=raised.text, line=getattr(raised, "line", 0))]) from raised


def _template(fields: Fields, path: Path) -> TemplateFile:
    name = fields.text("name")
    if not name:
        raise StepProblem("template name is required", hint="Add `name:` to the file.")
    parameters = fields.each("parameters", "repository.yamlTemplateParam")
    names = [parameter.text("name") for parameter in parameters]
    _check_parameters(names)
    values = {written: parameter.raw("default") for written, parameter in zip(names, parameters, strict=True)}
    return TemplateFile(
        name=name,
        primary=_primary(fields, name, path),
        defaults={written: value for written, value in values.items() if value is not None},
        required=tuple(parameter.text("name") for parameter in parameters if parameter.flag("required")),
    )


def _check_parameters(names: list[str]) -> None:
    for index, name in enumerate(names):
        if not name:
            raise StepProblem("parameter name is required")
        if name in names[:index]:
            raise StepProblem(f"duplicate parameter name: {name}")


def _primary(fields: Fields, template: str, path: Path) -> PrimaryState:
    states = fields.nested("states", "repository.yamlStates")
    entries = [] if states is None else [entry for entry in states.entries() if entry[0] != "initial"]
    if not entries:
        raise StepProblem("template must define at least one state")
    name, line, node = next((entry for entry in entries if entry[0] == template), entries[0])
    known = frozenset(entry[0] for entry in entries)
    state = StateFields(node, name=name, line=line, source=path, state_names=known)
    if state.type.lower() not in LANGUAGE_TYPES - {TERMINAL}:
        raise StepProblem(f"step '{name}': unknown step type: {state.type}")
    return PrimaryState(
        command=state.text("command"),
        dir=state.text("dir"),
        timeout_s=max(0, state.duration_s("timeout") or 0),
        retry=read_retry(state),
        template=read_template_ref(state),
    )
