"""Errors of the client library, the system and the broker, as the contract's errors. Pure.

The only place that knows their exceptions and reply codes; none of them leaves this package.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING

from pika import exceptions as px
from pika.adapters.utils import connection_workflow as workflow

from awf_core.errors import (
    BodyTooLarge,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    QueueMissing,
    redact_url,
)
from awf_core.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_mq_rabbitmq.settings import RabbitMqSettings

CONTENT_TOO_LARGE, CONNECTION_FORCED, INVALID_PATH = 311, 320, 402
ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED = 403, 404, 405, 406
NOT_ALLOWED, INTERNAL_ERROR = 530, 541

GRANTS_TIMEOUTS = (3, 12)
"""From this version on the broker honours a queue's and a consumer's `x-consumer-timeout` (RabbitMQ's documentation of
consumers); 3.10.8 accepts and ignores them."""
BROKERS_TIMEOUT_S = 1800.0
SETTLE_S = 60.0
"""Time to settle a run that took as long as it may."""

_TIMEOUT = re.compile(r"delivery acknowledgement on channel \d+ timed out.*?Timeout value used: (\d+) ms", re.DOTALL)
_SIZE = re.compile(r"message size (\d+)\D+(?:max size|limit)\D*(\d+)", re.IGNORECASE)
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<name>[^']+)' for queue '(?P<queue>[^']*)'.*?: received (?P<ours>.+?) but current is "
    r"(?P<theirs>.+)",
    re.DOTALL,
)
_TYPED = re.compile(r"the value '(?P<value>[^']*)'(?: of type '[^']*')?")
_TLS_NONE = re.compile(r"WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER_FAILURE|record layer failure")

PERMISSIONS_HINT = (
    "give the user the rights the README of awf-mq-rabbitmq lists (`rabbitmqctl set_permissions`), or set mq.declare: "
    "passive where it may not declare queues"
)


def root_cause(error: BaseException) -> BaseException:
    """The error behind the client library's wrappings."""
    seen = 0
    while seen < 10:
        inner = _inner(error)
        if inner is None:
            return error
        error, seen = inner, seen + 1
    return error


def reply_code(error: BaseException) -> int | None:
    """The broker's code where it closed the channel or connection, else None."""
    return int(error.reply_code) if isinstance(error, (px.ChannelClosed, px.ConnectionClosed)) else None


def reply_text(error: BaseException) -> str:
    """The broker's text, or the error's own; never empty."""
    text = error.reply_text if isinstance(error, (px.ChannelClosed, px.ConnectionClosed)) else str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return redact_url(str(text)) or type(error).__name__


def consumer_timeout_ms(error: BaseException) -> int | None:
    """The broker's consumer timeout in milliseconds, where that is why it closed the channel."""
    found = _TIMEOUT.search(reply_text(error)) if reply_code(error) == PRECONDITION_FAILED else None
    return int(found[1]) if found else None


def too_large_bytes(error: BaseException) -> tuple[int, int] | None:
    """(the message's size, the limit) where the broker closed the channel over one that is too large."""
    if reply_code(error) not in (PRECONDITION_FAILED, CONTENT_TOO_LARGE):
        return None
    found = _SIZE.search(reply_text(error))
    return (int(found[1]), int(found[2])) if found else None


def broker_error(raised: BaseException, *, where: str, doing: str, in_doubt: bool = False) -> BrokerError:
    """The contract's error for `raised`, met while `doing` something at `where`.

    `in_doubt`: what was sent may have had its effect when the connection broke.
    """
    if isinstance(raised, BrokerError):
        return raised
    error = root_cause(raised)
    if isinstance(error, px.ChannelClosed):
        return _channel_error(error, where, doing, in_doubt=in_doubt)
    if isinstance(error, (px.ProbableAuthenticationError, px.AuthenticationError, px.ProbableAccessDeniedError)):
        return _refused(error, where)
    if reply_code(error) in (ACCESS_REFUSED, NOT_ALLOWED, INVALID_PATH):
        return _refused(error, where)
    if isinstance(error, ssl.SSLError):
        return _tls_error(error, where)
    if isinstance(error, (px.IncompatibleProtocolError, px.ProtocolVersionMismatch)):
        return BrokerMisconfigured(
            f"{where}: what answers there doesn't speak AMQP 0-9-1: {reply_text(error)}",
            hint="check host and port (5672 is RabbitMQ's, 5671 with amqps://, 15672 its web page's)",
        )
    if isinstance(error, px.NoFreeChannels):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: no channel is free", hint="raise channel_max in the broker's configuration"
        )
    return _away(error, where, doing, in_doubt=in_doubt)


