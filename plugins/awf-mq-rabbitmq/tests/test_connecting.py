"""Connecting to a broker, and the errors where that fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.contract import Outgoing
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable

if TYPE_CHECKING:
    from awf_core.testing.brokers import PrivateRabbitMq, TlsFiles

MakeBackend = Callable[..., Any]
GUEST = "amqp://guest:guest@"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port with a listener that never sends a byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def limited(server: PrivateRabbitMq, evaluate: Callable[[str], str]) -> str:
    """The broker's url for a user that may declare nothing."""
    user = "rabbit_auth_backend_internal"
    evaluate(
        f'catch {user}:add_user(<<"limited">>, <<"secret">>, <<"test">>), '
        f'{user}:set_permissions(<<"limited">>, <<"/">>, <<"">>, <<".*">>, <<".*">>, <<"test">>)',
    )
    return server.url.replace("guest:guest", "limited:secret")


def test_a_virtual_host_that_is_not_there_is_named(make_backend: MakeBackend, server: PrivateRabbitMq) -> None:
    error = _refused(make_backend, server.url.replace("%2F", "nowhere"))

    assert isinstance(error, BrokerMisconfigured)
    assert "the broker refuses the virtual host" in str(error)
    assert "nowhere" in str(error)
    assert "rabbitmqctl list_vhosts" in str(error.hint)


def test_a_wrong_password_is_refused_and_not_shown(make_backend: MakeBackend, server: PrivateRabbitMq) -> None:
    error = _refused(make_backend, server.url.replace("guest:guest", "guest:s3cret"))

    assert isinstance(error, BrokerMisconfigured)
    assert "the broker refuses the login" in str(error)
    assert "s3cret" not in f"{error} {error.hint}"
    assert str(server.port) in str(error)


def test_a_host_name_that_is_not_known_may_become_so(make_backend: MakeBackend) -> None:
    error = _refused(make_backend, f"{GUEST}no-such-host.invalid/")

    assert isinstance(error, BrokerUnavailable)
    assert "no-such-host.invalid" in str(error)
    assert "host name is not known" in str(error.hint)


def test_a_port_that_sends_nothing_times_out(make_backend: MakeBackend, silent_port: int) -> None:
    error = _refused(make_backend, f"{GUEST}127.0.0.1:{silent_port}/", connect_timeout="0.3s")

    assert isinstance(error, BrokerUnavailable)
    assert "can't connect: no answer in AMQP within mq.rabbitmq.connect_timeout" in str(error)
    assert "is it RabbitMQ's" in str(error.hint)


def test_a_port_of_another_protocol_is_an_error_with_a_hint(make_backend: MakeBackend, server: PrivateRabbitMq) -> None:
    error = _refused(make_backend, f"{GUEST}127.0.0.1:{server.epmd_port}/", connect_timeout="2s")

    assert isinstance(error, (BrokerMisconfigured, BrokerUnavailable))
    assert error.hint


def test_a_port_without_listener_is_unavailable(make_backend: MakeBackend, silent_port: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = _refused(make_backend, f"{GUEST}127.0.0.1:{unused.getsockname()[1]}/")

    assert isinstance(error, BrokerUnavailable)
    assert "can't connect: Connection refused" in str(error)
    assert error.hint == "check that the broker runs and can be reached from here"


def test_the_next_host_is_tried_where_one_is_away(
    make_backend: MakeBackend, server: PrivateRabbitMq, queue: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        backend = make_backend(url=f"{GUEST}127.0.0.1:{unused.getsockname()[1]},127.0.0.1:{server.port}/%2F")

    backend.awf_mq_ensure(queue, "work", None)
    assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")]) == [None]


def test_tls_goes_by_the_authority_and_shows_our_certificate(
    make_backend: MakeBackend, tls: TlsFiles, tls_port: int, queue: str
) -> None:
    files = {"tls_ca_file": str(tls.authority), "tls_cert_file": str(tls.certificate), "tls_key_file": str(tls.key)}
    backend = make_backend(url=f"amqps://guest:guest@localhost:{tls_port}/", **files)

    backend.awf_mq_ensure(queue, "work", None)
    assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")]) == [None]


def test_tls_refuses_a_broker_whose_authority_is_unknown(make_backend: MakeBackend, tls_port: int) -> None:
    error = _refused(make_backend, f"amqps://guest:guest@localhost:{tls_port}/")

    assert isinstance(error, BrokerMisconfigured)
    assert "the certificates don't fit" in str(error)
    assert "mq.rabbitmq.tls_ca_file" in str(error.hint)


def test_tls_on_a_port_without_it_is_an_error_that_says_so(make_backend: MakeBackend, server: PrivateRabbitMq) -> None:
    error = _refused(make_backend, f"amqps://guest:guest@127.0.0.1:{server.port}/")

    assert isinstance(error, BrokerMisconfigured)
    assert "the port doesn't speak TLS" in str(error)
    assert "write amqp://" in str(error.hint)


def test_tls_files_that_are_not_there_are_named(make_backend: MakeBackend, tls_port: int) -> None:
    error = _refused(make_backend, f"amqps://guest:guest@localhost:{tls_port}/", tls_ca_file="none.pem")

    assert isinstance(error, BrokerMisconfigured)
    assert "can't use the TLS files none.pem" in str(error)


def test_a_user_that_may_not_declare_works_with_what_is_there(
    make_backend: MakeBackend, limited: str, queue: str
) -> None:
    operator = make_backend(delays=["1s"])
    operator.awf_mq_ensure(queue, "work", None)

    with pytest.raises(BrokerMisconfigured) as refused:
        make_backend(url=limited).awf_mq_ensure(f"{queue}-new", "work", None)
    passive = make_backend(url=limited, declare="passive", delays=["1s"])
    with pytest.raises(Exception, match=rf"there is no queue '{queue}\.retry\.1000'"):
        passive.awf_mq_ensure(queue, "work", None)
    operator.awf_mq_publish([Outgoing(queue=queue, body=b"x", delay_s=0.1)])
    passive.awf_mq_ensure(queue, "work", None)
    (delivery,) = passive.awf_mq_consume(queue, 1, 5.0)

    assert "not allowed to declare queue" in str(refused.value)
    assert "set_permissions" in str(refused.value.hint)
    assert delivery.body == b"x"
    assert passive.awf_mq_reply_queue(60.0).startswith("amq.rabbitmq.reply-to.")


def test_a_queue_that_differs_is_refused_with_the_difference_where_that_is_configured(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    external.queue_declare(queue, durable=True)

    accepting = make_backend()
    accepting.awf_mq_ensure(queue, "work", None)
    with pytest.raises(BrokerMisconfigured) as caught:
        make_backend(existing_queues="compare").awf_mq_ensure(queue, "work", None)

    assert accepting.awf_mq_publish([Outgoing(queue=queue, body=b"x")]) == [None]
    said = f"queue {queue!r} is there with another x-queue-type: it has none, and we would declare 'quorum'"
    assert said in str(caught.value)
    assert "existing_queues: accept" in str(caught.value.hint)


def test_a_queue_that_is_exclusive_to_another_connection_is_refused(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    external.queue_declare(queue, exclusive=True)

    with pytest.raises(BrokerMisconfigured) as caught:
        make_backend().awf_mq_ensure(queue, "work", None)

    assert "exclusive" in str(caught.value.hint)


def _refused(make_backend: MakeBackend, url: str, **settings: Any) -> Any:
    backend = make_backend(is_open=False, url=url, **settings)
    with pytest.raises((BrokerMisconfigured, BrokerUnavailable)) as caught:
        backend.awf_mq_open()
    return caught.value
