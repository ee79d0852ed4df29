"""The `retry:` of a state.

Called by `states.py` for every type of state; whether a type retries is the engine's business. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.go.durations import parse_duration_ns, whole_milliseconds
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import RetryRule
from awf_core.lang.problems import StepProblem

if TYPE_CHECKING:
    from awf_core.lang.fields import Fields

_BACKOFFS = ("constant", "linear", "exponential")
_DEFAULT_MULTIPLIER = 2.0


def read_retry(fields: Fields) -> RetryRule | None:
    """The rule as written, None without `retry:`. Raises StepProblem for a delay that is no duration.

    Its ranges are checked later, by `check_retry`, after everything that could be misspelled has been read.
    """
    retry = fields.nested("retry", "repository.yamlRetry")
    if retry is None:
        return None
    multiplier = retry.number("multiplier")
    return RetryRule(
        max_attempts=retry.integer("max_attempts") or 0,
        backoff=retry.text("backoff") or "constant",
        initial_delay_ms=_delay_ms(retry, "initial_delay"),
        max_delay_ms=_delay_ms(retry, "max_delay"),
        multiplier=_DEFAULT_MULTIPLIER if multiplier is None else multiplier,
        jitter=retry.number("jitter") or 0.0,
        retryable_exit_codes=frozenset(retry.list_of_integers("retryable_exit_codes")),
    )


def check_retry(rule: RetryRule) -> None:
    """Raises StepProblem for a number out of range or an unknown backoff."""
    if rule.max_attempts < 1:
        raise _refused("max_attempts must be >= 1")
    if rule.backoff not in _BACKOFFS:
        raise _refused("invalid backoff strategy", hint=f"'{rule.backoff}' is none of {', '.join(_BACKOFFS)}.")
    # Written so that NaN is refused too.
    if not 0.0 <= rule.jitter <= 1.0:
        raise _refused("jitter must be between 0.0 and 1.0")
    if not rule.multiplier >= 0:
        raise _refused("multiplier must be >= 0")


def _refused(text: str, *, hint: str | None = None) -> StepProblem:
    return StepProblem(f"retry config: {text}", key="retry", hint=hint)


def _delay_ms(retry: Fields, key: str) -> int:
    text = retry.text(key)
    if not text:
        return 0
    try:
        return max(0, whole_milliseconds(parse_duration_ns(text)))
    except ValueError as error:
        raise StepProblem(f"{key}: parsing duration {quoted(text)}: {error}", key="retry") from error
