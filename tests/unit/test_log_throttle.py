"""Repeated warnings: one line a second, the others counted."""

from __future__ import annotations

import threading

from awf_core.observe.throttle import Throttle


class SetClock:
    def __init__(self) -> None:
        self.seconds = 50.0

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_the_first_line_is_logged_and_the_rest_of_that_second_is_muted_and_counted():
    clock = SetClock()
    throttle = Throttle(clock)

    spoken = [throttle.take("broker") for _ in range(4)]
    clock.seconds += 0.99
    spoken.append(throttle.take("broker"))
    clock.seconds += 0.01
    spoken.append(throttle.take("broker"))

    assert spoken == [0, None, None, None, None, 4]


def test_the_count_starts_afresh_after_it_was_logged():
    clock = SetClock()
    throttle = Throttle(clock, every_s=10.0)
    throttle.take("a")
    throttle.take("a")
    clock.seconds += 10

    assert throttle.take("a") == 1
    clock.seconds += 10
    assert throttle.take("a") == 0


def test_keys_do_not_mute_each_other():
    throttle = Throttle(SetClock())

    assert (throttle.take("a"), throttle.take(("b", 1))) == (0, 0)


def test_of_many_threads_at_one_moment_one_logs():
    throttle = Throttle(SetClock())
    spoken: list[int | None] = []
    barrier = threading.Barrier(8)

    def take() -> None:
        barrier.wait()
        spoken.append(throttle.take("a"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert spoken.count(0) == 1
    assert spoken.count(None) == 7
