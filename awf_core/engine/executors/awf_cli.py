"""The `awf-cli` executor: the original tool's `awf run`, for what this package leaves to it.

It runs in a storage directory of its own, from which what it recorded of the run is read back. One that was started
by such a run refuses to start another: the tools would call each other without end.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awf_core.clock import SystemClock
from awf_core.engine.executors.awf_cli_run import Timing, run_of
from awf_core.engine.executors.find_awf import find_awf
from awf_core.engine.executors.keep import keep_records
from awf_core.engine.process import run_process
from awf_core.engine.records.places import data_dir
from awf_core.errors import ConfigError, InputError, SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from awf_core.clock import Clock
    from awf_core.engine.executors import Order
    from awf_core.engine.record import Run

NAME = "awf-cli"
MARKER = "AWF_INSIDE_AWF_CLI"
"""Set in what this executor starts."""

_FILE_PREFIX = "@prompts/"
_NOT_VALID = "USER.INPUT.VALIDATION_FAILED"


class AwfCli:
    """Starts the original tool for each run. `program` is `executor_path`, None = looked for on PATH."""

    def __init__(self, program: str | None, *, cwd: Path, env: Mapping[str, str], clock: Clock | None = None) -> None:
        self._program = program
        self._cwd = cwd
        self._env = env
        self._clock = clock or SystemClock()

    def check(self) -> None:
        """See `Executor.check`."""
        if self._env.get(MARKER):
            raise ConfigError(
                "executor 'awf-cli' is not started from inside a run of its own: the two tools would call each other "
                "without end",
                hint="Let the inner workflow run here: set `executor: builtin` for it.",
            )
        find_awf(self._program, cwd=self._cwd, env=self._env)

    def execute(self, order: Order) -> Run:
        """See `Executor.execute`."""
        self.check()
        program = find_awf(self._program, cwd=self._cwd, env=self._env)
        with _storage(order) as storage:
            timing = Timing(self._clock)
            finished = run_process(
                [str(program), *arguments(order, storage)],
                env=_environment(order),
                cwd=str(order.cwd),
                timeout_s=None,
                cancel=order.cancel,
            )
            if finished.end == "not_started":
                raise SystemFailure(f"executor 'awf-cli': {finished.problem}", hint=f"Is {program} a program?")
            run = run_of(order, finished, storage / "states", timing)
            if order.storage is not None:
                keep_records(storage, order.storage)
        return run


def arguments(order: Order, storage: Path) -> list[str]:
    """What the tool is called with. Raises InputError for an input it would take for something else."""
    given = [argument for name, value in order.inputs.items() for argument in ("--input", _pair(name, value))]
    return ["run", "--storage", str(storage), "--format", "json", "--no-color", *given, "--", order.workflow]


def _pair(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.strip().startswith(_FILE_PREFIX):
        raise InputError(
            f"inputs.{name}: the original tool would put the file {text.strip()!r} in its place",
            hint="Values that begin with '@prompts/' can't be passed on.",
            code=_NOT_VALID,
        )
    if "\0" in name + text or "=" in name:
        raise InputError(f"inputs.{name!r}: holds what no argument of a program can", code=_NOT_VALID)
    return f"{name}={text}"


@contextmanager
def _storage(order: Order) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="awf-cli-", dir=order.env.get("TMPDIR") or None) as directory:
        storage = Path(directory)
        plugins = data_dir(order.env) / "plugins"
        if plugins.is_dir():
            # Which plugins are enabled is kept beside the records, and has to hold here as well.
            (storage / "plugins").symlink_to(plugins)
        yield storage


def _environment(order: Order) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in {**order.env, MARKER: "1"}.items()}
