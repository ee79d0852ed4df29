"""Which inserted values count as from a message, and what becomes of them in text for a shell."""

from __future__ import annotations

import pytest

from awf_core.config.model import EnvSettings, MqSettings
from awf_core.errors import ConfigError
from awf_core.extensions.environment import users_shell
from awf_core.lang.scope import Scope
from awf_core.lang.shell_text import UnsafeInput, render_script, render_script_name, render_shell, render_traced
from awf_core.lang.templates import compile_template
from awf_core.lang.untrusted import FROM_MESSAGE, UNSAFE_INPUT, Untrusted, untrusted_inputs
from awf_core.worker.step_environment import executor_environment, passed, reject_settings

HOSTILE = "a; touch x"
INPUTS = {"given": HOSTILE, "own": HOSTILE, "list": [HOSTILE], "number": 5, "word": "plain"}
UNTRUSTED = untrusted_inputs({name: value for name, value in INPUTS.items() if name != "own"})
"""`own` has its value from the workflow; it is searched nowhere, since the message holds the same text."""


def scope(untrusted: Untrusted | None = UNTRUSTED, **parts: object) -> Scope:
    return Scope(**{"inputs": INPUTS, "untrusted": untrusted, **parts})


NO_TEXTS = Untrusted(inputs=UNTRUSTED.inputs)
"""The same without a search for echoes, so that only what is written counts."""


@pytest.mark.parametrize(
    ("template", "is_from_message"),
    [
        ("{{.inputs.given}}", True),
        ("{{inputs.given}}", True),
        ("{{$.inputs.given}}", True),
        ('{{index .inputs "given"}}', True),
        ('{{printf "%s" .inputs.given}}', True),
        ("{{(.inputs.given | trimSpace)}}", True),
        ("{{escape .inputs.given}}", True),
        ("{{$x := .inputs.given}}{{$x}}", True),
        ("{{with .inputs.given}}{{.}}{{end}}", True),
        ("{{range .inputs.list}}{{.}}{{end}}", True),
        ("{{range $k, $v := .inputs}}{{$v}}{{end}}", True),
        ("{{range .}}{{.}}{{end}}", True),
        ("{{$r := .}}{{range $r}}{{.}}{{end}}", True),
        ('{{define "t"}}{{.}}{{end}}{{template "t" .}}', True),
        ('{{index . (print "in" "puts") "given"}}', True),
        ("{{.inputs.own}}", False),
        ("{{.env.HOME}}", False),
        ("{{.workflow.Name}}", False),
        ('{{if .inputs.given}}{{"constant; text"}}{{end}}', False),
        ('{{range split "a b,c" ","}}{{.}}{{end}}', False),
        ("no template", False),
    ],
)
def test_a_value_is_from_a_message_if_what_is_written_may_read_one(template: str, *, is_from_message: bool) -> None:
    _, found = render_traced(compile_template(template), scope(NO_TEXTS, env={"HOME": "/h"}, workflow={"Name": "w"}))

    assert found is is_from_message


@pytest.mark.parametrize(("output", "is_from_message"), [(f"not found: {HOSTILE}\n", True), ("A; TOUCH X", False)])
def test_an_output_that_holds_a_text_of_the_message_counts_as_from_it(output: str, *, is_from_message: bool) -> None:
    states = {"a": {"Output": output}}

    _, found = render_traced(compile_template("{{.states.a.Output}}"), scope(states=states))

    assert found is is_from_message


def test_a_message_with_too_many_texts_makes_every_output_one_of_them() -> None:
    untrusted = untrusted_inputs({"x": [f"a; {number}" for number in range(5000)]})

    _, found = render_traced(
        compile_template("{{.states.a.Output}}"), scope(untrusted, states={"a": {"Output": "b c"}})
    )

    assert found


@pytest.mark.parametrize(
    "loop",
    [
        {"Item": HOSTILE, FROM_MESSAGE: True, "Parent": None},
        {"Item": HOSTILE, FROM_MESSAGE: False, "Parent": {"Item": "x", FROM_MESSAGE: True, "Parent": None}},
    ],
)
def test_an_item_of_a_loop_over_an_input_is_from_the_message(loop: dict[str, object]) -> None:
    inside = scope(NO_TEXTS.in_loop(loop), loop=loop)

    assert render_traced(compile_template("{{.loop.Item}}"), inside)[1]
    assert not render_traced(compile_template("{{.loop.Index}}"), inside)[1]
    assert not render_traced(compile_template("{{.loop.Item}}"), scope(NO_TEXTS, loop={"Item": "x"}))[1]


