"""What the steps of a worker see of the worker's environment: a list of variables, and never a setting of the queue.

Called by `build.py` at start. Pure, but that `step_environment` checks whether the shell exists.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from awf_core.engine.process.sweep import TOKEN_VARIABLE
from awf_core.errors import ConfigError
from awf_core.extensions.environment import read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.config.model import MqSettings
    from awf_core.extensions.environment import Environment

ALWAYS = ("PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "USER", "SHELL")
"""What every step gets of the worker's environment."""
MARKS = (TOKEN_VARIABLE, "AWF_INSIDE_AWF_CLI")
"""What marks a run that is inside of another one; no setting, and in no list that a user sees."""
SETTINGS = "AWF_MQ_*"
"""The settings of the queue, passwords among them: they reach no step, whatever names them."""
PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "AWF_CONFIG_HOME", "AWF_WORKFLOWS_PATH")
"""What an external executor gets beside that, so that it finds the same workflow files as the worker."""


def step_environment(env: Mapping[str, str], mq: MqSettings) -> Environment:
    """The environment of runs in a worker. Raises ConfigError for `mq.env.pass` or `mq.shell`."""
    reject_settings(mq.env.pass_)
    if not os.access(mq.shell, os.X_OK):
        raise ConfigError(f"mq.shell: {mq.shell} is no program that can be run", hint="leave it out to use /bin/sh")
    return read_environment(
        env,
        passed=passed(env, mq.env.pass_),
        offered=offered(env),
        shell=mq.shell,
        max_output_bytes=mq.max_output_bytes,
    )


def passed(env: Mapping[str, str], further: Sequence[str]) -> dict[str, str]:
    """The variables of `env` that every step gets. `further` are names and globs of `mq.env.pass`."""
    return {
        name: value
        for name, value in offered(env).items()
        if any(fnmatchcase(name, pattern) for pattern in (*ALWAYS, *MARKS, *further))
    }


def executor_environment(env: Mapping[str, str], mq: MqSettings) -> dict[str, str]:
    """The variables of `env` that an external executor gets. The original tool runs commands in `SHELL`."""
    return {**passed(env, (*PLACES, *mq.env.pass_)), "SHELL": mq.shell}


def offered(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of `env` that a step may get at all."""
    return {name: value for name, value in env.items() if not fnmatchcase(name, SETTINGS)}


def reject_settings(names: Sequence[str]) -> None:
    """Raises ConfigError for a name in `mq.env.pass` that only a setting of the queue can have."""
    for name in names:
        if fnmatchcase(name, SETTINGS):
            raise ConfigError(
                f"mq.env.pass: {name!r} is a setting of the queue, which no step gets: it may hold a password",
                hint="give the step credentials of its own, under another name",
            )


def shown(environment: Environment) -> list[str]:
    """The names of what steps get, for the log: sorted, without the marks."""
    return sorted(name for name in environment.env if name not in MARKS)
