"""The operation step and `http.request`, against a server of this process."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually
from http_answers import Answer, HttpAnswers, http_answers
from state_runs import Place, one_state

from awf_core.engine.steps import builtin_step_types
from awf_core.errors import ConfigError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.operations import OperationFailed, OperationResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from awf_core.extensions.outward import OutwardContext
    from awf_core.extensions.results import Run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[HttpAnswers]:
    with http_answers() as server:
        yield server


@pytest.fixture
def server(shared_server: HttpAnswers) -> HttpAnswers:
    shared_server.asked.clear()
    shared_server.answers = {"/": Answer()}
    return shared_server


class Given:
    """An operation of the kind a plugin brings."""

    def __init__(self, outcome: OperationResult | OperationFailed) -> None:
        self.outcome = outcome
        self.inputs: Mapping[str, Any] = {}
        self.context: OutwardContext | None = None

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        self.inputs, self.context = inputs, context
        if isinstance(self.outcome, OperationFailed):
            raise self.outcome
        return self.outcome


def request(place: Place, url: object, cancel: Cancel | None = None, **inputs: Any) -> Run:
    return place.run(one_state("operation", operation="http.request", inputs={"url": url, **inputs}), cancel=cancel)


def test_outputs_become_the_response_and_sorted_lines_of_output(place: Place) -> None:
    given = Given(OperationResult(outputs={"z": 1, "a": True, "m": {"k": [1.5, None]}}))

    run = place.run(one_state("operation", operation="x.y"), operations={"x.y": given})

    assert run.states["a"].response == {"z": 1, "a": True, "m": {"k": [1.5, None]}}
    assert run.states["a"].output == "a=true\nm=map[k:[1.5 <nil>]]\nz=1"
    assert run.final_state == "done"


def test_texts_are_filled_in_at_any_depth_and_other_values_stay(place: Place) -> None:
    given = Given(OperationResult())
    inputs = {"t": "<{{.inputs.x}}>", "m": {"l": ["{{.inputs.x}}", 5, None, True]}, "n": 1.5}

    place.run(one_state("operation", operation="x.y", inputs=inputs), {"x": "v"}, operations={"x.y": given})

    assert given.inputs == {"t": "<v>", "m": {"l": ["v", 5, None, True]}, "n": 1.5}


def test_operation_inputs_stand_before_inputs(place: Place) -> None:
    given = Given(OperationResult())
    keys = {"operation_inputs": {"a": "1"}, "inputs": {"b": "2"}}

    place.run(one_state("operation", operation="x.y", **keys), operations={"x.y": given})

    assert given.inputs == {"a": "1"}


def test_an_operation_sees_the_runs_directory_and_environment_but_no_inputs_in_it(place: Place) -> None:
    given = Given(OperationResult())
    place.env["MINE"] = "1"

    place.run(one_state("operation", operation="x.y"), {"secret_input": "s"}, operations={"x.y": given})

    assert given.context is not None
    assert (given.context.cwd, given.context.env["MINE"]) == (place.work, "1")
    assert b"secret_input" not in given.context.process_env


@pytest.mark.parametrize(
    ("outcome", "response", "line"),
    [
        (OperationResult(outputs={"k": 1}, error="no luck"), {"k": 1}, "warn: operation returned failure | no luck"),
        (OperationFailed("no luck", outputs={}), {}, "warn: operation failed | no luck"),
        (OperationFailed("no luck"), None, "warn: operation failed | no luck"),
    ],
)
def test_a_failure_is_logged_kept_and_routed(
    place: Place, outcome: OperationResult | OperationFailed, response: object, line: str
) -> None:
    run = place.run(one_state("operation", operation="x.y"), operations={"x.y": Given(outcome)})

    assert (run.final_state, run.states["a"].error, run.states["a"].exit_code) == ("failed", "no luck", 0)
    assert run.states["a"].response == response
    assert place.heard.lines == [line]


def test_an_unknown_operation_ends_the_run_past_on_failure(place: Place) -> None:
    run = place.run(one_state("operation", operation="no.such"))

    assert run.error is not None
    assert (run.error.message, run.exit_code, run.final_state) == ('step a: operation "no.such" not found', 1, "a")
    assert run.states == {}


def test_a_bug_in_an_operation_ends_its_run_with_its_name(place: Place) -> None:
    class Broken:
        def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
            raise ZeroDivisionError("by zero")

    run = place.run(one_state("operation", operation="x.y"), operations={"x.y": Broken()})

    assert run.error is not None
    assert run.error.message == "step a: step type 'operation' broke: ZeroDivisionError: by zero"


def test_an_operation_without_run_is_rejected_at_start() -> None:
    with pytest.raises(ConfigError) as caught:
        builtin_step_types(operations={"x.y": object()})

    assert caught.value.message == "operation 'x.y' of a plugin is object, which has no method run(inputs, context)"
    assert caught.value.hint == "See awf_core.extensions.operations.Operation."


def test_registered_operations_that_come_from_a_function_are_loaded_by_the_first_state_that_runs_one(
    place: Place,
) -> None:
    loads = []

    def load() -> dict[str, Given]:
        loads.append("load")
        return {"x.y": Given(OperationResult(outputs={"a": 1}))}

    types = builtin_step_types(operations=load)
    before = list(loads)
    run = place.run(one_state("operation", operation="x.y"), step_types=types)
    place.run(one_state("operation", operation="x.y"), step_types=types)

    assert (before, loads) == ([], ["load"])
    assert run.states["a"].response == {"a": 1}


def test_any_status_is_an_answer_with_canonical_header_names(place: Place, server: HttpAnswers) -> None:
    server.answers["/x"] = Answer(500, b"oh", [("x-two", "1"), ("X-Two", "2"), ("etag", "e")])

    run = request(place, f"{server.url}/x", method="delete")

    response = run.states["a"].response
    assert (run.final_state, response["status_code"], response["body"]) == ("done", 500, "oh")
    assert (response["headers"]["X-Two"], response["headers"]["Etag"]) == ("1, 2", "e")
    assert (server.asked[0].method, response["body_truncated"]) == ("DELETE", False)


def test_only_texts_are_sent_as_headers_and_body(place: Place, server: HttpAnswers) -> None:
    request(place, server.url + "/", method="POST", headers={"X-A": "1", "X-B": 2}, body={"no": "text"})

    asked = server.asked[0]
    assert (asked.headers["X-A"], asked.body) == ("1", "")
    assert set(asked.headers) == {"Host", "X-A", "User-Agent", "Accept-Encoding", "Content-Length"}


def test_a_method_that_is_not_named_is_get(place: Place, server: HttpAnswers) -> None:
    request(place, server.url + "/")

    assert server.asked[0].method == "GET"


def test_statuses_named_retryable_fail_without_a_second_request(place: Place, server: HttpAnswers) -> None:
    server.answers["/busy"] = Answer(503, b"later")

    run = request(place, f"{server.url}/busy", retryable_status_codes=[429, 503])

    assert run.states["a"].error == "http.request: retryable status code 503"
    assert run.states["a"].response["body"] == "later"
    assert len(server.asked) == 1


def test_a_body_over_a_mebibyte_is_cut_and_says_so(place: Place, server: HttpAnswers) -> None:
    server.answers["/big"] = Answer(body=b"x" * (1024 * 1024 + 1))

    run = request(place, f"{server.url}/big")

    assert len(run.states["a"].response["body"]) == 1024 * 1024
    assert run.states["a"].response["body_truncated"] is True


def test_a_compressed_answer_is_read_and_its_headers_are_those_of_the_text(place: Place, server: HttpAnswers) -> None:
    server.answers["/zip"] = Answer(body=gzip.compress(b"plain"), headers=[("Content-Encoding", "gzip")])

    run = request(place, f"{server.url}/zip")

    response = run.states["a"].response
    assert response["body"] == "plain"
    assert not {"Content-Encoding", "Content-Length"} & set(response["headers"])


def test_redirects_are_followed_but_not_for_ever(place: Place, server: HttpAnswers) -> None:
    server.answers["/once"] = Answer(302, headers=[("Location", "/")])
    server.answers["/round"] = Answer(302, headers=[("Location", "/round")])

    once = request(place, f"{server.url}/once")
    round_and_round = request(place, f"{server.url}/round")

    assert once.states["a"].response["status_code"] == 200
    expected = f'http.request: HTTP request failed: Get "{server.url}/round": stopped after 10 redirects'
    assert round_and_round.states["a"].error == expected


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"url": ""}, "url is required and must be a non-empty string"),
        ({"url": 5}, "url is required and must be a non-empty string"),
        ({"url": "ftp://x"}, "url must start with http:// or https://"),
        ({"url": "http://x", "method": "PATCH"}, "method must be one of: GET, POST, PUT, DELETE"),
        ({"url": "http://x", "method": 5}, "method is required and must be a non-empty string"),
    ],
)
def test_a_request_that_makes_no_sense_says_why(place: Place, inputs: dict[str, Any], text: str) -> None:
    run = request(place, **inputs)

    assert run.states["a"].error == f"http.request: {text}"


def test_its_own_timeout_ends_a_request_and_is_named(place: Place, server: HttpAnswers) -> None:
    server.answers["/slow"] = Answer(is_held=True)

    run = request(place, f"{server.url}/slow", timeout=1)

    assert run.states["a"].error == "http.request: request timeout after 1s"


def test_the_steps_time_limit_ends_a_request_as_an_ordinary_failure(place: Place, server: HttpAnswers) -> None:
    server.answers["/slow"] = Answer(is_held=True)
    state = {"operation": "http.request", "inputs": {"url": f"{server.url}/slow"}, "timeout": 1, "on_failure": None}

    run = place.run(one_state("operation", **state))

    assert run.error is not None
    assert (run.status, run.error.message) == ("failed", "step a: http.request: request timeout")


def test_a_cancelled_run_ends_its_request_at_once(place: Place, server: HttpAnswers) -> None:
    server.answers["/slow"] = Answer(is_held=True)
    cancel, runs = Cancel(), []
    thread = threading.Thread(target=lambda: runs.append(request(place, f"{server.url}/slow", cancel)))
    thread.start()
    eventually(lambda: server.asked)

    asked_at = time.monotonic()
    cancel.request("stop")
    thread.join(5)

    assert time.monotonic() - asked_at < 1
    assert (runs[0].status, runs[0].states["a"].error) == ("cancelled", "http.request: request cancelled")


def test_a_refused_connection_names_the_address(place: Place) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    run = request(place, f"http://u:pw@127.0.0.1:{port}/")

    expected = f'Get "http://u:***@127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: connect: connection refused'
    assert run.states["a"].error == f"http.request: HTTP request failed: {expected}"


def test_a_host_that_does_not_exist_is_named(place: Place) -> None:
    run = request(place, "http://nowhere.invalid/")

    assert run.states["a"].error.endswith("dial tcp: lookup nowhere.invalid: no such host")


def hang_up(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_a_server_that_hangs_up_is_no_answer(place: Place) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
        run = request(place, url)

    assert run.states["a"].error in {
        f'http.request: HTTP request failed: Get "{url}": EOF',
        f'http.request: HTTP request failed: Get "{url}": read: connection reset by peer',
    }


def test_an_address_that_is_none_is_a_failure_of_the_step(place: Place) -> None:
    run = request(place, "http://[::bad/")

    assert run.final_state == "failed"
    assert run.states["a"].error.startswith("http.request: ")
