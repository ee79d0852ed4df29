"""What `output_format` makes of an agent's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from state_runs import Parrot, Place, one_state

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ask(place: Place, parrot: Parrot, inputs: dict[str, Any] | None = None, **keys: Any) -> Run:
    state = one_state("agent", **({"provider": "parrot", "prompt": "hi"} | keys))
    return place.run(state, inputs, agent_providers={"parrot": parrot})


@pytest.mark.parametrize(
    ("answer", "output", "parsed"),
    [
        ('{"a": 1}', '{"a": 1}', {"a": 1}),
        ('```json\n{"a": [1, 2]}\n```', '{"a": [1, 2]}', {"a": [1, 2]}),
        ('Here:\n```json\n{"a": 1}\n```\nBye', '{"a": 1}', {"a": 1}),
        ("[1]", "[1]", [1]),
    ],
)
def test_json_is_taken_out_of_its_fence_and_read(place: Place, answer: str, output: str, parsed: object) -> None:
    run = ask(place, Parrot(answer), output_format="json")

    record = run.states["a"]
    assert (record.output, record.json) == (output, parsed)
    assert record.response == (parsed if isinstance(parsed, dict) else None)


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("  ```\na\n\nb\n```  \n", "a\n\nb"),
        ("```md\na\n```sh\nls\n```\nb\n```", "a\n```sh\nls\n```\nb"),
        ("see ```x```", "see ```x```"),
    ],
)
def test_text_loses_the_fence_it_is_wholly_in(place: Place, answer: str, output: str) -> None:
    run = ask(place, Parrot(answer), output_format="text")

    assert run.states["a"].output == output


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("no json", "invalid JSON: invalid character 'n' looking for beginning of value (content: no json)"),
        ('{"a": 1', 'invalid JSON: unexpected end of JSON input (content: {"a": 1)'),
        ('{"a": 1} x', "invalid JSON: invalid character 'x' after top-level value (content: {\"a\": 1} x)"),
    ],
)
def test_an_answer_that_is_no_json_ends_the_run_with_its_record_kept(place: Place, answer: str, text: str) -> None:
    run = ask(place, Parrot(answer), output_format="json")

    assert run.error is not None
    assert (run.error.message, run.exit_code) == (f"step a: output format processing: {text}", 2)
    assert (run.states["a"].status, run.states["a"].error, run.states["a"].output) == ("failed", text, answer)


def test_whole_numbers_print_as_those_of_the_original(place: Place) -> None:
    run = ask(place, Parrot('{"small": 42, "large": 1234567, "text": "{{.x}}"}'), output_format="json")

    parsed = run.states["a"].json
    assert (parsed["small"], type(parsed["small"]), type(parsed["large"])) == (42, int, float)
