"""The contract's errors for what the client library raises and the server refuses. Pure; called by `connection.py`.

Every exception class of redis-py has its kind here by name, and a test fails when redis-py brings a new one. No
exception of redis-py leaves this package.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from awf_core.errors import (
    BrokerBlocked,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    LeaseLost,
    QueueMissing,
    Unroutable,
    redact_url,
)
from awf_core.units import MAX_SPAN_S

if TYPE_CHECKING:
    from awf_core.contract import Delivery

Kind = Literal["unavailable", "login", "denied", "full", "protocol", "answer", "misuse"]

KINDS: dict[str, Kind] = {
    "ConnectionError": "unavailable",
    "TimeoutError": "unavailable",
    "BusyLoadingError": "unavailable",
    "MaxConnectionsError": "unavailable",
    "ExternalAuthProviderError": "unavailable",
    "MasterNotFoundError": "unavailable",
    "SlaveNotFoundError": "unavailable",
    "ReadOnlyError": "unavailable",
    "ClusterError": "unavailable",
    "ClusterDownError": "unavailable",
    "MasterDownError": "unavailable",
    "SlotNotCoveredError": "unavailable",
    "TryAgainError": "unavailable",
    "AskError": "unavailable",
    "MovedError": "unavailable",
    "AuthenticationError": "login",
    "AuthorizationError": "login",
    "AuthenticationWrongNumberOfArgsError": "login",
    "NoPermissionError": "denied",
    "OutOfMemoryError": "full",
    "InvalidResponse": "protocol",
    "ResponseError": "answer",
    "RedisError": "answer",
    "ModuleError": "answer",
    "NoSuchFieldsetError": "answer",
    "ExecAbortError": "answer",
    "NoScriptError": "answer",
    "ClusterCrossSlotError": "misuse",
    "CrossSlotTransactionError": "misuse",
    "DataError": "misuse",
    "PubSubError": "misuse",
    "WatchError": "misuse",
    "LockError": "misuse",
    "LockNotOwnedError": "misuse",
    "ChildDeadlockedError": "misuse",
    "RedisClusterException": "misuse",
    "InvalidPipelineStack": "misuse",
    "IncorrectPolicyType": "misuse",
}

# Redis before 7 puts the code of an error met inside a script in the middle of the text, behind a dash.
_CODE = re.compile(
    r"(?:^|-|\s)(OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|WRONGTYPE|AWFTYPE|LOADING|MASTERDOWN|CLUSTERDOWN|BUSY"
    r"|UNBLOCKED|NOAUTH|WRONGPASS|TRYAGAIN)\b"
)
_DENIED_IN_SCRIPT = re.compile(r"The user executing the script can't")
_TLS_OURS = re.compile(r"alert (?:certificate required|bad certificate|unknown ca|handshake failure)", re.IGNORECASE)
_TLS_UNTRUSTED = re.compile(r"certificate|CERTIFICATE_VERIFY_FAILED|Hostname mismatch", re.IGNORECASE)
_TLS_NONE = re.compile(r"WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER_FAILURE|record layer failure")
_BY_CODE: dict[str, Kind] = {
    "OOM": "full",
    "MISCONF": "full",
    "NOREPLICAS": "full",
    "NOPERM": "denied",
    "NOAUTH": "login",
    "WRONGPASS": "login",
    "READONLY": "unavailable",
    "LOADING": "unavailable",
    "MASTERDOWN": "unavailable",
    "CLUSTERDOWN": "unavailable",
    "BUSY": "unavailable",
    "UNBLOCKED": "unavailable",
    "TRYAGAIN": "unavailable",
}


def kind_of(error: BaseException) -> Kind:
    """The kind of `error`: by its class, or by its text where the class says only that the server answered."""
    named = next((KINDS[base.__name__] for base in type(error).__mro__ if base.__name__ in KINDS), None)
    kind: Kind = named if named is not None else ("unavailable" if isinstance(error, OSError) else "misuse")
    if kind != "answer":
        return kind
    if _DENIED_IN_SCRIPT.search(str(error)):
        return "denied"
    return _BY_CODE.get(code_of(error), "answer")


def code_of(error: BaseException) -> str:
    """The server's code for `error` (`OOM`, `READONLY`, …), '' where it gave no code of this list."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def is_lost_master(error: BaseException) -> bool:
    """Whether the server behind the connection is no longer the master: the next call has to find the new one."""
    return type(error).__name__ == "ReadOnlyError" or code_of(error) in ("READONLY", "UNBLOCKED", "MASTERDOWN")


def broker_error(error: BaseException, *, where: str, doing: str, in_doubt: bool) -> BrokerError:
    """The contract's error for `error`, met while `doing` something at `where`.

    `in_doubt`: the command was sent, so its effect may have happened when no answer came.
    """
    text = redact_url(str(error)) or type(error).__name__
    match kind_of(error):
        case "unavailable":
            return _unavailable(error, text, where, doing, in_doubt=in_doubt)
        case "login":
            return BrokerMisconfigured(
                f"{where}: the server refuses the login to {doing}: {text}",
                hint="check user and password (mq.redis.url, or username and password beside it)",
            )
        case "denied":
            return BrokerMisconfigured(
                f"{where}: not allowed to {doing}: {text}",
                hint="the README of awf-mq-redis has the ACL line with the rights a worker needs; `ACL LOG` on the "
                "server shows the command and the key",
            )
        case "full":
            return _full(error, text, where, doing)
        case "protocol":
            return BrokerMisconfigured(
                f"{where}: the server doesn't speak the Redis protocol: {text[:200]}",
                hint="check host and port, and whether the port wants TLS (rediss://)",
            )
        case _:
            return _answer(text, where, doing)


