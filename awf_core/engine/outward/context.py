"""What an operation or an agent provider may use while a step waits for it.

Made by the steps `operation` and `agent`, handed to the registered implementations, a plugin's included. A value: it
holds nothing that outlives the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from awf_core.engine.allowance import Allowance
    from awf_core.engine.hooks import Log
    from awf_core.engine.steps.context import StepContext


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardContext:
    """The surroundings of one call.

    step         the state's name
    cwd          the run's working directory
    env          the environment as templates see it; for reading settings
    process_env  the same as bytes, for programs that are started
    allowance    time left and cancel: look at it whenever you wait, and end soon after it is over
    log          a line for the run's log: ("info" | "warn", text)
    on_output    gets ("stdout" | "stderr", bytes) as they come; None = nobody is watching
    """

    step: str
    cwd: Path
    env: Mapping[str, str]
    process_env: Mapping[bytes, bytes]
    allowance: Allowance
    log: Log
    on_output: Callable[[str, bytes], None] | None = None


def outward_context(step: str, context: StepContext) -> OutwardContext:
    """The surroundings of a call made by state `step`. Programs get the process's environment, not the inputs."""
    execution = context.execution
    return OutwardContext(
        step=step,
        cwd=execution.cwd,
        env=execution.env,
        process_env=execution.hook_env,
        allowance=context.allowance,
        log=context.log,
        on_output=context.on_output,
    )
