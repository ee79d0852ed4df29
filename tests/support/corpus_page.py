"""The cases of the corpus that differ on purpose, as `docs/reference/compatibility.md` names and justifies them.

The page is the one list: a case that is not on it has to pass.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/reference/compatibility.md"
_CELLS = re.compile(r"(?<!\\)\|")


def differing_cases(corpus_file: str) -> dict[str, str]:
    """The cases of that file of the corpus which differ, each with the reason on the page."""
    _, found, after = PAGE.read_text(encoding="utf-8").partition(f"| Case of `{corpus_file}` |")
    assert found, f"{PAGE} has no table of cases of {corpus_file}"
    rows = after.splitlines()[2:]
    end = next((number for number, row in enumerate(rows) if not row.startswith("|")), len(rows))
    cases = [_CELLS.split(row.strip().strip("|")) for row in rows[:end]]
    named = {cells[0].strip().strip("`"): cells[-1].strip() for cells in cases}
    assert len(named) == len(cases), "a case is on the page twice"
    return named
