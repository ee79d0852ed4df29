"""Rules that need no broker: settings, addresses, names, acknowledgements, headers and the map of errors."""

from __future__ import annotations

import inspect
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from awf_mq_rabbitmq import failures, headers
from awf_mq_rabbitmq.consumer_channel import QUICK_IN_A_ROW, QUICK_S, AdaptivePrefetch, ack_plan
from awf_mq_rabbitmq.failures import hold_warning
from awf_mq_rabbitmq.names import is_retry_queue, retry_queue, rounded_up_ms
from awf_mq_rabbitmq.settings import DELAYS_S, RabbitMqSettings, parse_url
from awf_mq_rabbitmq.topology import queue_arguments, retry_arguments
from hypothesis import given
from hypothesis import strategies as st
from pika import exceptions as px
from pydantic import ValidationError

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, QueueMissing

if TYPE_CHECKING:
    from collections.abc import Callable

WHERE = "amqp://broker:5672/"


@given(unacked=st.sets(st.integers(1, 60), min_size=1), data=st.data())
def test_acknowledging_ends_what_is_done_and_nothing_else(unacked: set[int], data: Any) -> None:
    done = data.draw(st.sets(st.sampled_from(sorted(unacked)), min_size=1))
    left = unacked - done

    up_to, singly = ack_plan(done, min(left, default=None))

    ended = {tag for tag in unacked if up_to is not None and tag <= up_to} | set(singly)
    assert ended == done


def test_what_is_contiguous_is_acknowledged_at_once() -> None:
    assert ack_plan([3, 1, 2], 7) == (3, [])
    assert ack_plan([3, 1, 9], 2) == (1, [3, 9])
    assert ack_plan([5], None) == (5, [])


@pytest.mark.parametrize(
    ("version", "settings", "longest_run_s", "expected"),
    [
        ("3.10.8", {}, None, "`consumer_timeout = 86400000` (milliseconds)"),
        ("3.11.28", {}, 10_740.0, "`consumer_timeout = 10800000` (milliseconds)"),
        ("3.11.28", {}, 1_740.0, None),
        ("3.10.8", {"consumer_timeout": "3h"}, None, None),
        ("3.12.0", {}, None, None),
        ("4.1.0+1", {}, None, None),
        ("", {}, None, None),
    ],
)
def test_a_warning_names_the_timeout_that_a_broker_needs_and_no_client_can_set(
    version: str, settings: dict[str, object], longest_run_s: float | None, expected: str | None
) -> None:
    warning = hold_warning(version, RabbitMqSettings.model_validate(settings), longest_run_s, WHERE)
    assert warning is None if expected is None else expected in str(warning)


def after_quick_runs(*, wanted: int) -> AdaptivePrefetch:
    adaptive = AdaptivePrefetch()
    for _ in range(QUICK_IN_A_ROW):
        adaptive.settled(QUICK_S / 2)
    adaptive.asked(wanted)
    return adaptive


def test_quick_runs_let_the_broker_send_twice_what_was_asked_for() -> None:
    adaptive = after_quick_runs(wanted=8)
    assert adaptive.prefetch == 16
    adaptive.asked(3)
    assert adaptive.prefetch == 16


def test_the_prefetch_is_not_raised_before_the_runs_were_quick_for_a_while() -> None:
    adaptive = AdaptivePrefetch()
    adaptive.asked(8)
    for _ in range(QUICK_IN_A_ROW - 1):
        adaptive.settled(0.0)
        adaptive.asked(8)
    assert adaptive.prefetch is None


@pytest.mark.parametrize("end", [lambda adaptive: adaptive.settled(QUICK_S), lambda adaptive: adaptive.slow_down()])
def test_one_slow_run_or_an_idle_message_lowers_the_prefetch(end: Callable[[AdaptivePrefetch], None]) -> None:
    adaptive = after_quick_runs(wanted=8)
    end(adaptive)
    adaptive.asked(8)
    assert adaptive.prefetch is None


@pytest.mark.parametrize(
    ("delay_s", "expected_ms"), [(0.1, 1000), (1.0, 1000), (1.01, 2000), (301, 900_000), (1e9, 86_400_000)]
)
def test_a_delay_is_rounded_up_and_at_most_the_longest(delay_s: float, expected_ms: int) -> None:
    assert rounded_up_ms(delay_s, DELAYS_S) == expected_ms


