"""Construct a backend, and say what is wrong with one that can't be. Called at start and by `awf plugins doctor`.

Both refuse a backend in the same words. Connects to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.clock import SystemClock
from awf_core.contract import BackendContext
from awf_core.errors import AwfError, ConfigError, redact_url
from awf_core.plugin.checks import capabilities_complaint, plugin_complaints
from awf_core.plugin.loader import DOCTOR

if TYPE_CHECKING:
    from pydantic import BaseModel


def construct(backend: Any, settings: object, context: BackendContext, *, label: str) -> Any:
    """An instance of the class `backend`. Raises ConfigError that begins with `label`, or what an AwfError says."""
    try:
        made = backend(settings, context)
    except AwfError:
        raise
    # A third party's constructor may raise anything; the user needs to know which package it belongs to.
    except (Exception, SystemExit) as exc:
        text = f"{label} can't be set up: {type(exc).__name__}: {redact_url(str(exc))}"
        raise ConfigError(text, hint=DOCTOR) from exc
    complaint = capabilities_complaint(made)
    if complaint:
        raise ConfigError(f"{label} {complaint}", hint=DOCTOR)
    return made


def construction_problem(backend: Any, *, label: str) -> str | None:
    """What is wrong with the class's hooks and its constructor, None where nothing is.

    The constructor is tried where the settings have a default for every key.
    """
    for complaint in plugin_complaints(object.__new__(backend)):
        return f"{label} {complaint}"
    settings = _default_settings(backend.Settings)
    if settings is None:
        return None
    context = BackendContext(worker="doctor", clock=SystemClock(), directory=".")
    try:
        construct(backend, settings, context, label=label)
    except ConfigError as exc:
        return exc.message
    except AwfError as exc:
        return f"{label} can't be set up: {exc.message}"
    return None


def _default_settings(model: type[BaseModel]) -> BaseModel | None:
    from pydantic import ValidationError

    try:
        return model()
    except ValidationError:
        return None
