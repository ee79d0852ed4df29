"""G: outages of the broker. Cases of `MqConformance`."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from awf_core.contract import Ack, Outgoing
from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, LeaseLost
from awf_core.testing.actions import answered, assert_took, drain, send, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case
from awf_core.testing.target import WRONG_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

BACK_S = 20.0
RECOVER_S = 5.0
OUTAGE_S = 3.0
RESTARTS = 3


class Outages:
    """The connection breaks, or the broker ends, loses its data or hangs: the next call connects again."""

    @case("G1", "server", "restart")
    def test_a_restart_while_publishing_loses_no_accepted_message(self, kit: Kit) -> None:
        """G1: every message with the answer None is delivered; the others have an error."""
        mq = kit.mq()
        accepted: list[bytes] = []
        is_over = threading.Event()

        def produce() -> None:
            number = 0
            while not is_over.is_set():
                body = b"%d" % number
                number += 1
                message = Outgoing(queue=kit.names.work, body=body)
                if _try(partial(mq.publish, [message])) == [None]:
                    accepted.append(body)

        producer = threading.Thread(target=produce)
        producer.start()
        eventually(lambda: len(accepted) > 20, what="publishing began")
        kit.restart_broker()
        before = len(accepted)
        eventually(lambda: len(accepted) > before + 20, BACK_S, what="publishing went on")
        is_over.set()
        producer.join()

        arrived = drain(kit.mq(worker="kit-2"), kit.names.work, for_s=2.0)
        missing = set(accepted) - set(arrived)
        assert not missing, f"expected every accepted message, {len(missing)} of {len(accepted)} are lost"

    @case("G2", "server", "restart")
    def test_an_idle_consumer_gets_a_message_published_after_a_restart(self, kit: Kit) -> None:
        """G2: a wait during the restart ends with an error or without a delivery, and the next one works."""
        mq, producer = kit.mq(), kit.mq(worker="kit-2")
        waiting = threading.Thread(target=lambda: _try(lambda: mq.consume(kit.names.work, limit=1, wait_s=2.0)))
        waiting.start()

        kit.restart_broker()
        waiting.join(30.0)
        eventually(lambda: _try(lambda: producer.publish([_x(kit)])) == [None], BACK_S, what="published again")

        assert not waiting.is_alive(), "expected the consume to end after the restart"
        assert _take_patiently(mq, kit.names.work).body == b"x"

    @case("G3", "server", "restart")
    def test_a_message_held_during_a_restart_is_acked_or_redelivered(self, kit: Kit) -> None:
        """G3: an ack after the restart is accepted, or it is LeaseLost and the message is redelivered."""
        mq = kit.mq(is_short=True)
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        kit.restart_broker()
        (answer,) = answered(lambda: mq.ack([Ack(delivery=delivery)]), within_s=BACK_S)

        other = kit.mq(worker="kit-2")
        again = drain(other, kit.names.work, for_s=kit.short_lease_s + 2.0)
        assert answer is None or isinstance(answer, LeaseLost), f"expected None or LeaseLost, got {answer!r}"
        assert again == ([] if answer is None else [b"x"]), f"after the answer {answer!r}: got {again}"

    @case("G4", "server", "restart")
    def test_three_restarts_in_a_row_end_in_a_working_connection(self, kit: Kit) -> None:
        """G4: after the restarts the next message is delivered."""
        mq = kit.mq()

        for number in range(RESTARTS):
            kit.restart_broker()
            if number % 2:
                _try(lambda: mq.stats(kit.names.work))

        eventually(lambda: _try(lambda: mq.publish([_x(kit)])) == [None], BACK_S, what="published again")
        assert _take_patiently(mq, kit.names.work).body == b"x"

    @case("G4b", "server")
    def test_a_cut_connection_is_replaced_at_the_next_call(self, kit: Kit) -> None:
        """G4b: after a RST while idle the next calls work, at the latest the second."""
        proxy = kit.proxy()
        mq = kit.mq(proxy=proxy)
        send(mq, kit.names.work, b"x")

        proxy.cut()
        delivery = _take_patiently(mq, kit.names.work)
        proxy.cut()
        answers = answered(lambda: mq.ack([Ack(delivery=delivery)]))

        assert answers == [None] or isinstance(answers[0], LeaseLost)
        assert proxy.accepted > 1, "expected a new connection after the cut"

    @case("G4c", "server")
    def test_a_publish_whose_answer_is_lost_is_in_doubt(self, kit: Kit) -> None:
        """G4c: the broker may have stored it: an error with `in_doubt`, or the answer of a later call; never a loss."""
        proxy, consumer = kit.proxy(), kit.mq(worker="kit-2")
        mq = kit.mq(proxy=proxy)
        send(mq, kit.names.work, b"connected")
        take_one(consumer, kit.names.work)

        proxy.cut_after(0, towards="client")
        answer = _try(lambda: mq.publish([_x(kit)]))
        error = answer[0] if isinstance(answer, list) else answer

        if error is None:
            assert _take_patiently(consumer, kit.names.work).body == b"x", (
                "expected an accepted message to be delivered"
            )
            return
        assert isinstance(error, BrokerUnavailable), f"the answer was lost: expected BrokerUnavailable, got {error!r}"
        assert error.in_doubt, f"the broker may have stored the message: expected in_doubt=True, got False: {error}"

    @case("G5", "server")
    def test_a_half_open_connection_is_detected(self, kit: Kit) -> None:
        """G5: a call raises BrokerUnavailable within `half_open_s`, and later calls work."""
        proxy = kit.proxy()
        mq = kit.mq(proxy=proxy)
        send(mq, kit.names.work, b"x")

        proxy.blackhole()
        began_s = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            _raised(lambda: mq.publish([_x(kit)]))
        took_s = time.monotonic() - began_s
        proxy.restore()
        proxy.cut()

        assert_took(took_s, less_than_s=kit.target.half_open_s)
        assert _take_patiently(mq, kit.names.work).body == b"x"

    @case("G5b", "server")
    def test_every_call_raises_an_error_of_the_contract_while_the_broker_is_down(self, kit: Kit) -> None:
        """G5b: with refused connections each operation raises BrokerUnavailable, no error of the client library."""
        proxy = kit.proxy()
        mq = kit.mq(proxy=proxy)
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)
        proxy.refuse()
        proxy.cut()

        calls: dict[str, Callable[[], object]] = {
            "consume": lambda: mq.consume(kit.names.work, limit=1, wait_s=0.1),
            "publish": lambda: mq.publish([_x(kit)]),
            "ack": lambda: mq.ack([Ack(delivery=delivery)]),
            "stats": lambda: mq.stats(kit.names.work),
        }
        for name, call in calls.items():
            with pytest.raises((BrokerUnavailable, LeaseLost)) as caught:
                _raised(call)
            assert str(caught.value), f"expected the error of {name} to have a text"

    @case("G6", "flush")
    def test_after_a_loss_of_all_data_the_queues_are_created_again(self, kit: Kit) -> None:
        """G6: queues, scripts and groups are deleted in use; after `ensure` the next message is delivered."""
        mq = kit.mq()
        send(mq, kit.names.work, b"lost with the rest")
        take_one(mq, kit.names.work)

        assert kit.target.flush is not None
        kit.target.flush()

        def sent() -> bool:
            mq.ensure(kit.names.work, "work", dead_letter=kit.names.dead)
            return _try(lambda: mq.publish([_x(kit)])) == [None]

        eventually(sent, BACK_S, what="published again")
        assert _take_patiently(mq, kit.names.work).body == b"x"

    @case("G7", "server", "login")
    def test_refused_credentials_are_a_permanent_error_without_the_password(self, kit: Kit) -> None:
        """G7: open raises BrokerMisconfigured at once, without the password in its text."""
        mq = kit.mq(is_open=False, settings=kit.target.refused_login)

        with pytest.raises(BrokerMisconfigured) as caught:
            mq.open()

        text = f"{caught.value} {caught.value.hint or ''}"
        assert WRONG_PASSWORD not in text, "expected no password in the error"
        assert caught.value.hint, "expected a hint"

    @case("G8", "server", "processes")
    def test_a_worker_without_its_broker_logs_little_and_continues_after_the_outage(self, kit: Kit) -> None:
        """G8: about one line a second during the outage; a message is run within 5 s after it."""
        proxy, mq = kit.proxy(), kit.mq()
        worker = kit.worker(proxy=proxy)
        worker.await_line("worker.ready")
        before = len(worker.log)

        proxy.refuse()
        proxy.cut()
        worker.await_line("broker.unavailable", within_s=30.0)
        end_s = time.monotonic() + OUTAGE_S
        eventually(lambda: time.monotonic() > end_s, OUTAGE_S + 1.0)
        lines = len(worker.log) - before
        send(mq, kit.names.work, kit.message("kit-done", "after"))
        proxy.restore()
        back_s = time.monotonic()
        (result,) = kit.results(mq, 1)

        assert lines <= OUTAGE_S + 3, f"expected at most {OUTAGE_S + 3:.0f} log lines, got {lines}: {worker.tail()}"
        assert result["message_id"] == "after"
        assert_took(time.monotonic() - back_s, less_than_s=RECOVER_S)


def _x(kit: Kit) -> Outgoing:
    return Outgoing(queue=kit.names.work, body=b"x")


def _try(call: Callable[[], object]) -> object:
    """The answer, or the error of the contract that was raised; any other error fails the case."""
    try:
        answer = call()
    except BrokerError as error:
        return error
    return list(answer) if isinstance(answer, (list, tuple)) else answer


def _raised(call: Callable[[], object]) -> None:
    """Raise the error that a call raises or answers for its item."""
    answer = call()
    for item in answer if isinstance(answer, (list, tuple)) else ():
        if isinstance(item, BrokerError):
            raise item


def _take_patiently(mq: Mq, queue: str) -> Delivery:
    def took() -> list[Delivery]:
        got = _try(lambda: list(mq.consume(queue, limit=1, wait_s=3.0)))
        return got if isinstance(got, list) else []

    return eventually(took, BACK_S, what=f"a message from {queue}")[0]
