"""Checks before the first message: the server's version and settings, a queue's keys, this user's rights.

Called by `backend.py` at open and ensure. Raises for what can't work; warns of what may lose messages.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable
from awf_mq_redis.connection import text
from awf_mq_redis.failures import wrong_type

if TYPE_CHECKING:
    from awf_core.contract import Role
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.keys import QueueKeys

OLDEST = (6, 2)
_KINDS = ("list", "list", "zset", "zset", "hash", "hash", "hash", "hash", "hash", "string")
_BLOCK = "BLMOVE"

log = logging.getLogger("awf_mq_redis")


def check_server(connection: RedisConnection) -> None:
    """Raise BrokerMisconfigured for a server that can't do what the queue needs, BrokerUnavailable for a replica; log
    a warning for one that may lose messages.
    """
    connection.call("connect", "", "PING")
    try:
        info = _info(connection)
    except BrokerMisconfigured as error:
        log.warning("%s: can't read the server's settings, so they are unknown: %s", connection.where, error)
        return
    refuse_server(info, connection.where, is_cluster=connection.is_cluster)
    for warning in server_warnings(info, _snapshots(connection, info), connection.where):
        log.warning(warning)


def refuse_server(info: dict[str, str], where: str, *, is_cluster: bool) -> None:
    """Raise for a server whose INFO says that it is too old, part of a cluster, or a replica. Pure."""
    version = info.get("redis_version", "")
    if "valkey_version" not in info and len(_numbers(version)) > 0 and _numbers(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BrokerMisconfigured(
            f"{where}: the server is Redis {version}; this backend needs {oldest} or newer, or Valkey",
            hint="upgrade the server",
        )
    if info.get("cluster_enabled") == "1" and not is_cluster:
        raise BrokerMisconfigured(
            f"{where}: the server is part of a Redis Cluster", hint="set mq.redis.cluster: true, or use another server"
        )
    if info.get("role") == "slave" and not is_cluster:
        raise BrokerUnavailable(
            f"{where}: the server is a replica of {info.get('master_host')}:{info.get('master_port')} and accepts no "
            "writes",
            hint="connect to the master, or through sentinels (redis+sentinel://)",
        )


def server_warnings(info: dict[str, str], snapshots: str | None, where: str) -> list[str]:
    """A text for each setting that may lose messages. `snapshots` is its `save` setting, None = unknown. Pure."""
    warnings = []
    policy = info.get("maxmemory_policy", "")
    if policy == "":
        warnings.append(f"{where}: the server doesn't report its maxmemory-policy; it has to be noeviction")
    elif policy != "noeviction":
        warnings.append(
            f"{where}: maxmemory-policy is {policy}: at maxmemory the server may throw away results, or whole queues; "
            "set it to noeviction"
        )
    if info.get("aof_enabled") == "0" and snapshots == "":
        warnings.append(
            f"{where}: the server stores nothing on disk: a restart loses every message; set appendonly yes"
        )
    elif info.get("aof_enabled") == "0":
        since = (
            "the last snapshot" if snapshots else "the last snapshot, if it makes any (CONFIG GET save is forbidden)"
        )
        warnings.append(f"{where}: appendonly is off: a crash loses every write after {since}; set appendonly yes")
    return warnings


def check_queue(
    connection: RedisConnection, queue: str, role: Role, dead_letter: str | None, *, may_write: bool
) -> None:
    """Raise BrokerMisconfigured when `queue` can't be used as `role`: one of its keys holds another type, or this user
    lacks a right. `may_write`: try the rights on a key of our own. Logs an error where only its dead-letter queue has
    another type.
    """
    keys = connection.keys(queue)
    own = dict(zip(keys.all, _KINDS, strict=True)) if role == "work" else {keys.ready: "list"}
    dead = {keys.ready: "list or stream"} if role == "dead" else {}
    if dead_letter is not None:
        target = connection.keys(dead_letter)
        dead |= {target.ready: "stream", target.sources: "hash"}
    expected = {**own, **dead}
    misfits = _misfits(connection, queue, expected)
    for key, error in misfits.items():
        if key not in dead:
            raise error
        # Only what can't be dead-lettered waits for a repair: a worker that did not start would run nothing at all.
        log.error("%s; until that is repaired, messages to be dead-lettered are released instead", error)
    if may_write:
        if role == "work":
            _check_rights(connection, queue, keys)
        others = [key for key in expected if role != "work" or key not in keys.all]
        for key in others:
            _check_writable(connection, queue, key)


def note_role(connection: RedisConnection, queue: str, role: Role) -> None:
    """Note what `queue` is for, so that no worker publishes a reply to a queue for something else.

    Logs a warning where that can't be stored: this worker refuses its own queues all the same.
    """
    key = connection.keys(queue).role
    try:
        connection.call(f"note what queue {queue!r} is for", key, "SET", key, role)
    except BrokerUnavailable:
        raise
    except BrokerError as error:
        log.warning("%s: other workers may publish results to %r: %s", connection.where, queue, error)


def _misfits(connection: RedisConnection, queue: str, expected: dict[str, str]) -> dict[str, BrokerMisconfigured]:
    """The keys that hold another type than expected, each with its error. Raises for what can't be found out."""
    misfits = {}
    doing = f"use queue {queue!r}"
    answers = connection.each(doing, [(key, ("TYPE", key)) for key in expected])
    for (key, wanted), answer in zip(expected.items(), answers, strict=True):
        if isinstance(answer, BrokerMisconfigured):
            raise BrokerMisconfigured(f"{answer} (TYPE {key})", hint=answer.hint)
        if isinstance(answer, BrokerError):
            raise answer
        found = text(answer)
        if found not in ("none", *wanted.split(" or ")):
            misfits[key] = wrong_type(["", found, wanted, key], connection.where, doing)
    return misfits


