"""TLS: the server's certificate is checked, ours is shown, and what is wrong is said."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from tls_files import can_make_certificates, make_certificates

from awf_core.contract import Ack, Outgoing
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable
from awf_core.testing.brokers import PrivateRedis
from awf_core.testing.eventually import eventually
from awf_core.testing.server_process import ServerFailed

pytestmark = pytest.mark.skipif(not can_make_certificates(), reason="no openssl to make certificates with")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(tls, tmp_path_factory):
    server = PrivateRedis(tmp_path_factory.mktemp("tls-server"), tls=tls, append_only=False)
    try:
        server.start()
    except ServerFailed as error:
        pytest.skip(f"this redis-server has no TLS: {error}")
    yield server
    server.kill()


def test_everything_works_over_tls_interrupts_included(tls_server, tls, make_backend):
    backend = make_backend(tls_server.url, tls_ca_file=str(tls.authority))
    backend.awf_mq_ensure("work", "work", "dead")
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x" * 100_000)])
    (delivery,) = backend.awf_mq_consume("work", 1, 5)
    answered = []
    thread = threading.Thread(target=lambda: answered.append(backend.awf_mq_consume("work", 1, 20)))
    thread.start()
    with redis.Redis(port=tls_server.port, ssl=True, ssl_ca_certs=str(tls.authority)) as client:
        eventually(lambda: client.info("clients")["blocked_clients"])

    started = time.monotonic()
    backend.awf_mq_interrupt()
    thread.join()

    assert answered == [[]]
    assert time.monotonic() - started < backend.capabilities.interrupt_s
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
    assert backend.address.startswith("rediss://127.0.0.1:")


def test_a_certificate_nobody_vouches_for_is_refused(tls_server, make_backend):
    with pytest.raises(BrokerMisconfigured, match="certificate is not trusted") as caught:
        make_backend(tls_server.url)

    assert "mq.redis.tls_ca_file" in caught.value.hint


def test_a_port_that_stays_silent_may_have_no_tls(server, tls, make_backend):
    url = server.url.replace("redis://", "rediss://")

    with pytest.raises(BrokerUnavailable, match="Timeout connecting") as caught:
        make_backend(url, tls_ca_file=str(tls.authority), socket_timeout="200ms")

    assert "that the port speaks TLS" in caught.value.hint


def test_a_file_that_is_not_there_is_named(make_backend, tmp_path):
    with pytest.raises(BrokerMisconfigured) as caught:
        make_backend("rediss://localhost:1", tls_ca_file="ca.pem")

    assert f"mq.redis.tls_ca_file {tmp_path / 'ca.pem'}: No such file" in str(caught.value)


def test_our_own_certificate_is_shown_where_the_server_asks(tls, make_server, make_backend):
    server = make_server(tls=tls, append_only=False)
    files = {"tls_cert_file": str(tls.certificate), "tls_key_file": str(tls.key)}
    with redis.Redis(port=server.port, ssl=True, ssl_ca_certs=str(tls.authority)) as client:
        client.config_set("tls-auth-clients", "yes")

    # Whether the server's words or its hanging up come first is a race.
    with pytest.raises((BrokerMisconfigured, BrokerUnavailable)):
        make_backend(server.url, tls_ca_file=str(tls.authority))
    backend = make_backend(server.url, tls_ca_file=str(tls.authority), **files)

    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]
