"""What went wrong with a connection, in the words the original tool has for it. Pure.

Called by `exchange.py`. Texts never hold headers or bodies; an address is shown without its password.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING

from awf_core.errors import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"\('(?P<host>[^']+)', (?P<port>\d+)")


def network_problem(method: str, url: str, host: str, port: int, error: Exception) -> str:
    """`Get "http://…": dial tcp 127.0.0.1:1: connect: connection refused` and the like; `host`, `port` are `url`'s."""
    return f'{method.capitalize()} "{redact_url(url)}": {_reason(host, port, error)}'


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
