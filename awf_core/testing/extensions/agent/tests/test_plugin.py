"""The provider in workflows, with the plugin as it is installed."""

from awf_core.plugin.doctor import diagnose
from awf_core.testing.workflow_run import run_workflow

WORKFLOW = """
name: talk
states:
  initial: ask
  ask:
    type: agent
    provider: sample
    prompt: "Hello, {{.inputs.who}}"
    options: {prefix: "> "}
    conversation: {}
    on_success: again
    on_failure: bad
  again: {type: agent, provider: sample, prompt: Bye, conversation: {continue_from: ask}, on_success: done}
  bad: {type: terminal, status: failure, message: "no answer"}
  done: {type: terminal}
"""


def test_the_answer_is_the_output_of_the_state(tmp_path):
    run = run_workflow(WORKFLOW, {"who": "Ada"}, cwd=tmp_path)

    assert run.status == "completed"
    assert run.states["ask"].output == "> Hello, Ada"
    assert run.states["ask"].tokens.estimated


def test_a_session_goes_on_under_its_id(tmp_path):
    states = run_workflow(WORKFLOW, {"who": "Ada"}, cwd=tmp_path).states

    first, second = states["ask"].conversation, states["again"].conversation
    assert first.session_id == second.session_id != ""
    assert [turn.content for turn in second.turns] == ["Hello, Ada", "> Hello, Ada", "Bye", "Bye"]


def test_an_unknown_option_fails_the_state(tmp_path):
    run = run_workflow(WORKFLOW.replace("prefix", "loud"), {"who": "Ada"}, cwd=tmp_path)

    assert (run.status, run.path) == ("failed", ("ask", "bad"))
    assert run.states["ask"].error == "sample: unknown option loud"


def test_the_plugin_is_installed_without_a_problem():
    (fact,) = [fact for fact in diagnose() if fact.name == "sample"]

    assert fact.problem is None
