"""The fault proxy injects exactly the fault of each call, and forwards everything else."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"answer to "


class Echo:
    """A server that answers every piece with `ANSWER` and the piece, and remembers all it got."""

    def __init__(self) -> None:
        self.got = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while piece := connection.recv(65536):
                self.got += piece
                connection.sendall(ANSWER + piece)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo.port) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        yield connection


def connect(proxy: Proxy, timeout_s: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_s)


def ask(client: socket.socket, piece: bytes) -> bytes:
    client.sendall(piece)
    return client.recv(65536)


def test_bytes_pass_in_both_directions_and_connections_are_counted(proxy, client):
    answers = [ask(client, b"one"), ask(client, b"two")]

    assert answers == [b"answer to one", b"answer to two"]
    assert (proxy.accepted, proxy.live) == (1, 1)


def test_a_large_transfer_arrives_whole(echo, client):
    threading.Thread(target=client.sendall, args=(b"x" * 3_000_000,), daemon=True).start()
    received = 0
    while received < 3_000_000:
        received += len(client.recv(1 << 20))

    assert len(echo.got) == 3_000_000


def test_cut_resets_live_connections_and_lets_new_ones_in(proxy, client):
    ask(client, b"one")

    cut = proxy.cut()

    assert (cut, proxy.live) == (1, 0)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(proxy) as again:
        assert ask(again, b"two") == b"answer to two"


def test_refuse_turns_new_connections_away_and_leaves_live_ones(proxy, client):
    ask(client, b"one")

    proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert ask(client, b"two") == b"answer to two"
    proxy.restore()
    with connect(proxy) as again:
        assert ask(again, b"three") == b"answer to three"


def test_a_blackhole_forwards_nothing_until_it_is_restored(proxy, client, echo):
    ask(client, b"one")
    client.settimeout(0.2)

    proxy.blackhole()
    with pytest.raises(TimeoutError):
        ask(client, b"two")
    received = bytes(echo.got)
    proxy.restore()
    client.settimeout(5.0)

    assert received == b"one"
    assert client.recv(100) == b"answer to two"


def test_latency_delays_every_byte_in_each_direction(proxy, client):
    ask(client, b"warm")
    proxy.latency_s = 0.1

    began_s = time.monotonic()
    answer = ask(client, b"slow")
    took_s = time.monotonic() - began_s

    assert answer == b"answer to slow"
    assert 0.2 <= took_s < 2.0


def test_cut_after_forwards_exactly_that_many_bytes_to_the_broker(proxy, client, echo):
    ask(client, b"one")

    proxy.cut_after(4)
    client.sendall(b"123456")

    eventually(lambda: bytes(echo.got) == b"one1234", 5.0)
    eventually(lambda: proxy.live == 0, 5.0)
    with connect(proxy) as again:
        assert ask(again, b"two") == b"answer to two"


def test_cut_after_zero_bytes_towards_the_client_loses_the_answer_but_not_the_command(proxy, client, echo):
    ask(client, b"one")

    proxy.cut_after(0, towards="client")
    client.sendall(b"two")

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert bytes(echo.got) == b"onetwo"


def test_the_end_of_a_stream_is_forwarded(client, echo):
    ask(client, b"one")

    client.shutdown(socket.SHUT_WR)

    assert client.recv(100) == b""


def test_an_unreachable_broker_is_a_closed_connection(echo):
    with Proxy("127.0.0.1", echo.port) as proxy:
        echo.close()

        with connect(proxy) as client:
            assert client.recv(1) == b""
        assert proxy.accepted == 0


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("redis://h:1/0", "redis://127.0.0.1:{port}/0"),
        ("amqp://guest:p%40ss@h.example:5672/%2F", "amqp://guest:p%40ss@127.0.0.1:{port}/%2F"),
        ("http://h", "http://127.0.0.1:{port}"),
    ],
)
def test_a_url_through_the_proxy_keeps_everything_but_host_and_port(proxy, url, through):
    assert proxy.through(url) == through.format(port=proxy.port)


def test_close_ends_all_connections_and_can_be_repeated(echo):
    proxy = Proxy("127.0.0.1", echo.port)
    client = connect(proxy)
    ask(client, b"one")

    proxy.close()
    proxy.close()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    client.close()
