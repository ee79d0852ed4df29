"""The composition root of a worker: the only place that constructs its parts. Connects to nothing."""

from __future__ import annotations

import functools
import os
import random
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.clock import Clock, SystemClock
from awf_core.config.model import WorkflowPolicy, policy_for
from awf_core.contract import Formatted
from awf_core.engine.records.open_records import open_audit_log, open_records
from awf_core.engine.records.paths import AUDIT_VARIABLE, record_paths
from awf_core.engine.run.engine import Engine
from awf_core.engine.steps import builtin_step_types
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
from awf_core.worker.checks import reject_delays, reject_own_dead_letter_queue
from awf_core.worker.external_executor import ExternalExecutor, check_executors, check_shell_text, names_executors
from awf_core.worker.failures import UNEXPECTED
from awf_core.worker.last_good import LastGood
from awf_core.worker.lease_renewal import LeaseKeeper
from awf_core.worker.outcome import ReplyRules
from awf_core.worker.pipeline import Pipeline, Rules
from awf_core.worker.plan import Plan, Planner, Rejection
from awf_core.worker.serve import Serving, Worker
from awf_core.worker.settlers import Settlers
from awf_core.worker.step_environment import executor_environment, step_environment
from awf_core.worker.undeliverable import UndeliverableResults

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
"""How long a worker relies on a workflow file that it has checked."""

