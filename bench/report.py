"""The table and the JSON of a benchmark run. Called by `__main__`. Pure."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.noise import NOISY_FROM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.figure import Figure
    from bench.noise import Noise

HEADER = ("figure", "aim", "measured", "", "rounds", "note")


@dataclass(frozen=True, slots=True)
class Section:
    """What one section measured, and how noisy the machine was meanwhile."""

    figures: Sequence[Figure]
    noise: Noise


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned columns; `pass` or `miss` where there is an aim."""
    rows = [HEADER, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_document(
    machine: Mapping[str, str], sections: Mapping[str, Section], failures: Mapping[str, str]
) -> dict[str, object]:
    """What `--json` and `--out` write, and `--against` reads."""
    return {
        "machine": dict(machine),
        "sections": {
            name: {
                "raw_loop_s": statistics.median(section.noise.times_s),
                "raw_loop_times_s": section.noise.times_s,
                "noise": section.noise.spread,
                "noisy": section.noise.spread > NOISY_FROM,
            }
            for name, section in sections.items()
        },
        "figures": [
            asdict(figure) | _derived(figure) | {"section": name, "key": key}
            for name, section in sections.items()
            for key, figure in keyed(name, section.figures)
        ],
        "failures": dict(failures),
    }


def keyed(section: str, figures: Sequence[Figure]) -> list[tuple[str, Figure]]:
    """Each figure under a name of its own: an indented one belongs to the last one that is not."""
    found, parent = [], ""
    for figure in figures:
        if not figure.name.startswith(" "):
            parent = figure.name
            found.append((f"{section}: {parent}", figure))
        else:
            found.append((f"{section}: {parent} / {figure.name.strip()}", figure))
    return found


def noise_line(noise: Noise) -> str:
    """What the raw loop said about the machine during a section."""
    times = ", ".join(f"{1000 * one:.3g}" for one in noise.times_s)
    verdict = f"noisy: over {NOISY_FROM:.0%}" if noise.spread > NOISY_FROM else "quiet"
    return f"raw loop {times} ms; it varied by {noise.spread:.0%} ({verdict})"


def _derived(figure: Figure) -> dict[str, object]:
    return {
        "value": figure.value,
        "verdict": figure.verdict,
        "direction": figure.direction,
        "noisy": figure.is_noisy,
    }


def number(value: float) -> str:
    """`value` with as many digits as are worth reading."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(figure: Figure) -> tuple[str, ...]:
    sign = "≥" if figure.better == "more" else "≤"
    aim = "" if figure.aim is None else f"{sign} {number(figure.aim)} {figure.unit}"
    spread = (
        f"{number(min(figure.rounds))}..{number(max(figure.rounds))} of {len(figure.rounds)}"
        if len(figure.rounds) > 1
        else ""
    )
    verdict = " ".join(filter(None, (figure.verdict, "noisy" if figure.is_noisy else "")))
    return figure.name, aim, f"{number(figure.value)} {figure.unit}", verdict, spread, figure.note
