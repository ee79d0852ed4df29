"""docs/reference/workflows.md and templates-and-expressions.md against the readers of the workflow language.

The keys are those that reading asks for: a workflow is read through `Fields` that note every key they are asked for.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_pages import read_page, table

from awf_core.engine.agents.registry import agent_providers_with
from awf_core.engine.operations.registry import operations_with
from awf_core.engine.steps import builtin_step_types
from awf_core.engine.steps.call import DEFAULT_TIMEOUT_S, MAX_DEPTH
from awf_core.engine.steps.loop_limit import DEFAULT_MAX_ITERATIONS, MAX_ITERATIONS
from awf_core.engine.steps.parallel_outcome import STRATEGIES
from awf_core.lang import load
from awf_core.lang.expressions import builtin_table, environment, grammar
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.templates.functions import FUNCTIONS
from awf_core.lang.templates.namespaces import LOOP, ROOT_NAMES, STEP_STATE

PAGE = read_page("docs/reference/workflows.md")
LANGUAGES = read_page("docs/reference/templates-and-expressions.md")

SECTIONS = {
    "step": "## Command steps",
    "terminal": "## Terminals",
    "parallel": "## Parallel states",
    "for_each": "## Loops",
    "while": "## Loops",
    "call_workflow": "## Sub-workflows",
    "operation": "## Operations",
    "agent": "## Agents",
}
EVERYTHING = b"""
name: everything
inputs: [{name: a, validation: {pattern: x}}]
hooks: {workflow_start: [{log: x}]}
outputs: [{name: a, from: states.step.Output}]
states:
  initial: step
  step:
    type: step
    command: x
    retry: {max_attempts: 1}
    hooks: {pre: [{log: x}], post: [{log: x}]}
    transitions: [{goto: end}]
    use_template: t
  parallel: {type: parallel, parallel: [step]}
  for_each: {type: for_each, items: x, body: [step]}
  while: {type: while, while: "true", body: [step]}
  call_workflow: {type: call_workflow, workflow: x}
  operation: {type: operation, operation: x}
  agent: {type: agent, provider: claude, prompt: x, conversation: {continue_from: agent}}
  end: {type: terminal}