def _unavailable(error: BaseException, text: str, where: str, doing: str, *, in_doubt: bool) -> BrokerError:
    if _TLS_NONE.search(text):
        return BrokerMisconfigured(
            f"{where}: the port doesn't speak TLS: {text}", hint="write redis:// without the second s, or use its port"
        )
    if "SSL" in text and _TLS_OURS.search(text):
        return BrokerMisconfigured(
            f"{where}: the server refuses our certificate: {text}",
            hint="name one it trusts in mq.redis.tls_cert_file, with its key in tls_key_file",
        )
    if "SSL" in text and _TLS_UNTRUSTED.search(text):
        return BrokerMisconfigured(
            f"{where}: the server's certificate is not trusted: {text}",
            hint="name its authority in mq.redis.tls_ca_file, and connect to a host name the certificate is for",
        )
    if type(error).__name__ == "MaxConnectionsError":
        hint = "raise mq.redis.max_connections"
    elif "max number of clients" in text:
        hint = (
            "the server's maxclients is reached: raise it, or find clients that keep connections open (`CLIENT LIST`)"
        )
    elif is_lost_master(error):
        hint = "this server is a replica now; the next call asks for the master again"
    elif where.startswith("rediss") and "Timeout connecting" in text:
        hint = "check that the server runs, and that the port speaks TLS: one without it stays silent"
    else:
        hint = "check that the server runs and can be reached from here; a port with TLS needs rediss://"
    # The server answered that it refuses the command, so the command had no effect.
    is_answer = code_of(error) != "" or type(error).__name__ not in ("ConnectionError", "TimeoutError")
    return BrokerUnavailable(f"{where}: can't {doing}: {text}", hint=hint, in_doubt=in_doubt and not is_answer)


def _full(error: BaseException, text: str, where: str, doing: str) -> BrokerError:
    if code_of(error) == "MISCONF":
        hint = "the server can't write to its disk: see its log, free space; it accepts writes again by itself"
    elif code_of(error) == "NOREPLICAS":
        hint = "min-replicas-to-write isn't met: bring the replicas back"
    else:
        hint = "the server is at maxmemory: raise it, or let consumers drain; nothing was stored"
    return BrokerBlocked(f"{where}: the server accepts no more data to {doing}: {text}", hint=hint)


def _answer(text: str, where: str, doing: str) -> BrokerError:
    if text.startswith("AWFTYPE"):
        return wrong_type(text.split(" ", 3), where, doing)
    if "WRONGTYPE" in text:
        return BrokerMisconfigured(
            f"{where}: can't {doing}: a key of that name holds something else: {text}",
            hint="choose another queue name or mq.redis.key_prefix, or remove the key (`TYPE`, `DEL`)",
        )
    if "cluster support disabled" in text:
        return BrokerMisconfigured(f"{where}: is no cluster: {text}", hint="leave out mq.redis.cluster")
    if "CROSSSLOT" in text or "keys must map to the same key slot" in text or "don't hash to the same" in text:
        return BrokerMisconfigured(
            f"{where}: can't {doing}: {text}", hint="a node of a Redis Cluster: set mq.redis.cluster: true"
        )
    return BrokerMisconfigured(
        f"{where}: can't {doing}: {text}", hint="the server answered something unexpected; is it Redis 6.2 or newer?"
    )


def wrong_type(words: list[str], where: str, doing: str) -> BrokerMisconfigured:
    """The error for `AWFTYPE <found> <wanted> <key>`, with which a script refuses before its first write."""
    _, found, wanted, key = words
    return BrokerMisconfigured(
        f"{where}: can't {doing}: key {key!r} holds a {found}, and has to be a {wanted}",
        hint="choose another queue name or mq.redis.key_prefix, or remove the key (`DEL`)",
    )


def lease_lost(delivery: Delivery, where: str) -> LeaseLost:
    """The answer to settling a delivery that is no longer this worker's."""
    return LeaseLost(
        f"{where}: delivery {delivery.deliveries} of message {delivery.id} in {delivery.queue!r} is not ours any more: "
        "its lease ended and the message was delivered again, or it was settled before",
        hint="nothing was changed or published; if runs outlast the lease, raise mq.redis.lease",
    )


def refused_reply(answer: str, where: str) -> Unroutable | QueueMissing:
    """The error for a script's answer on a reply queue: `type <found> <key>`, `role <role> <key>`, `expired <key>`."""
    kind, _, rest = answer.partition(" ")
    if kind == "expired":
        return QueueMissing(
            f"{where}: the private reply queue {rest!r} has expired",
            hint="its client waits no more: give the client a longer timeout, or name a list in reply_to",
        )
    found, _, key = rest.partition(" ")
    if kind == "role":
        return Unroutable(
            f"{where}: no reply can be published to {key!r}: it is a {found} queue",
            hint="reply_to has to name a list for results; `awf queue ensure --role reply` makes one of it",
        )
    return Unroutable(
        f"{where}: no reply can be published to {key!r}: the key holds a {found}, not a list",
        hint="reply_to has to name a list, or a key that doesn't exist",
    )


def bad_span(name: str, seconds: float, where: str) -> BrokerError | None:
    """Why a delay or a time to live can't be stored; None when it can. Not-a-number compares false and is refused."""
    if seconds <= MAX_SPAN_S:
        return None
    return BrokerMisconfigured(
        f"{where}: {name} is {seconds}, which the queue can't store as a time",
        hint=f"give at most {MAX_SPAN_S:.0f} seconds (ten years)",
    )
