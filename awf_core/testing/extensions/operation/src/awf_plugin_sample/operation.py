"""The operation. One object serves all runs and threads: keep no data of a run in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awf_core.extensions.operations import OperationFailed, OperationResult
from awf_core.extensions.outward import OutwardContext


class Count:
    """`operation: sample.count` with the input `text`. Its outputs are `words` and `characters`."""

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Called at every visit of a state. The templates in `inputs` are filled in.

        Return soon after `context.deadline` is over, and put no secret into an error or a log line.
        """
        text = inputs.get("text")
        if not isinstance(text, str):
            raise OperationFailed(f"sample.count: `text` must be a text, not {type(text).__name__}")
        if not text.strip():
            context.log("warn", "sample.count: the text has no words")
        return OperationResult(outputs={"words": len(text.split()), "characters": len(text)})
