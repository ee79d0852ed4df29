"""The typed face of the backend hooks: what the worker, the client and the commands call.

One plain method per hook, so that mypy, the reader and the debugger see ordinary calls. It adds two promises: an
optional hook that the backend lacks raises Unsupported, and the backend sees no message that its `Capabilities` say
it can't take. Thread-safe as the hooks are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from awf_core.errors import LeaseLost, UsageError
from awf_core.outgoing import OutgoingRules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import (
        Ack,
        Capabilities,
        DeadLetter,
        Delivery,
        Nack,
        Outgoing,
        Page,
        Role,
        StateEntry,
        Stats,
    )
    from awf_core.errors import BrokerError

    Answers = Sequence[BrokerError | None]

Item = TypeVar("Item")


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
        self._hook.awf_mq_open()

    def close(self) -> None:
        """See `awf_mq_close`."""
        self._hook.awf_mq_close()

    def ensure(self, queue: str, role: Role, *, dead_letter: str | None = None) -> None:
        """See `awf_mq_ensure`. Raises Unroutable for a name no queue can have."""
        problem = self._rules.name_problem(queue)
        if problem is not None:
            raise problem
        self._hook.awf_mq_ensure(queue=queue, role=role, dead_letter=dead_letter)

    def consume(self, queue: str, *, limit: int, wait_s: float) -> Sequence[Delivery]:
        """See `awf_mq_consume`."""
        return cast("Sequence[Delivery]", self._hook.awf_mq_consume(queue=queue, limit=limit, wait_s=wait_s))

    def interrupt(self) -> None:
        """See `awf_mq_interrupt`."""
        self._hook.awf_mq_interrupt()

    def publish(self, messages: Sequence[Outgoing]) -> Answers:
        """See `awf_mq_publish`. What the backend can't take is answered here."""
        problems = [self._rules.problem(message) for message in messages]
        return _answered(messages, problems, lambda some: self._hook.awf_mq_publish(messages=some))

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """See `awf_mq_ack`. An ack with a reply that the backend can't take is answered here, and is not done."""
        problems = [self._rules.reply_problem(ack.replies) for ack in acks]
        return _answered(acks, problems, lambda some: self._hook.awf_mq_ack(acks=some))

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """See `awf_mq_nack`. A nack with a delay that the backend can't keep is answered here, and is not done."""
        problems = [self._rules.nack_problem(nack) for nack in nacks]
        return _answered(nacks, problems, lambda some: self._hook.awf_mq_nack(nacks=some))

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Answers:
        """See `awf_mq_dead_letter`. As `ack` where a reply can't be taken, or no queue can have the name."""
        problems = [
            self._rules.name_problem(each.queue) or self._rules.reply_problem(each.replies) for each in dead_letters
        ]
        return _answered(dead_letters, problems, lambda some: self._hook.awf_mq_dead_letter(dead_letters=some))

    def extend(self, deliveries: Sequence[Delivery]) -> Answers:
        """See `awf_mq_extend`. The deliveries are of one queue."""
        answers = self._hook.awf_mq_extend(deliveries=deliveries)
        return cast("Answers", _of_the_contract_before(deliveries, answers))

    def stats(self, queue: str) -> Stats:
        """See `awf_mq_stats`."""
        return cast("Stats", self._hook.awf_mq_stats(queue=queue))

    def browse(self, queue: str, *, limit: int, after: str | None = None) -> Page:
        """See `awf_mq_browse`. Raises Unsupported."""
        return cast("Page", self._optional("awf_mq_browse", queue=queue, limit=limit, after=after))

    def move(
        self, source: str, target: str, *, ids: Sequence[str] | None = None, limit: int | None = None
    ) -> int | None:
        """See `awf_mq_move`. Raises Unsupported, or Unroutable for a target no queue can have as its name."""
        problem = self._rules.name_problem(target)
        if problem is not None:
            raise problem
        return cast("int | None", self._optional("awf_mq_move", source=source, target=target, ids=ids, limit=limit))

    def purge(self, queue: str) -> int | None:
        """See `awf_mq_purge`. Raises Unsupported."""
        self._require("awf_mq_purge")
        return cast("int | None", self._hook.awf_mq_purge(queue=queue))

    def reply_queue(self, *, ttl_s: float) -> str:
        """See `awf_mq_reply_queue`. Raises Unsupported."""
        return cast("str", self._optional("awf_mq_reply_queue", ttl_s=ttl_s))

    def state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """See `awf_mq_state_get`. Raises Unsupported."""
        return cast("Sequence[str | None]", self._optional("awf_mq_state_get", keys=keys))

    def state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """See `awf_mq_state_put`. Raises Unsupported."""
        return cast("Sequence[bool]", self._optional("awf_mq_state_put", entries=entries))

    def state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """See `awf_mq_state_list`. Raises Unsupported."""
        return cast("Sequence[tuple[str, str]]", self._optional("awf_mq_state_list", prefix=prefix))

    def _optional(self, name: str, **arguments: object) -> object:
        self._require(name)
        return getattr(self._hook, name)(**arguments)

    def _require(self, name: str) -> None:
        if not getattr(self._hook, name).get_hookimpls():
            operation = name.removeprefix("awf_mq_").replace("_", " ")
            raise Unsupported(
                f"mq.type '{self.backend}' has no '{operation}' operation",
                hint="use the broker's own tool for it, or another backend",
            )


def _answered(items: Sequence[Item], problems: Answers, call: Callable[[Sequence[Item]], Any]) -> Answers:
    """`problems`, with the backend's answers where there is none. The backend gets only what has no problem."""
    if not any(problems):
        return cast("Answers", call(items))
    fine = [item for item, problem in zip(items, problems, strict=True) if problem is None]
    answers = iter(call(fine) if fine else ())
    return [next(answers) if problem is None else problem for problem in problems]


def _of_the_contract_before(deliveries: Sequence[Delivery], answers: Sequence[Any]) -> Sequence[Any]:
    """Answers of a backend that still returns the lost deliveries of a call. It goes with the last of them."""
    if len(answers) == len(deliveries) and not any(isinstance(answer, type(deliveries[0])) for answer in answers):
        return answers
    lost = {id(answer) for answer in answers}
    return [LeaseLost("the lease ended") if id(delivery) in lost else None for delivery in deliveries]
