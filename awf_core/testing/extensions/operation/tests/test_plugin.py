"""The operation in workflows, with the plugin as it is installed."""

from awf_core.plugin.doctor import diagnose
from awf_core.testing.workflow_run import run_workflow

WORKFLOW = """
name: words
states:
  initial: count
  count: {type: operation, operation: sample.count, inputs: {text: "{{.inputs.text}}"}, on_success: show, on_failure: bad}
  show: {type: step, command: "echo {{.states.count.Response.words}} words", on_success: done}
  bad: {type: terminal, status: failure, message: "{{.states.count.Output}}"}
  done: {type: terminal}
"""


def test_the_outputs_reach_later_states(tmp_path):
    run = run_workflow(WORKFLOW, {"text": "one two three"}, cwd=tmp_path)

    assert run.status == "completed"
    assert run.states["count"].response == {"words": 3, "characters": 13}
    assert run.states["show"].output == "3 words\n"


def test_a_text_without_words_is_counted(tmp_path):
    assert run_workflow(WORKFLOW, {"text": ""}, cwd=tmp_path).states["show"].output == "0 words\n"


def test_an_input_of_another_type_fails_the_state(tmp_path):
    run = run_workflow(WORKFLOW.replace('"{{.inputs.text}}"', "[1, 2]"), {}, cwd=tmp_path)

    assert (run.status, run.path) == ("failed", ("count", "bad"))
    assert run.states["count"].error == "sample.count: `text` must be a text, not list"


def test_the_plugin_is_installed_without_a_problem():
    (fact,) = [fact for fact in diagnose() if fact.name == "sample"]

    assert fact.problem is None
