"""A measured figure beside its aim. Made by the sections, drawn by `report.py`. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.noise import NOISY_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence

Better = Literal["more", "less"]
Verdict = Literal["pass", "miss", ""]
LESS_UNITS = ("s", "ms", "µs", "s/1k", "MB", "MB/10k", "%")


class BenchFailed(Exception):
    """A section could not be measured; the text says what happened instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table: the median of `rounds`, in `unit`. `aim=None`: a limit or a fact, nothing to miss."""

    name: str
    unit: str
    rounds: tuple[float, ...]
    aim: float | None = None
    better: Better = "more"
    note: str = ""
    is_awf: bool = True
    """False: the machine's limit, a bare loop or a peer, whose change is no change of awf."""
    points: tuple[tuple[float, float], ...] = ()
    """(size, value) of what was measured at several sizes, for a plot."""
    x_label: str = ""
    noise: float = 0.0
    """How much the raw loop of its section varied, as a share of its median."""

    @property
    def direction(self) -> Better:
        """What is better. A time, a size or a share of CPU is better when it is less, whatever `better` says."""
        return "less" if self.unit in LESS_UNITS else self.better

    @property
    def is_noisy(self) -> bool:
        """Whether the machine was too busy to trust it."""
        return self.noise > NOISY_FROM

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> Verdict:
        """Whether the aim was met; empty where there is none."""
        if self.aim is None:
            return ""
        is_met = self.value >= self.aim if self.better == "more" else self.value <= self.aim
        return "pass" if is_met else "miss"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value with at least `share` (0 to 1) of `values` at or below it. Raises ValueError for none."""
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 1).__int__() - 1))]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least-squares slope of `points` (x, y); 0 where all x are the same or there are fewer than two."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
