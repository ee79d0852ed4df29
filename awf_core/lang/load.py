"""A workflow file read into a Workflow, or refused with everything that is wrong with it.

Called by the catalogue and by `awf validate`. It compiles templates and conditions once, and never runs anything.
Unknown keys are ignored; problems carry file, line and the original tool's text.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from awf_core.errors import SystemFailure, WorkflowNotFound
from awf_core.lang.checks import check_plugins, check_rules
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.findings import Findings, Stage
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import type_name
from awf_core.lang.model import State, Workflow
from awf_core.lang.problems import MISSING_FIELD, FieldProblem, LoadError, Problem
from awf_core.lang.sections import read_inputs, read_outputs, read_unsafe_inputs, read_workflow_hooks
from awf_core.lang.states import ReadState, read_state
from awf_core.lang.step_types import StepTypes
from awf_core.lang.yaml_decode import MAX_BYTES, WrongShape, as_any, is_null, read_yaml
from awf_core.yaml.nodes import Node, YamlError

READ_FAILED = "SYSTEM.IO.READ_FAILED"
NOT_FOUND = "USER.FACADE.WORKFLOW_NOT_FOUND"


def load_workflow(path: Path, step_types: StepTypes) -> Workflow:
    """The workflow in the file `path`.

    Raises LoadError for its content, WorkflowNotFound when there is no such file, SystemFailure when it can't be read.
    Thread-safe.
    """
    return parse_workflow(_read_file(path), source=path, step_types=step_types)


def parse_workflow(data: bytes, *, source: Path, step_types: StepTypes) -> Workflow:
    """The workflow written in `data`; `source` is only named, not opened. Raises LoadError. Pure."""
    try:
        root = _root_fields(read_yaml(data))
    except YamlError as error:
        raise LoadError(source, [Problem(message=error.text, line=error.line)]) from error
    except FieldProblem as raised:
        raise LoadError(source, [Problem(message=raised.text, line=raised.line)]) from raised
    return _Loading(root, source, step_types).workflow()


def _read_file(path: Path) -> bytes:
    try:
        # Anything but a plain file could block the reader for ever (a pipe) or never end (a device).
        if not stat.S_ISREG(path.stat().st_mode):
            raise SystemFailure(f"failed to read workflow file: {path}: not a regular file", code=READ_FAILED)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise WorkflowNotFound(f"workflow not found: {path}", code=NOT_FOUND) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise SystemFailure(f"failed to read workflow file: {path}: {reason}", code=READ_FAILED) from error


def _root_fields(root: Node | None) -> Fields:
    if root is None or is_null(root):
        return Fields(Node("map", "", 0), path="")
    if root.kind != "map":
        raise WrongShape(root, "repository.yamlWorkflow")
    return Fields(root, path="")


class _Loading:
    """One file on its way to a Workflow. Collects every problem before any is raised."""

    def __init__(self, root: Fields, source: Path, step_types: StepTypes) -> None:
        self._root = root
        self._source = source
        self._step_types = step_types
        self._findings = Findings(source)

    def workflow(self) -> Workflow:
        root, findings = self._root, self._findings
        header = findings.attempt(self._header, Stage.SHAPE, root)
        states_fields = findings.attempt(lambda: root.nested("states", "repository.yamlStates"), Stage.SHAPE, root)
        initial = self._initial(states_fields, has_name=header is None or bool(header["name"]))
        read = self._read_states(states_fields) if states_fields is not None else []
        states = self._by_name(read)
        if states_fields is not None:
            check_rules(read, initial=initial, states_fields=states_fields, findings=findings)
        outputs = findings.attempt(lambda: read_outputs(root, states, findings), Stage.SHAPE, root)
        findings.raise_if_any()
        return Workflow(
            source=self._source,
            initial=initial,
            states=MappingProxyType(states),
            outputs=outputs or (),
            warnings=findings.warnings,
            uses_templates=any(state.template is not None for state in states.values()),
            **(header or {}),
        )

    def _header(self) -> dict[str, Any]:
        root = self._root
        env = root.list_of_text("env")
        check_plugins(root.text_mapping("plugins"), root, self._findings)
        return {
            "name": root.text("name"),
            "description": root.text("description"),
            "version": root.text("version"),
            "author": root.text("author"),
            "tags": root.list_of_text("tags"),
            "inputs": read_inputs(root, self._findings),
            "hooks": read_workflow_hooks(root),
            "env": env,
            "allows_unsafe_inputs": read_unsafe_inputs(root, self._findings),
        }

    def _initial(self, states_fields: Fields | None, *, has_name: bool) -> str:
        initial: str | None
        if states_fields is None:
            # Missing, or of a shape that is a problem already.
            initial = "" if self._is_missing("states") else None
        else:
            read = states_fields.text
            initial = self._findings.attempt(lambda: read("initial"), Stage.SHAPE, states_fields)
        if not has_name or initial == "":
            field = "states.initial" if has_name else "name"
            line = states_fields.line if has_name and states_fields is not None else self._root.line
            self._findings.add(Stage.REQUIRED, Problem(message=MISSING_FIELD, line=line, field=field))
        return initial or ""

    def _is_missing(self, key: str) -> bool:
        try:
            return self._root.raw(key) is None
        except FieldProblem:
            # It is there, and can't be decoded; that is a problem already.
            return False

    def _read_states(self, states_fields: Fields) -> list[ReadState]:
        entries = [entry for entry in states_fields.entries() if entry[0] != "initial"]
        names = frozenset(name for name, _, _ in entries)
        read: list[ReadState] = []
        for name, line, node in entries:
            reading = partial(self._state_fields, name, line, node, names)
            fields = self._findings.attempt(reading, Stage.SHAPE, states_fields)
            state = None if fields is None else read_state(fields, self._step_types, self._findings)
            if state is not None:
                read.append(state)
        return read

    def _state_fields(self, name: str, line: int, node: Node, names: frozenset[str]) -> StateFields:
        try:
            found = type_name(as_any(node, re_encoded=False))
        except YamlError as error:
            raise FieldProblem(f"state {quoted(name)}: {error.text}", line=error.line) from error
        if found != "map[string]interface {}":
            raise FieldProblem(f"state {quoted(name)}: expected map, got {found}", line=line)
        return StateFields(node, name=name, line=line, source=self._source, state_names=names)

    def _by_name(self, read: Sequence[ReadState]) -> dict[str, State]:
        states = {one.state.name: one.state for one in read if one.state is not None}
        names = {one.name for one in read}
        for one in read:
            if one.inline is not None:
                if one.inline.name in names:
                    self._findings.add(Stage.RULES, _name_taken(one.inline))
                states[one.inline.name] = one.inline
        return states


def _name_taken(inline: State) -> Problem:
    return Problem(
        message=f"state '{inline.name}' has the name that the inline on_failure of another state needs",
        line=inline.line,
        hint="Rename it.",
    )