def timeout_error(where: str, doing: str, waited_s: float, *, in_doubt: bool = False) -> BrokerUnavailable:
    """No answer within `waited_s`."""
    return BrokerUnavailable(
        f"{where}: no answer within {format_duration(waited_s)} to {doing}",
        hint="the connection is dropped and replaced; check the broker's load, its alarms and the network between",
        in_doubt=in_doubt,
    )


def closed_error(where: str, doing: str) -> BrokerUnavailable:
    """A call on what was closed."""
    return BrokerUnavailable(f"{where}: can't {doing}: the connection is closed", hint="open it first")


def consumer_timeout_error(where: str, queue: str, timeout_ms: int, running: Sequence[str]) -> BrokerUnavailable:
    """The broker requeued deliveries that stayed unacknowledged for too long; the hint says how to raise the limit."""
    took = format_duration(timeout_ms / 1000)
    names = ", ".join(running) or "an unnamed message"
    return BrokerUnavailable(
        f"{where}: the broker requeued deliveries of {queue!r} that were unacknowledged for longer than its consumer "
        f"timeout of {took} ({timeout_ms} ms): {names}",
        hint=timeout_hint(timeout_ms),
    )


def timeout_hint(timeout_ms: int) -> str:
    """What to do about a consumer timeout of that length."""
    return (
        f"its runs take longer than {format_duration(timeout_ms / 1000)}: set `consumer_timeout = {timeout_ms * 6}` "
        "(milliseconds) in rabbitmq.conf, or the policy key `consumer-timeout` on the queue (RabbitMQ 3.12 and newer), "
        f"or bound the runs with mq.max_run below {format_duration(timeout_ms / 1000)}"
    )


def hold_warning(version: str, settings: RabbitMqSettings, longest_run_s: float | None, where: str) -> str | None:
    """A warning that a broker of this version may redeliver a message during its run; None where it won't.

    `longest_run_s=None`: runs have no limit of their own. A timeout in the settings is taken for the broker's: no
    client can ask for it.
    """
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    needed_s = settings.consumer_timeout_s if longest_run_s is None else longest_run_s + SETTLE_S
    is_configured = "consumer_timeout_s" in settings.model_fields_set
    if not numbers or numbers >= GRANTS_TIMEOUTS or is_configured or needed_s <= BROKERS_TIMEOUT_S:
        return None
    needed_ms = round(min(needed_s, settings.consumer_timeout_s) * 1000)
    return (
        f"{where}: RabbitMQ {version} doesn't let a client choose how long a message may stay unacknowledged; after "
        f"its own consumer timeout, {format_duration(BROKERS_TIMEOUT_S)} by default, it redelivers one while it runs: "
        f"set `consumer_timeout = {needed_ms}` (milliseconds) in rabbitmq.conf and mq.rabbitmq.consumer_timeout: "
        f"{format_duration(needed_ms / 1000)} here, or bound the runs with mq.max_run"
    )


def _inner(error: BaseException) -> BaseException | None:
    if isinstance(error, workflow.AMQPConnectionWorkflowFailed):
        return error.exceptions[-1] if error.exceptions else None
    if isinstance(error, workflow.AMQPConnectorPhaseErrorBase):
        return error.exception if isinstance(error.exception, BaseException) else None
    is_wrapper = type(error) in (px.AMQPConnectionError, px.StreamLostError, px.ConnectionOpenAborted)
    if is_wrapper and error.args and isinstance(error.args[-1], BaseException):
        return error.args[-1]
    return None


def _channel_error(error: px.ChannelClosed, where: str, doing: str, *, in_doubt: bool) -> BrokerError:
    text = reply_text(error)
    match reply_code(error):
        case 404:
            return QueueMissing(
                f"{where}: can't {doing}: {text}",
                hint="declare it with `awf queue ensure`, or let mq.declare: auto declare what is missing",
            )
        case 403:
            return BrokerMisconfigured(f"{where}: not allowed to {doing}: {text}", hint=PERMISSIONS_HINT)
        case 405:
            return BrokerMisconfigured(
                f"{where}: can't {doing}: {text}",
                hint="the queue is exclusive to another connection: use another queue, or end that connection",
            )
        case 406 | 311:
            return _precondition(error, text, where, doing)
        case _:
            return _away(error, where, doing, in_doubt=in_doubt)


