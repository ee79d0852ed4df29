"""The operations there are: the built-in ones and those of plugins, by name. Built once at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.operations import Operation
from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def operations_with(added: Mapping[str, Any], *, notify_backend: str | None) -> dict[str, Operation]:
    """Every operation by name. `notify_backend` is `notify.default_backend` of the project's configuration.

    Raises ConfigError for one of `added` that has no `run`, or the name of a built-in one.
    """
    operations = _builtin(notify_backend)
    for name, operation in added.items():
        if not isinstance(operation, Operation):
            raise ConfigError(
                f"operation {name!r} of a plugin is {type(operation).__qualname__}, which has no method "
                "run(inputs, context)",
                hint="See awf_core.engine.operations.Operation.",
            )
        if name in operations:
            raise ConfigError(
                f"operation {name!r} is registered twice: it is built in, and a plugin adds it",
                hint="Give the plugin's operation a name of its own.",
            )
        operations[name] = operation
    return operations


def _builtin(notify_backend: str | None) -> dict[str, Operation]:
    from awf_core.engine.operations.github import github_operations
    from awf_core.engine.operations.http_request import HttpRequest
    from awf_core.engine.operations.notify import NotifySend

    return {"http.request": HttpRequest(), "notify.send": NotifySend(notify_backend), **github_operations()}
