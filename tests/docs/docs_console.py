"""Run what a page shows, and compare what it prints with what the page says it prints.

A block is run when its info string says so, and what it prints is compared with what the page shows:

    ```console                  `$ ` begins a command, the lines below it are what it prints
    ```console demo             shown only; a test of its own runs it
    ```sh run                   a script; the next ```text output block is what it prints
    ```python run               likewise
    ```sql run                  statements for the queue file
    ```yaml file=PATH           written to PATH

The blocks of one page share a directory and run in their order. Of a shown line that ends in ` …` the rest is left
open; a line that is only `…` stands for any number of lines. Times, ids and durations are masked on both sides, and
log lines next to each other are compared in any order, since threads write them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docs_pages import Block, Page

PROMPT = "$ "
ANYTHING = "…"
SQL = """
import sqlite3, sys
with sqlite3.connect(".awf/queue.db") as connection:
    for statement in sys.argv[1].split(";\\n"):
        for row in connection.execute(statement):
            print(*row, sep="|")
"""
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"awf-reply-[0-9a-f]{11}-[0-9a-f]{24}"), "<reply queue>"),
    (re.compile(r"sqlite-[0-9a-f]{8}-"), "sqlite-<store>-"),
    (re.compile(r'(duration_ms"?[=:]\s*)\d+'), r"\1<ms>"),
    (re.compile(r'(worker"?[=:]\s*"?)[\w.-]+-\d+'), r"\1<worker>"),
    (re.compile(r"after [\dmhs.]+ \(run"), "after <duration> (run"),
    (re.compile(r"^\d+(?=  )", re.MULTILINE), "<row>"),
)


class Scratch:
    """A directory in which a page's blocks are run, with this environment's `awf` and `python3` first in PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}

    def run(self, command: list[str]) -> str:
        """What `command` prints to both streams, in its order, whatever its exit code."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
        return done.stdout.replace(str(self.directory), "<dir>")

    def shell(self, script: str) -> str:
        """What a script prints, and the exit code where it is not 0."""
        return self.run(["bash", "-c", f'{script}\ncode=$?; [ "$code" = 0 ] || echo "exit code $code"'])

    def follow(self, page: Page) -> None:
        """Run the page's blocks and compare; fails with the first line that differs."""
        blocks = page.blocks
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            where = f"{page.name}:{block.line}"
            if not block.is_run:
                continue
            if block.language == "console":
                self._converse(block, where)
            elif block.options.startswith("file="):
                path = self.directory / block.options.removeprefix("file=")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            else:
                has_output = following is not None and following.options == "output"
                compare(following.text if has_output else "", self._run_block(block), where)

    def _run_block(self, block: Block) -> str:
        if block.language == "python":
            return self.run([sys.executable, "-c", block.text])
        if block.language == "sql":
            return self._sql(block.text)
        return self.shell(block.text)

    def _sql(self, text: str) -> str:
        return self.run([sys.executable, "-c", SQL, text])

    def _converse(self, block: Block, where: str) -> None:
        for command, wanted in commands(block.text):
            compare(wanted, self.shell(command), f"{where}: {command}")


def commands(text: str) -> list[tuple[str, str]]:
    """The (command, what it prints) pairs of a console block."""
    pairs: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            pairs.append((line.removeprefix(PROMPT), ""))
        else:
            assert pairs, f"a console block begins with {PROMPT!r}, not {line!r}"
            command, wanted = pairs[-1]
            pairs[-1] = (command, f"{wanted}{line}\n")
    return pairs


def masked(text: str) -> list[str]:
    """The lines of `text` without what differs from run to run, nor empty lines."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _sorted_log(lines: list[str]) -> list[str]:
    ordered: list[str] = []
    for is_log, group in groupby(lines, key=lambda line: line.startswith("<time> ")):
        part = list(group)
        ordered += sorted(part) if is_log else part
    return ordered


def compare(wanted: str, printed: str, where: str) -> None:
    """Fail unless `printed` is what the page shows."""
    shown, real = _sorted_log(masked(wanted)), _sorted_log(masked(printed))
    at = 0
    is_open = False
    for line in shown:
        if line == ANYTHING:
            is_open = True
            continue
        while is_open and at < len(real) and not _fits(line, real[at]):
            at += 1
        found = real[at] if at < len(real) else "(nothing more)"
        assert _fits(line, found), f"{where}: the page shows\n  {line}\nbut this is printed:\n  {found}\n\n{printed}"
        at, is_open = at + 1, False
    left = real[at:]
    assert is_open or not left, f"{where}: this is printed too, and the page does not show it:\n  " + "\n  ".join(left)


def _fits(shown: str, real: str) -> bool:
    return real.startswith(shown[:-1].rstrip()) if shown.endswith(ANYTHING) else shown == real
