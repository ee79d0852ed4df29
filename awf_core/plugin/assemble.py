"""Put a queue command together: choose the backend, fill its settings, construct it, add the plugins.

Called by every command that uses a queue, and by the Python client. Connects to nothing. What can be found wrong before
connecting is found here, as ConfigError (exit 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.clock import Clock, SystemClock
from awf_core.config.backend_names import BACKEND_GROUP, DEFAULT_BACKEND
from awf_core.config.load import Config, unknown_section_variables
from awf_core.config.model import longest_run_s
from awf_core.config.origins import DEFAULT, Origin
from awf_core.contract import BackendContext
from awf_core.errors import ConfigError
from awf_core.mq import Mq
from awf_core.plugin.construct import construct
from awf_core.plugin.environment import backend_from_environment, refuse_unclaimed, variables_of
from awf_core.plugin.loader import entries, load_backend, metadata_read_once
from awf_core.plugin.manager import DISABLE_VARIABLE, Plugins, build_plugins, is_disabled_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.config.section import Filled

DEFAULT_QUEUE = "awf-workflows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backend that is used, and why. `label` names its package, version and entry point."""

    name: str
    origin: Origin
    label: str
    backend: type
    filled: Filled[Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A queue command's parts, ready and not yet connected (`mq.open()` connects).

    queues          what to consume or browse: the override, else the default queue
    default_queue   `mq.<type>.queue_url` or `.queue`, else `awf-workflows`
    settings        the backend's own settings; `choice` says where they came from
    """

    mq: Mq
    plugins: Plugins
    backend: object
    backend_name: str
    settings: object
    choice: Choice
    default_queue: str
    queues: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def choose_backend(config: Config) -> Choice:
    """The backend `config` means, imported and its section checked.

    `mq.type` from flag, environment or file, else the one backend whose address variable is set, else sqlite.
    """
    name, origin = _name_and_origin(config)
    if is_disabled_backend(name, config.places.env):
        raise ConfigError(
            f"mq.type {name!r}: {DISABLE_VARIABLE} keeps this backend out",
            hint=f"take it out of {DISABLE_VARIABLE}, or choose another mq.type",
        )
    try:
        backend: Any = load_backend(name)
    except ConfigError as exc:
        where = f"{origin.where}: " if origin.where else ""
        raise ConfigError(where + exc.message, hint=exc.hint) from exc
    filled = config.backend_settings(name, backend.Settings, aliases=variables_of(name))
    label = next(str(entry) for entry in entries(BACKEND_GROUP) if entry.name == name)
    warnings = tuple(unknown_section_variables(config, name, backend.Settings))
    return Choice(name=name, origin=origin, label=label, backend=backend, filled=filled, warnings=warnings)


@metadata_read_once()
def assemble(
    config: Config,
    *,
    worker: str,
    concurrency: int | None = None,
    queues: Sequence[str] = (),
    clock: Clock | None = None,
) -> Assembly:
    """Everything a queue command needs. `worker` is this process's name; `queues` overrides the default queue.

    `concurrency=None` takes `mq.concurrency`. Raises ConfigError.
    """
    choice = choose_backend(config)
    context = BackendContext(
        worker=worker,
        clock=clock or SystemClock(),
        directory=str(config.directory),
        concurrency=concurrency if concurrency is not None else config.mq.concurrency,
        declare=config.mq.declare,
        reply_ttl_s=config.mq.reply.ttl_s,
        max_run_s=longest_run_s(config.mq),
        max_body_bytes=config.mq.max_body_bytes,
    )
    label = f"mq.type {choice.name!r}: {choice.label}"
    backend = construct(choice.backend, choice.filled.settings, context, label=label)
    plugins = build_plugins(backend, choice.name, env=config.places.env, backend_label=label)
    default_queue = _default_queue(choice.filled.settings)
    return Assembly(
        mq=Mq(plugins.hook, backend.capabilities, backend=choice.name),
        plugins=plugins,
        backend=backend,
        backend_name=choice.name,
        settings=choice.filled.settings,
        choice=choice,
        default_queue=default_queue,
        queues=tuple(queues) or (default_queue,),
        warnings=(*config.warnings, *choice.warnings),
    )


def _name_and_origin(config: Config) -> tuple[str, Origin]:
    env = config.places.env
    if config.mq.type is not None:
        # An address that no backend reads means a missing package, whichever backend is named.
        refuse_unclaimed(env)
        return config.mq.type, config.origins["mq.type"]
    selected = backend_from_environment(env)
    if selected is not None:
        return selected[0], Origin(kind="environment", where=selected[1])
    return DEFAULT_BACKEND, DEFAULT


def _default_queue(settings: object) -> str:
    for key in ("queue_url", "queue"):
        value = getattr(settings, key, None)
        if isinstance(value, str) and value:
            return value
    return DEFAULT_QUEUE
