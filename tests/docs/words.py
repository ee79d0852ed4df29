"""Find old words: the code, the commands and the pages use the terms of docs/reference/glossary.md.

`old_words.yaml` has the words, each with what stands in its place, and the places where a word has its ordinary meaning.
`python tests/docs/words.py awf_core/engine` lists what stands in a folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((Path(__file__).parent / "old_words.yaml").read_text())
READ = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ""}
"""Which endings are read. Data of others' making is not ours to word: see `unread`."""


class Word(NamedTuple):
    """A rule of `old_words.yaml`."""

    old: re.Pattern[str]
    new: str
    files: str
    ordinary: list[tuple[str, re.Pattern[str]]]
    examples: list[str]

    def concerns(self, name: str) -> bool:
        """Whether the file `name` is to be free of the word."""
        return fnmatchcase(name, self.files)

    def found(self, name: str, line: str) -> str:
        """The old word in `line` of the file `name`, less its ordinary meanings; empty = none."""
        if not self.old.search(line):
            return ""
        for glob, phrase in self.ordinary:
            if fnmatchcase(name, glob):
                line = phrase.sub("", line)
        match = self.old.search(line)
        return match.group() if match else ""


def _word(rule: dict[str, Any]) -> Word:
    ordinary = [each.rpartition(" :: ") for each in rule.get("ordinary", ())]
    return Word(
        old=re.compile(rule["old"]),
        new=rule["new"],
        files=rule.get("files", "*"),
        ordinary=[(glob or "*", re.compile(phrase, re.IGNORECASE)) for glob, _, phrase in ordinary],
        examples=rule["examples"],
    )


WORDS = [_word(rule) for rule in RULES["words"]]


class OldWord(NamedTuple):
    """An old word at a place."""

    where: str
    word: str
    instead: str
    line: str


def paths() -> list[Path]:
    """What is in the repository or about to be, less what `unread` names."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        raise SystemExit("the words are looked up in what git lists, and there is no git checkout here")
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    unread = RULES["unread"]
    return [
        ROOT / name
        for name in names
        if Path(name).suffix in READ and not any(fnmatchcase(name, glob) for glob in unread)
    ]


def old_words_in(name: str, text: str) -> list[OldWord]:
    """Every old word in a file's name or text."""
    own = Path(name).name
    rules = [rule for rule in WORDS if rule.concerns(name) and rule.old.search(f"{own}\n{text}")]
    found = [OldWord(name, rule.found(name, own), rule.new, name) for rule in rules if rule.found(name, own)]
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line] if rules else []
    return found + [
        OldWord(f"{name}:{number}", rule.found(name, line), rule.new, line.strip())
        for number, line in lines
        for rule in rules
        if rule.found(name, line)
    ]


def shown(found: list[OldWord]) -> str:
    """A line for each."""
    return "\n".join(f"{old.where}: {old.word!r} -> {old.instead}: {old.line[:100]}" for old in found)


def all_old_words(*prefixes: str) -> list[OldWord]:
    """What stands in the files below `prefixes`, or everywhere."""
    names = [str(path.relative_to(ROOT)) for path in paths()]
    wanted = [name for name in names if not prefixes or name.startswith(prefixes)]
    return [old for name in wanted for old in old_words_in(name, (ROOT / name).read_text())]


if __name__ == "__main__":
    found = all_old_words(*sys.argv[1:])
    print(shown(found))
    print(f"{len(found)} old words")