def _check_rights(connection: RedisConnection, queue: str, keys: QueueKeys) -> None:
    doing = f"use queue {queue!r}"
    refused = [(text(command), text(error)) for command, error in connection.run(doing, "check_rights", [keys.probe])]
    # Scripts may not block, so BLMOVE is tried by itself, with an item to move: on an empty list it would wait.
    key = keys.probe
    move = (_BLOCK, key, key, "RIGHT", "LEFT", "0.001")
    _, moved, _ = connection.each(doing, [(key, ("LPUSH", key, "x")), (key, move), (key, ("DEL", key))])
    if isinstance(moved, BrokerMisconfigured) and "not allowed" in str(moved):
        refused.append((_BLOCK, moved.message))
    denied = [(command, error) for command, error in refused if not error.startswith(("OOM", "MISCONF", "READONLY"))]
    if denied:
        commands = ", ".join(sorted({command for command, _ in denied}))
        raise BrokerMisconfigured(
            f"{connection.where}: this user may not run {commands} on the keys of queue {queue!r} "
            f"(tried on {keys.probe}): {denied[0][1]}",
            hint="the README of awf-mq-redis has the ACL line with the rights a worker needs",
        )


def _check_writable(connection: RedisConnection, queue: str, key: str) -> None:
    doing = f"write to key {key!r} for queue {queue!r}"
    refused = connection.run(doing, "check_writable", [key])
    error = connection.error(ResponseError(text(refused)), doing) if refused else None
    # A server that accepts no data for now is no reason to refuse the queue.
    if isinstance(error, BrokerMisconfigured):
        raise error


def _info(connection: RedisConnection) -> dict[str, str]:
    found = connection.call("read the server's settings", "", "INFO")
    lines = (line.partition(":") for line in text(found).splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def _snapshots(connection: RedisConnection, info: dict[str, str]) -> str | None:
    if info.get("aof_enabled") != "0":
        return None
    try:
        found: list[Any] = connection.call("read the server's settings", "", "CONFIG", "GET", "save")
    except BrokerMisconfigured:
        return None
    return text(found[1]) if len(found) == 2 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
