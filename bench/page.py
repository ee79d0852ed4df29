"""The page of a run: tables and plots as SVG, in a directory of its own. Called by `__main__` for `--out`."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from bench.figure import BenchFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STYLE = "body{font:15px sans-serif;margin:2em}td,th{padding:2px 10px;text-align:left}.noisy{color:#888}img{width:48em}"


def write(directory: Path, document: Mapping[str, Any]) -> Path:
    """Write `index.html`, `figures.json` and a plot for each figure with sizes; returns the page's path."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "figures.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    parts = ["<!doctype html><meta charset=utf-8><title>Benchmark</title>", f"<style>{STYLE}</style><h1>Benchmark</h1>"]
    parts.append(_table(("", ""), [(key, value) for key, value in document["machine"].items()]))
    for name, section in document["sections"].items():
        figures = [figure for figure in document["figures"] if figure["section"] == name]
        noisy = " (noisy)" if section["noisy"] else ""
        parts.append(f"<h2>{html.escape(name)}</h2><p>The raw loop varied by {section['noise']:.0%}{noisy}.</p>")
        parts.append(_figures(figures))
        for number, group in enumerate(_plots(figures)):
            file = f"{name}-{number}.svg"
            (directory / file).write_bytes(_svg(group))
            parts.append(f"<p><img src={file} alt='{html.escape(group[0]['name'], quote=True)}'></p>")
    for name, why in document["failures"].items():
        parts.append(f"<h2>{html.escape(name)}</h2><p>Could not be measured: {html.escape(why)}</p>")
    path = directory / "index.html"
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    header = ("figure", "aim", "measured", "", "note")
    rows = [
        (
            figure["name"].strip(),
            "" if figure["aim"] is None else f"{figure['aim']:g} {figure['unit']}",
            f"{figure['value']:.4g} {figure['unit']}",
            " ".join(filter(None, (figure["verdict"], "noisy" if figure["noisy"] else ""))),
            figure["note"],
        )
        for figure in figures
    ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in header)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _plots(figures: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """A plot for each figure with sizes, and one of the bars of each unit that several figures have."""
    plots = [[figure] for figure in figures if figure["points"]]
    units = dict.fromkeys(figure["unit"] for figure in figures if not figure["points"])
    for unit in units:
        group = [figure for figure in figures if figure["unit"] == unit and not figure["points"]]
        if len(group) > 1:
            plots.append(group)
    return plots


def _svg(figures: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        import pygal
    except ImportError as exc:
        raise BenchFailed(f"the page needs pygal: {exc}; install the dependency group `dev`") from exc
    # Without `js` the file fetches no script from elsewhere.
    first = figures[0]
    if first["points"]:
        sizes = [size for size, _ in first["points"]]
        is_log = max(sizes) / min(sizes) >= 100
        chart = pygal.XY(title=first["name"], x_title=first["x_label"], y_title=first["note"], js=[])
        if is_log:
            import math

            points = [(math.log10(size), value) for size, value in first["points"]]
            chart.x_title = f"log10 of {first['x_label']}"
        else:
            points = list(first["points"])
        chart.range = (0, 1.1 * max(value for _, value in points))
        chart.add(first["unit"], points)
    else:
        chart = pygal.HorizontalBar(title=first["unit"], js=[])
        for figure in figures:
            chart.add(figure["name"].strip(), [figure["value"]])
    rendered: bytes = chart.render()
    return rendered
