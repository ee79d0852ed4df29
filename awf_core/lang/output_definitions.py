"""The `outputs:` of a workflow: what its result names.

Called by the loader. An addition to the language, which elsewhere ignores the key; so any other shape is ignored too,
with a warning and never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.lang.model import OutputDefinition

if TYPE_CHECKING:
    from collections.abc import Collection

    from awf_core.lang.fields import Fields
    from awf_core.lang.findings import Findings

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
        definition, refusal = _definition(entry, states)
        if definition is None:
            findings.warn(f"outputs[{index}]: ignored: {refusal}", line=line)
        else:
            found[definition.name] = definition
    return tuple(found.values())


def _definition(entry: Any, states: Collection[str]) -> tuple[OutputDefinition | None, str]:
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
