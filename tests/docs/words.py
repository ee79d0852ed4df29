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
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((Path(__file__).parent / "old_words.yaml").read_text())
READ = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ""}
"""Which endings are read. Data of others' making is not ours to word: see `unread`."""


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
    found = [OldWord(name, *_found(rule, Path(name).name), name) for rule in RULES["words"] if is_in(rule, name, "")]
    for number, line in enumerate(text.splitlines(), 1):
        rules = [rule for rule in RULES["words"] if is_in(rule, name, line)]
        found += [OldWord(f"{name}:{number}", *_found(rule, line), line.strip()) for rule in rules]
    return found


def is_in(rule: dict[str, object], name: str, line: str) -> bool:
    subject = line or Path(name).name
    plain = subject
    for ordinary in rule.get("ordinary", ()):  # type: ignore[attr-defined]
        glob, _, phrase = ordinary.rpartition(" :: ")
        if fnmatchcase(name, glob or "*"):
            plain = re.sub(phrase, "", plain, flags=re.IGNORECASE)
    if not fnmatchcase(name, str(rule.get("files", "*"))):
        return False
    return re.search(str(rule["old"]), plain) is not None


def _found(rule: dict[str, object], subject: str) -> tuple[str, str]:
    match = re.search(str(rule["old"]), subject)
    return (match.group() if match else str(rule["old"]), str(rule["new"]))


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