def test_a_called_workflow_keeps_the_mark_of_the_inputs_that_hold_one() -> None:
    child = UNTRUSTED.in_child({"a": HOSTILE, "b": "x; y"}, frozenset({"a"}))

    assert child.inputs == {"a"}
    assert HOSTILE in child.texts


def test_nothing_is_checked_without_a_message_or_where_it_is_allowed() -> None:
    template = compile_template("echo {{.inputs.given}}")

    assert render_shell(template, scope(None)) == f"echo {HOSTILE}"
    assert render_shell(template, scope(untrusted_inputs(INPUTS, is_allowed=True))) == f"echo {HOSTILE}"


def test_the_error_says_what_is_wrong_where_and_what_to_write_and_not_the_value() -> None:
    with pytest.raises(UnsafeInput) as raised:
        render_shell(compile_template('echo "x" {{.inputs.given | trimSpace}}'), scope())

    assert raised.value.message == (
        'unsafe_input: {{.inputs.given | trimSpace}} holds ";" outside of quotes, where a shell reads it as syntax; '
        "write {{escape (.inputs.given | trimSpace)}} outside of quotes"
    )
    assert raised.value.code == UNSAFE_INPUT
    assert "touch" not in raised.value.message


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\necho {{.inputs.given}}",
        "#!/usr/bin/env bash\necho {{.inputs.given}}",
        "#!/usr/bin/python3\nprint({{escape .inputs.given}})",
        "#!/usr/bin/env -S fish\necho {{escape .inputs.given}}",
        "#!/bin/{{.inputs.word}}\necho",
        "echo {{.inputs.given}}",
    ],
)
def test_a_script_is_judged_by_its_interpreter(script: str) -> None:
    with pytest.raises(UnsafeInput):
        render_script(compile_template(script), scope())


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\necho {{escape .inputs.given}}", "#!/usr/bin/python3\nf({{.inputs.number}})"]
)
def test_a_script_takes_what_is_harmless_in_it(script: str) -> None:
    assert render_script(compile_template(script), scope()).startswith("#!")


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_a_message_chooses_no_directory_of_a_script(name: str) -> None:
    given = {"x": name}

    with pytest.raises(UnsafeInput):
        render_script_name(
            compile_template("scripts/{{.inputs.x}}.sh"), Scope(inputs=given, untrusted=untrusted_inputs(given))
        )


def test_a_step_gets_the_listed_variables_whatever_else_names_a_setting() -> None:
    env = {"PATH": "/bin", "LC_ALL": "C", "TOKEN": "x", "GH_TOKEN": "y", "AWF_MQ_URL": "z", "XDG_DATA_HOME": "/d"}

    assert passed(env, ["GH_*"]) == {"PATH": "/bin", "LC_ALL": "C", "GH_TOKEN": "y"}
    assert "AWF_MQ_URL" not in passed(env, ["*"])
    settings = MqSettings(env=EnvSettings(pass_=["TOKEN"]))
    assert set(executor_environment(env, settings)) == {"PATH", "LC_ALL", "TOKEN", "XDG_DATA_HOME", "SHELL"}
    assert executor_environment({"SHELL": "/usr/bin/fish"}, settings) == {"SHELL": "/bin/sh"}
    with pytest.raises(ConfigError, match="is a setting of the queue"):
        reject_settings(["AWF_MQ_URL"])


@pytest.mark.parametrize(
    ("wanted", "shell", "note"),
    [
        ("", "/bin/sh", ""),
        ("/bin/sh", "/bin/sh", ""),
        ("/usr/bin/fish", "/bin/sh", "SHELL is '/usr/bin/fish', which is none of sh, bash"),
        ("/bin/tcsh", "/bin/sh", "SHELL is '/bin/tcsh', which is none of"),
        ("sh", "/bin/sh", "SHELL is 'sh', which is none of"),
        ("/no/such/bash", "/bin/sh", "SHELL is '/no/such/bash', which does not exist"),
    ],
)
def test_a_users_shell_is_used_if_it_is_a_posix_shell(wanted: str, shell: str, note: str) -> None:
    used, said = users_shell(wanted)

    assert used == shell
    assert said.startswith(note)
    assert bool(said) == bool(note)
