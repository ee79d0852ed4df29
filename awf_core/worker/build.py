"""The composition root of a worker: the only place that news things up. Connects to nothing."""

from __future__ import annotations

import functools
import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.clock import Clock, SystemClock
from awf_core.config.model import MqSettings, WorkflowPolicy, policy_for
from awf_core.contract import Formatted
from awf_core.engine.records.open_records import open_audit_log, open_records
from awf_core.engine.records.paths import AUDIT_VARIABLE, record_paths
from awf_core.engine.run.engine import Engine
from awf_core.engine.steps import builtin_step_types
from awf_core.errors import ConfigError
from awf_core.extensions.executors import Executors
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.names import MAX_NAME_BYTES
from awf_core.message import Limits
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.observe.throttle import Throttle
from awf_core.plugin.assemble import Assembly, assemble
from awf_core.plugin.observers import Observers
from awf_core.result import format_result
from awf_core.worker.foreign import Foreign, check_executors, names_executors
from awf_core.worker.lease import LeaseKeeper
from awf_core.worker.pipeline import Pipeline, Rules
from awf_core.worker.reply import ReplyRules
from awf_core.worker.run_events import RunEvents
from awf_core.worker.serve import Serving, Worker
from awf_core.worker.settle import Settler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from awf_core.config.load import Config
    from awf_core.contract import Delivery
    from awf_core.engine.run.events import Recorder
    from awf_core.lang.step_types import StepTypes
    from awf_core.message import Message
    from awf_core.plugin.manager import Plugins
    from awf_core.result import Outcome

log = get_logger(__name__)

HOLD_MARGIN_S = 60.0
"""How long before the broker's own limit a run is ended, so that there is time left to settle it."""

CATALOGUE_RECHECK_S = 0.02
"""How long a worker trusts a workflow file it has looked at."""

