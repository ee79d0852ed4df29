"""The transcript of a run: a line for each thing that happened, in order."""

from __future__ import annotations

import json
from typing import Any

from awf_core.engine.records.transcript import path_of

RUN_ID = "11111111-2222-4333-8444-555555555555"


def events_of(place: Any, run_id: str = RUN_ID) -> list[tuple[str, str]]:
    return [(line["type"], line["path"]) for line in place.lines(f"transcripts/{run_id}.jsonl")]


def test_steps_are_noted_with_all_that_is_known_of_them(place: Any) -> None:
    place.workflow("a: {type: step, command: 'exit 3', on_success: done}")

    place.run()

    started, completed = place.lines(f"transcripts/{RUN_ID}.jsonl")
    assert list(started) == ["seq", "run_id", "type", "path", "iteration", "timestamp", "payload"]
    assert (started["seq"], started["run_id"], started["payload"]) == (1, RUN_ID, {"name": "a", "kind": "step"})
    assert (completed["seq"], completed["type"]) == (2, "step.completed")
    assert completed["payload"] == {
        "name": "a",
        "kind": "step",
        "error": "exit code 3",
        "result": {"status": "failed", "exit_code": 3},
    }
    assert (place.records / f"transcripts/{RUN_ID}.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_path_names_the_iterations_of_the_loops_around_a_step(place: Any) -> None:
    place.workflow(
        "a: {type: for_each, items: '[1,2]', body: [b], on_complete: done}\n"
        "  b: {type: for_each, items: '[3]', body: [c], on_complete: a}\n"
        "  c: {type: step, command: 'true', on_success: b}"
    )

    place.run()

    started = [path for kind, path in events_of(place) if kind == "step.started"]
    assert started == ["a", "loop:0/b", "loop:0/loop:0/c", "loop:1/b", "loop:1/loop:0/c"]
    assert [line["iteration"] for line in place.lines(f"transcripts/{RUN_ID}.jsonl")][:3] == [0, 0, 0]


def test_a_path_names_eight_loops_at_most_the_innermost_ones() -> None:
    loop: dict[str, Any] | None = None
    for index in range(10):
        loop = {"Index": index, "Parent": loop}

    assert path_of("s", loop) == "/".join(f"loop:{index}" for index in range(2, 10)) + "/s"


def test_a_run_that_a_step_starts_has_its_own_and_is_named_in_the_callers(place: Any) -> None:
    place.workflow("a: {type: step, command: 'exit 4', on_success: done}", name="child")
    place.workflow("a: {type: call_workflow, workflow: child, on_success: done}")

    place.run()

    kinds = [kind for kind, _ in events_of(place)]
    assert kinds == ["step.started", "step.call_workflow.started", "step.call_workflow.completed", "step.completed"]
    call = place.lines(f"transcripts/{RUN_ID}.jsonl")[2]
    assert call["payload"] == {"name": "a", "kind": "call_workflow", "error": "step a: exit code 4"}
    (line, _) = place.lines(f"transcripts/{call['child_run_id']}.jsonl")
    assert (line["parent_run_id"], line["run_id"]) == (RUN_ID, call["child_run_id"])


def test_a_resumed_run_goes_on_with_the_numbers(place: Any) -> None:
    place.workflow("a: {type: step, command: 'false', on_success: done}")
    place.run()

    place.resume()

    assert [line["seq"] for line in place.lines(f"transcripts/{RUN_ID}.jsonl")] == [1, 2, 3, 4]


def test_branches_that_run_at_once_write_whole_lines_with_numbers_of_their_own(place: Any) -> None:
    names = [f"b{number}" for number in range(6)]
    branches = "\n".join(f"  {name}: {{type: step, command: 'true'}}" for name in names)
    place.workflow(f"a: {{type: parallel, parallel: [{', '.join(names)}], on_success: done}}\n{branches}")

    place.run()

    assert [line["seq"] for line in place.lines(f"transcripts/{RUN_ID}.jsonl")] == list(range(1, 15))


def test_an_aborted_step_is_completed_without_a_result(place: Any) -> None:
    place.workflow("a: {type: step, command: 'echo {{.inputs.nope}}', on_success: done}")

    place.run()

    assert place.lines(f"transcripts/{RUN_ID}.jsonl")[1]["payload"] == {"name": "a", "kind": "step"}


def agent(place: Any, answer: str) -> None:
    (place.directory / "bin").mkdir()
    program = place.directory / "bin/claude"
    event = json.dumps({"type": "result", "result": answer, "session_id": "s-1"})
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{event}\nE\n")
    program.chmod(0o755)
    place.env["PATH"] = f"{place.directory / 'bin'}:/usr/bin:/bin"


def test_what_an_agent_answered_is_in_it(place: Any) -> None:
    agent(place, "forty-two")
    place.workflow("a: {type: agent, provider: claude, prompt: what?, on_success: done}")

    place.run()

    messages = [line for line in place.lines(f"transcripts/{RUN_ID}.jsonl") if line["type"].startswith("message.")]
    assert [message["type"] for message in messages] == ["message.assistant"]
    assert messages[0]["payload"]["blocks"][0]["text"] == "forty-two"


def test_of_a_conversation_only_what_a_step_adds_is_noted_with_it(place: Any) -> None:
    agent(place, "yes")
    place.workflow(
        "a: {type: agent, provider: claude, prompt: first, conversation: {}, on_success: b}\n"
        "  b: {type: agent, provider: claude, prompt: second, conversation: {continue_from: a}, on_success: done}"
    )

    run = place.run()

    said = [
        (line["path"], line["payload"]["role"], line["payload"]["blocks"][0]["text"])
        for line in place.lines(f"transcripts/{RUN_ID}.jsonl")
        if line["type"].startswith("message.")
    ]
    assert run.status == "completed"
    assert said == [
        ("a", "user", "first"),
        ("a", "assistant", "yes"),
        ("b", "user", "second"),
        ("b", "assistant", "yes"),
    ]


def test_what_is_no_text_is_written_all_the_same(place: Any) -> None:
    place.workflow("a: {type: step, command: \"printf 'x\\\\377y' >&2; exit 1\", on_success: done}")

    place.run()

    assert place.lines(f"transcripts/{RUN_ID}.jsonl")[1]["payload"]["error"] == "x\ufffdy"