"""
# Asked for in every state, whatever its type, to know what leads where; the pages have them with the loops.
LINKS = {"items", "while", "body", "on_complete", "parallel"}


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text.replace("\\|", "|"))


def keys(heading: str) -> set[str]:
    return {row["Key"].strip("`") for row in table(PAGE.section(heading), "Key")}


def names(page_section: str, heading: str) -> list[str]:
    return [row[heading].strip("`") for row in table(page_section, heading)]


@pytest.fixture(scope="module")
def asked() -> set[str]:
    """The path of every key that reading the sample above asks for, list indices left out."""
    seen: set[str] = set()

    class Noting(Fields):
        def _read(self, key, convert):
            seen.add(re.sub(r"\[\d+\]", "[]", self.path_of(key)))
            return super()._read(key, convert)

        def _child(self, node, path, kind):
            below = super()._child(node, path, kind)
            return below and Noting(node, path=path, owner=self.owner, re_encoded=self.re_encoded)

    class NotingState(Noting, StateFields):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "Fields", Noting)
        patch.setattr(load, "StateFields", NotingState)
        load.parse_workflow(EVERYTHING, source=Path("w.yaml"), step_types=builtin_step_types())
    return seen


def below(asked: set[str], prefix: str) -> set[str]:
    return {path.removeprefix(prefix) for path in asked if path.startswith(prefix)}


def of_every_state(asked: set[str]) -> set[str]:
    """What is asked for in a terminal and in an agent, which share no key of their own."""
    return (below(asked, "states.end.") & below(asked, "states.agent.")) - LINKS


def test_the_keys_of_a_file_are_those_that_are_read(asked: set[str]) -> None:
    read = {path for path in asked if "." not in path and "[" not in path}

    assert keys("## The file") == read | {"states.initial"}
    assert "states.initial" in asked


@pytest.mark.parametrize("step_type", SECTIONS)
def test_the_keys_of_each_type_of_state_are_those_that_are_read(step_type: str, asked: set[str]) -> None:
    asked_here = below(asked, f"states.{'end' if step_type == 'terminal' else step_type}.")
    own = {key for key in asked_here if not key.startswith(("retry", "hooks", "transitions"))}
    elsewhere = of_every_state(asked) | {"parameters"} | (LINKS - keys(SECTIONS[step_type]))

    assert keys(SECTIONS[step_type]) == own - elsewhere


def test_the_keys_of_every_state_are_those_that_are_read(asked: set[str]) -> None:
    of_transitions = {key for key in below(asked, "states.step.") if key.startswith("transitions[]")}

    assert keys("## Keys of every state") == of_every_state(asked) | of_transitions | {"parameters"}
    assert "states.step.parameters" in asked


def test_the_keys_of_retry_hooks_and_inputs_are_those_that_are_read(asked: set[str]) -> None:
    hooks = {path for path in below(asked, "hooks.") if "[" not in path}
    of_state = {path for path in below(asked, "states.step.hooks.") if "[" not in path}

    assert keys("## Retry") == {f"retry.{key}" for key in below(asked, "states.step.retry.")}
    assert keys("## Hooks") == {f"hooks.{name}" for name in hooks | of_state}
    assert below(asked, "hooks.workflow_start[].") == {"log"}
    assert keys("## Inputs") == {f"inputs[].{key}" for key in below(asked, "inputs[].")}


def test_the_types_are_those_that_are_registered() -> None:
    rows = names(PAGE.section("## Keys of every state"), "Type")

    assert {*rows, "command"} == set(builtin_step_types().names())
    assert set(rows) == set(SECTIONS)


def test_operations_providers_and_strategies_are_those_that_are_registered() -> None:
    providers = agent_providers_with({})
    shown = {row["Provider"].strip("`"): set(codes(row["Options"])) for row in table(PAGE.text, "Provider")}

    assert set(names(PAGE.text, "Operation")) == set(operations_with({}, notify_backend=None))
    assert set(shown) == set(providers)
    assert names(PAGE.text, "Strategy") == list(STRATEGIES)
    for name, provider in providers.items():
        if name != "openai_compatible":
            assert shown[name] == provider._dialect.known, name


def test_the_limits_of_loops_and_calls_are_the_real_ones() -> None:
    assert f"1 to {MAX_ITERATIONS}, default {DEFAULT_MAX_ITERATIONS}" in PAGE.section("## Loops")
    assert f"{DEFAULT_TIMEOUT_S} seconds" in PAGE.section("## Sub-workflows")
    assert f"calls can be nested {MAX_DEPTH} deep" in PAGE.section("## Sub-workflows")


def test_the_documented_variables_and_functions_of_templates_are_the_real_ones() -> None:
    seen = LANGUAGES.section("## Variables of templates")
    loop = {name.removeprefix(".loop.") for name in names(PAGE.section("## Loops"), "Name")}

    assert set(names(seen, "Name")) == ROOT_NAMES
    assert set(names(seen, "Part")) == set(STEP_STATE.fields)
    assert loop == {*LOOP.fields, *LOOP.methods}
    assert set(names(LANGUAGES.section("## Templates"), "Function")) == set(FUNCTIONS) - ROOT_NAMES


def test_the_documented_variables_and_functions_of_expressions_are_the_real_ones() -> None:
    in_templates = set(STEP_STATE.fields) - set(environment._STATE_DEFAULTS)
    parts = table(LANGUAGES.section("## Variables of templates"), "Part")
    called = [name for row in table(LANGUAGES.text, "Kind") for name in codes(row["Functions"])]

    assert {row["Part"].strip("`") for row in parts if "only in templates" in row["Meaning"]} == in_templates
    assert set(names(LANGUAGES.section("## Variables of expressions"), "Name")) == set(environment.NAMES) - {"$env"}
    assert sorted(called) == sorted({*builtin_table.NAMES, *environment.FUNCTIONS})


def test_the_operators_are_those_of_the_grammar_in_the_order_of_precedence() -> None:
    rows = [codes(row["Operators"]) for row in table(LANGUAGES.section("## Operators"), "Operators")]
    powers = [[(grammar.UNARY if name in ("not", "!") else grammar.BINARY)[name] for name in row] for row in rows]

    assert {name for row in rows for name in row} == {*grammar.BINARY, *grammar.UNARY}
    assert [len(set(row)) for row in powers] == [1] * len(rows)
    assert [row[0] for row in powers] == sorted(row[0] for row in powers)
