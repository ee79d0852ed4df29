"""The backend under test: how to reach its broker, and what the kit may do with it. Returned by `mq_target`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "http": 80, "https": 443}
PASSWORD_SCHEMES = frozenset({"redis", "rediss", "amqp", "amqps"})
WRONG_PASSWORD = "kit-wrong-password"  # noqa: S105 - it opens nothing


class BrokerControl(Protocol):
    """A broker that the kit may restart, for example `awf_core.testing.brokers.PrivateRedis`."""

    def restart(self) -> None:
        """Kill the broker and start it, with the same address and data. Returns when it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MqTarget:
    """A backend and the broker it is tested against.

    type            what users write as `mq.type`
    settings        the keys under `mq.<type>:`; the kit adds `lease` where it needs a short one
    url_key         the setting with the broker's address; without a host in it the broker is embedded
    short_lease_s   the lease that the kit waits for; the shortest that the backend accepts is best
    control         restarts the broker; None = it can't be restarted, and cases that need it are skipped
    flush           deletes everything in the broker, as an operator's mistake would; None = not possible
    remove_queues   deletes queues by name, from a broker that keeps empty ones; None = the kit only empties them
    storage_size    how much the broker stores now, in any unit (keys, rows); None = unknown
    is_shared       whether several processes reach the same broker
    wrong_login     settings with credentials that the broker refuses; None = made from the URL, if it has a password
    late_s          how late a delivery may be after its lease or delay, and how old a count may be, in seconds
    half_open_s     within how many seconds the backend detects a half-open connection
    crash_points    names of crash points of the backend's own
    notes           sentences for the certificate: what the broker under test doesn't do, and how that is tested
    """

    type: str
    settings: Mapping[str, object] = field(default_factory=dict)
    url_key: str = "url"
    short_lease_s: float = 1.0
    control: BrokerControl | None = None
    flush: Callable[[], None] | None = None
    remove_queues: Callable[[Sequence[str]], None] | None = None
    storage_size: Callable[[], int] | None = None
    is_shared: bool = True
    wrong_login: Mapping[str, object] | None = None
    late_s: float = 10.0
    half_open_s: float = 20.0
    crash_points: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def url(self) -> str | None:
        """The broker's address; None where it has none."""
        value = self.settings.get(self.url_key)
        return value if isinstance(value, str) else None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the broker, for the fault proxy; None = it is embedded."""
        parts = urlsplit(self.url or "")
        if not parts.hostname:
            return None
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        return None if port is None else (parts.hostname, port)

    @property
    def refused_login(self) -> Mapping[str, object] | None:
        """`wrong_login`, or the settings with a wrong password in the URL; None where neither is possible."""
        if self.wrong_login is not None:
            return self.wrong_login
        parts = urlsplit(self.url or "")
        if parts.scheme not in PASSWORD_SCHEMES or not parts.password:
            return None
        place = parts.netloc.rpartition("@")[2]
        user = quote(parts.username or "", safe="")
        wrong = urlunsplit(parts._replace(netloc=f"{user}:{WRONG_PASSWORD}@{place}"))
        return {**self.settings, self.url_key: wrong}
