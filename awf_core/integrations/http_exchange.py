"""One HTTP request and its answer, within a step's deadline, redirects followed.

Called by `http.request`, `notify.send` and the HTTP agent provider, which are imported when a workflow first needs one.
Retries nothing. The event loop lives on the calling thread and for one exchange, because only so can the whole of it, a
slow lookup of a name included, be ended at once. Errors never hold headers or bodies; they show an address without its
password.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from awf_core.errors import redact_url
from awf_core.extensions.deadline import Deadline

MAX_REDIRECTS = 10
_PORTS = {"http": 80, "https": 443}
_ADDED = frozenset({"accept", "connection"})
"""Headers the library would send by itself and the original does not."""
USER_AGENT = "Go-http-client/1.1"
"""What the original sends. Servers that distinguish clients by it must see no difference."""
_ADDRESS = re.compile(r"\('(?P<host>[^']+)', (?P<port>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. `max_body_bytes` bounds what is read of the answer."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    max_body_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back. Header names are canonical (`Content-Type`); several values of one are joined by `, `."""

    status: int
    headers: Mapping[str, str]
    body: str
    is_truncated: bool = False


class ExchangeTimeout(Exception):
    """The time for it was over."""


class ExchangeCancelled(Exception):
    """The run was asked to stop."""


class ExchangeFailed(Exception):
    """There was no answer; the text says why, without headers or bodies."""


def exchange(request: Request, deadline: Deadline, *, limit_s: float | None) -> Response:
    """Send `request` and read the answer, `limit_s` at most (None = no limit) and never past the deadline.

    Raises ExchangeTimeout, ExchangeCancelled or ExchangeFailed. Any status is an answer.
    """
    if deadline.cancel.requested:
        raise ExchangeCancelled
    limits_s = [limit for limit in (limit_s, deadline.left_s()) if limit is not None]
    wait_s = min(limits_s) if limits_s else None
    if wait_s is not None and wait_s <= 0:
        raise ExchangeTimeout
    loop = asyncio.new_event_loop()
    try:
        return _on_loop(loop, request, deadline, wait_s)
    finally:
        # Closed without waiting for its threads: a lookup that hangs must not hold up a run that is over.
        loop.close()


def _on_loop(loop: asyncio.AbstractEventLoop, request: Request, deadline: Deadline, wait_s: float | None) -> Response:
    task = loop.create_task(_within(request, wait_s))
    unregister = deadline.cancel.on_request(lambda: _wake(loop, task))
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise ExchangeCancelled from None
    finally:
        unregister()
        loop.run_until_complete(loop.shutdown_asyncgens())


def _wake(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Response]) -> None:
    loop.call_soon_threadsafe(task.cancel)


async def _within(request: Request, wait_s: float | None) -> Response:
    try:
        url = httpx.URL(request.url)
    except httpx.InvalidURL as error:
        text = f'failed to create HTTP request: parse "{redact_url(request.url)}": {error}'
        raise ExchangeFailed(text) from error
    try:
        async with asyncio.timeout(wait_s):
            return await _send(request, url)
    except TimeoutError:
        raise ExchangeTimeout from None
    except httpx.TooManyRedirects as error:
        text = f'{request.method.capitalize()} "{redact_url(request.url)}": stopped after {MAX_REDIRECTS} redirects'
        raise ExchangeFailed(f"HTTP request failed: {text}") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        port = url.port or _PORTS.get(url.scheme, 0)
        # Such as `Get "http://…": dial tcp 127.0.0.1:1: connect: connection refused`.
        problem = f'{request.method.capitalize()} "{redact_url(request.url)}": {_reason(url.host, port, error)}'
        raise ExchangeFailed(f"HTTP request failed: {problem}") from error


async def _send(request: Request, url: httpx.URL) -> Response:
    async with httpx.AsyncClient(
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        timeout=None,  # noqa: S113 - the whole exchange has a limit
        trust_env=not _is_this_machine(url.host),
        verify=_tls(),
    ) as client:
        content = request.body.encode("utf-8", "surrogateescape") if request.body else None
        sent = client.build_request(request.method, url, headers=_headers(request), content=content)
        for name in _ADDED - {given.lower() for given in request.headers}:
            sent.headers.pop(name, None)
        answer = await client.send(sent, stream=True)
        try:
            return await _response(answer, request)
        finally:
            await answer.aclose()


async def _response(answer: httpx.Response, request: Request) -> Response:
    is_plain = any(name.lower() == "accept-encoding" for name in request.headers)
    body, is_truncated = await _body(answer, request.max_body_bytes, is_plain=is_plain)
    return Response(
        status=answer.status_code,
        headers=_answer_headers(answer, is_plain=is_plain),
        body=body.decode("utf-8", "surrogateescape"),
        is_truncated=is_truncated,
    )


@functools.cache
def _tls() -> ssl.SSLContext:
    """The machine's certificates, or those that come with the HTTP library where it has none. Made once: it is slow."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _is_this_machine(host: str) -> bool:
    """Whether `host` is this machine, for which no proxy of the environment is asked."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(request: Request) -> dict[str, str]:
    given = {name.lower() for name in request.headers}
    default = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
    return {**{name: value for name, value in default.items() if name.lower() not in given}, **request.headers}


async def _body(answer: httpx.Response, max_bytes: int, *, is_plain: bool) -> tuple[bytes, bool]:
    """The first `max_bytes` and whether there was more. `is_plain`: as it came, compressed or not."""
    body = bytearray()
    pieces = answer.aiter_raw() if is_plain else answer.aiter_bytes()
    async for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), True
    return bytes(body), False


def _answer_headers(answer: httpx.Response, *, is_plain: bool) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in answer.headers.multi_items():
        canonical = "-".join(part.capitalize() for part in name.split("-"))
        headers[canonical] = f"{headers[canonical]}, {value}" if canonical in headers else value
    if not is_plain and headers.get("Content-Encoding", "").lower() == "gzip":
        # They describe the compressed body, which the caller does not get.
        headers.pop("Content-Encoding")
        headers.pop("Content-Length", None)
    return headers


def _reason(host: str, port: int, error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {host}: no such host"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: {cause.verify_message}"
        if isinstance(cause, ConnectionResetError):
            return "read: connection reset by peer"
        if isinstance(cause, OSError) and cause.errno:
            return f"dial tcp {_address(cause, host, port)}: connect: {os.strerror(cause.errno).lower()}"
    text = str(error)
    if "without sending" in text or "closed connection" in text:
        return "EOF"
    return text or type(error).__name__


def _address(error: OSError, host: str, port: int) -> str:
    found = _ADDRESS.search(str(error))
    name = found["host"] if found else host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Every error behind `error`, the innermost first: libraries wrap what the system said several times."""
    behind = error.__cause__ or error.__context__
    if behind is not None:
        yield from _causes(behind)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    yield error
