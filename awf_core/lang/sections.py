"""The sections of a workflow file beside its states: `inputs:`, `outputs:`, `hooks:`, `unsafe_inputs:`.

Called by the loader, which compiles the templates here and runs nothing. What a definition of an input demands of a
value is in `inputs.py`. `outputs:` and `unsafe_inputs:` are extensions of the language: another shape of them is
ignored with a warning.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from awf_core.lang.fields import Fields
from awf_core.lang.findings import Findings
from awf_core.lang.model import HookAction, InputDefinition, OutputDefinition, WorkflowHooks
from awf_core.lang.templates import compile_template


def read_inputs(fields: Fields, findings: Findings) -> tuple[InputDefinition, ...]:
    """The definitions in order. One without a name can't be given a value: it is left out, with a warning."""
    definitions = []
    for entry in fields.each("inputs", "repository.yamlInput"):
        if entry.text("name"):
            definitions.append(_input_definition(entry))
        else:
            findings.warn(f"{entry.path}: ignored: it has no name", line=entry.line)
    return tuple(definitions)


def _input_definition(entry: Fields) -> InputDefinition:
    rules = entry.nested("validation", "repository.yamlInputValidation")
    default = entry.raw("default")
    definition = InputDefinition(
        name=entry.text("name"),
        type=entry.text("type"),
        description=entry.text("description"),
        required=entry.flag("required"),
        default=default,
        # A default of null is none: the original does not distinguish the two.
        has_default=default is not None,
    )
    return definition if rules is None else _with_rules(definition, rules)


def _with_rules(definition: InputDefinition, rules: Fields) -> InputDefinition:
    return replace(
        definition,
        pattern=rules.text("pattern") or None,
        enum=rules.list_of_text("enum"),
        minimum=rules.integer("min"),
        maximum=rules.integer("max"),
        file_exists=rules.flag("file_exists"),
        file_extension=rules.list_of_text("file_extension"),
    )


_EXPECTED = "expected a list of `{name: x, from: states.<state>.<property>}`"
_MIN_PARTS = 3


def read_outputs(fields: Fields, states: Collection[str], findings: Findings) -> tuple[OutputDefinition, ...]:
    """The outputs in order; of two with one name the later counts. Never raises for a shape it does not know."""
    entries = fields.raw("outputs")
    if entries is None:
        return ()
    line = fields.line_of("outputs")
    if not isinstance(entries, list):
        findings.warn(f"outputs: ignored: {_EXPECTED}", line=line)
        return ()
    found: dict[str, OutputDefinition] = {}
    for index, entry in enumerate(entries):
        definition, refusal = _output_definition(entry, states)
        if definition is None:
            findings.warn(f"outputs[{index}]: ignored: {refusal}", line=line)
        else:
            found[definition.name] = definition
    return tuple(found.values())


def _output_definition(entry: Any, states: Collection[str]) -> tuple[OutputDefinition | None, str]:
    if not isinstance(entry, dict):
        return None, _EXPECTED
    name, source = entry.get("name"), entry.get("from")
    if not isinstance(name, str) or not name or not isinstance(source, str):
        return None, _EXPECTED
    parts = tuple(source.strip().split("."))
    if len(parts) < _MIN_PARTS or parts[0] != "states" or "" in parts:
        return None, f"'{source}' is not `states.<state>.<property>`"
    if parts[1] not in states:
        return None, f"'{source}' names the unknown state '{parts[1]}'"
    return OutputDefinition(name=name, source=parts), ""


def read_unsafe_inputs(fields: Fields, findings: Findings) -> bool:
    """Whether the workflow lets a message insert anything into its shell text: `unsafe_inputs: allow`."""
    written = fields.raw("unsafe_inputs")
    if written not in (None, "allow", "refuse"):
        findings.warn("unsafe_inputs: ignored: expected `allow` or `refuse`", line=fields.line_of("unsafe_inputs"))
    return bool(written == "allow")


_ACTION = "repository.yamlHookAction"


def read_workflow_hooks(fields: Fields) -> WorkflowHooks:
    """The four hooks of a workflow, empty where not written."""
    hooks = fields.nested("hooks", "repository.yamlWorkflowHooks")
    if hooks is None:
        return WorkflowHooks()
    return WorkflowHooks(
        start=_actions(hooks, "workflow_start"),
        end=_actions(hooks, "workflow_end"),
        error=_actions(hooks, "workflow_error"),
        cancel=_actions(hooks, "workflow_cancel"),
    )


def read_state_hooks(fields: Fields) -> tuple[tuple[HookAction, ...], tuple[HookAction, ...]]:
    """The `pre` and `post` actions of a state."""
    hooks = fields.nested("hooks", "repository.yamlStepHooks")
    return ((), ()) if hooks is None else (_actions(hooks, "pre"), _actions(hooks, "post"))


def _actions(hooks: Fields, key: str) -> tuple[HookAction, ...]:
    read = (_action(entry) for entry in hooks.each(key, _ACTION))
    return tuple(action for action in read if action is not None)


def _action(entry: Fields) -> HookAction | None:
    if text := entry.text("log"):
        return HookAction(kind="log", text=compile_template(text))
    if text := entry.text("command"):
        return HookAction(kind="command", text=compile_template(text))
    return None
