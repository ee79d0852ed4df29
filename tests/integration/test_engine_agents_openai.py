"""The agent provider `openai_compatible`, against a server of this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from http_answers import Answer, HttpAnswers, http_answers
from state_runs import Place, one_state

from awf_core.extensions.conversation import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from awf_core.extensions.results import StateRecord


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(place: Place, provider: str, **keys: Any) -> StateRecord:
    return place.run(one_state("agent", provider=provider, **({"prompt": "P"} | keys))).states["a"]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[HttpAnswers]:
    with http_answers() as server:
        yield server


@pytest.fixture
def server(shared_server: HttpAnswers) -> HttpAnswers:
    shared_server.asked.clear()
    completion = {
        "choices": [{"message": {"content": "hey"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    shared_server.answers = {"/v1/chat/completions": Answer(body=json.dumps(completion).encode())}
    return shared_server


def openai(place: Place, server: HttpAnswers, options: dict[str, Any] | None = None, **keys: Any) -> StateRecord:
    default = {"base_url": f"{server.url}/v1/", "model": "m", "api_key": "key-123"}
    return ask(place, "openai_compatible", options=default | (options or {}), **keys)


def test_a_chat_completion_is_asked_for_with_the_key_in_its_header(place: Place, server: HttpAnswers) -> None:
    record = openai(place, server, {"temperature": 0, "top_p": 0.5, "max_tokens": 7})

    asked = server.asked[0]
    assert (record.output, record.tokens) == ("hey", Tokens(used=3, input=1, output=2))
    assert (asked.path, asked.headers["Authorization"]) == ("/v1/chat/completions", "Bearer key-123")
    assert json.loads(asked.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "P"}],
        "temperature": 0,
        "top_p": 0.5,
        "max_completion_tokens": 7,
    }


def test_the_environment_stands_in_for_options(place: Place, server: HttpAnswers) -> None:
    place.env |= {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_MODEL": "em", "OPENAI_API_KEY": "ek"}

    ask(place, "openai_compatible")

    assert server.asked[0].headers["Authorization"] == "Bearer ek"
    assert json.loads(server.asked[0].body)["model"] == "em"


def test_a_later_state_sends_along_what_was_said(place: Place, server: HttpAnswers) -> None:
    options = {"base_url": f"{server.url}/v1", "model": "m"}
    shared = {"type": "agent", "provider": "openai_compatible", "options": options, "on_success": "done"}
    first = shared | {"prompt": "P", "system_prompt": "SYS", "conversation": {}, "on_success": "b"}
    second = shared | {"prompt": "Q", "system_prompt": "SYS", "conversation": {"continue_from": "a"}}

    place.run(f"  a: {json.dumps(first)}\n  b: {json.dumps(second)}\n")

    messages = [(message["role"], message["content"]) for message in json.loads(server.asked[1].body)["messages"]]
    assert messages == [("system", "SYS"), ("user", "P"), ("assistant", "hey"), ("user", "Q")]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(401, b"key-123"), "authentication failed (HTTP 401)"),
        (Answer(429, headers=[("Retry-After", "9")]), "rate limited, retry after 9 (HTTP 429)"),
        (Answer(429), "rate limited (HTTP 429)"),
        (Answer(503), "server error (HTTP 503)"),
        (Answer(400), "bad request (HTTP 400)"),
        (Answer(418), "unexpected status (HTTP 418)"),
        (Answer(200, b"nope"), "failed to parse response: it is no JSON"),
        (Answer(200, b'{"choices": []}'), "API returned no choices"),
    ],
)
def test_what_a_server_answers_wrong_is_named_without_its_words(
    place: Place, server: HttpAnswers, answer: Answer, text: str
) -> None:
    server.answers = {"/v1/chat/completions": answer}

    record = openai(place, server)

    assert record.error == f"openai_compatible: {text}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "base_url is required"),
        ({"base_url": "http://x"}, "model is required"),
        ({"base_url": "http://x", "model": "m", "temperature": "hot"}, "temperature must be a number, got string"),
        ({"base_url": "http://x", "model": "m", "temperature": 2.5}, "temperature must be between 0 and 2, got 2.5"),
        ({"base_url": "http://x", "model": "m", "top_p": 2}, "top_p must be between 0 and 1, got 2"),
        (
            {"base_url": "http://x", "model": "m", "max_tokens": -1},
            "max_completion_tokens must be non-negative, got -1",
        ),
    ],
)
def test_options_a_server_cannot_be_asked_with_say_why(place: Place, options: dict[str, Any], text: str) -> None:
    record = ask(place, "openai_compatible", options=options)

    assert record.error == f"openai_compatible: {text}"


def test_no_key_shows_where_a_server_is_not_reached_or_too_slow(place: Place, server: HttpAnswers) -> None:
    server.answers["/slow/chat/completions"] = Answer(is_held=True)

    unreached = openai(place, server, {"base_url": "http://127.0.0.1:1"})
    slow = openai(place, server, {"base_url": f"{server.url}/slow"}, timeout=1)

    assert slow.error == "openai_compatible: HTTP request failed: context deadline exceeded"
    assert "connect: connection refused" in unreached.error
    assert "key-123" not in unreached.error + slow.error + "".join(place.heard.lines)