POLICIES_KEPT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What the command line decides beyond the configuration. `name=None`: host and process id."""

    queues: Sequence[str] = ()
    name: str | None = None
    burst: bool = False
    max_messages: int | None = None
    connect_timeout_s: float = 30.0


def worker_name(name: str | None) -> str:
    """The name a worker goes by in logs and results."""
    return name or f"{re.sub(r'[^A-Za-z0-9._-]', '-', socket.gethostname())}-{os.getpid()}"


def step_types_with(assembly: Assembly, *, notify_backend: str | None = None) -> StepTypes:
    """The built-in step types and those of plugins, with the operations and agent providers that plugins add.

    `notify_backend` is the project's `notify.default_backend`. Raises ConfigError.
    """
    added = assembly.plugins.registered
    step_types = builtin_step_types(
        operations=added.operations(), agent_providers=added.agent_providers(), notify_backend=notify_backend
    )
    for step_type in added.step_types():
        step_types.register(step_type)
    return step_types


def build_worker(
    config: Config, options: WorkerOptions, *, cwd: Path, env: Mapping[str, str], clock: Clock | None = None
) -> tuple[Worker, Assembly]:
    """A worker ready to serve, and what it was put together from. Raises ConfigError."""
    clock = clock or SystemClock()
    name = worker_name(options.name)
    assembly = assemble(config, worker=name, queues=options.queues, clock=clock)
    observers = Observers(assembly.plugins, clock=clock)
    throttle = Throttle(clock)
    leases = LeaseKeeper(assembly.mq, clock, throttle)
    settler = Settler(
        assembly.mq,
        clock=clock,
        throttle=throttle,
        undeliverable_queue=config.mq.undeliverable.queue,
        is_lost=leases.is_lost,
        in_hand=leases.count,
    )
    pipeline = make_pipeline(
        config,
        assembly,
        make_rules(config, assembly, worker=name, cwd=cwd, burst=options.burst),
        leases=leases,
        observers=observers,
        settler=settler,
        env=env,
        clock=clock,
    )
    worker = Worker(
        make_serving(config, options, worker=name, queues=assembly.queues),
        mq=assembly.mq,
        leases=leases,
        settler=settler,
        pipeline=pipeline,
        observers=observers,
        clock=clock,
        throttle=throttle,
    )
    return worker, assembly


def make_pipeline(
    config: Config,
    assembly: Assembly,
    rules: Rules,
    *,
    leases: LeaseKeeper,
    observers: Observers,
    settler: Settler,
    env: Mapping[str, str],
    clock: Clock,
) -> Pipeline:
    """What becomes of a message, with the workflows and the engine it takes. Raises ConfigError."""
    discovery = Discovery(rules.cwd, env)
    step_types = step_types_with(assembly, notify_backend=config.notify_backend)
    catalogue = Catalogue(discovery, step_types, clock=clock, recheck_s=CATALOGUE_RECHECK_S)
    engine = Engine(
        step_types=step_types,
        clock=clock,
        events=RunEvents(observers),
        env=env,
        find=catalogue.get,
        recorder=make_recorder(config, env),
    )
    policy_for = _policies(config)
    return Pipeline(
        rules,
        catalogue=catalogue,
        engine=engine,
        leases=leases,
        observers=observers,
        clock=clock,
        policy_for=policy_for,
        format_result=_formatter(assembly.plugins),
        submit=settler.submit,
        foreign=make_foreign(config, assembly, policy_for, discovery, cwd=rules.cwd, env=env, clock=clock),
    )


def make_rules(config: Config, assembly: Assembly, *, worker: str, cwd: Path, burst: bool) -> Rules:
    """What the configuration says of every message."""
    mq, capabilities = config.mq, assembly.mq.capabilities
    dead_letter_queue = mq.dead_letter.queue if mq.dead_letter.enabled else None
    reserved = {*assembly.queues, assembly.default_queue, mq.dead_letter.queue, mq.undeliverable.queue}
    max_hold_s = capabilities.max_hold_s
    return Rules(
        worker=worker,
        cwd=cwd,
        limits=Limits(max_body_bytes=mq.max_body_bytes, max_depth=mq.max_depth),
        reply=ReplyRules(allow=tuple(mq.reply.allow), reserved=frozenset(reserved)),
        dead_letter_queue=dead_letter_queue,
        max_output_bytes=mq.result.max_output_bytes,
        max_hold_s=None if max_hold_s is None else max(1.0, max_hold_s - HOLD_MARGIN_S),
        max_delay_s=capabilities.max_delay_s,
        release_counts=capabilities.release_counts,
        unknown_hold_s=0.0 if burst else None,
        project_inputs=config.inputs,
    )


def make_recorder(config: Config, env: Mapping[str, str]) -> Recorder | None:
    """What a worker keeps of its runs: nothing, unless it is asked to, because it costs several files a message.

    `mq.records` asks for all, a path in AWF_AUDIT_LOG for the audit log.
    """
    kept = record_paths(env)
    if config.mq.records:
        return open_records(kept, warn=_warn_of_records)
    return open_audit_log(kept, warn=_warn_of_records) if env.get(AUDIT_VARIABLE) else None


def _warn_of_records(text: str) -> None:
    log.warning(events.RECORDS_INCOMPLETE, error=text)


def make_foreign(
    config: Config,
    assembly: Assembly,
    policy_for: Callable[[str], WorkflowPolicy],
    discovery: Discovery,
    *,
    cwd: Path,
    env: Mapping[str, str],
    clock: Clock,
) -> Foreign | None:
    """What runs workflows for other executors; None where the configuration names none. Raises ConfigError."""
    if not names_executors(config):
        return None
    added = assembly.plugins.registered.executors()
    executors = Executors(added, program=config.project.executor_path, cwd=cwd, env=env)
    check_executors(config, executors)
    return Foreign(
        executors,
        usual=config.project.executor,
        policy_for=policy_for,
        discovery=discovery,
        cwd=cwd,
        env=env,
        storage=record_paths(env).storage if config.mq.records else None,
        clock=clock,
    )


def make_serving(config: Config, options: WorkerOptions, *, worker: str, queues: Sequence[str]) -> Serving:
    """How the worker serves."""
    mq = config.mq
    _refuse_own_graves(mq, queues)
    return Serving(
        worker=worker,
        queues=tuple(dict.fromkeys(queues)),
        dead_letter_queue=mq.dead_letter.queue if mq.dead_letter.enabled else None,
        undeliverable_queue=mq.undeliverable.queue,
        concurrency=mq.concurrency,
        grace_s=mq.grace_s,
        connect_timeout_s=options.connect_timeout_s,
        burst=options.burst,
        max_messages=options.max_messages,
    )


def _refuse_own_graves(mq: MqSettings, queues: Sequence[str]) -> None:
    """A worker that consumed what it buries would dig for ever."""
    graves = {"mq.undeliverable.queue": mq.undeliverable.queue}
    if mq.dead_letter.enabled:
        graves["mq.dead_letter.queue"] = mq.dead_letter.queue
    for key, queue in graves.items():
        if queue in queues:
            raise ConfigError(
                f"{key} is '{queue}', a queue this worker consumes: what it puts there would come back at once",
                hint=f"consume another queue, or give {key} a name of its own; "
                "`awf dlq replay` puts dead letters back to work",
            )


def _formatter(plugins: Plugins) -> Callable[[Delivery, Message | None, Outcome], Formatted]:
    """How results are written: through the hook where a plugin has a say, straight where only the core does."""
    if len(plugins.implementations("awf_format_result")) == 1:
        return format_result

    def ask_plugins(delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted:
        formatted = plugins.hook.awf_format_result(delivery=delivery, message=message, outcome=outcome)
        assert isinstance(formatted, Formatted)
        return formatted

    return ask_plugins


def _policies(config: Config) -> Callable[[str], WorkflowPolicy]:
    """The policy of a workflow by name, worked out once each; names come from strangers, so not kept without end.

    A name too long for any workflow gets the rules of none.
    """

    @functools.lru_cache(maxsize=POLICIES_KEPT)
    def policy(workflow: str) -> WorkflowPolicy:
        return policy_for(config.mq, workflow)

    return lambda workflow: policy(workflow if len(workflow) <= MAX_NAME_BYTES else "")
