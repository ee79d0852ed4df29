"""References in templates that fail every run that reaches them: for `awf validate`, in the original tool's words.

Called by `lint`. Where the original guesses, from the order in which states are declared, this asks whether there is
any path through the workflow on which the reference holds, and is silent where there is one. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from awf_core.lang.control_flow import ControlFlow
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import State, TerminalSpec, Workflow
from awf_core.lang.problems import Problem
from awf_core.lang.templates import Template
from awf_core.lang.templates.namespaces import CONTEXT, ERROR, LOOP, ROOT_NAMES, SNAKE_NAMES, STEP_STATE, WORKFLOW
from awf_core.lang.templates.template import Reference

Severity = Literal["error", "warning"]

_TYPES = {"workflow": WORKFLOW, "context": CONTEXT, "error": ERROR, "loop": LOOP}
_AWF = frozenset(
    f"{name}_dir" for name in ("config", "data", "scripts", "prompts", "workflows", "plugins", "skills", "roles")
)
"""What `.awf` has everywhere; `pack_name` only in packs."""
_HANDLED = frozenset({"items", "max_iterations"})
"""Keys whose failure is one of the step, so that a run may survive it: see `ControlFlow.survives`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A template and where it stands.

    key     what it is: `command`, `log`, …
    state   the state it is rendered in, None for hooks of the workflow
    hook    the hook it belongs to: `pre`, `post`, `workflow_start`, …; empty for the spec of a state
    """

    key: str
    template: Template
    state: State | None = None
    hook: str = ""

    @property
    def line(self) -> int:
        """The line of its state, 0 without one."""
        return 0 if self.state is None else self.state.line

    @property
    def place(self) -> str:
        """The place as the original tool names it: `steps.a`, `steps.a.hooks.pre`, `hooks.workflow_end`."""
        hook = f"hooks.{self.hook}" if self.hook else ""
        if self.state is None:
            return hook
        return f"steps.{self.state.name}.{hook}" if hook else f"steps.{self.state.name}"

    @property
    def path(self) -> str:
        """The place in the file: `states.a.command`, `states.a.hooks.pre`, `hooks.workflow_end`."""
        return self.place.replace("steps.", "states.", 1) + ("" if self.hook else f".{self.key}")

    def is_hard(self, flow: ControlFlow) -> bool:
        """Whether no run that reaches it completes when it fails; of other failures the run only warns."""
        if self.hook or self.state is None:
            return self.hook == "workflow_start"
        if self.key in _HANDLED and flow.survives(self.state.name):
            return False
        return not isinstance(self.state.spec, TerminalSpec)


def reference_problems(
    workflow: Workflow, flow: ControlFlow, written: Iterable[Written], *, given_inputs: Collection[str]
) -> Iterator[Problem]:
    """What is certain to fail. `given_inputs` are there, whatever the workflow declares."""
    inputs = {definition.name for definition in workflow.inputs} | set(given_inputs)
    checker = _Checker(workflow, flow, inputs)
    for one in written:
        for reference in dict.fromkeys(one.template.references()):
            text = checker.fault(reference, one)
            if text is not None:
                severity: Severity = "error" if one.is_hard(flow) else "warning"
                yield Problem(message=text, line=one.line, field=one.place, severity=severity)


def certain_inputs(written: Iterable[Written], flow: ControlFlow) -> set[tuple[str, str]]:
    """The inputs without which a state fails, each with the state's name."""
    return {
        (one.state.name, reference.names[1])
        for one in written
        if one.is_hard(flow) and one.state is not None
        for reference in one.template.references()
        if reference.names[0] == "inputs" and len(reference.names) > 1
    }


class _Checker:
    def __init__(self, workflow: Workflow, flow: ControlFlow, inputs: Collection[str]) -> None:
        self._workflow = workflow
        self._inputs = inputs
        self._flow = flow

    def fault(self, reference: Reference, at: Written) -> str | None:
        """What is wrong with `reference`, None when nothing certainly is."""
        root, *path = reference.names
        raw = quoted(f"{{{{{reference.text}}}}}")
        if root not in ROOT_NAMES:
            return f"unknown reference type {raw} in {at.key}"
        if not path:
            return None
        match root:
            case "inputs" if path[0] not in self._inputs and at.is_hard(self._flow):
                return f"undefined input {quoted(path[0])} referenced in {at.key}"
            case "states":
                return self._state_fault(path, at)
            case "error" if at.hook != "workflow_error":
                return f"error reference {raw} used outside of error hook context in {at.key}"
            case "loop" if at.state is not None and not self._flow.may_be_in_loop(at.state.name):
                return f"loop reference {raw} used outside of a loop in {at.key}"
            case "awf" if path[0] not in _AWF and path[0] != "pack_name":
                return f"invalid awf property {quoted(path[0])} in {at.key}"
            case "workflow" | "context" | "error" | "loop" if not _has(root, path[0], reference):
                return f"invalid {root} property {quoted(path[0])} in {at.key}"
        return None

    def _state_fault(self, path: list[str], at: Written) -> str | None:
        name = path[0]
        state = self._workflow.states.get(name)
        if state is None:
            return f"undefined step {quoted(name)} referenced in {at.key}"
        if isinstance(state.spec, TerminalSpec) or not self._may_have_run(name, at):
            return f"forward reference to step {quoted(name)} in {at.key} (referenced step has not executed yet)"
        if len(path) > 1 and path[1] not in STEP_STATE.fields:
            meant = _closest(path[1])
            advice = f", use '{meant}' instead" if meant else ""
            return f"invalid state property {quoted(path[1])} for step {quoted(name)} in {at.key}{advice}"
        return None

    def _may_have_run(self, name: str, at: Written) -> bool:
        if at.state is None or at.hook == "post" or not self._flow.is_reachable(at.state.name):
            return True  # a state that no run reaches says nothing
        return self._flow.may_precede(name, at.state.name)


def _has(root: str, name: str, reference: Reference) -> bool:
    if reference.is_dotless and root in SNAKE_NAMES:
        return name in SNAKE_NAMES[root]
    kind = _TYPES[root]
    return name in kind.fields or name in kind.methods


def _closest(name: str) -> str | None:
    folded = {known.lower(): known for known in STEP_STATE.fields}
    return folded.get(name.replace("_", "").lower())
