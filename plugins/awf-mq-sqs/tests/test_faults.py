"""Faults of the server, the network, the login and the queue: what is lost, what is doubled, what the error says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from sqs_answers import SqsAnswers

from awf_core.contract import Ack, Nack, Outgoing
from awf_core.errors import (
    BrokerBlocked,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    LeaseLost,
    QueueMissing,
)
from awf_core.testing.brokers import PrivateMoto
from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy

MakeBackend = Callable[..., Any]


@pytest.fixture
def front(server: PrivateMoto) -> Iterator[SqsAnswers]:
    with SqsAnswers(server.url) as made:
        yield made


@pytest.fixture
def backend(make_backend: MakeBackend, front: SqsAnswers, queue: str) -> Any:
    made = make_backend(url=front.url)
    made.awf_mq_ensure(queue, "work", None)
    return made


def out(queue: str, body: bytes = b"x") -> Outgoing:
    return Outgoing(queue=queue, body=body)


def take(backend: Any, queue: str, limit: int = 10, wait_s: float = 5.0) -> Any:
    return list(backend.awf_mq_consume(queue, limit, wait_s))


def acked(backend: Any, *deliveries: Any, replies: Any = ()) -> list[BrokerError | None]:
    return list(backend.awf_mq_ack([Ack(delivery=each, replies=replies) for each in deliveries]))


class TestServer:
    def test_a_server_that_is_killed_and_started_is_used_again(
        self, make_backend: MakeBackend, tmp_path: Any, queue: str
    ):
        with PrivateMoto(tmp_path / "own") as own:
            backend = make_backend(url=own.url)
            backend.awf_mq_ensure(queue, "work", "t-dead")
            backend.awf_mq_publish([out(queue)])
            (held,) = take(backend, queue)

            own.kill()
            with pytest.raises(BrokerUnavailable) as down:
                take(backend, queue, wait_s=0)
            own.start()
            (lost,) = acked(backend, held)
            with pytest.raises(QueueMissing):
                take(backend, queue, wait_s=0)
            (answer,) = backend.awf_mq_publish([out(queue, b"after")])

            assert str(own.port) in str(down.value)
            assert isinstance(lost, (LeaseLost, QueueMissing)), "moto forgets its queues"
            assert answer is None, "the poll has created the queue again"
            assert [each.body for each in take(backend, queue)] == [b"after"]

    def test_a_reset_during_a_poll_is_an_error_and_the_next_poll_works(
        self, make_backend: MakeBackend, proxy: Proxy, server: PrivateMoto, queue: str
    ):
        backend = make_backend(url=proxy.through(server.url), wait="2s", lease="1s")
        backend.awf_mq_ensure(queue, "work", None)
        caught: list[BaseException] = []

        def poll() -> None:
            try:
                take(backend, queue, wait_s=10)
            except BrokerError as error:
                caught.append(error)

        accepted = proxy.accepted
        thread = threading.Thread(target=poll)
        thread.start()
        eventually(lambda: proxy.accepted > accepted and proxy.live, what="the poll is open")
        proxy.cut()
        thread.join(5.0)
        backend.awf_mq_publish([out(queue)])

        assert [type(each) for each in caught] == [BrokerUnavailable]
        # The server may give the message to the poll that was cut; then the lease of that ends.
        (delivery,) = eventually(lambda: take(backend, queue, wait_s=1), 10.0, what="the message")
        assert (delivery.body, delivery.crashes) == (b"x", 0)

    def test_a_half_open_connection_is_noticed_within_the_read_timeout(
        self, make_backend: MakeBackend, proxy: Proxy, server: PrivateMoto, queue: str
    ):
        backend = make_backend(url=proxy.through(server.url), read_timeout="500ms")
        backend.awf_mq_ensure(queue, "work", None)

        proxy.blackhole()
        (answer,) = backend.awf_mq_publish([out(queue)])
        proxy.restore()

        assert isinstance(answer, BrokerUnavailable)
        assert answer.in_doubt

    def test_a_request_without_an_answer_is_not_repeated_within_the_call(
        self, make_backend: MakeBackend, proxy: Proxy, server: PrivateMoto, queue: str
    ):
        backend = make_backend(url=proxy.through(server.url), read_timeout="500ms")
        backend.awf_mq_ensure(queue, "work", None)
        before = backend.requests["get_queue_attributes"]

        proxy.blackhole()
        with pytest.raises(BrokerUnavailable):
            backend.awf_mq_stats(queue)
        proxy.restore()

        assert backend.requests["get_queue_attributes"] == before + 1


class TestThrottling:
    @pytest.mark.parametrize(
        ("status", "code"), [(400, "ThrottlingException"), (400, "RequestThrottled"), (503, "ServiceUnavailable")]
    )
    def test_a_throttled_send_is_repeated_and_arrives_once(
        self, backend: Any, front: SqsAnswers, queue: str, status: int, code: str
    ):
        front.answer("SendMessageBatch", status, code, times=2)

        answers = backend.awf_mq_publish([out(queue)])

        assert answers == [None]
        assert len(take(backend, queue)) == 1
        assert take(backend, queue, wait_s=0) == []

    def test_throttling_that_lasts_is_an_error_that_is_not_in_doubt(self, backend: Any, front: SqsAnswers, queue: str):
        front.answer("SendMessageBatch", 400, "ThrottlingException", "Rate exceeded", times=3)

        (answer,) = backend.awf_mq_publish([out(queue)])

        assert isinstance(answer, BrokerUnavailable)
        assert not answer.in_doubt
        assert "Rate exceeded" in str(answer)

    def test_a_queue_with_too_many_messages_in_flight_blocks(self, backend: Any, front: SqsAnswers, queue: str):
        front.answer("ReceiveMessage", 403, "OverLimit")

        with pytest.raises(BrokerBlocked, match="limit"):
            take(backend, queue)


class TestLostAnswers:
    def test_a_send_whose_answer_is_lost_is_in_doubt_and_not_repeated(
        self, backend: Any, front: SqsAnswers, queue: str
    ):
        front.lose("SendMessageBatch")

        (answer,) = backend.awf_mq_publish([out(queue)])

        assert isinstance(answer, BrokerUnavailable)
        assert answer.in_doubt
        assert front.counts["SendMessageBatch"] == 1
        assert len(take(backend, queue)) == 1, "it had its effect, once"

    def test_a_send_to_a_fifo_queue_is_repeated_since_sqs_drops_the_repetition(
        self, make_backend: MakeBackend, front: SqsAnswers, queue: str
    ):
        backend = make_backend(url=front.url, queue=f"{queue}.fifo")
        backend.awf_mq_ensure(f"{queue}.fifo", "work", None)
        front.lose("SendMessageBatch")

        answers = backend.awf_mq_publish([out(f"{queue}.fifo")])

        assert answers == [None]
        assert front.counts["SendMessageBatch"] == 2
        assert len(take(backend, f"{queue}.fifo")) == 1

    def test_a_delete_whose_answer_is_lost_is_repeated(self, backend: Any, front: SqsAnswers, queue: str):
        backend.awf_mq_publish([out(queue)])
        (delivery,) = take(backend, queue)
        front.lose("DeleteMessageBatch")

        assert acked(backend, delivery) == [None]
        assert front.counts["DeleteMessageBatch"] == 2

    def test_a_result_is_sent_once_though_its_delete_fails_at_first(self, backend: Any, front: SqsAnswers, queue: str):
        backend.awf_mq_ensure(f"{queue}-replies", "reply", None)
        backend.awf_mq_publish([out(queue)])
        (delivery,) = take(backend, queue)
        front.answer("DeleteMessageBatch", 500, "InternalError", times=3)
        replies = [out(f"{queue}-replies", b"done")]

        (first,) = acked(backend, delivery, replies=replies)
        (second,) = acked(backend, delivery, replies=replies)

        assert isinstance(first, BrokerUnavailable)
        assert second is None
        assert [each.body for each in take(backend, f"{queue}-replies")] == [b"done"]
        assert take(backend, f"{queue}-replies", wait_s=0) == []

    def test_a_receive_whose_answer_is_lost_gives_its_message_when_the_lease_ends(
        self, make_backend: MakeBackend, front: SqsAnswers, queue: str
    ):
        backend = make_backend(url=front.url, lease="1s")
        backend.awf_mq_ensure(queue, "work", None)
        backend.awf_mq_publish([out(queue)])
        front.lose("ReceiveMessage")

        with pytest.raises(BrokerUnavailable):
            take(backend, queue)
        (delivery,) = eventually(lambda: take(backend, queue, wait_s=1), 10.0, what="the end of the lease")

        assert (delivery.deliveries, delivery.attempt, delivery.crashes) == (2, 1, 0)

    def test_a_retry_whose_delete_fails_is_not_published_twice(self, backend: Any, front: SqsAnswers, queue: str):
        backend.awf_mq_publish([out(queue)])
        (delivery,) = take(backend, queue)
        front.answer("DeleteMessageBatch", 500, "InternalError", times=3)

        first = list(backend.awf_mq_nack([Nack(delivery=delivery)]))
        second = list(backend.awf_mq_nack([Nack(delivery=delivery)]))
        (again,) = take(backend, queue)

        assert isinstance(first[0], BrokerUnavailable)
        assert second == [None]
        assert again.attempt == 2


class TestLeases:
    def test_what_is_lost_while_it_runs_publishes_nothing(self, make_backend: MakeBackend, queue: str):
        slow, other = make_backend(lease="1s"), make_backend()
        slow.awf_mq_ensure(queue, "work", None)
        slow.awf_mq_ensure(f"{queue}-replies", "reply", None)
        slow.awf_mq_publish([out(queue)])
        (stale,) = take(slow, queue)
        (current,) = eventually(lambda: take(other, queue, wait_s=1), 10.0, what="the end of the lease")

        (answer,) = acked(slow, stale, replies=[out(f"{queue}-replies")])

        assert isinstance(answer, LeaseLost)
        assert take(other, f"{queue}-replies", wait_s=0) == []
        assert acked(other, current) == [None]

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("MessageNotInflight", "The message isn't in flight"),
            ("ReceiptHandleIsInvalid", "not a valid receipt handle"),
            (
                "InvalidParameterValue",
                "Reason: Message does not exist or is not available for visibility timeout change.",
            ),
            (
                "InvalidParameterValue",
                "Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            ),
            ("AWS.SimpleQueueService.MessageNotInflight", "not in flight"),
        ],
    )
    def test_a_handle_that_aws_refuses_is_a_lost_lease_for_that_entry_only(
        self, make_backend: MakeBackend, queue: str, code: str, text: str
    ):
        backend = make_backend(lease="60s")
        backend.awf_mq_ensure(queue, "work", None)
        backend.awf_mq_publish([out(queue, b"a"), out(queue, b"b")])
        held = take(backend, queue)
        for delivery in held:
            backend._claims.held(delivery, 0.0).lease_until -= 11.0
        failed = [{"Id": "0", "SenderFault": True, "Code": code, "Message": text}]
        with Stubber(backend._client._client("sqs")) as stubber:
            stubber.add_response("change_message_visibility_batch", {"Successful": [{"Id": "1"}], "Failed": failed})
            answers = list(backend.awf_mq_extend(held))

        assert isinstance(answers[0], LeaseLost)
        assert answers[1] is None

    def test_a_lease_that_holds_long_enough_costs_no_request(self, backend: Any, front: SqsAnswers, queue: str):
        backend.awf_mq_publish([out(queue)])
        held = take(backend, queue)

        assert list(backend.awf_mq_extend(held)) == [None]
        assert front.counts["ChangeMessageVisibilityBatch"] == 0

    def test_a_queue_that_is_deleted_under_the_poll_is_created_again(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        backend = make_backend()
        backend.awf_mq_ensure(queue, "work", "t-dead")
        external.delete_queue(QueueUrl=external.get_queue_url(QueueName=queue)["QueueUrl"])

        with pytest.raises(QueueMissing, match=queue):
            take(backend, queue)

        assert backend.awf_mq_publish([out(queue)]) == [None]
        assert len(take(backend, queue)) == 1

    def test_a_deleted_queue_that_may_not_be_created_stays_an_error(
        self, make_backend: MakeBackend, external: Any, queue: str
    ):
        external.create_queue(QueueName=queue)
        backend = make_backend(context={"declare": "passive"})
        backend.awf_mq_ensure(queue, "work", None)
        external.delete_queue(QueueUrl=external.get_queue_url(QueueName=queue)["QueueUrl"])

        for _ in range(2):
            with pytest.raises(QueueMissing):
                take(backend, queue)


def refuse(backend: Any, action: str, code: str, text: str, status: int = 400) -> Stubber:
    """Have AWS refuse the next `action` of a backend."""
    stubber = Stubber(backend._client._client("sqs"))
    stubber.add_client_error(action, service_error_code=code, service_message=text, http_status_code=status)
    return stubber


class TestLogin:
    @pytest.mark.parametrize(
        ("code", "text", "says"),
        [
            ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than …", "clock"),
            ("RequestTimeTooSkewed", "The difference is too large", "clock"),
            ("SignatureDoesNotMatch", "The request signature we calculated does not match", "AWS_SECRET_ACCESS_KEY"),
            ("InvalidAccessKeyId", "no such key", "AWS_ACCESS_KEY_ID"),
            (
                "AccessDenied",
                "User: arn:aws:iam::1:user/x is not authorized to perform: sqs:sendmessage on resource: arn",
                "allow sqs:sendmessage",
            ),
            ("AccessDeniedException", "Access to the resource is denied.", "allow sqs:SendMessage on"),
            ("KMS.AccessDeniedException", "not authorized", "kms:GenerateDataKey"),
            ("KmsDisabled", "the key is disabled", "kms:Decrypt"),
            ("InvalidAttributeValue", "no", "attributes"),
        ],
    )
    def test_what_is_refused_for_good_says_what_to_do(
        self, make_backend: MakeBackend, queue: str, code: str, text: str, says: str
    ):
        backend = make_backend()
        backend.awf_mq_ensure(queue, "work", None)

        with refuse(backend, "send_message_batch", code, text):
            (answer,) = backend.awf_mq_publish([out(queue)])

        # What the worker itself can't change, but may pass, is repeated: the clock, the credentials.
        may_pass = code in ("SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidAccessKeyId")
        assert type(answer) is (BrokerUnavailable if may_pass else BrokerMisconfigured)
        assert says in f"{answer} {answer.hint}"
        assert backend.address in str(answer)

    def test_credentials_that_expire_in_the_middle_are_read_again(self, backend: Any, front: SqsAnswers, queue: str):
        front.answer("SendMessageBatch", 403, "ExpiredTokenException", "The security token has expired")
        before = backend._client._client("sqs")

        answers = backend.awf_mq_publish([out(queue)])

        assert answers == [None]
        assert backend._client._client("sqs") is not before, "a session of its own, which reads the chain again"

    def test_credentials_that_stay_expired_are_an_error(self, backend: Any, front: SqsAnswers, queue: str):
        front.answer("SendMessageBatch", 403, "ExpiredToken", "The security token has expired", times=2)

        (answer,) = backend.awf_mq_publish([out(queue)])

        assert isinstance(answer, BrokerUnavailable)
        assert not answer.in_doubt
        assert "expired" in str(answer)

    @pytest.mark.parametrize(
        "code", ["InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "ExpiredToken"]
    )
    def test_credentials_that_are_refused_at_the_open_are_an_error_for_good(
        self, make_backend: MakeBackend, front: SqsAnswers, code: str
    ):
        front.answer("GetQueueUrl", 403, code, "refused", times=2)

        with pytest.raises(BrokerMisconfigured, match="refused"):
            make_backend(url=front.url)

    def test_a_right_that_is_missing_at_the_open_is_left_to_what_needs_it(
        self, make_backend: MakeBackend, front: SqsAnswers, queue: str
    ):
        front.answer("GetQueueUrl", 403, "AccessDeniedException", "not authorized to perform: sqs:getqueueurl", times=2)

        backend = make_backend(url=front.url)

        with pytest.raises(BrokerMisconfigured, match="sqs:getqueueurl is denied"):
            backend.awf_mq_ensure(queue, "work", None)

    def test_no_credentials_are_an_error_at_the_open(self, make_backend: MakeBackend, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        with pytest.raises(BrokerMisconfigured, match="no AWS credentials"):
            make_backend()

    def test_no_region_is_an_error_at_the_open(self, make_backend: MakeBackend, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("AWS_REGION")

        with pytest.raises(BrokerMisconfigured, match="no AWS region"):
            make_backend(endpoint_url=None)

    def test_an_unknown_profile_is_an_error_at_the_open(self, make_backend: MakeBackend):
        with pytest.raises(BrokerMisconfigured, match="absent-profile"):
            make_backend(profile="absent-profile")

    def test_runs_that_may_take_longer_than_sqs_lets_a_message_be_held_are_refused(self, make_backend: MakeBackend):
        with pytest.raises(BrokerMisconfigured, match="12h"):
            make_backend(context={"max_run_s": 50_000.0})


class TestBatches:
    def test_a_failed_entry_of_a_batch_is_its_own_error(self, make_backend: MakeBackend, queue: str):
        backend = make_backend()
        backend.awf_mq_ensure(queue, "work", None)
        response = {
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}],
            "Failed": [
                {"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "illegal"},
                {"Id": "2", "SenderFault": False, "Code": "InternalError", "Message": "later"},
            ],
        }
        with Stubber(backend._client._client("sqs")) as stubber:
            stubber.add_response("send_message_batch", response)
            answers = backend.awf_mq_publish([out(queue), out(queue), out(queue)])

        assert [type(each) for each in answers] == [type(None), BrokerMisconfigured, BrokerUnavailable]

    def test_one_entry_that_has_its_request_refused_costs_only_itself(self, make_backend: MakeBackend, queue: str):
        backend = make_backend()
        backend.awf_mq_ensure(queue, "work", None)
        client = backend._client._client("sqs")
        good = {"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}], "Failed": []}
        with Stubber(client) as stubber:
            for _ in range(2):
                stubber.add_client_error("send_message_batch", "InvalidParameterValue", "bad attribute")
            stubber.add_response("send_message_batch", good)
            answers = backend.awf_mq_publish([out(queue), out(queue)])

        assert isinstance(answers[0], BrokerMisconfigured)
        assert answers[1] is None
