"""Shared state with a time to live, each entry a key of its own. Called by `backend.py`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError
from awf_core.units import span_ms
from awf_mq_redis.connection import text
from awf_mq_redis.failures import bad_span
from awf_mq_redis.keys import state_key, storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import StateEntry
    from awf_mq_redis.connection import Command, RedisConnection

_SCAN_COUNT = 1000
_IN_A_PATTERN = re.compile(r"([\\*?\[\]])")


class State:
    """The shared state under one key prefix. Thread-safe."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    def get(self, keys: Sequence[str]) -> list[str | None]:
        """The live value of each key."""
        return [None if value is None else text(value) for value in self._values(self._key(key) for key in keys)]

    def put(self, entries: Sequence[StateEntry]) -> list[bool]:
        """Write; False where `if_absent` found a live value. Raises, with nothing written, for a bad time to live."""
        for entry in entries:
            error = None if entry.ttl_s is None else bad_span("ttl_s", entry.ttl_s, self._connection.where)
            if error is not None:
                raise error
        answers = self._asked("write state", [self._write(entry) for entry in entries])
        return [_is_written(entry, answer) for entry, answer in zip(entries, answers, strict=True)]

    def matching(self, prefix: str) -> list[tuple[str, str]]:
        """The live pairs whose key starts with `prefix`, by key. Scans all keys of the server."""
        start = self._key("")
        pattern = _IN_A_PATTERN.sub(r"\\\1", self._key(prefix)) + "*"
        found = sorted(set(self._scan(pattern)))
        values = self._values(found)
        return [
            (key.removeprefix(start), text(value))
            for key, value in zip(found, values, strict=True)
            if value is not None
        ]

    def _key(self, key: str) -> str:
        return state_key(key, self._connection.prefix)

    def _values(self, keys: Any) -> list[Any]:
        return self._asked("read state", [(key, ("GET", key)) for key in keys])

    def _asked(self, doing: str, commands: list[tuple[str, Command]]) -> list[Any]:
        answers = self._connection.each(doing, commands)
        for answer in answers:
            if isinstance(answer, BrokerError):
                raise answer
        return answers

    def _write(self, entry: StateEntry) -> tuple[str, Command]:
        key = self._key(entry.key)
        if entry.value is None:
            # With `if_absent` there is nothing to delete; the read says whether a value is there.
            return key, ("GET" if entry.if_absent else "DEL", key)
        ttl = () if entry.ttl_s is None else ("PX", max(1, span_ms(entry.ttl_s)))
        return key, ("SET", key, storable(entry.value), *ttl, *(("NX",) if entry.if_absent else ()))

    def _scan(self, pattern: str) -> list[str]:
        keys: list[str] = []
        first = ("SCAN", 0, "MATCH", pattern, "COUNT", _SCAN_COUNT)
        for ask, answer in self._connection.everywhere("list state", *first):
            keys += map(text, answer[1])
            while int(answer[0]):
                with self._connection.translated("list state"):
                    answer = ask("", "SCAN", int(answer[0]), *first[2:])  # noqa: PLW2901 - the next page
                keys += map(text, answer[1])
        return keys


def _is_written(entry: StateEntry, answer: object) -> bool:
    if entry.value is None:
        return answer is None if entry.if_absent else True
    return answer is not None
