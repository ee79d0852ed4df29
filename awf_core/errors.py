"""The errors a user can meet, each with the exit code it ends a command with.

    AwfError
    ├── UsageError                1  a bad argument or input; nothing ran
    ├── WorkflowNotFound          1  no workflow of that name in the workflow directories
    ├── InputError                1  inputs that are missing, unreadable or refused by the workflow
    ├── ConfigError               2  configuration or plugin set-up; nothing connected yet
    ├── WorkflowError             2  a workflow file that does not load
    ├── ExecutionError            3  a run that failed, where the failure is not a value already
    ├── SystemFailure             4  the machine: files, permissions, processes
    ├── WaitTimeout             124  a wait that was given a limit and reached it
    └── BrokerError               4  what a backend may raise, and nothing else may leave it
        ├── BrokerUnavailable        not reachable now; retry with backoff. `in_doubt`: the effect may have happened
        ├── BrokerBlocked            reachable, refuses to take more for now (memory, disk); retry later
        ├── BrokerMisconfigured   2  wrong rights, type, version or address; retrying won't help
        ├── LeaseLost                the lease of the delivery ended: the message was, or will be, redelivered
        ├── QueueMissing             the named queue does not exist and may not be created
        ├── BodyTooLarge             over the broker's limit; nothing was sent
        ├── PluginFailed          2  the backend broke the contract: an exception or an answer that it doesn't allow
        └── Unroutable               no queue accepts it: a reply address that leads nowhere

A message says what, where, which value; `hint` says what to do. Both may reach a log or a result, so neither may
ever hold a password: put addresses through `redact_url` first.
"""

from __future__ import annotations

import re
from typing import ClassVar


class AwfError(Exception):
    """Base of everything this project raises on purpose.

    `code` is the structured code of the workflow language (`USER.INPUT.VALIDATION_FAILED`), None where it has none.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class UsageError(AwfError):
    """A command called with something it can't take."""


class WorkflowNotFound(AwfError):
    """No workflow of that name in the workflow directories."""


class InputError(AwfError):
    """Inputs of a run that are missing, unreadable or fail the workflow's validation."""


class ConfigError(AwfError):
    """Configuration or plugins that don't fit; raised before anything connects."""

    exit_code = 2


class WorkflowError(AwfError):
    """A workflow file that does not load."""

    exit_code = 2


class ExecutionError(AwfError):
    """A run that could not go on."""

    exit_code = 3


class SystemFailure(AwfError):
    """The machine refused: a file, a permission, a process."""

    exit_code = 4


class WaitTimeout(AwfError):
    """The time given to wait for a result is over; the message will still be processed."""

    exit_code = 124


class BrokerError(AwfError):
    """What went wrong between a backend and its broker."""

    exit_code = 4


class BrokerUnavailable(BrokerError):
    """The broker can't be reached, or the connection broke under a call.

    `in_doubt` is True when the call's effect may have happened although its answer was lost. Callers of idempotent
    operations retry; a publish that is in doubt may, retried, arrive twice.
    """

    def __init__(self, message: str, *, hint: str | None = None, in_doubt: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.in_doubt = in_doubt


class BrokerBlocked(BrokerError):
    """The broker can be reached and refuses to store more for now."""


class BrokerMisconfigured(BrokerError):
    """Retrying can't help: rights, versions, types or addresses are wrong."""

    exit_code = 2


class LeaseLost(BrokerError):
    """The delivery's lease ended; settling it had no effect."""


class QueueMissing(BrokerError):
    """A queue that has to exist does not exist."""


class BodyTooLarge(BrokerError):
    """A body over the broker's limit; it was not sent."""


class PluginFailed(BrokerError):
    """The backend, or a plugin that wraps it, broke the contract; the text names the hook and what it did."""

    exit_code = 2


class Unroutable(BrokerError):
    """A publish that no queue took."""


_WORD = re.compile(r"\S+")
_USER = re.compile(r"(?<=[A-Za-z0-9+.-])://[^\s/@:]*:")


def redact_url(text: str) -> str:
    """`text` with the password of every URL in it replaced by `***`. Idempotent, never raises.

    Masks up to the last `@` of the word, so that a password with a raw `@` or `/` in it is hidden whole. Linear, since
    untrusted producers choose what is in a log line.
    """
    return _WORD.sub(_redact_word, text) if "://" in text and "@" in text else text


def _redact_word(match: re.Match[str]) -> str:
    word = match.group()
    last_at = word.rfind("@")
    found = _USER.search(word, 0, last_at) if last_at > 0 else None
    return word if found is None else f"{word[: found.end()]}***{word[last_at:]}"
