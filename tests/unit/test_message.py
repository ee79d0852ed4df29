"""A message comes from an untrusted producer: what is read, what is refused and why, and that nothing crashes or stalls."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awf_core.contract import Delivery
from awf_core.message import Limits, Malformed, Message, decode, encode

LIMITS = Limits(max_body_bytes=10_000, max_depth=8)


def delivery(body: bytes, **properties: object) -> Delivery:
    return Delivery(queue="q", body=body, receipt=None, **properties)  # type: ignore[arg-type]


def read(document: object, **properties: object) -> Message | Malformed:
    return decode(delivery(json.dumps(document).encode(), **properties), LIMITS)


def test_a_full_message_is_read_with_its_json_types():
    message = read(
        {
            "id": "msg-123",
            "workflow": "analyze-code",
            "inputs": {"file_path": "app.py", "n": 3, "deep": {"a": [1, None, True]}},
            "reply_to": "results-queue",
            "metadata": {"correlation_id": "req-456", "x": 1},
            "unknown": "kept by the producer, ignored here",
        }
    )

    assert isinstance(message, Message)
    assert (message.id, message.workflow, message.reply_to) == ("msg-123", "analyze-code", "results-queue")
    assert message.inputs == {"file_path": "app.py", "n": 3, "deep": {"a": [1, None, True]}}
    assert message.correlation_id == "req-456"


def test_absent_and_null_keys_take_the_brokers_properties():
    for body in ({"workflow": "w"}, {"workflow": "w", "id": None, "reply_to": None, "inputs": None, "metadata": None}):
        message = read(body, id="broker-id", reply_to="answers", correlation_id="c-1")

        assert isinstance(message, Message)
        assert (message.id, message.reply_to, message.correlation_id) == ("broker-id", "answers", "c-1")
        assert message.inputs == {}
        assert message.metadata == {}


def test_headers_are_the_metadata_of_a_body_that_has_none():
    headers = {"tenant": "a", "odd\ud800": "\udfff"}

    for body, expected in (
        ({"workflow": "w"}, {"tenant": "a", "odd?": "?"}),
        ({"workflow": "w", "metadata": {"x": 1}}, {"x": 1}),
        ({"workflow": "w", "metadata": {}}, {}),
        ({"metadata": 3, "workflow": "w"}, {}),
    ):
        assert read(body, headers=headers).metadata == expected


def test_the_body_wins_over_the_brokers_properties_but_for_the_correlation_id():
    message = read(
        {"workflow": "w", "id": "mine", "reply_to": "here", "metadata": {"correlation_id": "body"}},
        id="broker-id",
        reply_to="there",
        correlation_id="property",
    )

    assert isinstance(message, Message)
    assert (message.id, message.reply_to, message.correlation_id) == ("mine", "here", "property")


def test_without_any_id_one_is_generated_and_correlates():
    message = read({"workflow": "w"})

    assert isinstance(message, Message)
    assert message.id.startswith("gen-")
    assert message.correlation_id == message.id


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body is empty"),
        (b" \n", "body is empty"),
        (b"{", "body is not JSON: "),
        (b"hello", "body is not JSON: Expecting value at line 1, column 1"),
        (b"[1]", "body is a JSON array, not an object"),
        (b'"text"', "body is a JSON text, not an object"),
        (b"null", "body is a JSON null, not an object"),
        (b"\xff\xfe{}", "body is not UTF-8: byte 0xff at offset 0"),
        (b'{"workflow": "\x80"}', "body is not UTF-8: byte 0x80 at offset 14"),
        (b"{}", "'workflow' is missing"),
        (b'{"workflow": null}', "'workflow' is missing"),
        (b'{"workflow": 5}', "'workflow' must be a non-empty text, not number 5"),
        (b'{"workflow": "  "}', "'workflow' must be a non-empty text"),
        (b'{"workflow": "w", "inputs": [1]}', "'inputs' must be an object, not array [1]"),
        (b'{"workflow": "w", "inputs": "x"}', "'inputs' must be an object, not text \"x\""),
        (b'{"workflow": "w", "metadata": 3}', "'metadata' must be an object, not number 3"),
        (b'{"workflow": "w", "reply_to": {"a": 1}}', "'reply_to' must be a text, not object"),
        (b'{"workflow": "w", "id": 7}', "'id' must be a text of 1 to 255 characters, not number 7"),
        (b'{"workflow": "w", "id": ""}', "'id' must be a text of 1 to 255 characters"),
        (b'{"workflow": "w", "schema": 2}', "'schema' number 2 is not known here"),
        (b'{"workflow": "w", "inputs": {"a": NaN}}', "NaN is not a JSON value"),
        (b'{"workflow": "\\ud800"}', "body holds an unpaired surrogate"),
        (b'{"workflow": "w", "inputs": {"n": ' + b"9" * 5000 + b"}}", "body is not JSON: a number is too large"),
        (b'{"workflow": "w", "inputs": {"v": 1e999}}', "body is not JSON: a number is too large"),
        (b'{"workflow": "w", "inputs": {"v": [-1E+400]}}', "body is not JSON: a number is too large"),
        (b'{"workflow": "w", "metadata": {"v": ' + b"9" * 309 + b"}}", "body is not JSON: a number is too large"),
        (b'{"workflow": "w", "metadata": {"v": ' + b"9" * 400 + b".0}}", "body is not JSON: a number is too large"),
        (b'{"workflow": "w", "message_id": "m", "status": "rejected"}', "body is a result"),
        (b'{"workflow": "w", "type": "awf.result"}', "body is a result"),
        (b"x" * 10_001, "body of 10001 bytes is over max_body_bytes (10000)"),
        (b'{"workflow":"w","inputs":{"a":' + b"[" * 20 + b"]" * 20 + b"}}", "JSON is nested deeper than max_depth (8)"),
        (b"[" * 9_000, "JSON is nested deeper than max_depth (8)"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(body: bytes, reason: str):
    message = decode(delivery(body), LIMITS)

    assert isinstance(message, Malformed)
    assert reason in message.reason


@pytest.mark.parametrize(
    "number", [b"1e308", b"-1.5e-400", b"0.1", b"9" * 308, b'"1e999"', b'"' + b"9" * 400 + b'"', b"1E-9"]
)
def test_a_number_with_a_finite_value_is_kept(number: bytes):
    message = decode(delivery(b'{"workflow": "w", "inputs": {"v": ' + number + b"}}"), LIMITS)

    assert isinstance(message, Message)
    assert message.inputs == {"v": json.loads(number)}


def test_a_key_of_a_result_alone_makes_no_result():
    for other in ({"status": "new"}, {"message_id": "m"}, {"type": "order.created"}):
        assert isinstance(read({"workflow": "w", **other}), Message)


def test_a_result_has_no_reply_address_from_its_body_or_the_broker():
    message = read({"message_id": "m", "status": "failed", "workflow": "w", "reply_to": "a"}, reply_to="b")

    assert isinstance(message, Malformed)
    assert message.reply_to is None


def test_what_a_refused_body_is_answered_with_holds_no_number_without_a_value():
    message = decode(delivery(b'{"workflow": "\xff", "reply_to": "a", "metadata": {"v": 1e999}}'), LIMITS)

    assert isinstance(message, Malformed)
    assert message.metadata == {}


def test_a_refused_message_can_still_be_answered_where_its_address_can_be_read():
    message = read({"id": "m1", "reply_to": "answers", "inputs": 5, "workflow": "w", "metadata": {"k": "v"}})

    assert isinstance(message, Malformed)
    assert (message.id, message.reply_to, message.workflow, message.metadata) == ("m1", "answers", "w", {"k": "v"})


def test_bad_utf8_in_one_value_does_not_hide_the_address():
    message = decode(delivery(b'{"workflow": "w", "id": "m", "reply_to": "answers", "inputs": {"a": "\xff"}}'), LIMITS)

    assert isinstance(message, Malformed)
    assert (message.id, message.reply_to) == ("m", "answers")


def test_brackets_inside_texts_are_not_nesting():
    message = read({"workflow": "w", "inputs": {"a": "[[[[[[[[[[[[[[[[" + '\\"{{{{{{{{{{{{'}})

    assert isinstance(message, Message)


def test_an_unterminated_text_full_of_escaped_quotes_is_read_in_linear_time():
    body = b"[" * 100 + b'"' + b'\\"' * 500_000

    started = time.process_time()
    message = decode(delivery(body), Limits(max_body_bytes=2_000_000, max_depth=200))

    assert isinstance(message, Malformed)
    assert time.process_time() - started < 2, "the scan went quadratic: 500,000 quotes would take minutes"


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_decoder(body: bytes):
    message = decode(delivery(body), LIMITS)

    assert isinstance(message, (Message, Malformed))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("workflow", "id", "inputs", "reply_to", "metadata"), JSON_VALUES))
)
def test_no_object_crashes_the_decoder_and_only_whole_messages_pass(document: dict[str, object]):
    message = decode(delivery(json.dumps(document).encode()), LIMITS)

    if isinstance(message, Message):
        assert isinstance(document["workflow"], str)
        assert isinstance(message.inputs, dict)


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_what_encode_writes_decode_reads(workflow: str, inputs: dict[str, str]):
    body = encode(workflow, message_id="m", inputs=inputs, reply_to="r", metadata={"a": 1})

    message = decode(delivery(body), LIMITS)

    assert isinstance(message, Message)
    assert (message.workflow, message.inputs, message.id, message.reply_to) == (workflow, inputs, "m", "r")
