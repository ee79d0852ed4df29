"""Whether an external executor may insert the inputs of a message into the commands of a workflow.

Called by the worker before it gives a message to such a program, which inserts inputs as they are. What only the run
knows, such as the items of a loop, is not known here: then no input passes that a shell would not take for a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from awf_core.errors import AwfError
from awf_core.lang.lint import written_templates
from awf_core.lang.model import Workflow
from awf_core.lang.scope import Scope
from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell_places import shell_templates
from awf_core.lang.shell_text import UnsafeInput, check_values
from awf_core.lang.templates import Template, compile_template
from awf_core.lang.templates.insertions import Insertion
from awf_core.lang.untrusted import Untrusted, env_text, untrusted_inputs

_PLACEHOLDER = "x"
_QUOTED_BY_ORIGINAL = re.compile(r"[ \t\n\"'\\$`!*?\[\](){}<>|&;]")
"""What makes the `escape` of the original tool quote a value; others stay bare, so they are judged as bare ones."""


def check_external(workflow: Workflow, inputs: Mapping[str, Any], given: Mapping[str, Any], *, message_id: str) -> None:
    """Raises UnsafeInput if a command of `workflow` would insert what a shell reads as syntax.

    `inputs` are all inputs of the run, `given` those that the message gives.
    `message_id` is in the environment of the run, where templates can read it.
    """
    untrusted = untrusted_inputs(given, message_id=message_id)
    if workflow.allows_unsafe_inputs or not (untrusted.inputs or untrusted.texts):
        return
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in inputs.items()}
    scope = Scope(inputs=texts, env={"AWF_MESSAGE_ID": env_text(message_id)}, untrusted=untrusted)
    for template, _ in shell_templates(workflow, written_templates(workflow)):
        _check(template, scope, untrusted)


def _check(template: Template, scope: Scope, untrusted: Untrusted) -> None:
    text, found = "", list[tuple[Value, Insertion]]()
    for piece in template.pieces():
        if isinstance(piece, str):
            text += piece
            continue
        filled = _filled(piece, scope)
        if piece.is_from(untrusted, template.text, filled or ""):
            if filled is None and (untrusted.texts or untrusted.is_countless):
                raise UnsafeInput(piece, "is not known before the run", "let an executor run it that can check it")
            is_quoted = False
            if filled is not None and piece.is_escaped:
                filled, is_quoted = _escaped_by_original(filled)
            end = len(text) + len(filled or _PLACEHOLDER)
            found.append((Value(len(text), end, is_escaped=is_quoted), piece))
        text += filled or _PLACEHOLDER
    check_values(text, found)


def _escaped_by_original(word: str) -> tuple[str, bool]:
    """What the original makes of the value of which our `escape` has made `word`, and whether it quotes it."""
    value = word[1:-1].replace("'\\''", "'") if word.startswith("'") else word
    return (word, True) if not value or _QUOTED_BY_ORIGINAL.search(value) else (value, False)


def _filled(piece: Insertion, scope: Scope) -> str | None:
    """What is inserted, None if that is not known yet."""
    if not piece.is_at_root:
        return None
    try:
        return compile_template(f"{{{{{piece.pipeline.text()}}}}}").render(scope)
    except AwfError:
        return None
