"""The agent step: what is asked, what comes back, and what ends the run. Agents are stand-ins on PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from state_runs import Parrot, Place, one_state

from awf_core.engine.steps import builtin_step_types
from awf_core.errors import ConfigError
from awf_core.extensions.agents import AgentFailed
from awf_core.lang.problems import LoadError

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(place: Place, parrot: Parrot, inputs: dict[str, Any] | None = None, **keys: Any) -> Run:
    state = one_state("agent", **({"provider": "parrot", "prompt": "hi"} | keys))
    return place.run(state, inputs, agent_providers={"parrot": parrot})


def test_a_plugins_provider_gets_the_prompt_and_the_options_filled_in(place: Place) -> None:
    parrot = Parrot()

    run = ask(
        place,
        parrot,
        {"x": "v", "who": "parrot"},
        provider="{{.inputs.who}}",
        prompt="<{{.inputs.x}}>",
        options={"a": "{{.inputs.x}}", "n": 5, "l": ["{{.inputs.x}}"]},
    )

    assert run.states["a"].output == "<v>"
    assert parrot.requests[0].options == {"a": "v", "n": 5, "l": ["v"], "output_format": "text"}
    assert parrot.requests[0].conversation is None


def test_a_role_and_a_system_prompt_become_one_option(place: Place) -> None:
    parrot = Parrot()
    place.write(".agents/roles/dev/AGENTS.md", "---\nname: dev\n---\nYou are dev.\n")

    ask(place, parrot, {"x": "v"}, role="dev", system_prompt="S {{.inputs.x}}", options={"system_prompt": "old"})

    assert parrot.requests[0].options["system_prompt"] == "You are dev.\n\nS v"
    assert place.heard.lines == ["warn: options.system_prompt overridden by composed role+system_prompt"]


def test_the_configuration_path_of_roles_and_the_file_itself_are_found_too(place: Place) -> None:
    parrot = Parrot()
    place.write("more/dev/AGENTS.md", "A")
    place.write(".awf/workflows/r/AGENTS.md", "B")
    place.env["AWF_ROLES_PATH"] = f"{place.work}/none:{place.work}/more"

    ask(place, parrot, role="dev")
    ask(place, parrot, role="./r/AGENTS.md")

    assert [request.options["system_prompt"] for request in parrot.requests] == ["A", "B"]


def test_a_prompt_file_is_found_beside_the_workflow_at_home_and_in_the_projects_prompts(place: Place) -> None:
    parrot = Parrot()
    place.write(".awf/workflows/near.md", "near {{.inputs.x}}")
    place.write(".awf/prompts/local.md", "local")
    (place.root / "home" / "far.md").write_text("far")

    for file in ("near.md", "~/far.md", "{{.awf.prompts_dir}}/local.md"):
        ask(place, parrot, {"x": "v"}, prompt=None, prompt_file=file)

    assert [request.prompt for request in parrot.requests] == ["near v", "far", "local"]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"prompt": "{{.inputs.no}}"}, "resolve prompt: undefined variable"),
        ({"provider": "no{{1}}"}, 'provider "no1" not found'),
        ({"options": {"m": "{{.inputs.no}}"}}, 'resolve options: option "m": undefined variable'),
        ({"system_prompt": "{{.inputs.no}}"}, "resolve system prompt: undefined variable"),
        ({"prompt": None, "prompt_file": "no.md"}, "load prompt file: file not found: "),
        ({"prompt": None, "prompt_file": "../workflows"}, "load prompt file: path is a directory, not a file: "),
        ({"prompt": None, "prompt_file": "big.md"}, "load prompt file: file exceeds 1MB limit: "),
        (
            {"skills": ["no"]},
            'resolve skills: skill "no" not found in search paths: .awf/skills, .agents/skills, .claude/skills, ',
        ),
        ({"skills": [{"path": "./no"}]}, 'resolve skills: skill "no" not found in search paths: '),
        (
            {"role": "no"},
            'resolve role: resolve role "no": agent role "no" not found in search paths: .awf/roles, .agents/roles, ',
        ),
        ({"mcp_proxy": {"enable": True}}, "mcp_proxy needs the tool server of the original awf program"),
    ],
)
def test_what_cannot_be_put_together_ends_the_run_past_on_failure(
    place: Place, keys: dict[str, Any], text: str
) -> None:
    place.write(".awf/workflows/big.md", "x" * (1024 * 1024 + 1))

    run = ask(place, Parrot(), **keys)

    assert run.error is not None
    assert (run.final_state, run.states) == ("a", {})
    assert run.error.message.startswith(f"step a: {text}")


def test_a_proxy_that_is_switched_off_is_none(place: Place) -> None:
    run = ask(place, Parrot(), mcp_proxy={"enable": False, "intercept_builtins": False})

    assert run.status == "completed"


@pytest.mark.parametrize(
    ("keys", "text", "code"),
    [
        ({"provider": " "}, "agent config is required for agent-type steps", "WORKFLOW.PARSE.YAML_SYNTAX"),
        ({"prompt": ""}, "agent config: prompt or prompt_file is required", None),
        ({"prompt_file": "x"}, "agent config: prompt and prompt_file are mutually exclusive", None),
        ({"mode": "conversation", "prompt": ""}, "agent config: prompt is required in conversation mode", None),
        ({"skills": "x"}, "skills must be a list", None),
        ({"skills": [""]}, "skill[0]: empty skill name", None),
        ({"skills": ["x", {"name": "y"}]}, "skill[1]: map must have 'path' key", None),
        ({"skills": [{"path": ""}]}, "skill[0]: path must be a non-empty string", None),
        ({"skills": [5]}, "skill[0]: invalid type", None),
        (
            {"mcp_proxy": {"enable": True, "policy": 1, "x": 2}},
            "mcp_proxy: unknown key 'policy', 'x'",
            "USER.MCP_PROXY.UNKNOWN_KEY",
        ),
        (
            {"mcp_proxy": {"enable": True, "plugin_tools": [{"plugin": "p", "ops": []}]}},
            "mcp_proxy: unknown key 'ops'",
            "USER.MCP_PROXY.UNKNOWN_KEY",
        ),
        (
            {"mcp_proxy": {"enable": True, "plugin_tools": [{"plugin": "p"}, {"plugin": "p"}]}},
            "duplicate plugin entry: p",
            "USER.MCP_PROXY.NAME_COLLISION",
        ),
        (
            {"mcp_proxy": {"enable": True, "intercept_builtins": False}},
            "MCP proxy enabled with intercept_builtins=false but no plugin_tools specified",
            "USER.MCP_PROXY.EMPTY_PROXY",
        ),
    ],
)
def test_an_agent_that_makes_no_sense_does_not_load(
    place: Place, keys: dict[str, Any], text: str, code: str | None
) -> None:
    with pytest.raises(LoadError) as refused:
        ask(place, Parrot(), **keys)

    assert refused.value.text == f"step 'a': {text}"
    assert code is None or refused.value.code == code


def test_a_failing_agent_is_routed_with_no_output_and_exit_code_zero(place: Place) -> None:
    run = ask(place, Parrot(failure=AgentFailed("no answer")))

    record = run.states["a"]
    assert (run.final_state, record.error, record.output, record.exit_code) == ("failed", "no answer", "", 0)
    assert record.response is None


def test_an_unhandled_timeout_of_an_agent_cancels_the_run(place: Place) -> None:
    run = ask(place, Parrot(failure=AgentFailed("too slow", cause="timeout")), on_failure=None)

    assert (run.status, run.cancel_reason) == ("cancelled", "timeout")


def test_a_provider_without_run_is_rejected_at_start() -> None:
    with pytest.raises(ConfigError) as caught:
        builtin_step_types(agent_providers={"x": object()})

    assert caught.value.message == (
        "agent provider 'x' of a plugin is object, which has no method run(request, context)"
    )
    assert caught.value.hint == "See awf_core.extensions.agents.AgentProvider."


def test_secret_inputs_are_masked_in_the_answer_and_in_errors(place: Place) -> None:
    secret = {"API_KEY": "k-123"}

    answered = ask(place, Parrot("the key is k-123"), secret)
    failed = ask(place, Parrot(failure=AgentFailed("k-123 refused")), secret)

    assert answered.states["a"].output == "the key is ***"
    assert failed.states["a"].error == "*** refused"
