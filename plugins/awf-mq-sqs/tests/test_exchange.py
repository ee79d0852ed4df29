"""Messages of external producers, retries, FIFO queues, dead-lettering, replay and reply queues, on a real endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from awf_mq_sqs.evidence import FREE_RECEIVES
from awf_mq_sqs.names import reply_queue_name
from botocore.stub import Stubber

from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing
from awf_core.errors import BodyTooLarge, BrokerMisconfigured, QueueMissing, Unroutable
from awf_core.testing.brokers import PrivateMoto
from awf_core.testing.eventually import eventually

MakeBackend = Callable[..., Any]


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def url_of(external: Any, queue: str) -> str:
    return str(external.get_queue_url(QueueName=queue)["QueueUrl"])


def take(backend: Any, queue: str, limit: int = 10, wait_s: float = 5.0) -> list[Delivery]:
    return list(backend.awf_mq_consume(queue, limit, wait_s))


def dead(delivery: Delivery, queue: str, **changes: Any) -> DeadLetter:
    item = DeadLetter(
        delivery=delivery, queue=queue, reason="max_attempts", error="it failed", history=[{"attempt": 1}]
    )
    return replace(item, **changes)


@pytest.fixture
def backend(make_backend: MakeBackend, queue: str) -> Any:
    made = make_backend()
    made.awf_mq_ensure(queue, "work", f"{queue}-dead")
    made.awf_mq_ensure(f"{queue}-dead", "dead", None)
    return made


class TestExternalProducers:
    def test_attributes_become_fields_and_headers(self, backend: Any, external: Any, queue: str):
        external.send_message(
            QueueUrl=url_of(external, queue),
            MessageBody="{}",
            MessageAttributes={
                "reply_to": text("results"),
                "correlation_id": text("c-1"),
                "message_id": text("m-1"),
                "traceparent": text("00-a-b-01"),
                "size": {"DataType": "Number", "StringValue": "5"},
                "raw": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
            },
            MessageSystemAttributes={"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")},
        )

        (delivery,) = take(backend, queue)

        assert (delivery.reply_to, delivery.correlation_id, delivery.message_id) == ("results", "c-1", "m-1")
        assert delivery.headers == {
            "traceparent": "00-a-b-01",
            "size": "5",
            "raw": "AP8=",
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
        assert delivery.id
        assert delivery.id != "m-1"

    def test_ten_attributes_survive_a_retry_a_dead_lettering_and_a_replay(
        self, backend: Any, external: Any, queue: str
    ):
        attributes: dict[str, Any] = {f"a{n}": text(str(n)) for n in range(9)}
        attributes["raw"] = {"DataType": "Binary", "BinaryValue": b"\0\xff"}
        external.send_message(
            QueueUrl=url_of(external, queue),
            MessageBody="not JSON ü {",
            MessageAttributes=attributes,
        )
        (first,) = take(backend, queue)
        backend.awf_mq_nack([Nack(delivery=first, history=[{"attempt": 1}])])
        (second,) = take(backend, queue)
        backend.awf_mq_dead_letter([dead(second, f"{queue}-dead")])
        moved = backend.awf_mq_move(f"{queue}-dead", queue, None, None)
        (third,) = take(backend, queue)

        assert moved == 1
        assert (second.id, second.attempt, second.headers) == (first.id, 2, first.headers)
        assert third.headers == first.headers
        assert third.body == "not JSON ü {".encode()
        assert (third.attempt, third.crashes, list(third.history)) == (1, 0, [{"attempt": 1}])

    def test_a_body_is_delivered_out_of_its_envelope_and_dead_lettered_with_it(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        backend = make_backend(unwrap="auto")
        backend.awf_mq_ensure(queue, "work", f"{queue}-dead")
        envelope = json.dumps(
            {"Type": "Notification", "MessageId": "n", "TopicArn": "arn", "Message": "{}", "Timestamp": "t"}
        )
        external.send_message(QueueUrl=url_of(external, queue), MessageBody=envelope)

        (delivery,) = take(backend, queue)
        backend.awf_mq_dead_letter([dead(delivery, f"{queue}-dead")])
        (item,) = backend.awf_mq_browse(f"{queue}-dead", 10, None).items

        assert delivery.body == b"{}"
        assert delivery.headers["sns-topic-arn"] == "arn"
        assert item.body == envelope.encode()

    def test_a_delayed_queue_and_an_empty_poll_are_no_error(self, backend: Any, queue: str):
        assert take(backend, queue, wait_s=0) == []


class TestCounting:
    def test_a_message_that_is_only_polled_by_others_is_no_crash(self, backend: Any, external: Any, queue: str):
        """As the AWS console does: receives with a short visibility, and no delete."""
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        for _ in range(12):
            external.receive_message(QueueUrl=url_of(external, queue), VisibilityTimeout=0, WaitTimeSeconds=1)

        (delivery,) = take(backend, queue)

        assert (delivery.attempt, delivery.crashes) == (1, 0)
        assert delivery.deliveries == 14, "twelve polls, the receive that noted the start, and this one"

    def test_browsing_a_work_queue_again_and_again_is_no_crash(self, backend: Any, queue: str):
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        for _ in range(FREE_RECEIVES + 2):
            page = backend.awf_mq_browse(queue, 10, None)
            assert [item.body for item in page.items] == [b"x"]
            assert not page.exact

        (delivery,) = take(backend, queue)

        assert (delivery.attempt, delivery.crashes) == (1, 0)

    def test_what_is_not_due_yet_is_sent_away_and_delivered_later(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        """A delay of more than 15 minutes: the copy is received once before its time, and hidden for the rest."""
        backend = make_backend()
        backend.awf_mq_ensure(queue, "work", None)
        external.send_message(
            QueueUrl=url_of(external, queue),
            MessageBody="x",
            MessageAttributes={"awf": text('{"delay":3,"attempt":2}')},
        )

        assert take(backend, queue, wait_s=1) == []
        assert backend.awf_mq_stats(queue).in_flight == 1
        (delivery,) = eventually(lambda: take(backend, queue, wait_s=1), 10.0, what="the end of the delay")

        assert (delivery.attempt, delivery.crashes) == (2, 0)

    def test_a_retry_after_an_hour_waits_in_the_queue(self, backend: Any, external: Any, queue: str):
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        (delivery,) = take(backend, queue)

        assert backend.awf_mq_nack([Nack(delivery=delivery, delay_s=3600.0)]) == [None]

        stats = backend.awf_mq_stats(queue)
        assert (stats.ready, stats.delayed, stats.in_flight) == (0, 1, 0)

    def test_a_message_too_large_for_a_copy_counts_its_receives(self, backend: Any, queue: str):
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x" * 1_048_576)])
        (first,) = take(backend, queue)

        assert backend.awf_mq_nack([Nack(delivery=first, history=[{"attempt": 1}])]) == [None]
        (second,) = take(backend, queue)
        assert backend.awf_mq_dead_letter([dead(second, f"{queue}-dead")]) == [None]

        assert (second.attempt, second.id, len(second.body)) == (2, first.id, 1_048_576)
        (item,) = backend.awf_mq_browse(f"{queue}-dead", 10, None).items
        assert len(item.body) == 1_048_576, "byte for byte, though nothing else has room"

    def test_a_long_error_and_history_leave_room_for_the_body(self, backend: Any, queue: str):
        body = b"x" * (1_048_576 - 6000)
        backend.awf_mq_publish([Outgoing(queue=queue, body=body)])
        (delivery,) = take(backend, queue)
        history = [{"attempt": n, "error": "e" * 1000} for n in range(10)]

        answers = backend.awf_mq_dead_letter([dead(delivery, f"{queue}-dead", error="e" * 5000, history=history)])
        (item,) = backend.awf_mq_browse(f"{queue}-dead", 10, None).items

        assert answers == [None]
        assert (item.body, item.reason) == (body, "max_attempts")
        assert item.history[-1]["attempt"] == 9, "the newest of the history is kept"


class TestFifo:
    @pytest.fixture
    def fifo(self, make_backend: MakeBackend, queue: str) -> Any:
        made = make_backend(queue=f"{queue}.fifo")
        made.awf_mq_ensure(f"{queue}.fifo", "work", f"{queue}-dead.fifo")
        return made

    def test_a_nacked_message_comes_before_the_later_ones_of_its_group(self, fifo: Any, queue: str):
        name = f"{queue}.fifo"
        fifo.awf_mq_publish([Outgoing(queue=name, body=b"%d" % n, group="g", id=f"m{n}") for n in range(3)])
        fifo.awf_mq_publish([Outgoing(queue=name, body=b"other", group="h", id="m9")])
        (first,) = take(fifo, name, limit=1)
        fifo.awf_mq_nack([Nack(delivery=first, delay_s=2.0)])

        # The delay holds up the group of the message, and no other.
        (other,) = take(fifo, name, limit=10, wait_s=1)
        order = []
        while len(order) < 3:
            for delivery in take(fifo, name, limit=1):
                order.append((delivery.body, delivery.attempt))
                fifo.awf_mq_ack([Ack(delivery=delivery)])

        assert (first.group, other.group, other.body) == ("g", "h", b"other")
        assert order == [(b"0", 2), (b"1", 1), (b"2", 1)]

    def test_no_two_messages_of_a_group_are_delivered_at_the_same_time(self, fifo: Any, queue: str):
        name = f"{queue}.fifo"
        groups = ("g", "g", "g", "h")
        fifo.awf_mq_publish(
            [Outgoing(queue=name, body=b"%d" % n, group=each, id=f"m{n}") for n, each in enumerate(groups)]
        )

        # A worker with ten free slots.
        (first,), (other,) = take(fifo, name, limit=10), take(fifo, name, limit=10)
        assert take(fifo, name, limit=10, wait_s=1) == []
        fifo.awf_mq_ack([Ack(delivery=first)])
        (second,) = take(fifo, name, limit=10)

        assert [(each.group, each.body) for each in (first, other, second)] == [("g", b"0"), ("h", b"3"), ("g", b"1")]

    def test_the_same_id_twice_is_one_message(self, fifo: Any, queue: str):
        name = f"{queue}.fifo"
        fifo.awf_mq_publish([Outgoing(queue=name, body=b"x", id="m1"), Outgoing(queue=name, body=b"x", id="m1")])

        assert len(take(fifo, name)) == 1

    def test_a_dead_lettered_message_can_be_replayed_within_the_deduplication_window(self, fifo: Any, queue: str):
        name, dlq = f"{queue}.fifo", f"{queue}-dead.fifo"
        fifo.awf_mq_publish([Outgoing(queue=name, body=b"x", id="m1", group="g")])
        for _ in range(2):
            (delivery,) = take(fifo, name)
            assert fifo.awf_mq_dead_letter([dead(delivery, dlq)]) == [None]
            assert fifo.awf_mq_move(dlq, name, None, None) == 1

        (again,) = take(fifo, name)
        assert (again.group, again.attempt) == ("g", 1)

    def test_a_fifo_queue_has_a_native_redrive_policy_to_a_fifo_queue(self, fifo: Any, external: Any, queue: str):
        attributes = external.get_queue_attributes(QueueUrl=url_of(external, f"{queue}.fifo"), AttributeNames=["All"])
        policy = json.loads(attributes["Attributes"]["RedrivePolicy"])

        assert policy["deadLetterTargetArn"].endswith(f":{queue}-dead.fifo")
        assert policy["maxReceiveCount"] == 1000

    def test_a_delay_of_one_message_is_refused(self, fifo: Any, queue: str):
        assert fifo.capabilities.max_publish_delay_s == 0
        (answer,) = fifo.awf_mq_publish([Outgoing(queue=f"{queue}.fifo", body=b"x", delay_s=5)])

        assert isinstance(answer, BrokerMisconfigured)
        assert "delay_s" in str(answer)


class TestQueues:
    def test_a_queue_is_created_with_its_dead_letter_queue_tags_and_key(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        backend = make_backend(tags={"team": "a"}, kms_key="alias/awf", max_receives=50)
        backend.awf_mq_ensure(queue, "work", f"{queue}-dead")
        url = url_of(external, queue)
        found = external.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

        assert json.loads(found["RedrivePolicy"])["maxReceiveCount"] == 50
        assert json.loads(found["RedrivePolicy"])["deadLetterTargetArn"].endswith(f":{queue}-dead")
        assert (found["KmsMasterKeyId"], found["MessageRetentionPeriod"]) == ("alias/awf", "1209600")
        assert external.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a", "awf": "work"}

    def test_an_existing_queue_is_not_changed(self, make_backend: MakeBackend, external: Any, queue: str):
        external.create_queue(QueueName=queue, Attributes={"MaximumMessageSize": "2048", "VisibilityTimeout": "7"})
        backend = make_backend(tags={"team": "a"})
        backend.awf_mq_ensure(queue, "work", f"{queue}-dead")

        (answer,) = backend.awf_mq_publish([Outgoing(queue=queue, body=b"x" * 3000)])

        found = external.get_queue_attributes(QueueUrl=url_of(external, queue), AttributeNames=["All"])["Attributes"]
        assert (found["VisibilityTimeout"], "RedrivePolicy" in found) == ("7", False)
        assert isinstance(answer, BodyTooLarge), "the limit is the queue's own"
        assert "2048" in str(answer)

    @pytest.mark.parametrize("declare", ["passive", "never"])
    def test_a_missing_queue_that_may_not_be_created_is_an_error(
        self, make_backend: MakeBackend, queue: str, declare: str
    ):
        backend = make_backend(context={"declare": declare})

        with pytest.raises(QueueMissing, match=queue) as caught:
            backend.awf_mq_ensure(queue, "work", None)

        assert "create-queue" in (caught.value.hint or "")

    def test_a_url_names_queue_and_endpoint(self, server: PrivateMoto, make_backend: MakeBackend, queue: str):
        url = f"{server.url}/123456789012/{queue}"
        backend = make_backend(endpoint_url=None, queue_url=url)
        backend.awf_mq_ensure(url, "work", f"{queue}-dead")
        backend.awf_mq_publish([Outgoing(queue=url, body=b"x")])

        (delivery,) = take(backend, url)

        assert (delivery.queue, backend.address) == (url, server.url)

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
            "{url}/999999999999/q",
            "http://169.254.169.254/123456789012/q",
        ],
    )
    def test_a_reply_to_another_account_or_endpoint_is_refused_and_nothing_is_sent_there(
        self, make_backend: MakeBackend, server: PrivateMoto, queue: str, elsewhere: str
    ):
        backend = make_backend(queue=queue)
        backend.awf_mq_ensure(queue, "work", None)
        target = elsewhere.format(url=server.url)
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        (delivery,) = take(backend, queue)

        (answer,) = backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue=target, body=b"r")])])

        assert isinstance(answer, Unroutable)
        assert "another account or endpoint" in str(answer)

    def test_a_reply_to_a_url_of_the_own_account_is_sent(
        self, make_backend: MakeBackend, server: PrivateMoto, queue: str
    ):
        backend = make_backend(queue=queue)
        backend.awf_mq_ensure(queue, "work", None)
        backend.awf_mq_ensure(f"{queue}-r", "reply", None)
        url = f"{server.url}/123456789012/{queue}-r"

        assert backend.awf_mq_publish([Outgoing(queue=url, body=b"x")]) == [None]
        assert len(take(backend, f"{queue}-r")) == 1


class TestReplyQueues:
    def test_a_private_queue_is_deleted_when_its_process_closes(self, make_backend: MakeBackend, external: Any):
        backend = make_backend()
        name = backend.awf_mq_reply_queue(60.0)
        backend.awf_mq_publish([Outgoing(queue=name, body=b"x")])
        assert [each.body for each in take(backend, name)] == [b"x"]

        backend.awf_mq_close()

        with pytest.raises(external.exceptions.QueueDoesNotExist):
            url_of(external, name)

    def test_the_queue_of_a_process_that_died_is_deleted_after_its_time(self, make_backend: MakeBackend, external: Any):
        ended, living = reply_queue_name(1_700_000_000), reply_queue_name(9_000_000_000)
        for name in (ended, living, "awf-reply-of-a-user"):
            external.create_queue(QueueName=name)

        make_backend().awf_mq_reply_queue(60.0)

        with pytest.raises(external.exceptions.QueueDoesNotExist):
            url_of(external, ended)
        assert url_of(external, living)
        assert url_of(external, "awf-reply-of-a-user")


class TestReplay:
    def test_a_message_that_sqs_moved_itself_shows_its_source_and_starts_afresh(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        backend = make_backend(max_receives=10)
        backend.awf_mq_ensure(queue, "work", f"{queue}-dead")
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        url = url_of(external, queue)
        for _ in range(11):
            external.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0)

        (item,) = backend.awf_mq_browse(f"{queue}-dead", 10, None).items

        assert item.body == b"x"

    def test_a_native_redrive_of_our_dead_letters_starts_them_afresh(self, backend: Any, external: Any, queue: str):
        """What StartMessageMoveTask does: the message is in the work queue again, with the attributes it had."""
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        (delivery,) = take(backend, queue)
        backend.awf_mq_nack([Nack(delivery=delivery)])
        (delivery,) = take(backend, queue)
        backend.awf_mq_dead_letter([dead(delivery, f"{queue}-dead")])
        (message,) = external.receive_message(
            QueueUrl=url_of(external, f"{queue}-dead"), MessageAttributeNames=["All"], WaitTimeSeconds=1
        )["Messages"]
        external.send_message(
            QueueUrl=url_of(external, queue), MessageBody="x", MessageAttributes=message["MessageAttributes"]
        )

        (again,) = take(backend, queue)

        assert message["MessageAttributes"]["awf-reason"]["StringValue"] == "max_attempts"
        assert message["MessageAttributes"]["awf-error"]["StringValue"] == "it failed"
        assert (again.attempt, again.headers, list(again.history)) == (1, {}, [{"attempt": 1}])
        backend.awf_mq_nack([Nack(delivery=again)])
        (second,) = take(backend, queue)
        assert second.attempt == 2, "its attempts are counted again"

    def test_a_whole_queue_is_moved_by_a_task_of_sqs_where_there_is_one(self, backend: Any, queue: str):
        arn = "arn:aws:sqs:us-east-1:123456789012:"
        client = backend._client._client("sqs")
        attributes = [{"Attributes": {"QueueArn": f"{arn}{name}"}} for name in (f"{queue}-dead", queue)]
        with Stubber(client) as stubber:
            for each in attributes:
                stubber.add_response("get_queue_attributes", each)
            stubber.add_response(
                "start_message_move_task",
                {"TaskHandle": "t"},
                {"SourceArn": f"{arn}{queue}-dead", "DestinationArn": f"{arn}{queue}"},
            )
            for status in ("RUNNING", "COMPLETED"):
                stubber.add_response(
                    "list_message_move_tasks", {"Results": [{"Status": status, "ApproximateNumberOfMessagesMoved": 7}]}
                )
            moved = backend.awf_mq_move(f"{queue}-dead", queue, None, None)
            stubber.assert_no_pending_responses()

        assert moved == 7

    def test_a_moved_message_is_never_lost_where_the_target_is_missing(self, backend: Any, queue: str):
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])

        with pytest.raises(QueueMissing):
            backend.awf_mq_move(queue, f"{queue}-absent", None, None)

        assert [each.body for each in take(backend, queue)] == [b"x"]


class TestThreads:
    def test_an_interrupt_lets_the_poll_end_and_releases_what_it_brings(self, make_backend: MakeBackend, queue: str):
        backend, other = make_backend(wait="2s"), make_backend()
        backend.awf_mq_ensure(queue, "work", None)
        got: list[Any] = []
        before = backend.requests.get("receive_message", 0)
        thread = threading.Thread(target=lambda: got.append(take(backend, queue, wait_s=20)))
        thread.start()
        eventually(lambda: backend.requests.get("receive_message", 0) > before, what="the poll is open")

        backend.awf_mq_interrupt()
        other.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
        thread.join(backend.capabilities.interrupt_s + 1.0)

        assert got == [[]]
        (delivery,) = take(other, queue)
        assert (delivery.attempt, delivery.crashes) == (1, 0)
