"""What a case needs of a backend, and why it is skipped where that is missing. Pure: reads capabilities and target.

`@case("A6", "headers")` gives a case its id and its needs. The fixture calls `missing` before the case runs;
`skipped_cases` lists all skipped cases, for a backend to declare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from awf_core.hookspecs import REQUIRED_HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.contract import Capabilities
    from awf_core.testing.kit import Kit
    from awf_core.testing.target import MqTarget

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "awf_case"
LARGEST_BODY_TRIED = 64 * 1024 * 1024

SERVER = "no server: the broker is embedded"
RESTART = "needs a broker that can be restarted"
FLUSH = "needs a broker that can be made to forget everything"
STORAGE = "needs a way to measure what is stored"
PROCESSES = "the broker lives in one process"
LOGIN = "needs credentials that the broker refuses"
NACK_DELAY = "a nack can't be delayed"
PUBLISH_DELAY = "a publish can't be delayed"
LOSABLE = "deliveries can't be lost: no lease, and no server to cut the connection to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case's id (`A6`), what it needs, and the name of its test."""

    id: str
    needs: tuple[str, ...]
    test: str


def case(case_id: str, *needs: str) -> Callable[[F], F]:
    """Mark a test as the case `case_id`. A need is a key of `_REASONS`, an optional hook, or a capability."""

    def mark(test: F) -> F:
        setattr(test, ATTRIBUTE, Case(id=case_id, needs=needs, test=test.__name__))
        return test

    return mark


def case_of(test: object) -> Case | None:
    """The case of a test function or method; None where it is no case."""
    found = getattr(test, ATTRIBUTE, None)
    return found if isinstance(found, Case) else None


def missing(needs: tuple[str, ...], kit: Kit) -> str | None:
    """The reason to skip a case with these needs; None where nothing is missing."""
    return next((reason for need in needs if (reason := _reason(need, kit)) is not None), None)


def cases_of(suite: type) -> dict[str, Case]:
    """The cases of a suite class by id, in order."""
    found = (case_of(getattr(suite, name)) for name in dir(suite) if name.startswith("test_"))
    return {each.id: each for each in sorted((c for c in found if c is not None), key=lambda c: (c.id[0], _number(c)))}


def skipped_cases(suite: type, kit: Kit) -> dict[str, str]:
    """Case id -> reason, for the cases that this backend skips."""
    reasons = {each.id: missing(each.needs, kit) for each in cases_of(suite).values()}
    return {case_id: reason for case_id, reason in reasons.items() if reason is not None}


def _number(each: Case) -> float:
    digits = "".join(c for c in each.id if c.isdigit())
    return float(digits or 0) + (0.5 if each.id[-1].isalpha() else 0.0)


def _reason(need: str, kit: Kit) -> str | None:
    special = _REASONS.get(need)
    if special is not None:
        is_there, reason = special
        return None if is_there(kit.target, kit) else reason
    if need.startswith("awf_mq_"):
        assert need not in REQUIRED_HOOKS, f"{need} is required of every backend"
        return None if kit.has_hook(need) else f"optional hook: {need}"
    return None if _has_capability(need, kit.capabilities) else f"capability: {need}"


def _has_capability(name: str, capabilities: Capabilities) -> bool:
    if name == "attempts":
        return capabilities.attempts == "exact"
    if name == "crashes":
        return capabilities.crashes == "owner"
    if name == "max_body_bytes":
        return capabilities.max_body_bytes is not None and capabilities.max_body_bytes <= LARGEST_BODY_TRIED
    if name == "lease_s":
        return capabilities.lease_s is not None
    return bool(getattr(capabilities, name))


def _is_losable(target: MqTarget, kit: Kit) -> bool:
    return kit.capabilities.lease_s is not None or target.address is not None


_REASONS: Mapping[str, tuple[Callable[[MqTarget, Kit], bool], str]] = {
    "server": (lambda target, _: target.address is not None, SERVER),
    "restart": (lambda target, _: target.control is not None, RESTART),
    "flush": (lambda target, _: target.flush is not None, FLUSH),
    "storage": (lambda target, _: target.storage_size is not None, STORAGE),
    "processes": (lambda target, _: target.is_shared, PROCESSES),
    "login": (lambda target, _: target.refused_login is not None, LOGIN),
    "losable": (_is_losable, LOSABLE),
    "nack_delay": (lambda _, kit: kit.capabilities.max_nack_delay_s != 0, NACK_DELAY),
    "publish_delay": (lambda _, kit: kit.capabilities.max_publish_delay_s != 0, PUBLISH_DELAY),
}
