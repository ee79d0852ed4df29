"""Hostile messages against a real worker: none of their text runs, no setting reaches a step, nothing stays behind."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awf_process
import pytest
from awf_process import WorkerProcess
from eventually import eventually
from hostile_values import hostile_values
from queue_project import Project

from awf_core.worker.pipeline import message_key

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "canary"
SECRET = "hunter2-of-the-queue"
OTHER = "hunter2-of-another-program"
PLACES = {
    "bare": "echo {{.inputs.x}}",
    "joined": "echo a{{.inputs.x}}b",
    "double": 'echo "{{.inputs.x}}"',
    "single": "echo '{{.inputs.x}}'",
    "substitution": 'echo "$(echo {{.inputs.x}})"',
    "backquotes": "echo `echo {{escape .inputs.x}}`",
    "here-document": "cat <<EOF\n{{.inputs.x}}\nEOF\n",
    "quoted-here-document": "cat <<'EOF'\n{{.inputs.x}}\nEOF\n",
    "comment": "true # {{.inputs.x}}\n",
    "arithmetic": "echo $(( {{.inputs.x}} + 1 ))",
    "parameter": 'echo "${nothing:-{{.inputs.x}}}"',
    "printed": 'echo {{printf "<%s>" .inputs.x}}',
    "variable": "{{$y := .inputs.x}}echo {{$y}}",
    "piped": "echo {{.inputs.x | trimSpace}}",
    "indexed": 'echo {{index .inputs "x"}}',
    "dot": "{{with .inputs.x}}echo {{.}}{{end}}",
    "included": '{{define "t"}}echo {{.}}{{end}}{{template "t" .inputs.x}}',
    "escaped": "echo {{escape .inputs.x}}",
    "escaped-in-quotes": "echo '{{escape .inputs.x}}' \"{{escape .inputs.x}}\"",
    "eval": "eval echo {{escape .inputs.x}}",
    "piped-to-shell": "echo '{{.inputs.x}}' | sh",
    "sourced": ". /dev/stdin <<'EOF'\n{{.inputs.x}}\nEOF\n",
    "inner-shell": "sh -c 'echo {{.inputs.x}}'",
}
"""Commands with the input `x` in them, by where it stands. The worker of these tests runs them in /bin/sh."""
ALWAYS_COMPLETED = ("escaped",)


@dataclass
class Hostile:
    """A project whose worker has been given every hostile value in every place."""

    project: Project
    worker: WorkerProcess
    sent: dict[str, tuple[str, str]]
    """The workflow and the value of each message, by id."""

    def result(self, message_id: str) -> dict[str, Any]:
        """The result of a message."""
        (found,) = (result for result in self.project.results() if result["message_id"] == message_id)
        return found

    def is_done(self) -> bool:
        """Whether every message has its result."""
        return len(self.project.results()) >= len(self.sent)


def document(states: str, *, inputs: str = "[{name: x}]", more: str = "") -> str:
    end = "  done: {type: terminal}\n  failed: {type: terminal, status: failure}\n"
    return f"name: w\ninputs: {inputs}\n{more}states:\n{states}{end}"


def step(name: str, command: str, on_success: str = "done") -> str:
    body = {"type": "step", "command": command, "on_success": on_success, "on_failure": "failed"}
    return f"  {name}: {json.dumps(body)}\n"


def add_workflows(project: Project) -> list[str]:
    """Every place as a workflow, and what leads around it: loops, calls, branches, hooks, scripts, outputs."""
    raw = PLACES["bare"]
    texts = {name: document("  initial: a\n" + step("a", command)) for name, command in PLACES.items()}
    loop = "  initial: each\n  each: {type: for_each, items: '{{.inputs.x}}', body: [a], on_complete: done}\n"
    texts["loop"] = document(loop + step("a", "echo {{.loop.Item}}", "each"))
    call = "  initial: a\n  a: {type: call_workflow, workflow: bare, inputs: {x: '{{.inputs.x}}'}, "
    texts["call"] = document(call + "on_success: done, on_failure: failed}\n")
    branches = "  initial: both\n  both: {type: parallel, parallel: [a, b], strategy: best_effort, on_success: done}\n"
    texts["parallel"] = document(branches + step("a", raw) + step("b", 'echo "{{.inputs.x}}"'))
    texts["echoed"] = document(
        "  initial: a\n" + step("a", "printf %s {{escape .inputs.x}}", "b") + step("b", 'echo "{{.states.a.Output}}"')
    )
    hook = '  a: {type: step, command: "true", hooks: {pre: [{command: "echo {{.inputs.x}}"}]}, on_success: done}\n'
    texts["pre-hook"] = document("  initial: a\n" + hook)
    start = "hooks: {workflow_start: [{command: 'echo {{.inputs.x}}'}]}\n"
    texts["start-hook"] = document("  initial: a\n" + step("a", "true"), more=start)
    failing = "hooks: {workflow_error: [{command: 'echo \"{{.error.Message}}\"'}]}\n"
    texts["error-hook"] = document(
        '  initial: a\n  a: {type: step, command: "printf %s {{escape .inputs.x}} >&2; false", on_success: done}\n',
        more=failing,
    )
    scripts = project.awf / "scripts"
    scripts.mkdir()
    (scripts / "s.sh").write_text("#!/bin/sh\necho {{.inputs.x}}\n")
    (scripts / "s.py").write_text("#!/usr/bin/env python3\nprint({{escape .inputs.x}})\n")
    for name in ("s.sh", "s.py"):
        texts[name] = document(f"  initial: a\n  a: {{type: step, script_file: ../scripts/{name}, on_success: done}}\n")
    chosen = "  initial: a\n  a: {type: step, script_file: '../scripts/{{.inputs.x}}', on_success: done}\n"
    texts["script-name"] = document(chosen)
    for name, text in texts.items():
        project.workflow_text(name, text)
    return list(texts)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """Every value in every place, with innocent messages between them, all received by one worker."""
    directory = tmp_path_factory.mktemp("hostile")
    project = Project(directory).make_queue()
    project.mq(retry={"initial_delay": "0.1s"})
    workflows = add_workflows(project)
    project.workflow("innocent", f"echo $AWF_MESSAGE_ID >> {project.marks}/innocent", inputs=[{"name": "x"}])
    sent: dict[str, tuple[str, str]] = {}
    for workflow in workflows:
        for number, (name, value) in enumerate(hostile_values(CANARY)):
            sent[f"{workflow}/{name}/{number}"] = (workflow, value)
        sent[f"innocent/{workflow}"] = ("innocent", "word")
    messages = [
        {"id": message_id, "workflow": workflow, "inputs": {"x": value}, "reply_to": "results"}
        for message_id, (workflow, value) in sent.items()
    ]
    worker = awf_process.start_worker(directory, "--concurrency", "4", "--log-level", "warning")
    project.put(*messages)
    try:
        yield Hostile(project, worker, sent)
    finally:
        worker.kill()
        awf_process.kill_all(directory)


class TestHostileInputs:
    def test_no_command_of_a_message_runs_and_every_innocent_message_completes_once(self, hostile: Hostile) -> None:
        eventually(hostile.is_done, 100, what=f"{len(hostile.sent)} results")

        assert list(hostile.project.directory.rglob(CANARY)) == []
        innocents = [message_id for message_id in hostile.sent if message_id.startswith("innocent/")]
        ran = (hostile.project.marks / "innocent").read_text().split()
        assert sorted(ran) == sorted(innocents)
        assert {hostile.result(each)["status"] for each in innocents} == {"completed"}
        assert hostile.worker.process.poll() is None

    def test_what_is_refused_is_dead_lettered_at_once_as_unsafe_input(self, hostile: Hostile) -> None:
        eventually(hostile.is_done, 100, what=f"{len(hostile.sent)} results")

        dead = hostile.project.dead_messages()

        refused = [each for each in dead if each["reason"] == "unsafe_input"]
        assert {each["attempt"] for each in refused} == {1}
        assert all(re.search(r"unsafe_input: \{\{.+\}\} (holds|stands)", each["error"]) for each in refused)
        workflows = {json.loads(each["body"])["workflow"] for each in refused}
        assert workflows >= {
            *PLACES,
            "loop",
            "call",
            "parallel",
            "echoed",
            "pre-hook",
            "start-hook",
            "s.sh",
            "s.py",
        } - {
            *ALWAYS_COMPLETED,
            "quoted-here-document",
        }
        assert "innocent" not in workflows

    @pytest.mark.parametrize("workflow", ALWAYS_COMPLETED)
    def test_an_escaped_value_is_printed_as_it_is(self, hostile: Hostile, workflow: str) -> None:
        eventually(hostile.is_done, 100, what=f"{len(hostile.sent)} results")

        for message_id, (name, value) in hostile.sent.items():
            if name == workflow:
                assert hostile.result(message_id)["output"] == value + "\n"


@dataclass
class Trusted:
    """A project with a worker whose environment holds secrets."""

    project: Project
    worker: WorkerProcess

    def run(self, workflow: str, **message: object) -> dict[str, Any]:
        """The result of one message."""
        before = len(self.project.results())
        self.project.put({"workflow": workflow, "reply_to": "results", **message})
        eventually(lambda: len(self.project.results()) > before, 20, what=f"the result of {workflow}")
        return self.project.results()[-1]


@pytest.fixture(scope="class")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    directory = tmp_path_factory.mktemp("steps")
    project = Project(directory).make_queue()
    project.mq(env={"pass": ["PASSED_*"]}, retry={"initial_delay": "0.1s"})
    env = {
        "AWF_MQ_RABBITMQ_PASSWORD": SECRET,
        "AWF_MQ_ENV_PASS": f"[{awf_process.MARK}, PASSED_*]",
        "OTHER_TOKEN": OTHER,
        "PASSED_ON": "yes",
        "WANTED": "also",
        "LC_TIME": "C",
        "SHELL": "/usr/bin/fish",
        "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}",
    }
    worker = awf_process.start_worker(directory, env=env)
    worker.await_line("worker.ready")
    try:
        yield Trusted(project, worker)
    finally:
        worker.kill()
        awf_process.kill_all(directory)


class TestSteps:
    def test_a_step_sees_the_listed_variables_and_no_setting_of_the_queue(self, trusted: Trusted) -> None:
        show = "env; tr '\\0' '\\n' < /proc/$PPID/environ"
        trusted.project.workflow("show", show, env=["WANTED", "AWF_MQ_RABBITMQ_PASSWORD"])

        output = trusted.run("show", id="m-1")["output"]

        steps, _, workers = output.partition("\nAWF_MQ_")
        names = {line.partition("=")[0] for line in steps.splitlines()}
        assert names >= {"PATH", "HOME", "LC_TIME", "PASSED_ON", "WANTED", "AWF_RUN_ID", "AWF_MESSAGE_ID"}
        assert "OTHER_TOKEN=" not in steps.partition("\n_=")[0]
        assert SECRET not in steps
        assert SECRET not in workers

    def test_no_template_reads_a_variable_that_steps_do_not_get(self, trusted: Trusted) -> None:
        trusted.project.workflow("read", 'echo {{.env.PASSED_ON}}{{index .env "AWF_MQ_RABBITMQ_PASSWORD"}}')
        trusted.project.workflow("read-other", "echo {{.env.OTHER_TOKEN}}")

        assert trusted.run("read")["output"] == "yes\n"
        assert trusted.run("read-other")["error"]["message"].startswith("interpolate command: undefined variable")

    def test_the_log_says_at_start_what_steps_get(self, trusted: Trusted) -> None:
        (started,) = trusted.worker.lines("worker.started")

        assert {"PATH", "HOME", "PASSED_ON"} <= set(started["step_env"])
        assert not {"OTHER_TOKEN", "WANTED", "AWF_MQ_RABBITMQ_PASSWORD"} & set(started["step_env"])
        assert (started["shell"], started["unsafe_inputs"], started["orphans"]) == ("/bin/sh", "refuse", "kill")

    def test_the_key_of_a_message_is_a_safe_file_name_whatever_its_id(self, trusted: Trusted) -> None:
        trusted.project.workflow("keyed", 'mkdir -p keyed; : > "keyed/$AWF_MESSAGE_KEY"; echo "$AWF_MESSAGE_KEY"')

        output = trusted.run("keyed", id="../../x")["output"]

        key = message_key("awf-workflows", "../../x")
        assert output == key + "\n"
        assert re.fullmatch("[0-9a-f]{64}", key)
        assert [path.name for path in (trusted.project.directory / "keyed").iterdir()] == [key]

    def test_no_id_of_a_message_is_inserted_as_syntax(self, trusted: Trusted) -> None:
        trusted.project.workflow("by-id", "echo {{.env.AWF_MESSAGE_ID}}")

        hostile = trusted.run("by-id", id=f"x; touch {CANARY}")
        hidden_nul = trusted.run("by-id", id=f"y; touch\0 {CANARY}")
        plain = trusted.run("by-id", id="order-5")

        assert [hostile["error"]["code"], hidden_nul["error"]["code"]] == ["USER.INPUT.UNSAFE"] * 2
        assert plain["output"] == "order-5\n"
        assert list(trusted.project.directory.rglob(CANARY)) == []

    def test_what_a_finished_step_leaves_ends_with_it(self, trusted: Trusted) -> None:
        pids = trusted.project.directory / "pids"
        daemon = f"sh -c 'echo $$ >> {pids}; exec sleep 600' >/dev/null 2>&1"
        wait = f'until [ "$(wc -l < {pids})" = 3 ]; do sleep 0.02; done'
        trusted.project.workflow(
            "leave", f": > {pids}; {daemon} & setsid {daemon} & (env -i setsid {daemon} &); {wait}"
        )

        result = trusted.run("leave")

        assert result["status"] == "completed"
        left = [int(pid) for pid in pids.read_text().split()]
        eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in left), 5, what="they are gone")

    def test_an_input_that_no_process_can_be_given_is_a_fault_of_the_message(self, trusted: Trusted) -> None:
        inputs = [{"name": "x"}]
        trusted.project.workflow("given", "echo {{escape .inputs.x}}", inputs=inputs)

        with_nul = trusted.run("given", id="nul", inputs={"x": "a\0b"})
        too_large = trusted.run("given", id="large", inputs={"x": "a" * 200_000})

        reasons = {json.loads(dead["body"]).get("id"): dead for dead in trusted.project.dead_messages()}
        assert (reasons["nul"]["reason"], reasons["nul"]["attempt"]) == ("invalid_inputs", 1)
        assert (reasons["large"]["reason"], reasons["large"]["attempt"]) == ("permanent_failure", 1)
        assert "inputs.x: holds a NUL" in with_nul["error"]["message"]
        assert 'the largest input is "x" with 200000 bytes' in too_large["error"]["message"]

    def test_a_prompt_that_no_program_can_be_given_is_a_fault_of_the_message(self, trusted: Trusted) -> None:
        program = trusted.project.directory / "claude"
        program.write_text("#!/bin/sh\necho asked >> asked\n")
        program.chmod(0o755)
        ask = {"type": "agent", "provider": "claude", "prompt": "{{.inputs.x}}", "on_success": "done"}
        trusted.project.workflow_text("ask", document(f"  initial: a\n  a: {json.dumps(ask)}\n"))

        result = trusted.run("ask", id="prompt", inputs={"x": "a" * 200_000})

        assert (result["attempt"], result["error"]["code"]) == (1, "USER.INPUT.UNPASSABLE")
        assert "the prompt is too large for a process" in result["error"]["message"]
        assert not (trusted.project.directory / "asked").exists()

    @pytest.mark.parametrize("value", ["word", "-1.5", "/srv/a-b_c.txt", "Zoë", 7, True])
    def test_words_numbers_and_paths_pass_anywhere(self, trusted: Trusted, value: object) -> None:
        trusted.project.workflow("say", "echo {{.inputs.x}}", inputs=[{"name": "x"}])

        result = trusted.run("say", inputs={"x": value})

        assert result["output"] == {True: "true"}.get(value, str(value)) + "\n"

    def test_json_passes_within_single_quotes_as_long_as_it_holds_none(self, trusted: Trusted) -> None:
        trusted.project.workflow("json", "echo '{{json .inputs.x}}'", inputs=[{"name": "x"}])

        assert trusted.run("json", inputs={"x": {"a": ["$(id)", "`b`"]}})["output"] == '{"a":["$(id)","`b`"]}\n'
        refused = trusted.run("json", inputs={"x": ["it's"]})
        assert "within single quotes" in refused["error"]["message"]

    def test_defaults_and_outputs_of_the_workflow_itself_are_trusted(self, trusted: Trusted) -> None:
        trusted.project.workflow(
            "own", "{{.inputs.command}}", inputs=[{"name": "command", "default": "echo a; echo b"}]
        )

        assert trusted.run("own")["output"] == "a\nb\n"

    def test_a_workflow_may_allow_what_a_message_inserts(self, trusted: Trusted) -> None:
        trusted.project.workflow("open", "{{.inputs.x}}", inputs=[{"name": "x"}], unsafe_inputs="allow")

        assert trusted.run("open", inputs={"x": "echo a; echo b"})["output"] == "a\nb\n"


def test_the_settings_turn_the_controls_off(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    project = Project(tmp_path / "p").make_queue()
    project.mq(unsafe_inputs="allow", orphans="keep", shell="/bin/bash")
    pid_file = project.directory / "pid"
    daemon = f"(setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' >/dev/null 2>&1 &)"
    wait = f"until [ -s {pid_file} ]; do sleep 0.02; done"
    project.workflow("open", f"{daemon}; {wait}; echo $BASH; {{{{.inputs.x}}}}", inputs=[{"name": "x"}])
    project.put({"workflow": "open", "inputs": {"x": "echo a; echo b"}, "reply_to": "results"})

    ended = awf_process.awf(project.directory, "worker", "--burst")

    try:
        assert ended.returncode == 0
        assert project.results()[0]["output"] == "/bin/bash\na\nb\n"
        assert Path(f"/proc/{pid_file.read_text().strip()}/cmdline").read_bytes().startswith(b"sleep")
    finally:
        awf_process.kill_all(project.directory)


@pytest.mark.parametrize(
    ("settings", "env", "error"),
    [
        ({"shell": "/usr/bin/fish"}, {}, "is not the absolute path of a POSIX shell"),
        ({"shell": "bash"}, {}, "is not the absolute path of a POSIX shell"),
        ({"shell": "/no/such/sh"}, {}, "mq.shell: /no/such/sh is no program that can be run"),
        ({}, {"AWF_MQ_ENV_PASS": "[AWF_MQ_REDIS_URL]"}, "mq.env.pass: 'AWF_MQ_REDIS_URL' is a setting of the queue"),
        ({"unsafe_inputs": "ask"}, {}, "mq.unsafe_inputs"),
    ],
)
def test_a_setting_that_would_open_a_hole_stops_the_worker(
    tmp_path: Path, settings: dict[str, object], env: dict[str, str], error: str
) -> None:
    (tmp_path / "p").mkdir()
    project = Project(tmp_path / "p").make_queue()
    project.mq(**settings)

    ended = awf_process.awf(project.directory, "worker", "--burst", env=env)

    assert ended.returncode == 2
    assert error in ended.stderr


def test_awf_run_replaces_a_shell_that_is_no_posix_shell_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    project = Project(tmp_path / "p").make_queue()
    project.workflow("say", "echo {{.inputs.x}}; echo $0", inputs=[{"name": "x"}])

    say = ("run", "say", "--output", "buffered", "--input", "x=a; echo b")
    ended = awf_process.awf(project.directory, *say, env={"SHELL": "/usr/bin/fish"})

    assert "SHELL is '/usr/bin/fish', which is none of sh, bash" in ended.stderr
    assert ended.stdout == "a\nb\n/bin/sh\n"
