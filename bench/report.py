"""The table and the JSON of a benchmark run. Called by `__main__`. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.figure import Figure

HEADER = ("figure", "aim", "measured", "", "rounds", "note")


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned columns; `pass` or `miss` where there is an aim."""
    rows = [HEADER, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_document(
    machine: Mapping[str, str], figures: Sequence[Figure], failures: Mapping[str, str]
) -> dict[str, object]:
    """What `--json` writes."""
    return {
        "machine": dict(machine),
        "figures": [asdict(figure) | {"value": figure.value, "verdict": figure.verdict} for figure in figures],
        "failures": dict(failures),
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
    return figure.name, aim, f"{number(figure.value)} {figure.unit}", figure.verdict, spread, figure.note
