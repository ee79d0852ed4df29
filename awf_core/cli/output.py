"""Print data on stdout and everything else on stderr. Only this module formats the two."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from awf_core.json_text import finite
from awf_core.visible_text import visible, visible_json, visible_lines

SHOWN_CHARS = 60
"""How much of a text that a producer chose goes into a column."""


def print_json(data: object) -> None:
    """Print one JSON document, indented. What can't be seen in it, or drives a terminal, is a `\\u` escape."""
    _write(visible_json(json.dumps(finite(data), indent=2, ensure_ascii=False, default=str)))


def print_text(text: str) -> None:
    """Print data. Characters that can't be seen, or drive a terminal, are escaped; line feeds and tabs are not."""
    _write(visible_lines(text))


def value_text(value: object) -> str:
    """`value` on one line: a text with its hidden characters escaped, anything else as JSON."""
    if isinstance(value, str):
        return visible(value)
    return visible_json(json.dumps(finite(value), ensure_ascii=False, default=str))


def print_count(what: str, count: int | None, output_format: str) -> None:
    """Print how many messages a command changed (None: the broker does not report it): `count`, or `{what: count}`."""
    if output_format == "json":
        print_json({what: count})
    else:
        print_text("unknown" if count is None else str(count))


def note(text: str) -> None:
    """Print a remark for the operator on stderr, escaped as by `print_text`."""
    sys.stderr.write(visible_lines(text) + "\n")
    sys.stderr.flush()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, max_chars: int | None = None) -> None:
    """Print columns padded with spaces, without colours or boxes, so that cut and awk can read them.

    `max_chars` cuts each value, None = whole. One long value would make its column as wide in every row.
    """
    cells = [[str(heading) for heading in headings], *[[_cell(value, max_chars) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        _write("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """`text`, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cell(value: object, max_chars: int | None) -> str:
    text = "-" if value is None else str(value)
    # Cut before and after: the escapes of a text are longer than the text.
    text = text if max_chars is None else shortened(text, max_chars)
    text = "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text)
    return visible(text) if max_chars is None else shortened(visible(text), max_chars)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
