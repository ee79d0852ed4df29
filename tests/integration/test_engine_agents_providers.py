"""What each agent provider with a command line sends and understands. The agents are stand-ins on PATH."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually
from state_runs import Place, one_state

from awf_core.extensions.conversation import Tokens
from awf_core.extensions.deadline import Cancel

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run, StateRecord

CLAUDE = {"type": "result", "result": "c", "session_id": "S"}
CODEX = (
    {"type": "thread.started", "thread_id": "S"},
    {"type": "item.completed", "item": {"type": "agent_message", "text": "x"}},
)
GEMINI = ({"type": "init", "session_id": "S"}, {"type": "message", "role": "assistant", "content": "g"})
OPENCODE = ({"type": "step_start", "sessionID": "S"}, {"type": "text", "part": {"text": "o"}})
COPILOT = ({"type": "assistant.message", "data": {"content": "p"}}, {"type": "result", "sessionId": "S"})
PROGRAMS: dict[str, tuple[str, tuple[object, ...]]] = {
    "claude": ("claude", (CLAUDE,)),
    "codex": ("codex", CODEX),
    "gemini": ("gemini", GEMINI),
    "opencode": ("opencode", OPENCODE),
    "github_copilot": ("copilot", COPILOT),
    "mistral_vibe": ("vibe", ("v\n",)),
}
SKIP = {"dangerously_skip_permissions": True}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(place: Place, provider: str, **keys: Any) -> StateRecord:
    return place.run(one_state("agent", provider=provider, **({"prompt": "P"} | keys))).states["a"]


def talk(place: Place, provider: str, options: dict[str, Any] | None = None) -> Run:
    """Two states that share a session, the first with a system prompt."""
    program, output = PROGRAMS[provider]
    place.stand_in(program, *output)
    shared = {"provider": provider, "options": options or {}}
    first = one_state("agent", prompt="P", system_prompt="SYS", conversation={}, **shared | {"on_success": "b"})
    second = {"type": "agent", "prompt": "Q", "conversation": {"continue_from": "a"}, "on_success": "done", **shared}
    return place.run(f"{first}  b: {json.dumps(second)}\n")


@pytest.mark.parametrize(
    ("provider", "options", "arguments"),
    [
        (
            "claude",
            {"model": "claude-x", "allowed_tools": "Read", **SKIP, "max_tokens": 5},
            [
                *("-p", "P", "--model", "claude-x", "--output-format", "stream-json", "--verbose"),
                *("--allowedTools", "Read", "--dangerously-skip-permissions"),
            ],
        ),
        (
            "codex",
            {"model": "gpt-5", **SKIP},
            ["exec", "--json", "P", "--model", "gpt-5", "--dangerously-bypass-approvals-and-sandbox"],
        ),
        (
            "gemini",
            {"model": "gemini-2", **SKIP},
            ["--approval-mode=yolo", "--output-format", "stream-json", "--model", "gemini-2", "-p", "P"],
        ),
        (
            "opencode",
            {"model": "m", **SKIP, "framework": "f", "verbose": True, "output_dir": "d"},
            [
                *("run", "P", "--format", "json", "--model", "m", "--dangerously-skip-permissions"),
                *("--framework", "f", "--verbose", "--output", "d"),
            ],
        ),
        (
            "github_copilot",
            {"model": "m", "mode": "plan", "effort": "low", "allowed_tools": ["a", 1], "denied_tools": ["b"], **SKIP},
            [
                *("-p", "P", "--output-format=json", "--silent", "--model=m", "--mode=plan", "--effort=low"),
                *("--allow-tool=a", "--deny-tool=b", "--allow-all"),
            ],
        ),
        (
            "mistral_vibe",
            {
                "max_turns": 3,
                "max_tokens": 9,
                "max_price": 0.5,
                "workdir": "./w/",
                "trust": True,
                "enabled_tools": ["a", "b"],
                "add_dirs": ["x/./y"],
                "agent_profile": "plan",
            },
            [
                *("--prompt", "P", "--agent", "plan", "--output", "text", "--max-turns", "3", "--max-tokens", "9"),
                *("--max-price", "0.5", "--workdir", "w", "--enabled-tools", "a", "--enabled-tools", "b"),
                *("--add-dir", "x/y", "--trust"),
            ],
        ),
        ("mistral_vibe", SKIP, ["--prompt", "P", "--agent", "auto-approve", "--output", "text"]),
    ],
)
def test_options_become_arguments(place: Place, provider: str, options: dict[str, Any], arguments: list[str]) -> None:
    program, output = PROGRAMS[provider]
    place.stand_in(program, *output)

    ask(place, provider, options=options, system_prompt="ignored without a session")

    assert place.argvs() == [[program, *arguments]]


@pytest.mark.parametrize(
    ("provider", "first", "second"),
    [
        ("codex", ["exec", "--json", "SYS\n\nP"], ["exec", "resume", "S", "--json", "Q"]),
        (
            "gemini",
            ["--output-format", "stream-json", "-p", "SYS\n\nP"],
            ["--output-format", "stream-json", "--resume", "S", "-p", "Q"],
        ),
        ("opencode", ["run", "SYS\n\nP", "--format", "json"], ["run", "Q", "--format", "json", "-s", "S"]),
        (
            "github_copilot",
            ["-p", "SYS\n\nP", "--output-format=json", "--silent"],
            ["--resume=S", "-p", "Q", "--output-format=json", "--silent"],
        ),
    ],
)
def test_a_session_begins_with_the_system_prompt_and_is_resumed_by_its_id(
    place: Place, provider: str, first: list[str], second: list[str]
) -> None:
    run = talk(place, provider)

    assert run.status == "completed"
    assert [argv[1:] for argv in place.argvs()] == [first, second]


def test_vibe_has_no_sessions_and_gets_what_was_said(place: Place) -> None:
    talk(place, "mistral_vibe")

    expected = [
        "Continue the conversation using the transcript below. Answer the final user message.",
        "",
        "Transcript:",
        "System: SYS",
        "User: P",
        "Assistant: v",
        "User: Q",
    ]
    assert place.argvs()[1][2] == "\n".join(expected)


def test_opencode_continues_the_last_session_when_it_got_no_name(place: Place) -> None:
    place.stand_in("opencode", OPENCODE[1])
    first = one_state("agent", provider="opencode", prompt="P", conversation={}, on_success="b")
    second = "  b: {type: agent, provider: opencode, prompt: Q, conversation: {continue_from: a}, on_success: done}\n"

    place.run(first + second)

    assert place.argvs()[1] == ["opencode", "run", "Q", "--format", "json", "-c"]


@pytest.mark.parametrize(
    ("provider", "says", "output", "tokens"),
    [
        ("claude", [{"type": "result", "result": 42}], "42", Tokens(used=0, output=0, estimated=True)),
        ("claude", ["not json\n", {"type": "result", "result": ""}], None, None),
        (
            "claude",
            [{**CLAUDE, "usage": {"input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 3}}],
            "c",
            Tokens(used=10, input=7, output=3),
        ),
        (
            "codex",
            [
                {"type": "item.completed", "item": {"item_type": "assistant_message", "text": "one"}},
                {"type": "item.completed", "item": {"type": "reasoning", "text": "hm"}},
                {"type": "item.completed", "item": {"type": "agent_message", "text": "two"}},
                {"type": "turn.completed", "usage": {"input_tokens": 7, "output_tokens": 3}},
            ],
            "one\ntwo",
            Tokens(used=10, input=7, output=3),
        ),
        (
            "gemini",
            [
                {"type": "message", "role": "user", "content": "no"},
                {"type": "message", "role": "assistant", "content": "yes"},
                {"type": "result", "stats": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 9}},
            ],
            "yes",
            Tokens(used=9, input=1, output=2),
        ),
        (
            "opencode",
            [
                {"type": "text", "part": {"text": "a"}},
                {"type": "text", "part": {"text": "b"}},
                {"type": "step_finish", "part": {"tokens": {"input": 1, "output": 2, "total": 4}}},
            ],
            "a\nb",
            Tokens(used=4, input=1, output=2),
        ),
        (
            "github_copilot",
            [
                {"type": "assistant.message", "data": {"content": "first"}},
                {"type": "assistant.message", "data": {"content": "last", "outputTokens": 6}},
            ],
            "last",
            Tokens(used=6, output=6),
        ),
        ("mistral_vibe", [" plain answer \n"], "plain answer", Tokens(used=3, output=3, estimated=True)),
        (
            "mistral_vibe",
            [[{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "A"}]}]],
            "A",
            None,
        ),
        (
            "mistral_vibe",
            [
                "starting\n",
                {"message": {"role": "assistant", "content": "B"}},
                {"role": "assistant", "delta": {"text": "C"}},
            ],
            "C",
            None,
        ),
        ("mistral_vibe", [{"role": "user", "content": "q"}], "", None),
    ],
)
def test_the_answer_and_its_tokens_are_found_in_what_the_agent_writes(
    place: Place, provider: str, says: list[object], output: str | None, tokens: Tokens | None
) -> None:
    place.stand_in(PROGRAMS[provider][0], *says)

    record = ask(place, provider)

    raw = "".join(say if isinstance(say, str) else json.dumps(say) + "\n" for say in says)
    assert record.output == (raw if output is None else output)
    assert tokens is None or record.tokens == tokens


@pytest.mark.parametrize("provider", ["gemini", "opencode"])
@pytest.mark.parametrize("output_format", ["", "text"])
def test_with_a_session_the_stream_is_the_answer_and_its_tokens_are_estimated(
    place: Place, provider: str, output_format: str
) -> None:
    program, events = PROGRAMS[provider]
    place.stand_in(program, *events)
    stream = "".join(json.dumps(event) + "\n" for event in events)

    record = ask(place, provider, conversation={}, output_format=output_format)

    written = len(stream) // 4
    assert record.output == stream
    assert record.tokens == Tokens(used=written, input=0, output=written, estimated=True)
    assert record.conversation is not None
    assert (record.conversation.turns[-1].content, record.conversation.session_id) == (stream, "S")


@pytest.mark.parametrize("provider", ["gemini", "opencode"])
@pytest.mark.parametrize("output_format", ["", "text"])
def test_without_a_session_the_joined_text_is_the_answer(place: Place, provider: str, output_format: str) -> None:
    program, events = PROGRAMS[provider]
    place.stand_in(program, *events, events[-1])
    said = {"gemini": "g", "opencode": "o"}[provider]

    record = ask(place, provider, output_format=output_format)

    assert record.output == f"{said}\n{said}"
    assert record.tokens == Tokens(used=0, output=0, estimated=True)


@pytest.mark.parametrize(("keys", "used"), [({}, 9), ({"conversation": {}}, 3)])
def test_with_a_session_the_tokens_used_are_those_read_and_written(
    place: Place, keys: dict[str, Any], used: int
) -> None:
    stats = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 9}
    place.stand_in("gemini", *GEMINI, {"type": "result", "stats": stats})

    assert ask(place, "gemini", **keys).tokens == Tokens(used=used, input=1, output=2)


@pytest.mark.parametrize("keys", [{}, {"conversation": {}}])
def test_copilot_output_without_a_message_event_is_not_trimmed(place: Place, keys: dict[str, Any]) -> None:
    place.stand_in("copilot", "\n  plain \n\n")

    assert ask(place, "github_copilot", **keys).output == "\n  plain \n\n"


def test_opencode_gets_the_system_prompt_in_a_first_turn_and_no_earlier_session(place: Place) -> None:
    place.stand_in("opencode", OPENCODE[1])

    ask(place, "opencode", system_prompt="SYS", conversation={})

    assert place.argvs() == [["opencode", "run", "SYS\n\nP", "--format", "json"]]


def test_an_agent_that_says_nothing_answers_a_space(place: Place) -> None:
    place.stand_in("claude")

    assert ask(place, "claude").output == " "


def test_tokens_of_a_session_that_the_agent_does_not_count_are_estimated_from_its_turns(place: Place) -> None:
    place.stand_in("vibe", "x" * 40)

    record = ask(place, "mistral_vibe", prompt="p" * 20, conversation={})

    assert record.tokens == Tokens(used=15, input=5, output=10, estimated=True)


def test_under_json_claudes_own_report_and_the_answers_keys_are_the_response(place: Place) -> None:
    place.stand_in("claude", {**CLAUDE, "result": '```json\n{"a": 1}\n```', "total_cost_usd": 0.5})

    record = ask(place, "claude", output_format="json")

    assert (record.output, record.json) == ('{"a": 1}', {"a": 1})
    assert (record.response["a"], record.response["session_id"], record.response["total_cost_usd"]) == (1, "S", 0.5)


def test_an_option_in_camel_case_is_ignored_with_a_warning(place: Place) -> None:
    place.stand_in("claude", CLAUDE)

    ask(place, "claude", options={"allowedTools": "Read", "somethingElse": 1})

    assert place.heard.lines == ["warn: option 'allowedTools' is ignored; claude reads 'allowed_tools'"]
    assert "Read" not in place.argvs()[0]


def test_skills_stand_before_the_prompt_with_what_else_they_hold(place: Place) -> None:
    place.stand_in("claude", CLAUDE)
    place.write(".claude/skills/sk/SKILL.md", "---\nname: sk\n---\nDo it.\n")
    place.write(".claude/skills/sk/a/b.txt", "")
    place.write(".claude/skills/sk/node_modules/c.txt", "")

    ask(place, "claude", skills=["sk"])

    directory = place.work / ".claude" / "skills" / "sk"
    expected = (
        f'<skill_content name="sk">\nDo it.\n\nSkill directory: {directory}\n'
        "Relative paths in this skill are relative to the skill directory.\n\n"
        "<skill_resources>\n<file>a/b.txt</file>\n</skill_resources>\n</skill_content>\n\nP"
    )
    assert place.argvs()[0][2] == expected


def test_an_agent_that_is_not_installed_is_an_ordinary_failure(place: Place) -> None:
    place.env["PATH"] = str(place.bin)

    record = ask(place, "github_copilot")

    reason = 'exec: "copilot": executable file not found in $PATH'
    assert record.error == f"github_copilot execution failed: CLI start failed for 'copilot': {reason}"


def test_an_agent_runs_in_the_runs_directory_with_the_processes_environment(place: Place) -> None:
    place.stand_in("claude", CLAUDE)
    place.env["ANTHROPIC_API_KEY"] = "k"

    place.run(one_state("agent", provider="claude", prompt="P"), {"input_x": "v"})

    call = place.calls()[0]
    assert (call["cwd"], call["env"]["ANTHROPIC_API_KEY"]) == (str(place.work), "k")
    assert "input_x" not in call["env"]


def test_who_watches_sees_what_is_said_and_no_events(place: Place) -> None:
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": "hi"}, {"type": "tool_use"}]}}
    place.stand_in("claude", {"type": "system"}, said, CLAUDE)

    ask(place, "claude")

    assert place.heard.output == b"hi\n"


def test_a_cancelled_run_ends_its_agent_at_once(place: Place) -> None:
    place.stand_in("claude", body="import time\ntime.sleep(60)")
    cancel, runs = Cancel(), []
    state = one_state("agent", provider="claude", prompt="P")
    thread = threading.Thread(target=lambda: runs.append(place.run(state, cancel=cancel)))
    thread.start()
    eventually(place.calls)

    cancel.request("stop")
    thread.join(5)

    expected = "claude execution failed: CLI execution cancelled for 'claude': context canceled"
    assert (runs[0].status, runs[0].states["a"].error) == ("cancelled", expected)
