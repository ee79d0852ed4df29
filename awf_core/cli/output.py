"""Print data on stdout and everything else on stderr. Only this module formats the two."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence


def print_json(data: object) -> None:
    """Print one JSON document, indented."""
    print_text(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_text(text: str) -> None:
    """Print data. Characters that UTF-8 can't encode (lone surrogates) are escaped."""
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    sys.stdout.flush()


def value_text(value: object) -> str:
    """`value` on a line: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def print_count(what: str, count: int | None, output_format: str) -> None:
    """Print how many messages a command changed (None: the broker does not report it): `count`, or `{what: count}`."""
    if output_format == "json":
        print_json({what: count})
    else:
        print_text("unknown" if count is None else str(count))


def note(text: str) -> None:
    """Print a remark for the operator on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns padded with spaces, without colours or boxes, so that cut and awk can read them."""
    cells = [[str(heading) for heading in headings], *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        print_text("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    return "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text)
