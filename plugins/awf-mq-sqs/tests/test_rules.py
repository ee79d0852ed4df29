"""The pure parts: names, attributes, states, evidence, batches, envelopes, settings."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from awf_mq_sqs.attributes import MAX_ATTRIBUTES, MORE, fold, size_of, string, unfold
from awf_mq_sqs.claims import Claim, Receipt
from awf_mq_sqs.consuming import granted
from awf_mq_sqs.copies import copy_entry
from awf_mq_sqs.dead_messages import dead_entry, restored
from awf_mq_sqs.entries import Entry, batches, entry_of
from awf_mq_sqs.evidence import FREE_RECEIVES, Received, age_s, carried, noted, verdict_of
from awf_mq_sqs.names import (
    account_of,
    endpoint_of,
    is_fifo,
    name_of,
    name_problem,
    region_of,
    reply_queue_ends_s,
    reply_queue_name,
    same_endpoint,
)
from awf_mq_sqs.settings import MAX_MESSAGE_BYTES, SqsSettings
from awf_mq_sqs.state import NO_STATE, State, state_of, state_text
from awf_mq_sqs.unwrap import unwrapped
from pydantic import ValidationError

from awf_core.contract import DeadLetter, Delivery, Outgoing

AWS_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs.fifo"


def received(receives: int = 1, *, sent: int = 0, first: int = 0, now: int = 0) -> Received:
    return Received(receives=receives, sent_ms=sent, first_ms=first, now_ms=now)


class TestNames:
    def test_a_url_of_aws_names_region_account_and_queue_but_no_endpoint(self):
        assert (region_of(AWS_URL), account_of(AWS_URL), name_of(AWS_URL)) == ("eu-west-1", "123456789012", "jobs.fifo")
        assert endpoint_of(AWS_URL) is None
        assert is_fifo(AWS_URL)

    @pytest.mark.parametrize(
        ("url", "endpoint", "region"),
        [
            ("http://127.0.0.1:5005/123456789012/q", "http://127.0.0.1:5005", None),
            ("https://queue.amazonaws.com/123456789012/q", None, None),
            ("https://us-east-2.queue.amazonaws.com/1/q", None, "us-east-2"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", None, "cn-north-1"),
            ("https://sqs-fips.us-east-1.amazonaws.com/1/q", None, "us-east-1"),
            (
                "https://vpce-0a1b-c2d.sqs.us-east-1.vpce.amazonaws.com/1/q",
                "https://vpce-0a1b-c2d.sqs.us-east-1.vpce.amazonaws.com",
                "us-east-1",
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com.evil.example/1/q",
                "https://sqs.eu-west-1.amazonaws.com.evil.example",
                None,
            ),
        ],
    )
    def test_another_url_names_its_endpoint(self, url: str, endpoint: str | None, region: str | None):
        assert (endpoint_of(url), region_of(url)) == (endpoint, region)

    @pytest.mark.parametrize(
        "name", ["a.b", "", "x" * 81, "größe", "q.fifo.fifo", "a b", "https://host/q", "https:///1/q"]
    )
    def test_a_name_that_no_queue_has_is_a_problem(self, name: str):
        assert name_problem(name)

    @pytest.mark.parametrize("name", ["awf-workflows", "A_b-9.fifo", "x" * 80, AWS_URL, "http://h:1/000000000000/q"])
    def test_a_name_that_a_queue_can_have_is_none(self, name: str):
        assert name_problem(name) is None

    def test_an_endpoint_is_a_host_or_a_region_of_aws(self):
        assert same_endpoint(AWS_URL, "https://eu-west-1.queue.amazonaws.com/1/q")
        assert same_endpoint("http://h:1/1/a", "http://H:1/1/b")
        assert not same_endpoint(AWS_URL, "https://sqs.eu-west-2.amazonaws.com/1/q")
        assert not same_endpoint("http://h:1/1/a", "http://h:2/1/a")
        assert not same_endpoint("https://queue.amazonaws.com/1/a", AWS_URL)

    def test_a_reply_queue_has_its_end_in_its_name(self):
        name = reply_queue_name(1_800_000_000.9)

        assert reply_queue_ends_s(name) == 1_800_000_000
        assert reply_queue_ends_s(f"http://h/1/{name}") == 1_800_000_000
        assert name_problem(name) is None
        assert reply_queue_ends_s("awf-reply-mine") is None


class TestAttributes:
    def test_ten_usual_attributes_are_sent_as_they_are(self):
        attributes = {f"a{n}": string(str(n)) for n in range(MAX_ATTRIBUTES)}

        assert fold(attributes) == attributes

    @pytest.mark.parametrize("count", [11, 40])
    def test_more_than_ten_come_back_whole_the_first_ones_readable(self, count: int):
        attributes = {f"a{n}": string(str(n)) for n in range(count)}
        attributes["bytes"] = {"DataType": "Binary.png", "BinaryValue": b"\0\xff"}

        folded = fold(attributes)

        assert len(folded) == MAX_ATTRIBUTES
        assert folded["a0"] == string("0")
        assert unfold(folded) == attributes

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Größe", "10 €"),
            ("empty", ""),
            ("nul", "a\0b"),
            ("half", "\ud83d"),
            ("AWS.x", "y"),
            ("a..b", "y"),
            (MORE, "y"),
        ],
    )
    def test_what_sqs_refuses_is_folded_and_comes_back(self, name: str, value: str):
        attributes = {name: string(value), "plain": string("x")}

        folded = fold(attributes)

        assert set(folded) == {"plain", MORE}
        assert folded[MORE]["StringValue"].isascii()
        assert unfold(folded) == attributes

    @pytest.mark.parametrize(
        "text", ["", "[]", "{", '{"a": 1, "b": ["X"], "c": ["S", "Oops", "v"], "d": ["B", "Binary", "%"]}']
    )
    def test_a_folded_part_that_a_producer_made_up_is_left_out(self, text: str):
        assert unfold({"a": string("1"), MORE: string(text)}) == {"a": string("1")}

    def test_name_type_and_value_count(self):
        assert size_of({"ab": string("ü")}) == 2 + len("String") + 2


class TestState:
    def test_a_state_survives_its_text(self):
        state = State(
            id="m1", attempt=3, deliveries=5, crashes=2, is_noted=True, first_ms=7, delay_s=1000, history=[{"a": "\0ü"}]
        )

        assert state_of(state_text(state)) == state
        assert state_text(NO_STATE) == '{"attempt":1}'

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "[" * 100_000,
            '{"attempt": "9", "crashes": -1, "deliveries": 1e99, "noted": 1, "delay": 99999999, "history": "x", "id": 5}',
            '{"attempt": true, "id": ""}',
        ],
    )
    def test_a_state_that_a_producer_made_up_is_none(self, text: str):
        assert state_of(text) == NO_STATE


class TestEvidence:
    def test_a_few_unexplained_receives_are_delivered_without_a_crash(self):
        verdicts = [verdict_of(NO_STATE, received(number)) for number in range(1, FREE_RECEIVES + 2)]

        assert verdicts == ["deliver"] * FREE_RECEIVES + ["note"]

    def test_a_noted_start_that_is_received_again_was_a_crash(self):
        first = noted(NO_STATE, received(5), "m1")
        second = noted(first, received(2), "copy")

        assert (first.crashes, first.is_noted, first.deliveries, first.id) == (0, True, 5, "m1")
        assert verdict_of(first, received(1)) == "deliver"
        assert verdict_of(first, received(2)) == "note"
        assert (second.crashes, second.deliveries, second.id) == (1, 7, "m1")

    def test_a_released_start_is_taken_back(self):
        held = replace(noted(NO_STATE, received(5), "m1"), crashes=2)

        after = carried(held, received(1), "copy")

        assert (after.crashes, after.is_noted) == (2, False)
        assert verdict_of(after, received(1)) == "note", "after a crash every start is noted"

    def test_a_copy_that_is_due_later_waits_and_its_wait_is_no_return(self):
        state = State(delay_s=3600)

        assert verdict_of(state, received(1, sent=0, first=900_000, now=900_000)) == "wait"
        assert verdict_of(state, received(2, sent=0, first=900_000, now=3_600_000)) == "deliver"
        assert verdict_of(replace(state, is_noted=True), received(2, now=3_600_000)) == "deliver"

    def test_the_age_counts_from_the_first_copy(self):
        assert age_s(State(first_ms=1000), received(now=61_000, first=60_000)) == 60.0
        assert age_s(NO_STATE, received(first=60_000, now=59_000)) == 0.0


class TestEntries:
    def test_a_batch_has_ten_entries_and_a_mebibyte_at_most(self):
        entries = [(n, Entry(body="x")) for n in range(11)]
        large = [(n, Entry(body="x" * (MAX_MESSAGE_BYTES // 2))) for n in range(3)]

        assert [len(batch) for batch in batches(entries)] == [10, 1]
        assert [len(batch) for batch in batches(large)] == [2, 1]
        assert [index for batch in batches(large) for index, _ in batch] == [0, 1, 2]
        assert list(batches([])) == []

    def test_the_bytes_of_a_text_are_counted_not_its_characters(self):
        entries = [(n, Entry(body="\N{GRINNING FACE}" * (MAX_MESSAGE_BYTES // 8))) for n in range(3)]

        assert [len(batch) for batch in batches(entries)] == [2, 1]

    def test_a_delay_is_rounded_up_to_whole_seconds(self):
        delays = [
            entry_of(Outgoing(queue="q", body=b"x", delay_s=s), is_fifo=False).delay_s for s in (0, 0.2, 1.0, 900)
        ]

        assert delays == [0, 1, 1, 900]

    def test_a_fifo_message_has_a_group_and_a_deduplication_id(self):
        given = entry_of(Outgoing(queue="q.fifo", body=b"x", id="m1", group="g", dedup_id="d"), is_fifo=True)
        none = entry_of(Outgoing(queue="q.fifo", body=b"x", id="m1"), is_fifo=True)
        odd = entry_of(Outgoing(queue="q.fifo", body=b"x", id="m 1 ü", group="g" * 200), is_fifo=True)

        assert (given.group, given.dedup_id) == ("g", "d")
        assert (none.group, none.dedup_id) == ("m1", "m1")
        assert len(odd.group or "") == len(odd.dedup_id or "") == 64

    @pytest.mark.parametrize("body", [b"\xff", b"a\0b", "\ufffe".encode()])
    def test_a_body_that_sqs_cannot_store_is_refused(self, body: bytes):
        with pytest.raises(ValueError, match="SQS"):
            entry_of(Outgoing(queue="q", body=body), is_fifo=False)

    def test_a_trace_header_is_a_system_attribute_and_traceparent_an_attribute(self):
        entry = entry_of(
            Outgoing(queue="q", body=b"x", headers={"AWSTraceHeader": "Root=1-2", "traceparent": "00-a"}), is_fifo=False
        )

        assert entry.request(0)["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"] == "Root=1-2"
        assert entry.attributes == {"traceparent": string("00-a")}

    @pytest.mark.parametrize(("lease_s", "seconds"), [(1, 2), (60, 70), (43_200, 43_200)])
    def test_a_lease_is_granted_with_a_reserve_within_the_limit(self, lease_s: float, seconds: int):
        assert granted(lease_s) == seconds


class TestCopies:
    CLAIM = Claim(
        receipt=Receipt(1, "h"), queue="q", url="u", message_id="m1", body="x", attributes={"a": string("1")},
        received=received(), received_at=0.0, lease_until=1.0, group="g", trace="Root=1-2",
    )  # fmt: skip

    def test_a_retry_a_dead_letter_and_a_moved_message_keep_the_trace_and_the_group(self):
        item = DeadLetter(delivery=Delivery(queue="q", body=b"", receipt=1), queue="d", reason="r", error="e")
        entries = [
            copy_entry(self.CLAIM, NO_STATE, 0.0, MAX_MESSAGE_BYTES),
            dead_entry(item, self.CLAIM, MAX_MESSAGE_BYTES),
            restored(self.CLAIM),
        ]

        assert [entry.request(0)["MessageSystemAttributes"] for entry in entries] == [
            {"AWSTraceHeader": string("Root=1-2")}
        ] * 3
        assert [(entry.group, entry.attributes["a"]) for entry in entries] == [("g", string("1"))] * 3

    def test_a_delay_longer_than_one_send_is_left_to_the_copy(self):
        brief = copy_entry(self.CLAIM, NO_STATE, 900.0, MAX_MESSAGE_BYTES)
        long = copy_entry(self.CLAIM, NO_STATE, 43_200.0, MAX_MESSAGE_BYTES)

        assert (brief.delay_s, state_of(brief.attributes["awf"]["StringValue"]).delay_s) == (900, 0)
        assert (long.delay_s, state_of(long.attributes["awf"]["StringValue"]).delay_s) == (900, 43_200)

    def test_a_history_without_room_loses_its_oldest_entries(self):
        state = State(history=[{"n": n, "error": "e" * 100} for n in range(20)])

        entry = copy_entry(self.CLAIM, state, 0.0, 1000)

        kept = state_of(entry.attributes["awf"]["StringValue"]).history
        assert entry.bytes <= 1000
        assert [each["n"] for each in kept] == list(range(20 - len(kept), 20))


class TestUnwrap:
    SNS = json.dumps(
        {
            "Type": "Notification",
            "MessageId": "n1",
            "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "Subject": "s",
            "Message": '{"workflow": "a"}',
            "Timestamp": "2026-01-01T00:00:00Z",
            "MessageAttributes": {"traceparent": {"Type": "String", "Value": "00-a"}, "bad": 5},
        }
    )
    EVENT = json.dumps(
        {
            "version": "0", "id": "e1", "detail-type": "Purchase", "source": "shop", "account": "1", "time": "t",
            "region": "r", "resources": [], "detail": {"workflow": "ü"},
        }
    )  # fmt: skip

    def test_the_message_of_an_sns_envelope_is_taken_out_with_its_attributes(self):
        body, headers = unwrapped(self.SNS, "sns")

        assert body == '{"workflow": "a"}'
        assert headers == {
            "sns-topic-arn": "arn:aws:sns:eu-west-1:1:t", "sns-message-id": "n1", "sns-subject": "s", "traceparent": "00-a",
        }  # fmt: skip

    def test_the_detail_of_an_event_is_taken_out(self):
        body, headers = unwrapped(self.EVENT, "eventbridge")

        assert json.loads(body) == {"workflow": "ü"}
        assert headers["eventbridge-detail-type"] == "Purchase"

    def test_auto_takes_both_and_none_takes_neither(self):
        assert unwrapped(self.SNS, "auto")[0] != self.SNS
        assert unwrapped(self.EVENT, "auto")[0] != self.EVENT
        assert unwrapped(self.SNS, "none") == (self.SNS, {})
        assert unwrapped(self.EVENT, "sns") == (self.EVENT, {})

    @pytest.mark.parametrize("body", ["", "[1]", "{", '{"Type": "Notification", "Message": "x"}', '{"workflow": "a"}'])
    def test_what_is_no_envelope_stays_as_it_is(self, body: str):
        assert unwrapped(body, "auto") == (body, {})


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            ({"wait": "21s"}, "less than or equal to 20"),
            ({"wait": "1500ms"}, "whole seconds"),
            ({"lease": "13h"}, "less than or equal to 43200"),
            ({"lease": "500ms"}, "greater than or equal to 1"),
            ({"lease": "1500ms"}, "whole seconds"),
            ({"queue_url": "jobs"}, "not a URL"),
            ({"queue": "a b"}, "can't be a queue"),
            ({"large": "bucket/prefix"}, "not s3://bucket"),
            ({"unwrap": "kafka"}, "unwrap"),
            ({"visibility": "1s"}, "visibility"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(self, settings: dict[str, str], text: str):
        with pytest.raises(ValidationError, match=text):
            SqsSettings.model_validate(settings)

    @pytest.mark.parametrize(
        ("large", "place"), [("s3://b-1", ("b-1", "")), ("s3://b-1/", ("b-1", "")), ("s3://b-1/a/b/", ("b-1", "a/b/"))]
    )
    def test_the_place_of_large_bodies_is_a_bucket_and_a_prefix(self, large: str, place: tuple[str, str]):
        assert SqsSettings(large=large).large_place == place


def test_a_state_that_is_nested_too_deep_is_no_state():
    deep = "[" * 900 + "]" * 900

    assert state_of(f'{{"attempt":3,"history":[{{"a":{deep}}}]}}') == NO_STATE
    assert state_of('{"attempt":3,"history":[{"a":1e999}]}') == NO_STATE
