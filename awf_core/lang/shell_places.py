"""The templates of a workflow whose text goes to a shell. Called by `awf validate` and for external executors.

Reads the scripts that a workflow names outright, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from awf_core.lang.lint_references import Written
from awf_core.lang.model import Workflow
from awf_core.lang.step_types import COMMAND_TYPES
from awf_core.lang.templates import Template, compile_template

_MAX_SCRIPT_BYTES = 1024 * 1024


def shell_templates(workflow: Workflow, written: Iterable[Written]) -> Iterator[tuple[Template, Written]]:
    """Each template, and where it stands."""
    for one in written:
        if one.key == "command" and (one.hook or (one.state is not None and one.state.type.lower() in COMMAND_TYPES)):
            yield one.template, one
        elif one.key == "script_file" and (script := _script(workflow, one.template)) is not None:
            yield script, one


def _script(workflow: Workflow, name: Template) -> Template | None:
    """The content of a script that is named outright; None for one that can't be read here, or is for no shell."""
    if "{{" in name.text or name.text.startswith("~"):
        return None
    path = workflow.source.parent / Path(name.text)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SCRIPT_BYTES).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None
    return None if content.startswith("#!") and "sh" not in content.partition("\n")[0] else compile_template(content)
