"""The settlers by themselves, with a broker of three hooks: which delivery they settle, and what they wait for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually

from awf_core.clock import SystemClock
from awf_core.contract import Ack, Capabilities, Delivery, Nack
from awf_core.errors import LeaseLost
from awf_core.mq import Mq
from awf_core.observe.throttle import Throttle
from awf_core.worker.decide import Decision, release
from awf_core.worker.lease_renewal import LeaseKeeper
from awf_core.worker.settlement import Settlement
from awf_core.worker.settlers import Settlers
from awf_core.worker.undeliverable import UndeliverableResults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_core.errors import BrokerError

ACK = Decision(ending="ack")


@dataclass
class Broker:
    """Records its calls; `lost` receipts are refused, `hanging` queues don't answer."""

    lost: set[object] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    calls: list[tuple[str, list[object]]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
        return self._answer("extend", deliveries)

    def awf_mq_ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        return self._answer("ack", [ack.delivery for ack in acks])

    def awf_mq_nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        return self._answer("nack", [nack.delivery for nack in nacks])

    def _answer(self, call: str, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
        if deliveries[0].queue in self.hanging:
            self.go_on.wait(20)
        self.calls.append((call, [each.receipt for each in deliveries]))
        return [LeaseLost("lost") if each.receipt in self.lost else None for each in deliveries]


class Settling:
    """A keeper and settlers for the queues `a` and `b`; `ended` is what was reported."""

    def __init__(self, broker: Broker, capabilities: Capabilities, **options: Any) -> None:
        mq = Mq(broker, capabilities, backend="test")  # type: ignore[arg-type]
        clock = SystemClock()
        throttle = Throttle(clock)
        self.ended: list[tuple[object, str]] = []
        self.leases = LeaseKeeper(mq, clock, throttle, **options)
        undeliverable = UndeliverableResults(mq, "undeliverable", throttle)
        self.settlers = Settlers(
            mq, ["a", "b"], leases=self.leases, undeliverable=undeliverable, clock=clock, throttle=throttle
        )
        self.leases.start()
        self.settlers.start(self._settled)

    def _settled(self, settlement: Settlement, ending: str) -> None:
        self.leases.drop(settlement.in_hand)
        self.ended.append((settlement.delivery.receipt, ending))

    def deliver(self, receipt: int, *, queue: str = "a", deliveries: int = 1, **fields: Any) -> Delivery:
        return Delivery(queue=queue, body=b"{}", receipt=receipt, id="m", deliveries=deliveries, **fields)

    def submit(self, receipt: int, decision: Decision = ACK, **fields: Any) -> None:
        (message,) = self.leases.take([self.deliver(receipt, **fields)]).fresh
        self.settlers.submit(Settlement(in_hand=message, decision=decision, received_at=0.0))


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.go_on.set()


def test_without_a_fence_of_the_broker_leases_are_extended_right_before_messages_are_settled(broker: Broker) -> None:
    settling = Settling(broker, Capabilities(lease_s=60.0, fenced=False, stable_ids=True))

    settling.submit(1)

    eventually(lambda: settling.ended == [(1, "ack")])
    assert broker.calls == [("extend", [1]), ("ack", [1])]


def test_nothing_is_settled_past_its_lease_without_a_renewal(broker: Broker) -> None:
    settling = Settling(broker, Capabilities(lease_s=60.0, stable_ids=True))

    settling.submit(1, lease_until=SystemClock().monotonic() - 1)

    eventually(lambda: settling.ended == [(1, "ack")])
    assert broker.calls == [("extend", [1]), ("ack", [1])]


def test_a_finished_run_waits_for_its_message_to_come_back_and_settles_the_new_delivery(broker: Broker) -> None:
    broker.lost.add(1)
    settling = Settling(broker, Capabilities(lease_s=None), rebind_timeout_s=60.0)
    settling.submit(1)
    eventually(lambda: ("ack", [1]) in broker.calls)

    taken = settling.leases.take([settling.deliver(2, deliveries=2)])

    assert taken.fresh == []
    eventually(lambda: settling.ended == [(2, "ack")])
    assert [call for call in broker.calls if call[0] == "ack"] == [("ack", [1]), ("ack", [2])]


def test_a_finished_run_whose_message_does_not_come_back_is_lost_after_the_rebind_timeout(broker: Broker) -> None:
    broker.lost.add(1)
    settling = Settling(broker, Capabilities(lease_s=None), rebind_timeout_s=0.3)

    settling.submit(1)

    eventually(lambda: settling.ended == [(1, "lost")])
    assert settling.leases.count() == 0


def test_a_run_that_was_cancelled_for_its_lease_is_released_where_its_message_came_back(broker: Broker) -> None:
    broker.lost.add(1)
    settling = Settling(broker, Capabilities(lease_s=60.0, stable_ids=True))
    (message,) = settling.leases.take([settling.deliver(1)]).fresh
    settling.leases.lost(message, message.delivery)
    settling.leases.take([settling.deliver(2, deliveries=2)])

    settling.settlers.submit(Settlement(in_hand=message, decision=release("lease_lost"), received_at=0.0))

    eventually(lambda: settling.ended == [(2, "nack")])
    assert broker.calls == [("nack", [2])]


def test_a_queue_whose_broker_hangs_holds_up_no_other_queues_settlements_nor_the_end(broker: Broker) -> None:
    broker.hanging.add("b")
    settling = Settling(broker, Capabilities(lease_s=60.0, stable_ids=True))
    settling.submit(1, queue="b")
    settling.submit(2, queue="a")
    eventually(lambda: settling.ended == [(2, "ack")])

    unsettled = settling.settlers.stop(0.1)

    assert unsettled == 1
