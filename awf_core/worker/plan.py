"""Turn a message into a plan: the workflow it names, its inputs checked, the rules that apply. Or say why not.

Called by the pipeline only. Reads workflow files through the catalogue, which caches; nothing else is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.errors import AwfError, InputError, WorkflowNotFound, redact_url
from awf_core.lang.input_names import check_untrusted
from awf_core.lang.inputs import check_required
from awf_core.lang.names import InvalidWorkflowName
from awf_core.worker.decide import EXPIRED, UNKNOWN_WORKFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from awf_core.config.model import WorkflowPolicy
    from awf_core.lang.catalogue import Catalogue
    from awf_core.lang.model import Workflow
    from awf_core.message import Malformed, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is going to run."""

    message: Message
    workflow: Workflow
    inputs: Mapping[str, Any]
    policy: WorkflowPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why nothing runs. `reason` is the dead letter's word, `code` the language's structured code."""

    reason: str
    error: str
    code: str | None
    exit_code: int


def make_plan(
    message: Message,
    catalogue: Catalogue,
    *,
    project_inputs: Mapping[str, Any],
    prepare_inputs: Callable[[Workflow, Mapping[str, Any]], Mapping[str, Any]],
    policy_for: Callable[[str], WorkflowPolicy],
) -> Plan | Rejection:
    """The plan for `message`. A stranger names the workflow, so only names count, never paths."""
    try:
        workflow = catalogue.get(message.workflow)
        if message.inputs:
            check_untrusted(workflow, message.inputs)
        given = {**project_inputs, **message.inputs} if project_inputs else message.inputs
        check_required(workflow, given)
        inputs = prepare_inputs(workflow, given)
    except InvalidWorkflowName as exc:
        return make_rejection("invalid_workflow_name", exc)
    except WorkflowNotFound as exc:
        return make_rejection(UNKNOWN_WORKFLOW, exc)
    except InputError as exc:
        return make_rejection("invalid_inputs", exc)
    except AwfError as exc:
        return make_rejection("invalid_workflow", exc)
    return Plan(message=message, workflow=workflow, inputs=inputs, policy=policy_for(message.workflow))


def malformed(message: Malformed) -> Rejection:
    """A body that is no message."""
    return Rejection(reason="malformed", error=message.reason, code="USER.INPUT.INVALID_FORMAT", exit_code=1)


def crash_loop(error: str) -> Rejection:
    """A message that took its workers down with it."""
    return Rejection(reason="crash_loop", error=error, code=None, exit_code=4)


def expired(error: str) -> Rejection:
    """A message that nobody wants run any more."""
    return Rejection(reason=EXPIRED, error=error, code=None, exit_code=4)


def internal_error(error: BaseException) -> Rejection:
    """A defect of ours met while a message was handled. Its text goes into letters and results: no password in it."""
    text = redact_url(f"internal error: {type(error).__name__}: {error}")
    return Rejection(reason="internal_error", error=text, code="SYSTEM.INTERNAL.UNMAPPED", exit_code=4)


def make_rejection(reason: str, error: AwfError) -> Rejection:
    """The rejection for `error`."""
    return Rejection(reason=reason, error=error.message, code=error.code, exit_code=error.exit_code)
