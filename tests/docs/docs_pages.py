"""The pages of the documentation, their fenced blocks and tables, as the tests of this directory read them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the word behind the fence, what else stands there, and its text."""

    language: str
    options: str
    text: str
    line: int

    @property
    def is_run(self) -> bool:
        return (self.language == "console" and not self.options) or self.options.startswith(("run", "file="))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of documentation. `name` is its path from the root of the project."""

    name: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [_block(found, self.text) for found in BLOCK.finditer(self.text)]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks; lines keep their numbers."""
        return BLOCK.sub(lambda found: "\n" * found.group().count("\n"), self.text)

    def section(self, heading: str) -> str:
        """What stands under `heading` (as written, with its #), up to the next heading of its level or above."""
        level = len(heading) - len(heading.lstrip("#"))
        _, found, after = self.prose.partition(f"\n{heading}\n")
        assert found, f"{self.name} has no heading {heading!r}"
        return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def _block(found: re.Match[str], text: str) -> Block:
    language, _, options = found["info"].strip().partition(" ")
    line = text.count("\n", 0, found.start()) + 1
    return Block(language=language, options=options, text=found["text"], line=line)


def page_names() -> list[str]:
    """Every page, by its path from the root of the project."""
    own = [path for path in ROOT.glob("*.md") if not path.name.startswith(".")]
    paths = [*own, *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def read_page(name: str) -> Page:
    """The page at `name`."""
    return Page(name=name, text=(ROOT / name).read_text(encoding="utf-8"))


def cells(line: str) -> list[str]:
    """The cells of one row of a table, with `\\|` read as a bar."""
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def table(text: str, first_heading: str) -> list[dict[str, str]]:
    """The rows of every table in `text` whose first column is headed `first_heading`, by heading."""
    rows: list[dict[str, str]] = []
    headings: list[str] | None = None
    for line in text.splitlines():
        if not line.startswith("|"):
            headings = None
        elif headings is None:
            headings = cells(line)
        elif headings[0] == first_heading and not set(line) <= set("|-: "):
            rows.append(dict(zip(headings, cells(line), strict=True)))
    return rows
