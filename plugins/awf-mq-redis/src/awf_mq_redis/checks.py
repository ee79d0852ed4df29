"""What is looked at before the first message: the server's version and settings, a queue's keys, this user's rights.

Called by `backend.py` at open and ensure. Refuses what can't work, warns of what may lose messages.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable
from awf_mq_redis.failures import wrong_type
from awf_mq_redis.link import text
from awf_mq_redis.names import bad_queue_name, queue_keys

if TYPE_CHECKING:
    from awf_core.contract import Role
    from awf_mq_redis.link import Link
    from awf_mq_redis.names import QueueKeys

OLDEST = (6, 2)
_KINDS = ("list", "list", "zset", "zset", "hash", "hash", "hash", "hash", "hash")
_BLOCK = "BLMOVE"

log = logging.getLogger("awf_mq_redis")


def check_server(link: Link) -> None:
    """Raise BrokerMisconfigured for a server that can't do what the queue needs, BrokerUnavailable for a replica; log
    a warning for one that may lose messages.
    """
    link.call("connect", "", "PING")
    try:
        info = _info(link)
    except BrokerMisconfigured as error:
        log.warning("%s: can't look at the server's settings, so they are unknown: %s", link.where, error)
        return
    refuse_server(info, link.where, is_cluster=link.is_cluster)
    for warning in server_warnings(info, _snapshots(link, info), link.where):
        log.warning(warning)


def refuse_server(info: dict[str, str], where: str, *, is_cluster: bool) -> None:
    """Raise for a server whose INFO says that it is too old, of another kind, or a replica. Pure."""
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
            f"{where}: the server is a replica of {info.get('master_host')}:{info.get('master_port')} and takes no "
            "writes",
            hint="connect to the master, or through sentinels (redis+sentinel://)",
        )


def server_warnings(info: dict[str, str], snapshots: str | None, where: str) -> list[str]:
    """What about the server may lose messages. `snapshots` is its `save` setting, None = unknown. Pure."""
    warnings = []
    policy = info.get("maxmemory_policy", "")
    if policy == "":
        warnings.append(f"{where}: the server doesn't tell its maxmemory-policy; it has to be noeviction")
    elif policy != "noeviction":
        warnings.append(
            f"{where}: maxmemory-policy is {policy}: at maxmemory the server may throw away results, or whole queues; "
            "set it to noeviction"
        )
    if info.get("aof_enabled") == "0" and snapshots == "":
        warnings.append(f"{where}: the server keeps nothing on disk: a restart loses every message; set appendonly yes")
    elif info.get("aof_enabled") == "0":
        since = (
            "the last snapshot" if snapshots else "the last snapshot, if it makes any (CONFIG GET save is forbidden)"
        )
        warnings.append(f"{where}: appendonly is off: a crash loses what came after {since}; set appendonly yes")
    return warnings


def check_queue(link: Link, queue: str, role: Role, dead_letter: str | None, *, prefix: str, may_write: bool) -> None:
    """Raise BrokerMisconfigured when `queue` can't be used as `role`: its keys are something else's, or this user
    lacks a right. Raises Unroutable for a bad name. `may_write`: try the rights on a key of our own.
    """
    for name in (queue, dead_letter):
        error = None if name is None else bad_queue_name(name, link.where)
        if error is not None:
            raise error
    keys = queue_keys(queue, prefix)
    expected = dict(zip(keys.all, _KINDS, strict=True)) if role == "work" else {}
    expected[keys.ready] = "list or stream" if role == "dead" else "list"
    if dead_letter is not None:
        target = queue_keys(dead_letter, prefix)
        expected |= {target.ready: "stream", target.sources: "hash"}
    _check_kinds(link, queue, expected)
    if role == "work" and may_write:
        _check_rights(link, queue, keys)


def _check_kinds(link: Link, queue: str, expected: dict[str, str]) -> None:
    doing = f"use queue {queue!r}"
    answers = link.each(doing, [(key, ("TYPE", key)) for key in expected])
    for (key, wanted), answer in zip(expected.items(), answers, strict=True):
        if isinstance(answer, BrokerMisconfigured):
            raise BrokerMisconfigured(f"{answer} (TYPE {key})", hint=answer.hint)
        if isinstance(answer, BrokerError):
            raise answer
        found = text(answer)
        if found not in ("none", *wanted.split(" or ")):
            raise wrong_type(["", found, wanted, key], link.where, doing)


def _check_rights(link: Link, queue: str, keys: QueueKeys) -> None:
    doing = f"use queue {queue!r}"
    refused = [(text(command), text(error)) for command, error in link.run(doing, "probe", [keys.probe])]
    # Scripts may not block, so this one is tried by itself, with something to move: an empty list would be waited on.
    key = keys.probe
    move = (_BLOCK, key, key, "RIGHT", "LEFT", "0.001")
    _, moved, _ = link.each(doing, [(key, ("LPUSH", key, "x")), (key, move), (key, ("DEL", key))])
    if isinstance(moved, BrokerMisconfigured) and "not allowed" in str(moved):
        refused.append((_BLOCK, moved.message))
    denied = [(command, error) for command, error in refused if not error.startswith(("OOM", "MISCONF", "READONLY"))]
    if denied:
        commands = ", ".join(sorted({command for command, _ in denied}))
        raise BrokerMisconfigured(
            f"{link.where}: this user may not run {commands} on the keys of queue {queue!r} (tried on {keys.probe}): "
            f"{denied[0][1]}",
            hint="the README of awf-mq-redis has the ACL line with the rights a worker needs",
        )


def _info(link: Link) -> dict[str, str]:
    found = link.call("look at the server", "", "INFO")
    lines = (line.partition(":") for line in text(found).splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def _snapshots(link: Link, info: dict[str, str]) -> str | None:
    if info.get("aof_enabled") != "0":
        return None
    try:
        found: list[Any] = link.call("look at the server", "", "CONFIG", "GET", "save")
    except BrokerMisconfigured:
        return None
    return text(found[1]) if len(found) == 2 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
