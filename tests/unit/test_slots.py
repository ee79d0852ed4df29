"""A slot is reserved once at a time, and a reservation can be ended."""

from __future__ import annotations

import threading

from awf_core.worker.slots import Budget, Slots


def test_a_single_fetcher_gets_all_free_slots():
    slots = Slots(5)

    assert slots.reserve(0) == 5
    assert slots.reserve(0) == 0
    slots.release(2)
    assert slots.reserve(0) == 2


def test_sharers_leave_each_other_a_share():
    slots = Slots(5, sharers=2)

    assert slots.reserve(0) == 3
    assert slots.reserve(0) == 1
    assert slots.reserve(0) == 1
    assert slots.reserve(0) == 0


def test_a_waiting_reservation_gets_what_is_released():
    slots = Slots(1)
    slots.reserve(0)
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(slots.reserve(10)))
    waiter.start()

    slots.release()
    waiter.join(10)

    assert got == [1]


def test_sharers_take_turns_so_that_none_starves():
    slots = Slots(1, sharers=2)
    taken: list[str] = []

    def fetch(name: str) -> None:
        for _ in range(20):
            slots.reserve(10)
            taken.append(name)
            slots.release()

    fetchers = [threading.Thread(target=fetch, args=(name,)) for name in "ab"]
    slots.reserve(0)
    for fetcher in fetchers:
        fetcher.start()
    while len(slots._line) < 2:
        fetchers[0].join(0.001)
    slots.release()
    for fetcher in fetchers:
        fetcher.join(10)

    assert "".join(taken) in ("ab" * 20, "ba" * 20)


def test_closing_ends_every_waiting_reservation():
    slots = Slots(1)
    slots.reserve(0)
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(slots.reserve(60)))
    waiter.start()

    slots.close()
    waiter.join(10)

    assert got == [0]
    slots.release()
    assert slots.reserve(0) == 0


def test_a_run_that_is_over_frees_a_slot_only_while_there_is_room_for_unsettled_messages():
    slots = Slots(2, unsettled=3)
    slots.reserve(0)
    slots.ran()
    slots.ran()

    assert slots.reserve(0) == 1
    slots.ran()
    assert slots.reserve(0) == 0
    assert slots.is_full_of_unsettled
    slots.settled()
    assert slots.reserve(0) == 1


def test_a_reservation_that_brought_nothing_frees_slot_and_room():
    slots = Slots(2, unsettled=2)
    slots.reserve(0)

    slots.release(2)

    assert slots.reserve(0) == 2


def test_a_waiting_reservation_gets_what_a_settlement_frees():
    slots = Slots(1, unsettled=1)
    slots.reserve(0)
    slots.ran()
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(slots.reserve(10)))
    waiter.start()

    slots.settled()
    waiter.join(10)

    assert got == [1]


def test_a_budget_grants_no_more_than_it_holds():
    budget = Budget(3)

    assert budget.take(2) == 2
    assert budget.take(5) == 1
    assert budget.take(5) == 0
    budget.release(1)
    assert budget.take(5) == 1


def test_a_budget_is_spent_by_what_was_taken_and_not_by_what_was_granted():
    budget = Budget(2)

    budget.take(2)
    budget.use(1)
    assert not budget.is_spent
    budget.use(1)
    assert budget.is_spent


def test_no_limit_never_runs_out():
    budget = Budget(None)

    assert budget.take(1000) == 1000
    assert not budget.is_spent
