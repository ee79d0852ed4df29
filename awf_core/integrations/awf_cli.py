"""The `awf-cli` executor: the original tool's `awf run`, for what this package leaves to it.

Registered by `awf_core.integrations`. It runs in a storage directory of its own, from which the records of the run are
read. Inside such a run it refuses to start another: the tools would call each other without end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from awf_core.clock import Clock, SystemClock
from awf_core.engine.process.captured import OutputLimit
from awf_core.engine.process.run_process import run_process
from awf_core.engine.records.paths import data_dir
from awf_core.errors import ConfigError, InputError, SystemFailure
from awf_core.extensions.executors import ExecutionRequest
from awf_core.extensions.results import Run
from awf_core.integrations.awf_cli_result import Timing, import_records, run_of
from awf_core.lang.untrusted import UNPASSABLE_INPUT

NAME = "awf-cli"
MARKER = "AWF_INSIDE_AWF_CLI"
"""Set in what this executor starts."""

_FILE_PREFIX = "@prompts/"
_NOT_VALID = "USER.INPUT.VALIDATION_FAILED"
PROGRAM = "awf"
_OURS = b"awf_core"
_HEAD_BYTES = 4096


class AwfCli:
    """Starts the original tool for each run. Thread-safe.

    `program` is `executor_path`, None = the first one on PATH. `cwd` and `env` None = those of this process.
    """

    def __init__(
        self,
        program: str | None = None,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._program = program
        self._cwd = cwd or Path.cwd()
        self._env = os.environ if env is None else env
        self._clock = clock or SystemClock()

    def configured(self, program: str | None, cwd: Path, env: Mapping[str, str]) -> AwfCli:
        """The executor for a project. See `Executor`."""
        return AwfCli(program, cwd=cwd, env=env, clock=self._clock)

    def check(self) -> None:
        """See `Executor.check`."""
        if self._env.get(MARKER):
            raise ConfigError(
                "executor 'awf-cli' is not started from inside a run of its own: the two tools would call each other "
                "without end",
                hint="Let the inner workflow run here: set `executor: builtin` for it.",
            )
        find_awf(self._program, cwd=self._cwd, env=self._env)

    def execute(self, request: ExecutionRequest) -> Run:
        """See `Executor.execute`."""
        self.check()
        program = find_awf(self._program, cwd=self._cwd, env=self._env)
        with _storage(request) as storage:
            timing = Timing(self._clock)
            finished = run_process(
                [str(program), *arguments(request, storage)],
                env={os.fsencode(name): os.fsencode(value) for name, value in {**request.env, MARKER: "1"}.items()},
                cwd=str(request.cwd),
                timeout_s=None,
                cancel=request.cancel,
                output_limit=OutputLimit(max_bytes=request.max_output_bytes),
            )
            if finished.is_unpassable:
                text = f"executor 'awf-cli': {finished.problem}: the inputs are too large for a process"
                raise InputError(text, code=UNPASSABLE_INPUT)
            if finished.end == "not_started":
                raise SystemFailure(f"executor 'awf-cli': {finished.problem}", hint=f"Is {program} a program?")
            run = run_of(request, finished, storage / "states", timing)
            if request.storage is not None:
                import_records(storage, request.storage)
        return run


def arguments(request: ExecutionRequest, storage: Path) -> list[str]:
    """What the tool is called with. Raises InputError for an input it would take for something else."""
    given = [argument for name, value in request.inputs.items() for argument in ("--input", _pair(name, value))]
    return ["run", "--storage", str(storage), "--format", "json", "--no-color", *given, "--", request.workflow]


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
def _storage(request: ExecutionRequest) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="awf-cli-", dir=request.env.get("TMPDIR") or None) as directory:
        storage = Path(directory)
        plugins = data_dir(request.env) / "plugins"
        if plugins.is_dir():
            # The tool stores beside the records which plugins are enabled, and that has to hold here as well.
            (storage / "plugins").symlink_to(plugins)
        yield storage


def find_awf(named: str | None, *, cwd: Path, env: Mapping[str, str]) -> Path:
    """The program `named` in the configuration, relative to `cwd`, or the first `awf` on PATH that is not ours.

    Raises ConfigError where there is none.
    """
    if named is not None:
        return _named(cwd / Path(named).expanduser())
    for directory in env.get("PATH", "").split(os.pathsep):
        found = shutil.which(PROGRAM, path=str(cwd / directory)) if directory else None
        if found is not None and not is_ours(Path(found)):
            return Path(found)
    raise ConfigError(
        "executor 'awf-cli': no `awf` of the original tool on PATH",
        hint="Install it (https://github.com/awf-project/cli), or name it in the configuration: "
        "`executor_path: /path/to/awf`.",
    )


def _named(path: Path) -> Path:
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ConfigError(
            f"executor_path: {path} is no program that can be run",
            hint="Name the original tool's `awf`, and make it executable.",
        )
    if is_ours(path):
        raise ConfigError(
            f"executor_path: {path} is this very command, not the original tool",
            hint="Name the original tool's `awf`, or leave the key out to have the first one on PATH.",
        )
    return path


def is_ours(path: Path) -> bool:
    """Whether the program at `path` is this package's command: a script that names the package, or this process's."""
    try:
        if path.resolve() == Path(sys.argv[0]).resolve():
            return True
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"#!") and _OURS in head