def test_retry_queues_are_known_by_their_names() -> None:
    assert is_retry_queue(retry_queue("a.retry.b", 5000))
    assert not is_retry_queue("a.retry.b")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://host", ("amqp://host:5672/", "/")),
        ("amqp://u:p@host:1/%2F", ("amqp://host:1/", "/")),
        ("amqps://host/shop", ("amqps://host:5671/shop", "shop")),
        ("amqp://[::1]:7,b/x%2Fy", ("amqp://[::1]:7,b:5672/x%2Fy", "x/y")),
    ],
)
def test_a_url_is_read_and_shown_without_its_account(url: str, expected: tuple[str, str]) -> None:
    address = parse_url(url)

    assert (address.shown, address.vhost) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://h"}, "no such kind of address"),
        ({"url": "amqp://u:s3cret@h:0"}, "is no host:port"),
        ({"url": "amqp://h/a/b"}, "'a/b' is no virtual host"),
        ({"url": "amqp://h?heartbeat=1"}, "options are not taken in the URL"),
        ({"tls_ca_file": "ca.pem"}, "write amqps://"),
        ({"url": "amqps://h", "tls_key_file": "k.pem"}, "tls_key_file needs tls_cert_file"),
        ({"delays": ["5s", "1s"]}, "delays have to grow"),
        ({"heartbeat": "0s"}, "heartbeat"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_reason(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")) as caught:
        RabbitMqSettings.model_validate(settings)

    assert "s3cret" not in str(caught.value.errors(include_input=False))


def test_queues_are_declared_to_lose_nothing() -> None:
    settings = RabbitMqSettings()

    work = queue_arguments(settings, "work", "dead")
    retry = retry_arguments(settings, "work", 5000)

    assert (work["x-queue-type"], work["x-delivery-limit"]) == ("quorum", 1000)
    assert (work["x-dead-letter-exchange"], work["x-dead-letter-routing-key"]) == ("", "dead")
    assert (work["x-dead-letter-strategy"], work["x-overflow"]) == ("at-least-once", "reject-publish")
    assert (retry["x-message-ttl"], retry["x-dead-letter-routing-key"]) == (5000, "work")
    assert "x-expires" not in retry
    assert "x-dead-letter-exchange" not in queue_arguments(settings, "work", None)
    assert queue_arguments(RabbitMqSettings(queue_type="classic"), "work", "dead") == {"x-queue-type": "classic"}


def test_counts_with_impossible_values_are_ignored() -> None:
    forged = {headers.ATTEMPT: "many", headers.DELIVERIES: -5, headers.AGE: 1 << 60}
    forged |= {headers.KEY: "../x", headers.STARTS: 9, headers.IS_NOTED: True}

    assert headers.read_counts(forged) == headers.Counts()
    assert headers.read_history({headers.HISTORY: "[" * 100_000}) == []
    assert headers.read_history({headers.HISTORY: '[1, {"a": 2}]'}) == [{"a": 2}]


def test_a_history_that_grew_too_long_keeps_its_end() -> None:
    text = headers.written_history([{"n": n, "error": "x" * 1000} for n in range(100)])

    kept = headers.read_history({headers.HISTORY: text})
    assert len(text) <= headers.MAX_HISTORY_CHARS + 2
    cut, *newest = kept
    assert [entry["n"] for entry in newest] == list(range(100 - len(newest), 100))
    assert cut == {"event": "cut", "left_out": 100 - len(newest)}


def test_every_error_of_the_client_library_becomes_one_of_the_contract() -> None:
    classes = [each for _, each in inspect.getmembers(px, inspect.isclass) if issubclass(each, Exception)]
    assert len(classes) > 30

    for each in classes:
        is_closing = issubclass(each, (px.ChannelClosed, px.ConnectionClosed))
        error = each(541, "because") if is_closing else each.__new__(each)
        mapped = failures.broker_error(error, where=WHERE, doing="count")
        assert isinstance(mapped, BrokerError), each
        assert WHERE in str(mapped), each
        assert mapped.hint, each


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (px.ChannelClosedByBroker(404, "NOT_FOUND - no queue 'q' in vhost '/'"), QueueMissing),
        (px.ChannelClosedByBroker(403, "ACCESS_REFUSED"), BrokerMisconfigured),
        (px.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"), BrokerUnavailable),
        (px.AMQPConnectionError(socket.gaierror(-2, "Name or service not known")), BrokerUnavailable),
        (ssl.SSLCertVerificationError("certificate verify failed"), BrokerMisconfigured),
        (ConnectionResetError(104, "Connection reset by peer"), BrokerUnavailable),
    ],
)
def test_the_class_of_an_error_says_whether_waiting_helps(error: BaseException, expected: type[BrokerError]) -> None:
    assert type(failures.broker_error(error, where=WHERE, doing="count")) is expected


def test_a_consumer_timeout_is_read_from_the_brokers_text() -> None:
    text = (
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
    error = px.ChannelClosedByBroker(406, text)

    assert failures.consumer_timeout_ms(error) == 1_800_000
    timed_out = failures.consumer_timeout_error(WHERE, "q", 1_800_000, ["m-1"])
    assert "consumer timeout of 30m (1800000 ms): m-1" in str(timed_out)
    assert "consumer_timeout = 10800000" in str(timed_out.hint)
    assert "mq.max_run below 30m" in str(timed_out.hint)
