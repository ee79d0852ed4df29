"""`escape` and the check of shell text against the shells that are installed: they see the value, and run none of it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hostile_values import hostile_values
from hypothesis import given
from hypothesis import strategies as st

from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.tokenizer import first_unsafe
from awf_core.lang.templates.functions import shell_word

SHELLS = [name for name in ("sh", "bash", "dash", "zsh", "ksh", "mksh", "yash") if shutil.which(name)]
COMMANDS = [[name, "-c"] for name in SHELLS] + ([["busybox", "sh", "-c"]] if shutil.which("busybox") else [])
# Of broken text, mksh runs lines behind a syntax error; that is no place for a value in any shell.
STRICT = [command for command in COMMANDS if command[0] in ("sh", "bash", "dash", "busybox")]
ROUNDS = int(os.environ.get("AWF_FUZZ_ROUNDS", "1500"))
CANARY = "canary"
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
SYNTAX = st.text("'\"\\`$#~*?[]{}()<>|&;!=-+@%^ \t\n\rEOFabc", max_size=20)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@given(texts=st.lists(TEXT | SYNTAX, min_size=1, max_size=50))
def test_a_shell_sees_exactly_the_value_that_escape_quotes(command: list[str], texts: list[str]) -> None:
    script = "\n".join(f"printf '%s\\0' {shell_word(text)}" for text in texts)

    seen = subprocess.run([*command, script], capture_output=True, check=True, timeout=20).stdout

    assert seen == b"".join(text.encode() + b"\0" for text in texts)


PIECES = """
    echo|'|"|$(|`|${x:-|${|}|)|$((|((|))|#|\\|$|$'|;|&&|a|x=|(|{|[|]|1|<|<<<|@|!|eval|sh -c|[[|]]|-eq 1|let|export|declare
    |if true; then|; fi|; done|;; esac|case x in a)|x)|for i in|; do|while false; do|f() {|printf '%s'|> /dev/null|&
""".split("|")  # noqa: SIM905
LINES = ["\n", "<<E\n", "<<'E'\n", "<<-E\n", "E\n", "\tE\n", "\\\n", " ", " # "]
VALUES = [text for _, text in hostile_values(CANARY)] + [
    "E\n: > canary\n",
    "x\nE\n: > canary\nE",
    "E",
    "word",
    "@P",
    "1",
]


def test_no_shell_runs_a_part_of_a_value_that_the_check_lets_pass(tmp_path: Path) -> None:
    # Shell text at random, most of it broken: whatever the shells make of it, no command of the value may run.
    rng = random.Random(20261124)
    passed = 0

    for _ in range(ROUNDS):
        parts = [rng.choice((rng.choice(PIECES).strip(), rng.choice(LINES), None)) for _ in range(rng.randint(1, 9))]
        value = rng.choice(VALUES)
        text, values = assembled([*parts, None, rng.choice(("", "'", '"', ")", "`", "\nE\n", "}", "))"))], value, rng)
        if first_unsafe(text, values) is None:
            passed += 1
            for command in STRICT:
                assert not creates_canary([*command, text], tmp_path), f"{command}: {text!r} with {value!r}"

    assert passed > ROUNDS / 10


def test_the_shells_run_the_values_where_nothing_checks_them(tmp_path: Path) -> None:
    templates = ("echo {}", "echo '{}'", 'echo "{}"', "echo `echo {}`", "cat <<EOF\n{}\nEOF\n", "echo \\\n{}", "# {}\n")
    values = list(hostile_values(CANARY))

    harmless = [
        (name, value)
        for name, value in values
        if not any(creates_canary(["sh", "-c", each.format(value)], tmp_path) for each in templates)
    ]

    # What only other shells than this one, or other places, would run.
    assert len(harmless) <= len(values) / 3, harmless


def assembled(parts: list[str | None], value: str, rng: random.Random) -> tuple[str, list[Value]]:
    """The parts with the value, escaped or not, in place of each None."""
    text, values = "", []
    for part in parts:
        is_escaped = rng.random() < 0.4
        start = len(text)
        text += (shell_word(value) if is_escaped else value) if part is None else part
        text += " " if part in PIECES and rng.random() < 0.5 else ""
        if part is None:
            values.append(Value(start, len(text), is_escaped=is_escaped))
    return text, values


def creates_canary(argv: list[str], directory: Path) -> bool:
    canary = directory / CANARY
    canary.unlink(missing_ok=True)
    try:
        subprocess.run(
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return canary.exists()
