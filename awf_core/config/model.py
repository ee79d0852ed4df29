"""The settings under `mq:`, typed, with their ranges and defaults. Built by load.py; read by worker, client, commands.

Attributes carry their unit (`grace_s`), the file's keys don't (`grace: 25s`). Frozen, so threads may share it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from awf_core.config.shells import DEFAULT_SHELL, checked_shell
from awf_core.contract import Declare
from awf_core.units import DurationS


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


Count = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Shell = Annotated[str, AfterValidator(checked_shell)]
QueueName = Annotated[str, Field(min_length=1, max_length=255)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DeadLetterSettings(_Settings):
    """Where messages go that can't be processed. `enabled=False`: they are answered, acked and only logged."""

    enabled: bool = True
    queue: QueueName = "awf-dlq"


class UndeliverableSettings(_Settings):
    """Where results go that can't be delivered to their `reply_to`."""

    queue: QueueName = "awf-undeliverable"


class RetrySettings(_Settings):
    """When a failed message is redelivered. `max_attempts` counts all attempts; `max_age_s=None` = no limit of age.

    `jitter` is the share of each wait that is random, 0..1. `defer_unknown_s`: how long a message of an unknown
    workflow is deferred before it is dead-lettered.
    """

    max_attempts: Count = Field(3, ge=1, le=1000)
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    initial_delay_s: DurationS = Field(5.0, alias="initial_delay")
    max_delay_s: DurationS = Field(300.0, alias="max_delay")
    multiplier: Number = Field(2.0, ge=1, le=100)
    jitter: Number = Field(1.0, ge=0, le=1)
    max_age_s: DurationS | None = Field(86400.0, alias="max_age")
    defer_unknown_s: DurationS = Field(600.0, alias="defer_unknown")


class ReplySettings(_Settings):
    """Which `reply_to` may be answered (`allow`: globs), and how long an unread reply is kept."""

    allow: list[str] = ["*"]
    ttl_s: DurationS = Field(86400.0, alias="ttl")


class ResultSettings(_Settings):
    """How much of an output goes into a result; what is cut says so."""

    max_output_bytes: Count = Field(64 * 1024, ge=0)


class EnvSettings(_Settings):
    """Which variables of its own environment a worker passes on to steps, beside those that every step gets."""

    pass_: list[str] = Field([], alias="pass")


class WorkflowSettings(_Settings):
    """What is different for the workflows of one name or glob; only the keys that are given count.

    `executor` runs them, None = the one that runs all.
    """

    executor: str | None = None
    max_run_s: DurationS | None = Field(None, alias="max_run")
    retry: RetrySettings = RetrySettings()


class MqSettings(_Settings):
    """Everything under `mq:` but the backends' own sections. `type=None`: not given, so the core chooses.

    `max_unsettled`: how many messages may be claimed and not settled, None = twice the concurrency. `on_lease_lost`:
    what becomes of a run whose message another worker may have. `reload`: what becomes of a message whose workflow
    can't be loaded.

    `max_output_bytes`: how much of each output of a command a worker keeps, the beginning and the end.

    `shell` runs commands. `env`: what steps see of the worker's environment. `unsafe_inputs`: what becomes of a message
    whose input would be inserted into shell text where a character of it means something to the shell. `orphans`: what
    becomes of processes that a finished step leaves.

    `records`: whether a worker keeps state files, history, audit and transcripts of its runs, as `awf run` does.
    """

    type: QueueName | None = None
    concurrency: Count = Field(5, ge=1, le=1000)
    max_unsettled: Count | None = Field(None, ge=1, le=100_000)
    dead_letter: DeadLetterSettings = DeadLetterSettings()
    undeliverable: UndeliverableSettings = UndeliverableSettings()
    retry: RetrySettings = RetrySettings()
    grace_s: DurationS = Field(25.0, alias="grace")
    max_run_s: DurationS | None = Field(None, alias="max_run")
    on_lease_lost: Literal["cancel", "continue"] = "cancel"
    rebind_timeout_s: DurationS = Field(30.0, alias="rebind_timeout")
    reload: Literal["defer", "last_good"] = "defer"
    reply: ReplySettings = ReplySettings()
    declare: Declare = "auto"
    max_body_bytes: Count = Field(1024 * 1024, ge=1)
    max_depth: Count = Field(64, ge=1, le=500)
    max_output_bytes: Count = Field(1024 * 1024, ge=0)
    result: ResultSettings = ResultSettings()
    shell: Shell = DEFAULT_SHELL
    env: EnvSettings = EnvSettings()
    unsafe_inputs: Literal["refuse", "allow"] = "refuse"
    orphans: Literal["kill", "keep"] = "kill"
    records: bool = False
    workflows: dict[str, WorkflowSettings] = {}


MqConfig = MqSettings


class WorkflowPolicy(_Settings):
    """What applies to one workflow, overrides merged in.

    `max_run_s=None` = no limit; `executor=None` = the default executor.
    """

    retry: RetrySettings
    max_run_s: float | None
    executor: str | None = None


def policy_for(mq: MqSettings, workflow: str) -> WorkflowPolicy:
    """The rules for `workflow`: globs of `mq.workflows` in the file's order, later over earlier, its own name last."""
    retry, max_run_s, executor = mq.retry, mq.max_run_s, None
    for rules in _rules_for(mq, workflow):
        retry = retry.model_copy(update=_given(rules.retry))
        if "max_run_s" in rules.model_fields_set:
            max_run_s = rules.max_run_s
        executor = rules.executor or executor
    return WorkflowPolicy(retry=retry, max_run_s=max_run_s, executor=executor)


def longest_run_s(mq: MqSettings) -> float | None:
    """How long the longest run of any workflow may take, in seconds; None = no limit."""
    bounds = [rules.max_run_s for rules in mq.workflows.values() if "max_run_s" in rules.model_fields_set]
    limits = [bound for bound in (mq.max_run_s, *bounds) if bound is not None]
    return max(limits) if len(limits) == len(bounds) + 1 else None


def _rules_for(mq: MqSettings, workflow: str) -> list[WorkflowSettings]:
    globs = [rules for pattern, rules in mq.workflows.items() if pattern != workflow and fnmatchcase(workflow, pattern)]
    own = mq.workflows.get(workflow)
    return [*globs, own] if own is not None else globs


def _given(settings: BaseModel) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.model_fields_set}
