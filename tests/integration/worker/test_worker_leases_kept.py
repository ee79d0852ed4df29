"""The lease keeper by itself: how it cancels runs, which queues it renews, what it binds."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventually import eventually

from awf_core.clock import SystemClock
from awf_core.config.load import load_config
from awf_core.contract import Capabilities, Delivery
from awf_core.errors import BrokerUnavailable, LeaseLost
from awf_core.extensions.deadline import Cancel
from awf_core.mq import Mq
from awf_core.observe.throttle import Throttle
from awf_core.plugin.assemble import assemble
from awf_core.worker.lease_renewal import LeaseKeeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queue_project import Project

    from awf_core.errors import BrokerError

LEASE_S = 0.3


def delivery(receipt: int, *, queue: str = "q", deliveries: int = 1, **fields: Any) -> Delivery:
    return Delivery(queue=queue, body=b"{}", receipt=receipt, id="m", deliveries=deliveries, **fields)


@dataclass
class Broker:
    """A backend of one hook: queues that hang or fail, and receipts that are lost."""

    hanging: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    lost: set[object] = field(default_factory=set)
    extended: dict[str, int] = field(default_factory=dict)
    go_on: threading.Event = field(default_factory=threading.Event)

    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
        (queue,) = {each.queue for each in deliveries}
        if queue in self.hanging:
            self.go_on.wait(20)
        if queue in self.failing:
            raise BrokerUnavailable("broker: away")
        self.extended[queue] = self.extended.get(queue, 0) + 1
        return [LeaseLost("lost") if each.receipt in self.lost else None for each in deliveries]


def make_leases(broker: Broker, lease_s: float | None = LEASE_S, **options: Any) -> LeaseKeeper:
    mq = Mq(broker, Capabilities(lease_s=lease_s, stable_ids=lease_s is not None), backend="test")  # type: ignore[arg-type]
    return LeaseKeeper(mq, SystemClock(), Throttle(SystemClock()), **options)


def test_a_run_that_begins_just_after_all_were_cancelled_is_cancelled_too(project: Project) -> None:
    mq = assemble(load_config(cwd=project.directory, env=os.environ), worker="tester").mq
    leases = LeaseKeeper(mq, SystemClock(), Throttle(SystemClock()))
    cancel, late_cancel = Cancel(), Cancel()
    early, late = leases.take([delivery(1), replace(delivery(2), id="other")]).fresh
    leases.running(early, cancel, None)

    running = leases.cancel_all("stop")
    leases.running(late, late_cancel, None)

    assert running == 1
    assert (cancel.reason, late_cancel.reason) == ("stop", "stop")


def test_a_queue_whose_broker_hangs_holds_up_no_other_queues_leases_and_no_max_run() -> None:
    broker = Broker(hanging={"frozen"})
    leases = make_leases(broker)
    (frozen,) = leases.take([delivery(1, queue="frozen")]).fresh
    leases.take([delivery(2, queue="healthy")])
    cancel = Cancel()

    leases.start()
    leases.running(frozen, cancel, 0.2)

    eventually(lambda: broker.extended.get("healthy", 0) >= 3, 10)
    eventually(lambda: cancel.reason == "max_run", 10)
    assert "frozen" not in broker.extended
    broker.go_on.set()
    leases.stop()


def test_nothing_is_fetched_from_a_queue_whose_leases_are_overdue() -> None:
    broker = Broker(failing={"q"})
    leases = make_leases(broker)
    leases.take([delivery(1)])
    renewer = leases.of_queue("q")

    leases.start()

    eventually(renewer.is_behind, 10)
    broker.failing.clear()
    renewer.wait_until_renewed(10)
    assert not renewer.is_behind()
    assert broker.extended["q"] >= 1
    leases.stop()


def test_a_run_whose_lease_is_lost_is_cancelled_after_the_time_in_which_its_message_may_come_back() -> None:
    broker = Broker(lost={1})
    leases = make_leases(broker, lease_s=None, rebind_timeout_s=0.3)
    (message,) = leases.take([delivery(1)]).fresh
    cancel = Cancel()
    leases.running(message, cancel, None)

    leases.start()
    leases.of_queue("q").connection_failed()

    eventually(lambda: message.is_lost, 10)
    assert not leases.is_gone(message)
    eventually(lambda: cancel.reason == "lease_lost", 10)
    assert leases.is_gone(message)
    leases.stop()


def test_a_run_whose_message_comes_back_in_time_goes_on() -> None:
    broker = Broker(lost={1})
    leases = make_leases(broker, lease_s=None, rebind_timeout_s=60.0)
    (message,) = leases.take([delivery(1)]).fresh
    cancel = Cancel()
    leases.running(message, cancel, None)

    # Nothing has noticed yet that the connection is gone: the keeper asks before it takes the redelivery.
    taken = leases.take([delivery(2, deliveries=2)])

    assert (taken.fresh, taken.bound) == ([], [message])
    assert (message.is_lost, message.delivery.receipt, cancel.requested) == (False, 2, False)


def test_a_redelivery_of_equal_bytes_is_another_message_while_the_first_one_is_ours() -> None:
    leases = make_leases(Broker(), lease_s=None)
    leases.take([delivery(1)])

    taken = leases.take([delivery(2, deliveries=2)])

    assert [message.delivery.receipt for message in taken.fresh] == [2]


def test_with_continue_a_run_goes_on_though_its_message_is_gone() -> None:
    broker = Broker(lost={1})
    leases = make_leases(broker, lease_s=None, rebind_timeout_s=0.1, on_lost="continue")
    (message,) = leases.take([delivery(1)]).fresh
    cancel = Cancel()
    leases.running(message, cancel, None)

    leases.start()
    leases.of_queue("q").connection_failed()

    eventually(lambda: message.is_given_up, 10)
    assert not cancel.requested
    leases.stop()


def test_nothing_starts_past_its_lease_without_a_renewal() -> None:
    broker = Broker(lost={2})
    leases = make_leases(broker)
    now = SystemClock().monotonic()
    late, lost = leases.take(
        [delivery(1, lease_until=now - 1), replace(delivery(2, lease_until=now - 1), id="other")]
    ).fresh

    may_start = [leases.may_start(late), leases.may_start(lost)]

    assert may_start == [True, False]
    assert late.lease_until is not None
    assert late.lease_until > now
    assert lost.is_lost


def test_nothing_starts_past_its_lease_while_the_broker_does_not_answer() -> None:
    leases = make_leases(Broker(failing={"q"}))
    (late,) = leases.take([delivery(1, lease_until=SystemClock().monotonic() - 1)]).fresh

    assert not leases.may_start(late)
    assert not late.is_lost
