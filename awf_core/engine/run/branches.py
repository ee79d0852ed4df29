"""Run branches at the same time, and stop the rest when the outcome of one decides the step.

Called on the run's thread, which waits until every branch is over, by the parallel step and by `github.batch`. It knows
nothing of strategies: the caller decides after which outcome the rest is stopped.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from awf_core.extensions.deadline import Cancel, follow

T = TypeVar("T")

MAX_THREADS = 64
"""Branches of one step that run at the same time where the workflow sets no limit, or a larger one."""


class Branches(Generic[T]):
    """The branches of one step while they run. Used once.

    run        runs the branch of that name until it ends or the token is asked
    decides    whether the rest is to be stopped after this outcome
    """

    def __init__(self, *, run: Callable[[str, Cancel], T], decides: Callable[[T], bool]) -> None:
        self._run = run
        self._decides = decides
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._outcomes: list[tuple[str, T]] = []
        self._error: BaseException | None = None

    def run_all(self, names: Iterable[str], *, at_once: int, parent: Cancel, label: str) -> list[tuple[str, T]]:
        """Run them, at most `at_once` at a time, in the order given; the outcomes in the order they came.

        The first `at_once` begin in any case, with their token asked if one of them has decided the step already. A
        later one that had not begun when the rest was stopped has no outcome. Returns when every thread has ended. The
        names of the threads begin with `label`. Raises what `run` raised, after stopping the rest.
        """
        self._waiting.extend(names)
        cancel, unfollow = follow(parent)
        count = min(at_once, MAX_THREADS, len(self._waiting))
        threads: list[threading.Thread] = []
        try:
            self._start(threads, count, cancel, label)
            for thread in threads:
                thread.join()
            # Left where a thread could not be started after the others had ended.
            while (left := self._next(cancel)) is not None:
                self._work(left, cancel)
        except BaseException:
            self._stop(cancel)
            for thread in threads:
                thread.join()
            raise
        finally:
            unfollow()
        if self._error is not None:
            raise self._error
        return self._outcomes

    def _start(self, threads: list[threading.Thread], count: int, cancel: Cancel, label: str) -> None:
        # Given out before any of them runs: which branches begin must not depend on how fast the first one is.
        firsts = [self._waiting.popleft() for _ in range(count)]
        for number, first in enumerate(firsts):
            # A copy of its own, so that log lines of a branch carry what those of its run do.
            run = contextvars.copy_context().run
            arguments = (self._work, first, cancel)
            thread = threading.Thread(target=run, args=arguments, name=f"{label}-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not threads:
                    raise
                # The machine has no more threads: the started ones run all branches, or the caller's own.
                with self._lock:
                    self._waiting.extendleft(reversed(firsts[number:]))
                return
            threads.append(thread)

    def _work(self, first: str, cancel: Cancel) -> None:
        name: str | None = first
        try:
            while name is not None:
                outcome = self._run(name, cancel)
                with self._lock:
                    self._outcomes.append((name, outcome))
                if self._decides(outcome):
                    self._stop(cancel)
                name = self._next(cancel)
        except BaseException as error:  # noqa: BLE001 - raised again where the branches were started
            with self._lock:
                self._error = self._error or error
            self._stop(cancel)

    def _next(self, cancel: Cancel) -> str | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting and not cancel.requested else None

    def _stop(self, cancel: Cancel) -> None:
        with self._lock:
            self._waiting.clear()
        cancel.request("the other branches decided the step")
