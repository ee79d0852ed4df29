"""What an operation or an agent provider may use while a step waits for it.

Made by the steps `operation` and `agent`. A value: it holds nothing of the run, and nothing that outlives the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from awf_core.extensions.deadline import Deadline

Level = Literal["info", "warn"]
Log = Callable[[Level, str], None]
OnOutput = Callable[[str, bytes], None]
"""Gets ("stdout" | "stderr", bytes) as they come, on the thread that runs the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardContext:
    """What one call may use.

    step         the state's name
    cwd          the run's working directory
    env          the environment as templates see it, in a worker a list of variables; read settings from it
    process_env  the same as bytes, for programs that are started
    deadline     time left and cancel: check it before each wait, and return soon after it is over
    log          a line for the run's log: ("info" | "warn", text)
    on_output    gets output as it comes; None = the caller does not watch
    settings     the project's settings for built-in operations, by key: `notify.default_backend`
    max_output_bytes   how much of each output of a program to keep, its beginning and its end; None = all
    """

    step: str
    cwd: Path
    env: Mapping[str, str]
    process_env: Mapping[bytes, bytes]
    deadline: Deadline
    log: Log
    on_output: OnOutput | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    max_output_bytes: int | None = None