def _precondition(error: px.ChannelClosed, text: str, where: str, doing: str) -> BrokerError:
    different = _INEQUIVALENT.search(text)
    if different:
        ours, theirs = _readable(different["ours"]), _readable(different["theirs"])
        return BrokerMisconfigured(
            f"{where}: queue {different['queue']!r} is there with another {different['name']}: it has {theirs}, "
            f"and we would declare {ours}",
            hint="change the setting to fit the queue, use another queue, or accept it as it is "
            "(mq.rabbitmq.existing_queues: accept)",
        )
    size = too_large_bytes(error)
    if size is not None:
        return BodyTooLarge(
            f"{where}: a body of {size[0]} bytes is over the broker's max_message_size of {size[1]}",
            hint="pass large data as a file, or raise max_message_size in rabbitmq.conf",
        )
    timeout_ms = consumer_timeout_ms(error)
    if timeout_ms is not None:
        return BrokerUnavailable(f"{where}: can't {doing}: {text}", hint=timeout_hint(timeout_ms))
    return BrokerMisconfigured(
        f"{where}: can't {doing}: {text}",
        hint="compare with the broker's version and policies (`rabbitmqctl list_queues name type arguments policy`)",
    )


def _readable(text: str) -> str:
    value = _TYPED.search(text)
    return repr(value["value"]) if value else text.strip()


def _refused(error: BaseException, where: str) -> BrokerError:
    text = reply_text(error)
    if isinstance(error, px.ProbableAccessDeniedError) or reply_code(error) in (NOT_ALLOWED, INVALID_PATH):
        return BrokerMisconfigured(
            f"{where}: the broker refuses the virtual host: {text}",
            hint="check its name in the url (`/` is the default, another is written amqp://host/name, a slash in it "
            "%2F), that it exists (`rabbitmqctl list_vhosts`) and that the user has permissions there",
        )
    return BrokerMisconfigured(
        f"{where}: the broker refuses the login: {text}",
        hint="check user and password (mq.rabbitmq.url, or username and password beside it); `guest` may log in from "
        "the broker's own host only",
    )


def _tls_error(error: ssl.SSLError, where: str) -> BrokerError:
    text = str(error)
    if _TLS_NONE.search(text):
        return BrokerMisconfigured(
            f"{where}: the port doesn't speak TLS: {text}", hint="write amqp:// without the s, or use the port for TLS"
        )
    if isinstance(error, ssl.SSLCertVerificationError) or "certificate" in text.lower():
        return BrokerMisconfigured(
            f"{where}: the certificates don't fit: {text}",
            hint="name the authority of the broker's certificate in mq.rabbitmq.tls_ca_file, connect to a host name it "
            "is for, and give tls_cert_file and tls_key_file where the broker asks for ours",
        )
    return BrokerUnavailable(f"{where}: the TLS connection failed: {text}", hint="check the broker's log")


def _away(error: BaseException, where: str, doing: str, *, in_doubt: bool) -> BrokerUnavailable:
    text = reply_text(error)
    if isinstance(error, socket.gaierror):
        hint = "the host name is not known here: check it in mq.rabbitmq.url, and the resolver"
    elif isinstance(error, (workflow.AMQPConnectorStackTimeout, px.ConnectionOpenAborted)):
        text = "no answer in AMQP within mq.rabbitmq.connect_timeout"
        hint = "something answers on that port, and not with AMQP: is it RabbitMQ's, and does it want TLS (amqps://)?"
    elif isinstance(error, px.AMQPHeartbeatTimeout):
        hint = "nothing was heard for longer than mq.rabbitmq.heartbeat; the worker connects again"
    elif reply_code(error) == CONNECTION_FORCED:
        hint = "the broker was stopped, or an operator closed the connection; the worker connects again"
    else:
        hint = "check that the broker runs and can be reached from here"
    return BrokerUnavailable(f"{where}: can't {doing}: {text}", hint=hint, in_doubt=in_doubt)
