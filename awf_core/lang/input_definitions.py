"""The `inputs:` of a workflow, read into definitions.

Called by the loader. What a definition demands of a value is in `inputs.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.lang.model import InputDefinition

if TYPE_CHECKING:
    from awf_core.lang.fields import Fields
    from awf_core.lang.findings import Findings


def read_inputs(fields: Fields, findings: Findings) -> tuple[InputDefinition, ...]:
    """The definitions in order. One without a name can't be given a value: it is left out, with a warning."""
    definitions = []
    for entry in fields.each("inputs", "repository.yamlInput"):
        if entry.text("name"):
            definitions.append(_definition(entry))
        else:
            findings.warn(f"{entry.path}: ignored: it has no name", line=entry.line)
    return tuple(definitions)


def _definition(entry: Fields) -> InputDefinition:
    rules = entry.nested("validation", "repository.yamlInputValidation")
    default = entry.raw("default")
    definition = InputDefinition(
        name=entry.text("name"),
        type=entry.text("type"),
        description=entry.text("description"),
        required=entry.flag("required"),
        default=default,
        # A default of null is none: the original can't tell the two apart.
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
