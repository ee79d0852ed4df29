"""The typed face of the backend hooks: what the worker, the client and the commands call.

One plain method per hook, so that mypy, the reader and the debugger see ordinary calls. It adds three promises: an
optional hook that the backend lacks raises Unsupported, the backend sees no message that its `Capabilities` say it
can't take, and an exception or an answer against the contract is PluginFailed. Thread-safe as the hooks are.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar, cast

from awf_core.contract import Delivery, Page, Stats
from awf_core.errors import AwfError, BrokerError, PluginFailed, UsageError, redact_url
from awf_core.outgoing import OutgoingRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.contract import (
        Ack,
        Capabilities,
        DeadLetter,
        Nack,
        Outgoing,
        Role,
        StateEntry,
    )

    Answers = Sequence[BrokerError | None]

Item = TypeVar("Item")
_COUNT = (int, type(None))


class HookRelay(Protocol):
    """What pluggy offers: an attribute per hook, to be called with keywords."""

    def __getattr__(self, name: str) -> Any: ...


class Unsupported(UsageError):
    """The backend in use has no such operation."""


class Mq:
    """The queue, as the core sees it."""

    def __init__(self, hook: HookRelay, capabilities: Capabilities, *, backend: str) -> None:
        self._hook = hook
        self.capabilities = capabilities
        self.backend = backend
        self._rules = OutgoingRules(capabilities, backend=backend)

    def open(self) -> None:
        """See `awf_mq_open`."""
        self._call("awf_mq_open")

    def close(self) -> None:
        """See `awf_mq_close`."""
        self._call("awf_mq_close")

    def ensure(self, queue: str, role: Role, *, dead_letter: str | None = None) -> None:
        """See `awf_mq_ensure`. Raises Unroutable for a name no queue can have."""
        problem = self._rules.name_problem(queue)
        if problem is not None:
            raise problem
        self._call("awf_mq_ensure", queue=queue, role=role, dead_letter=dead_letter)

    def consume(self, queue: str, *, limit: int, wait_s: float) -> Sequence[Delivery]:
        """See `awf_mq_consume`."""
        found = self._call("awf_mq_consume", queue=queue, limit=limit, wait_s=wait_s)
        if type(found) is list and not found:
            return found
        if not _is_sequence(found) or not all(isinstance(each, Delivery) for each in found):
            raise self._broken("awf_mq_consume", f"returned {_shown(found)}, not a sequence of Deliveries")
        strays = [each.queue for each in found if each.queue != queue]
        if strays:
            raise self._broken("awf_mq_consume", f"returned a delivery of {strays[0]!r} where {queue!r} was asked for")
        return cast("Sequence[Delivery]", found)

    def interrupt(self) -> None:
        """See `awf_mq_interrupt`."""
        self._call("awf_mq_interrupt")

    def publish(self, messages: Sequence[Outgoing]) -> Answers:
        """See `awf_mq_publish`. What the backend can't take is answered here."""
        problems = [self._rules.problem(message) for message in messages]
        return _answered(messages, problems, lambda some: self._answers("awf_mq_publish", messages=some))

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """See `awf_mq_ack`. An ack with a reply that the backend can't take is answered here, and is not done."""
        problems = [self._rules.reply_problem(ack.replies) for ack in acks]
        return _answered(acks, problems, lambda some: self._answers("awf_mq_ack", acks=some))

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """See `awf_mq_nack`. A nack with a delay that the backend can't keep is answered here, and is not done."""
        problems = [self._rules.nack_problem(nack) for nack in nacks]
        return _answered(nacks, problems, lambda some: self._answers("awf_mq_nack", nacks=some))

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Answers:
        """See `awf_mq_dead_letter`. As `ack` where a reply can't be taken, or no queue can have the name."""
        problems = [
            self._rules.name_problem(each.queue) or self._rules.reply_problem(each.replies) for each in dead_letters
        ]
        return _answered(dead_letters, problems, lambda some: self._answers("awf_mq_dead_letter", dead_letters=some))

    def extend(self, deliveries: Sequence[Delivery]) -> Answers:
        """See `awf_mq_extend`. The deliveries are of one queue."""
        return self._answers("awf_mq_extend", deliveries=deliveries)

    def stats(self, queue: str) -> Stats:
        """See `awf_mq_stats`."""
        return cast("Stats", self._of_type(Stats, "awf_mq_stats", queue=queue))

    def browse(self, queue: str, *, limit: int, after: str | None = None) -> Page:
        """See `awf_mq_browse`. Raises Unsupported."""
        self._require("awf_mq_browse")
        return cast("Page", self._of_type(Page, "awf_mq_browse", queue=queue, limit=limit, after=after))

    def move(
        self, source: str, target: str, *, ids: Sequence[str] | None = None, limit: int | None = None
    ) -> int | None:
        """See `awf_mq_move`. Raises Unsupported, or Unroutable for a target no queue can have as its name."""
        problem = self._rules.name_problem(target)
        if problem is not None:
            raise problem
        self._require("awf_mq_move")
        found = self._of_type(_COUNT, "awf_mq_move", source=source, target=target, ids=ids, limit=limit)
        return cast("int | None", found)

    def purge(self, queue: str) -> int | None:
        """See `awf_mq_purge`. Raises Unsupported."""
        self._require("awf_mq_purge")
        return cast("int | None", self._of_type(_COUNT, "awf_mq_purge", queue=queue))

    def reply_queue(self, *, ttl_s: float) -> str:
        """See `awf_mq_reply_queue`. Raises Unsupported."""
        self._require("awf_mq_reply_queue")
        return cast("str", self._of_type(str, "awf_mq_reply_queue", ttl_s=ttl_s))

    def state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """See `awf_mq_state_get`. Raises Unsupported."""
        return cast("Sequence[str | None]", self._values("awf_mq_state_get", len(keys), keys=keys))

    def state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """See `awf_mq_state_put`. Raises Unsupported."""
        return cast("Sequence[bool]", self._values("awf_mq_state_put", len(entries), entries=entries))

    def state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """See `awf_mq_state_list`. Raises Unsupported."""
        return cast("Sequence[tuple[str, str]]", self._values("awf_mq_state_list", None, prefix=prefix))

    def _call(self, name: str, **arguments: object) -> Any:
        """Call a hook. Raises PluginFailed for an exception that the contract does not allow."""
        try:
            return getattr(self._hook, name)(**arguments)
        except AwfError:
            raise
        except (Exception, SystemExit) as exc:
            raise self._broken(name, f"raised {type(exc).__name__}: {exc}") from exc

    def _answers(self, name: str, **arguments: Sequence[object]) -> Answers:
        (items,) = arguments.values()
        # Counted before the call: a wrapper may take items out of the list it is given.
        count = len(items)
        return self._checked(name, self._call(name, **arguments), count)

    def _checked(self, name: str, answers: object, count: int) -> Answers:
        """`answers`, one for each of `count` items: None or a BrokerError."""
        if not _is_sequence(answers) or len(answers) != count:
            raise self._broken(name, f"returned {_shown(answers)}, not a sequence of {count} answers")
        for answer in answers:
            if answer is not None and not isinstance(answer, BrokerError):
                raise self._broken(name, f"answered {_shown(answer)} for an item, not None or a BrokerError")
        return cast("Answers", answers)

    def _values(self, name: str, count: int | None, **arguments: object) -> Any:
        self._require(name)
        found = self._call(name, **arguments)
        if not _is_sequence(found) or (count is not None and len(found) != count):
            wanted = "a sequence" if count is None else f"a sequence of {count} values"
            raise self._broken(name, f"returned {_shown(found)}, not {wanted}")
        return found

    def _of_type(self, wanted: type | tuple[type, ...], name: str, **arguments: object) -> Any:
        found = self._call(name, **arguments)
        if not isinstance(found, wanted) or isinstance(found, bool):
            listed = "a whole number or None" if wanted is _COUNT else f"a {cast('type', wanted).__name__}"
            raise self._broken(name, f"returned {_shown(found)}, not {listed}")
        return found

    def _broken(self, name: str, what: str) -> PluginFailed:
        return PluginFailed(
            f"mq.type {self.backend!r}: {name} {redact_url(what)}",
            hint="it breaks the contract; report it to its authors",
        )

    def _require(self, name: str) -> None:
        if not getattr(self._hook, name).get_hookimpls():
            operation = name.removeprefix("awf_mq_").replace("_", " ")
            raise Unsupported(
                f"mq.type '{self.backend}' has no '{operation}' operation",
                hint="use the broker's own tool for it, or another backend",
            )


def _is_sequence(found: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(found, Sequence) and not isinstance(found, (str, bytes))


def _shown(value: object) -> str:
    """`value` in an error's text: its type, and what it is where that is short and holds no body of a message."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    size = f" of {len(value)}" if isinstance(value, Sized) else ""
    return f"a {type(value).__name__}{size}"


def _answered(items: Sequence[Item], problems: Answers, call: Callable[[Sequence[Item]], Any]) -> Answers:
    """`problems`, with the backend's answers where there is none. The backend gets only what has no problem."""
    if not any(problems):
        return cast("Answers", call(items))
    fine = [item for item, problem in zip(items, problems, strict=True) if problem is None]
    answers = iter(call(fine) if fine else ())
    return [next(answers) if problem is None else problem for problem in problems]
