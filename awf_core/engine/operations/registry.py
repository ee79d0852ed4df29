"""The operations there are: the built-in ones and those of plugins, by name. Built once at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.additions import with_added
from awf_core.engine.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping


def operations_with(added: Mapping[str, Any], *, notify_backend: str | None) -> dict[str, Operation]:
    """Every operation by name. `notify_backend` is `notify.default_backend` of the project's configuration.

    Raises ConfigError for one of `added` that has no `run`, or the name of a built-in one.
    """
    return with_added(
        _builtin(notify_backend), added, what="operation", protocol=Operation, method="run(inputs, context)"
    )


def _builtin(notify_backend: str | None) -> dict[str, Operation]:
    from awf_core.engine.operations.github import github_operations
    from awf_core.engine.operations.http_request import HttpRequest
    from awf_core.engine.operations.notify import NotifySend

    return {"http.request": HttpRequest(), "notify.send": NotifySend(notify_backend), **github_operations()}
