"""Step templates: `.awf/templates/<name>.yaml`, from which a state with `use_template` is filled in.

Called by the engine at the start of a run. It reads template files, each again only when it changes, and works out
what a state gets from them; putting that into the state is up to the state's type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awf_core.errors import AwfError
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed
from awf_core.lang.step_template_file import PrimaryState, TemplateFile, read_template_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.lang.model import RetryRule, TemplateRef

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
        """What `ref` gives, templates of templates included; files are looked for under `cwd`.

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
                f"load template {name}: template {quoted(name)} not found", hint=f"It would be {path}."
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
