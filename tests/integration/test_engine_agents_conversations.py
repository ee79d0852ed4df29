"""Agents that talk with a user, and states that go on with another one's session."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually
from state_runs import Parrot, Place, one_state

from awf_core.engine.process.line_input import LineInput
from awf_core.extensions.agents import AgentFailed
from awf_core.extensions.deadline import Cancel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from awf_core.extensions.results import Run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(place: Place, parrot: Parrot, inputs: dict[str, Any] | None = None, **keys: Any) -> Run:
    state = one_state("agent", **({"provider": "parrot", "prompt": "hi"} | keys))
    return place.run(state, inputs, agent_providers={"parrot": parrot})


class Talk:
    """What a user types, with the end of input still to come when `is_open`."""

    def __init__(self, text: str, *, is_open: bool = False) -> None:
        self.reading, self.writing = os.pipe()
        os.write(self.writing, text.encode())
        if not is_open:
            os.close(self.writing)
        self.is_open = is_open

    def close(self) -> None:
        os.close(self.reading)
        if self.is_open:
            os.close(self.writing)


@pytest.fixture
def talk() -> Iterator[list[Talk]]:
    talks: list[Talk] = []
    yield talks
    for one in talks:
        one.close()


def converse(place: Place, parrot: Parrot, user: Talk, cancel: Cancel | None = None, **keys: Any) -> Run:
    state = one_state("agent", provider="parrot", prompt="one", mode="conversation", **keys)
    return place.run(state, agent_providers={"parrot": parrot}, user_input=LineInput(user.reading), cancel=cancel)


def test_a_conversation_goes_on_until_a_blank_line_or_the_end(place: Place, talk: list[Talk]) -> None:
    parrot = Parrot()
    talk += [Talk("two\nthree\n \nfour\n"), Talk("two")]

    blank = converse(place, parrot, talk[0], system_prompt="S")
    ended = converse(place, Parrot(), talk[1])

    assert [request.prompt for request in parrot.requests] == ["one", "two", "three"]
    assert (blank.states["a"].output, ended.states["a"].output) == ("three", "two")
    last = parrot.requests[-1].conversation
    assert last is not None
    assert last.session_id == "p-1"
    assert [(turn.role, turn.content) for turn in last.turns] == [
        ("system", "S"),
        ("user", "one"),
        ("assistant", "one"),
        ("user", "two"),
        ("assistant", "two"),
    ]


def test_whatever_fails_in_a_conversation_ends_the_run_with_its_record_kept(place: Place, talk: list[Talk]) -> None:
    talk += [Talk(""), Talk("")]

    failed = converse(place, Parrot(failure=AgentFailed("no answer")), talk[0])
    unknown = place.run(one_state("agent", provider="no", prompt="one", mode="conversation"))

    assert failed.error is not None
    assert unknown.error is not None
    assert failed.error.message == 'agent conversation step "a" failed: no answer'
    assert (failed.final_state, failed.states["a"].error) == ("a", "no answer")
    assert unknown.error.message == 'agent conversation step "a" failed: step a: provider "no" not found'


def test_a_wait_for_the_user_ends_with_the_steps_time_limit_and_with_the_run(place: Place, talk: list[Talk]) -> None:
    talk += [Talk("", is_open=True), Talk("", is_open=True)]
    parrot, cancel, runs = Parrot(), Cancel(), []

    late = converse(place, Parrot(), talk[0], timeout=1)
    thread = threading.Thread(target=lambda: runs.append(converse(place, parrot, talk[1], cancel)))
    thread.start()
    eventually(lambda: parrot.requests)
    cancel.request("stop")
    thread.join(5)

    assert late.error is not None
    assert (late.status, late.cancel_reason, runs[0].status) == ("cancelled", "timeout", "cancelled")
    assert late.error.message.endswith("failed: reading user input: context deadline exceeded")
    assert late.states["a"].output == "one"


def test_a_conversation_without_a_user_is_one_turn(place: Place) -> None:
    parrot = Parrot()

    run = place.run(
        one_state("agent", provider="parrot", prompt="one", mode="conversation"), agent_providers={"parrot": parrot}
    )

    assert (run.status, len(parrot.requests)) == ("completed", 1)


def test_a_later_state_continues_from_an_earlier_ones_session(place: Place) -> None:
    parrot = Parrot()
    first = one_state("agent", provider="parrot", prompt="one", conversation={}, on_success="b")
    second = "  b: {type: agent, provider: parrot, prompt: two, conversation: {continue_from: a}, on_success: done}\n"

    run = place.run(first + second, agent_providers={"parrot": parrot})

    before = parrot.requests[1].conversation
    assert before is not None
    assert (run.status, before.session_id) == ("completed", "p-1")
    assert [turn.content for turn in before.turns] == ["one", "one"]


def test_a_state_that_has_not_run_cannot_be_continued_from(place: Place) -> None:
    run = ask(place, Parrot(), conversation={"continue_from": "a"})

    assert run.states["a"].error == 'continue_from: step "a" not found in execution context'
    assert run.final_state == "failed"
