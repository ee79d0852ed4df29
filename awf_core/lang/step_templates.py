"""Step templates: `.awf/templates/<name>.yaml`, from which a state with `use_template` is filled in.

Called by the engine at the start of a run. It reads template files, each again only when it changes, and works out
what a state gets from them; putting that into the state is up to the state's type. Unknown keys are ignored, as in
workflows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from awf_core.errors import AwfError, SystemFailure
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed
from awf_core.lang.model import TERMINAL, RetryRule, TemplateRef
from awf_core.lang.problems import LoadError, Problem, StepProblem
from awf_core.lang.states import read_retry, read_template_ref
from awf_core.lang.step_types import LANGUAGE_TYPES
from awf_core.lang.yaml_decode import MAX_BYTES, is_null, read_yaml
from awf_core.yaml.nodes import Node, YamlError

TEMPLATES_FOLDER = Path(".awf", "templates")
MAX_REMEMBERED = 256

Identity = tuple[int, int, int]


class TemplateProblem(AwfError):
    """A step template that is not there, or can't be filled in. How a run ends for it follows from its text."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a state gets from its template: the command always, the rest where it says nothing itself."""

    command: str
    dir: str
    timeout_s: int
    retry: RetryRule | None


class StepTemplates:
    """The step templates of projects. Thread-safe; remembers files that it has read."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[Identity, TemplateFile]] = {}

    def fill(self, ref: TemplateRef, *, cwd: Path) -> Filled:
        """What `ref` gives, templates of templates included; files are searched under `cwd`.

        Raises TemplateProblem.
        """
        return self._fill(ref, cwd / TEMPLATES_FOLDER, ())

    def _fill(self, ref: TemplateRef, folder: Path, chain: tuple[str, ...]) -> Filled:
        if ref.name in chain:
            raise TemplateProblem(f"circular template reference detected: [{' '.join((*chain, ref.name))}]")
        template = self._load(ref.name, folder)
        values = _values(template, ref.parameters)
        state = template.primary
        if state.template is not None:
            state = _over(state, self._fill(state.template, folder, (*chain, ref.name)))
        return Filled(
            command=_substituted(state.command, values),
            dir=_substituted(state.dir, values),
            timeout_s=state.timeout_s,
            retry=state.retry,
        )

    def _load(self, name: str, folder: Path) -> TemplateFile:
        path = folder / f"{name}.yaml"
        identity = _identity(path)
        if identity is None:
            raise TemplateProblem(
                f"load template {name}: template {quoted(name)} not found", hint=f"Expected file: {path}."
            )
        known = self._files.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        try:
            template = read_template_file(path)
        except AwfError as problem:
            text = f"load template {name}: {problem.message}"
            raise TemplateProblem(text, hint=problem.hint, code=problem.code) from problem
        if len(self._files) >= MAX_REMEMBERED:
            self._files.clear()
        self._files[path] = (identity, template)
        return template


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _values(template: TemplateFile, given: Mapping[str, Any]) -> dict[str, str]:
    values = {**template.defaults, **given}
    for name in template.required:
        if name not in values:
            raise TemplateProblem(
                f"template {quoted(template.name)} missing required parameter {quoted(name)}",
                hint=f"Give `parameters: {{{name}: …}}` in the state.",
            )
    return {name: printed(value) for name, value in values.items()}


def _over(state: PrimaryState, inner: Filled) -> PrimaryState:
    """`state` of a template with what its own template gives."""
    return PrimaryState(
        command=inner.command,
        dir=state.dir or inner.dir,
        timeout_s=state.timeout_s or inner.timeout_s,
        retry=state.retry or inner.retry,
    )


def _substituted(text: str, values: Mapping[str, str]) -> str:
    if not values or "{{parameters." not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(values, key=len, reverse=True))
    return re.sub(rf"\{{\{{parameters\.({names})\}}\}}", lambda found: values[found[1]], text)


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
