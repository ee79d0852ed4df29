"""AWF_TRACE_HOOKS=1: every hook call on stderr, with the plugins it reaches. Called by manager and observers.

Costs nothing when off. Never writes a body: a delivery shows as queue, id and attempt.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from awf_core.contract import Delivery
from awf_core.errors import redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRACE_VARIABLE = "AWF_TRACE_HOOKS"
_MAX_SHOWN = 60


def tracing(env: Mapping[str, str]) -> bool:
    """Whether AWF_TRACE_HOOKS asks for it."""
    return env.get(TRACE_VARIABLE, "") not in ("", "0", "false")


def trace_line(hook: str, plugins: Sequence[str], values: Mapping[str, object]) -> None:
    """Write one call to stderr."""
    shown = ", ".join(f"{name}={_shown(value)}" for name, value in values.items())
    sys.stderr.write(f"hook {hook}({shown}) -> {', '.join(plugins) or 'no plugin'}\n")


def trace_calls(manager: Any) -> None:
    """Trace what goes through pluggy's `manager`; the compiled chains of observers trace themselves."""

    def before(hook: str, implementations: Sequence[Any], values: Mapping[str, object]) -> None:
        trace_line(hook, [implementation.plugin_name for implementation in reversed(implementations)], values)

    def after(*_: object) -> None:
        return

    manager.add_hookcall_monitoring(before, after)


def _shown(value: object) -> str:
    if isinstance(value, Delivery):
        return f"<{value.queue} id={value.id} attempt={value.attempt}>"
    if isinstance(value, (list, tuple)):
        return f"[{len(value)}]"
    if value is None or isinstance(value, (str, int, float, bool)):
        return redact_url(repr(value))[:_MAX_SHOWN]
    return f"<{type(value).__name__}>"
