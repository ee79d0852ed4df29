"""`python -m bench --against FILE`: what became slower or faster since an earlier run. Pure, but for reading the file.

Times and rates are divided by the speed of the raw loop in their own run: a slower machine is no slower program.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.noise import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FLOOR = 0.1
"""A smaller change counts as none, however quiet both runs were."""
FLOOR_OF_ONE_ROUND = 0.3
"""The same where a run measured the figure only once: nothing shows how much it varies."""
TIME_UNITS = ("s", "ms", "µs", "s/1k")
RATE_UNITS = ("/s",)

Change = Literal["slower", "faster", "same"]


class NotComparable(Exception):
    """The file is no JSON of an earlier run; the text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of both runs. `worse` = the normalised ratio, above 1 where the later run is worse."""

    key: str
    before: float
    now: float
    unit: str
    worse: float
    noise: float
    is_awf: bool

    @property
    def change(self) -> Change:
        """Beyond noise, or `same`."""
        if self.worse > 1 + self.noise:
            return "slower"
        return "faster" if self.worse < 1 / (1 + self.noise) else "same"


def read(path: Path) -> dict[str, Any]:
    """The document of an earlier run. Raises NotComparable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise NotComparable(f"{path} can't be read: {exc.strerror}; name a file that --json or --out wrote") from exc
    except ValueError as exc:
        raise NotComparable(f"{path} is no JSON: {exc}; name a file that --json or --out wrote") from exc
    if not isinstance(document, dict) or "sections" not in document or "figures" not in document:
        raise NotComparable(f"{path} has no `sections` and `figures`: this benchmark did not write it; run it anew")
    return document


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Comparison]:
    """Every figure that both runs have, in the order of the later one."""
    earlier = {figure["key"]: figure for figure in before["figures"]}
    return [
        _compare(earlier[figure["key"]], figure, before["sections"], now["sections"])
        for figure in now["figures"]
        if figure["key"] in earlier and earlier[figure["key"]]["value"] > 0 and figure["value"] > 0
    ]


def regressions(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """What became slower beyond noise and is awf's own: the machine's limits and peers don't count."""
    return [one for one in comparisons if one.change == "slower" and one.is_awf]


def text(comparisons: Iterable[Comparison]) -> str:
    """A line for each, changed ones first."""
    order = {"slower": 0, "faster": 1, "same": 2}
    ordered = sorted(comparisons, key=lambda one: order[one.change])
    lines = [
        f"{one.change:7} {one.worse:6.2f} × (noise {one.noise:.0%})  "
        f"{one.before:.4g} -> {one.now:.4g} {one.unit}  {one.key}{'' if one.is_awf else '  [not awf]'}"
        for one in ordered
    ]
    return "\n".join(lines) or "no figure is in both runs"


def _compare(
    earlier: Mapping[str, Any], figure: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Comparison:
    then_loop, now_loop = before[earlier["section"]], now[figure["section"]]
    slowdown = now_loop["raw_loop_s"] / then_loop["raw_loop_s"]
    ratio = figure["value"] / earlier["value"]
    if figure["unit"] in TIME_UNITS:
        ratio /= slowdown
    elif figure["unit"] in RATE_UNITS:
        ratio *= slowdown
    few = min(len(earlier["rounds"]), len(figure["rounds"])) < 2
    floor = FLOOR_OF_ONE_ROUND if few else FLOOR
    varied = sum(max(loop["noise"], spread(one["rounds"])) for loop, one in ((then_loop, earlier), (now_loop, figure)))
    return Comparison(
        key=figure["key"],
        before=earlier["value"],
        now=figure["value"],
        unit=figure["unit"],
        worse=ratio if figure["direction"] == "less" else 1 / ratio,
        noise=max(floor, varied),
        is_awf=figure["is_awf"],
    )
