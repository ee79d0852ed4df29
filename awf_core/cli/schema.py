"""`awf schema`: print the JSON Schema of a message or a result."""

from __future__ import annotations

from typing import Any

import rich_click as click

from awf_core.cli.output import print_json

TEXT = {"type": "string"}
OPTIONAL_TEXT = {"type": ["string", "null"]}
MOMENT = {"type": "string", "format": "date-time"}

MESSAGE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "AWF message",
    "description": "What a producer publishes. Only `workflow` is required; unknown keys are kept and ignored.",
    "type": "object",
    "required": ["workflow"],
    "properties": {
        "workflow": {
            "type": "string",
            "minLength": 1,
            "pattern": r"\S",
            "description": "Name of a workflow in the worker's workflow directories; never a path.",
        },
        "id": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": 255,
            "description": "The producer's id; absent: the broker's, else a generated one.",
        },
        "inputs": {
            "type": ["object", "null"],
            "description": "Inputs the workflow declares. Values keep their JSON types.",
        },
        "reply_to": {
            "type": ["string", "null"],
            "description": "Queue for the result; absent: no result is published.",
        },
        "metadata": {
            "type": ["object", "null"],
            "description": "Returned unchanged in the result. Its `correlation_id` becomes that of the reply.",
        },
        "schema": {"enum": [1, None], "description": "Version of this schema; reserved."},
        "not_before": {"description": "Reserved."},
        "expires_at": {"description": "Reserved."},
        "priority": {"description": "Reserved."},
    },
}

_RESULT_PROPERTIES: dict[str, Any] = {
    "type": {"const": "awf.result", "description": "Marks a result: no worker runs it as a message."},
    "id": {**TEXT, "description": "The result's own id."},
    "message_id": TEXT,
    "workflow": {**OPTIONAL_TEXT, "description": "As the message named it; null where it could not be read."},
    "status": {
        "enum": ["completed", "failed", "cancelled", "rejected"],
        "description": "`rejected`: nothing ran (malformed, unknown workflow, invalid inputs).",
    },
    "exit_code": {"type": "integer", "description": "As `awf run` would exit: 0, or 1 to 4 by class of failure."},
    "output": {**TEXT, "description": "Output of the last state that ran, cut at mq.result.max_output_bytes."},
    "outputs": {"type": "object", "description": "What the workflow's `outputs:` list names."},
    "error": {
        "type": ["object", "null"],
        "required": ["code", "message", "state"],
        "properties": {"code": OPTIONAL_TEXT, "message": TEXT, "state": OPTIONAL_TEXT},
    },
    "attempt": {"type": "integer", "minimum": 1},
    "dead_lettered": {"type": "boolean"},
    "run_id": OPTIONAL_TEXT,
    "started_at": MOMENT,
    "finished_at": MOMENT,
    "duration_ms": {"type": "integer", "minimum": 0},
    "worker": TEXT,
    "metadata": {"type": "object"},
}
RESULT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "AWF result",
    "description": "What is published to `reply_to`: one result for each message, for its last attempt.",
    "type": "object",
    "required": list(_RESULT_PROPERTIES),
    "additionalProperties": False,
    "properties": _RESULT_PROPERTIES,
}


@click.command()
@click.argument("what", type=click.Choice(["message", "result"]), default="message")
def schema_command(what: str) -> None:
    """Print the JSON Schema of a `message` (the default) or a `result`."""
    print_json(MESSAGE if what == "message" else RESULT)