POLICIES_CACHED = 1024


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
    config: Config,
    options: WorkerOptions,
    *,
    cwd: Path,
    env: Mapping[str, str],
    clock: Clock | None = None,
    chance: Callable[[], float] = random.random,
) -> tuple[Worker, Assembly]:
    """A worker ready to serve, and what it was put together from. Raises ConfigError.

    `chance` gives random numbers in [0, 1).
    """
    name = worker_name(options.name)
    clock = clock or SystemClock()
    assembly = assemble(config, worker=name, queues=options.queues, clock=clock)
    parts = Parts(
        config=config,
        assembly=assembly,
        observers=Observers(assembly.plugins, clock=clock),
        throttle=Throttle(clock),
        clock=clock,
        cwd=cwd,
        env=env,
    )
    serving = make_serving(config, options, worker=name, queues=assembly.queues)
    reject_delays(config.mq, assembly.mq.capabilities, assembly.backend_name)
    leases = make_leases(parts)
    settlers = make_settlers(parts, serving.queues, leases)
    worker = Worker(
        serving,
        mq=assembly.mq,
        leases=leases,
        settlers=settlers,
        pipeline=make_pipeline(parts, options, leases, settlers, chance=chance),
        observers=parts.observers,
        clock=clock,
        throttle=parts.throttle,
    )
    return worker, assembly


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the parts of one worker are made from."""

    config: Config
    assembly: Assembly
    observers: Observers
    throttle: Throttle
    clock: Clock
    cwd: Path
    env: Mapping[str, str]


def make_leases(parts: Parts) -> LeaseKeeper:
    """What keeps messages in hand."""
    mq = parts.config.mq
    return LeaseKeeper(
        parts.assembly.mq,
        parts.clock,
        parts.throttle,
        on_lost=mq.on_lease_lost,
        rebind_timeout_s=mq.rebind_timeout_s,
    )


def make_settlers(parts: Parts, queues: Sequence[str], leases: LeaseKeeper) -> Settlers:
    """What ends messages."""
    mq = parts.assembly.mq
    return Settlers(
        mq,
        queues,
        leases=leases,
        undeliverable=UndeliverableResults(mq, parts.config.mq.undeliverable.queue, parts.throttle),
        clock=parts.clock,
        throttle=parts.throttle,
    )


def make_pipeline(
    parts: Parts, options: WorkerOptions, leases: LeaseKeeper, settlers: Settlers, *, chance: Callable[[], float]
) -> Pipeline:
    """What becomes of a message. Raises ConfigError."""
    policy_for = _policies(parts.config, burst=options.burst)
    return Pipeline(
        make_rules(parts.config, parts.assembly, worker=worker_name(options.name)),
        plan=make_planner(parts, policy_for),
        policy_for=policy_for,
        format_result=_formatter(parts.assembly.plugins),
        leases=leases,
        observers=parts.observers,
        clock=parts.clock,
        chance=chance,
        submit=settlers.submit,
    )


def make_planner(parts: Parts, policy_for: Callable[[str], WorkflowPolicy]) -> Callable[[Message], Plan | Rejection]:
    """What runs for a message: our own engine, or the executor the configuration names. Raises ConfigError."""
    config, cwd = parts.config, parts.cwd
    discovery = Discovery(cwd, parts.env)
    step_types = step_types_with(parts.assembly, notify_backend=config.notify_backend)
    files = Catalogue(discovery, step_types, clock=parts.clock, recheck_s=CATALOGUE_RECHECK_S)
    catalogue = LastGood(files, parts.throttle) if config.mq.reload == "last_good" else files
    engine = Engine(
        step_types=step_types,
        clock=parts.clock,
        events=parts.observers,
        environment=step_environment(parts.env, config.mq),
        find=catalogue.get,
        recorder=make_recorder(config, parts.env),
    )
    own = Planner(
        catalogue=catalogue,
        engine=engine,
        policy_for=policy_for,
        project_inputs=config.inputs,
        cwd=cwd,
        allows_unsafe_inputs=config.mq.unsafe_inputs == "allow",
    )
    external = make_external_executor(parts, policy_for, discovery, catalogue) if names_executors(config) else None
    return own.plan if external is None else lambda message: external.plan(message) or own.plan(message)


def make_external_executor(
    parts: Parts,
    policy_for: Callable[[str], WorkflowPolicy],
    discovery: Discovery,
    catalogue: Catalogue | LastGood,
) -> ExternalExecutor:
    """What runs the workflows that the configuration gives to another program. Raises ConfigError."""
    config, cwd, env = parts.config, parts.cwd, parts.env
    registered = parts.assembly.plugins.registered.executors()
    executors = Executors(registered, program=config.project.executor_path, cwd=cwd, env=env)
    check_executors(config, executors)
    return ExternalExecutor(
        executors,
        default=config.project.executor,
        policy_for=policy_for,
        project_inputs=config.inputs,
        discovery=discovery,
        cwd=cwd,
        env=executor_environment(env, config.mq),
        storage=record_paths(env).storage if config.mq.records else None,
        clock=parts.clock,
        max_output_bytes=config.mq.max_output_bytes,
        check=_check_of(config.mq.unsafe_inputs, catalogue),
    )


def _check_of(unsafe_inputs: str, catalogue: Catalogue | LastGood) -> Callable[[Message, Mapping[str, Any]], None]:
    if unsafe_inputs == "allow":
        return lambda _message, _inputs: None
    return functools.partial(check_shell_text, catalogue=catalogue)


def make_rules(config: Config, assembly: Assembly, *, worker: str) -> Rules:
    """What the configuration says of every message."""
    mq, capabilities = config.mq, assembly.mq.capabilities
    reserved = {*assembly.queues, assembly.default_queue, mq.dead_letter.queue, mq.undeliverable.queue}
    max_hold_s = capabilities.max_hold_s
    return Rules(
        worker=worker,
        limits=Limits(max_body_bytes=mq.max_body_bytes, max_depth=mq.max_depth),
        reply=ReplyRules(allow=tuple(mq.reply.allow), reserved=frozenset(reserved)),
        dead_letter_queue=mq.dead_letter.queue if mq.dead_letter.enabled else None,
        max_output_bytes=mq.result.max_output_bytes,
        max_hold_s=None if max_hold_s is None else max(1.0, max_hold_s - HOLD_MARGIN_S),
    )


def make_recorder(config: Config, env: Mapping[str, str]) -> Recorder | None:
    """What a worker records of its runs: nothing, unless it is asked to, because it costs several files a message.

    `mq.records` asks for all, a path in AWF_AUDIT_LOG for the audit log.
    """
    kept = record_paths(env)
    if config.mq.records:
        return open_records(kept, warn=_warn_of_records)
    return open_audit_log(kept, warn=_warn_of_records) if env.get(AUDIT_VARIABLE) else None


def _warn_of_records(text: str) -> None:
    log.warning(events.RECORDS_INCOMPLETE, error=text)


def make_serving(config: Config, options: WorkerOptions, *, worker: str, queues: Sequence[str]) -> Serving:
    """How the worker serves."""
    mq = config.mq
    reject_own_dead_letter_queue(mq, queues)
    return Serving(
        worker=worker,
        queues=tuple(dict.fromkeys(queues)),
        dead_letter_queue=mq.dead_letter.queue if mq.dead_letter.enabled else None,
        undeliverable_queue=mq.undeliverable.queue,
        concurrency=mq.concurrency,
        max_unsettled=mq.max_unsettled or 2 * mq.concurrency,
        grace_s=mq.grace_s,
        connect_timeout_s=options.connect_timeout_s,
        burst=options.burst,
        max_messages=options.max_messages,
    )


def _formatter(plugins: Plugins) -> Callable[[Delivery, Message | None, Outcome], Formatted]:
    """How results are written: in the core's own form, or as plugins want it.

    Where a plugin fails, the core's own form is used: the run must not be repeated because of it.
    """
    hook = "awf_format_result"
    if len(plugins.implementations(hook)) == 1:
        return format_result

    def ask_plugins(delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted:
        try:
            formatted = plugins.hook.awf_format_result(delivery=delivery, message=message, outcome=outcome)
            if isinstance(formatted, Formatted):
                return formatted
            log.error(events.PLUGIN_FAILED, hook=hook, error=f"returned {formatted!r}, not a Formatted")
        except UNEXPECTED:
            log.exception(events.PLUGIN_FAILED, hook=hook, message_id=outcome.message_id)
        return format_result(delivery, message, outcome)

    return ask_plugins


def _policies(config: Config, *, burst: bool) -> Callable[[str], WorkflowPolicy]:
    """The policy of a workflow by name, computed once each. Producers choose the names, so not all are remembered.

    A name too long for any workflow gets the rules of none. With `burst`, no message is deferred.
    """

    @functools.lru_cache(maxsize=POLICIES_CACHED)
    def policy(workflow: str) -> WorkflowPolicy:
        found = policy_for(config.mq, workflow)
        if burst:
            return found.model_copy(update={"retry": found.retry.model_copy(update={"defer_unknown_s": 0.0})})
        return found

    return lambda workflow: policy(workflow if len(workflow) <= MAX_NAME_BYTES else "")
