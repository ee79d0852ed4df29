"""Where a value stands in shell text, and what is harmless there."""

from __future__ import annotations

import re

import pytest

from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.tokenizer import Refusal, first_unsafe
from awf_core.lang.templates.functions import shell_word

_MARK = re.compile("«(raw|esc)»")


def judge(shell_text: str, given: str) -> Refusal | None:
    """What is said of `given` in the places that «raw» and «esc» mark in `shell_text`."""
    text, values, at = "", [], 0
    for found in _MARK.finditer(shell_text):
        text += shell_text[at : found.start()]
        value = given if found[1] == "raw" else shell_word(given)
        values.append(Value(len(text), len(text) + len(value), is_escaped=found[1] == "esc"))
        text += value
        at = found.end()
    return first_unsafe(text + shell_text[at:], values)


@pytest.mark.parametrize(
    ("shell_text", "given"),
    [
        ("echo «raw»", "word"),
        ("echo «raw»", "-12.5"),
        ("cp «raw» /tmp", "/srv/data/a_b-c.txt"),
        ("echo «raw»", "Zoë"),
        ("echo «raw»", "a=b"),
        ("echo '«raw»'", '{"a": [1, "$x `y` \\\\ # ; | & (z)"]}'),
        ('echo "«raw»"', "it's; # fine | & (z) * ? ~ {a,b}\nnext"),
        ("echo «esc»", "a'b $(id) `id` # ; \n"),
        ("echo x«esc»y", "$(id)"),
        ("echo $(cat «esc»)", "$(id) )"),
        ('echo "$(cat «esc»)"', '"; id'),
        ("# «raw»\necho", "it's $(id)"),
        ("echo a#«raw»", "b"),
        ("cat <<'EOF'\n«raw»\nEOF\necho", "$(id) `id` \\ 'x' EO F"),
        ("cat <<EOF\n«raw»\nEOF\necho", 'it\'s "fine"; & | (x)\nnext'),
        ("cat <<-EOF\n\t«raw»\n\tEOF\necho «esc»", "it's"),
        ("echo $((«raw» + 1))", "42"),
        ("(( x = «raw» ))", "42"),
        ("echo ${x:-«raw»}", "/tmp/a"),
        ("echo `cat «esc»`", "a b"),
        ("echo $'«raw»'", "a b $x"),
        ('x="$(case $y in a) echo "«raw»";; esac)"', "a b; c"),
        ("export TITLE=«esc»", "a b"),
        ("FOO=«esc» cmd", "a b"),
        ("echo let us read «esc»", "a b"),
        ("f() { echo «esc»; }\nf", "a b"),
        ("echo \\\n«raw»", "word"),
        ("[ «esc» = prod ] && echo", "a b"),
        ("[[ «raw» = prod ]] && echo", "prod"),
        ("sh -c 'echo \"$1\"' _ «esc»", "$(id)"),
        ("[ «esc» = prod ] && [ $n -eq 1 ]", "a b"),
        ("[ «esc» -eq 1 ]", "12"),
        ("env A=1 cmd «raw»", "a=b"),
        ("printf '%s' «esc»", "a b"),
        ("echo $# «esc»", "a b"),
        ("echo ${#x} «esc»", "a b"),
        ("echo 2>&1 «esc»", "a b"),
        ("echo '' \"\" «esc»", "a b"),
        ("case x in (a) echo «esc»;; *) echo «esc»;; esac", "a b"),
        ("cat <<A <<'B'\nx\nA\n«raw»\nB\necho «esc»", "$x it's"),
        ("cat <<< «esc»", "a b"),
        ("diff <(echo «esc») <(echo «esc»)", "a b"),
        ("a=(«esc» «esc»)", "a b"),
        ('"«raw»"', ""),
    ],
)
def test_a_value_that_is_harmless_where_it_stands_passes(shell_text: str, given: str) -> None:
    assert judge(shell_text, given) is None


@pytest.mark.parametrize(
    ("shell_text", "given", "char", "place"),
    [
        *(("echo «raw»", f"a{char}b", char, "outside of quotes") for char in " \t\n;&|<>()$`\\\"'*?[]#~!{}^\0\r\x7f"),
        ("echo «raw»", "\u00a0", "\u00a0", "outside of quotes"),
        ("«raw» env", "PATH=/tmp", "=", "outside of quotes"),
        ("FOO=1 «raw» env", "PATH=/tmp", "=", "outside of quotes"),
        ("true; «raw» env", "PATH=/tmp", "=", "outside of quotes"),
        *(('echo "«raw»"', f"a{char}b", char, "within double quotes") for char in '$`\\"'),
        ("echo '«raw»'", "it's", "'", "within single quotes"),
        ("echo '«esc»'", "a b", "'", "within single quotes"),
        ('echo "«esc»"', "$(id)", "$", "within double quotes"),
        ("echo # «raw»", "a\nid", "\n", "within a comment"),
        ("echo # «esc»", "a\nid", "\n", "within a comment"),
        ("cat <<EOF\n«raw»\nEOF", "$(id)", "$", "within a here-document"),
        ("cat <<EOF\n«esc»\nEOF", "$(id)", "$", "within a here-document"),
        ("cat <<EOF\n«raw»\nEOF", "\\", "\\", "within a here-document"),
        ("cat <<'EOF'\n«raw»\nEOF", "x\nEOF\nid", "", "where it completes the end mark of a here-document"),
        ("cat <<'EOF'\nE«raw»F\nEOF", "O", "", "where it completes the end mark of a here-document"),
        ("cat <<-'EOF'\n«raw»\nEOF", "x\n\tEOF\nid", "", "where it completes the end mark of a here-document"),
        ("cat <<'EOF'\n«esc»\nEOF", "x\nEOF\nid", "", "where it completes the end mark of a here-document"),
        ("cat <<EOF\n$(echo «esc»)\nEOF", "x\nEOF\nid", "\n", "within a here-document"),
        ("cat <<«raw»\nx\nEOF", "EOF", "", "as the end mark of a here-document"),
        ("cat <<E«esc»\nx\nEOF", "OF", "", "as the end mark of a here-document"),
        ("echo $((«raw»))", "x", "x", "within an arithmetic expression"),
        ("echo $((«esc»))", "a[$(id)]", "'", "within an arithmetic expression"),
        ("echo $((1 + (2 * «raw»)))", "x", "x", "within an arithmetic expression"),
        ("(( «raw» ))", "x", "x", "within an arithmetic expression"),
        ("for ((i=0; i<«raw»; i++)); do :; done", "x", "x", "within an arithmetic expression"),
        ("echo ${«raw»}", "PATH", "", "within ${...}"),
        ("echo ${x:-«raw»}", "}id", "}", "within ${...}"),
        ("echo ${x«raw»}", "@P", "", "within ${...}"),
        ("echo ${x:«raw»}", "@P", "@", "within ${...}"),
        ("echo $«raw»", "PATH", "", "behind a $"),
        ("echo $«esc»", "'; id", "", "behind a $"),
        ('echo "$«raw»"', "PATH", "", "behind a $"),
        ("echo \\«raw»", ";id", ";", "behind a backslash"),
        ("echo \\«esc»", "a b", "'", "behind a backslash"),
        ("echo `echo «raw»`", "a b", " ", "within backquotes"),
        ("echo `echo «esc»`", "`id`", "`", "within backquotes"),
        ("echo `echo «esc»`", "it's", "\\", "within backquotes"),
        ("echo $'«raw»'", "\\'; id", "\\", "within $'...'"),
        ("echo «raw»>out", "2", "2", "before a redirection"),
        ("echo «esc»<in", "0", "0", "before a redirection"),
        ("eval «raw»", "a b", " ", "in what another shell reads"),
        ("eval «esc»", "$(id)", "'", "in what another shell reads"),
        ("sh -c '«raw»'", "id; id", ";", "in what another shell reads"),
        ("exec /bin/bash -ec «esc»", "id; id", "'", "in what another shell reads"),
        ("docker exec c sh -c \"echo '«raw»'\"", "$(id)", "$", "in what another shell reads"),
        ("sh 2>&1 -c '«raw»'", "id; id", ";", "in what another shell reads"),
        (">out eval «esc»", "a b", "'", "in what another shell reads"),
        ("ssh host 'cat «raw»'", "a; id", ";", "in what another shell reads"),
        ("sudo ssh host cat «esc»", "a; id", "'", "in what another shell reads"),
        ("trap '«raw»' EXIT", "id; id", ";", "in what another shell reads"),
        ("sh <<'EOF'\n«raw»\nEOF", "id; id", ";", "in what another shell reads"),
        ("cat <<'EOF' | sh\n«raw»\nEOF", "id; id", ";", "in what another shell reads"),
        ("declare «esc»", "a[$(id)]=1", "'", "in what another shell reads"),
        ("declare -i x=«esc»", "a[$(id)]", "'", "in what another shell reads"),
        ("[ «esc» -eq 1 ]", "a[$(id)]", "'", "within an arithmetic expression"),
        ('test 1 -lt "«raw»"', "x", "x", "within an arithmetic expression"),
        ("env «raw» cmd", "LD_PRELOAD=/x", "=", "outside of quotes"),
        ("env A=1 «raw» cmd", "LD_PRELOAD=/x", "=", "outside of quotes"),
        ("printf -v «esc» x", "a[$(id)]", "'", "in what another shell reads"),
        ("let «raw»", "x", "x", "within an arithmetic expression"),
        ("[[ 1 = 1 && «esc» -eq 1 ]]", "a[$(id)]", "'", "in what another shell reads"),
        ("[[ «raw» -eq 1 ]]", "x", "x", "within an arithmetic expression"),
        ('x="$(case $y in a) echo «raw»;; esac)"', "a b", " ", "outside of quotes"),
    ],
)
def test_a_value_with_a_character_that_is_syntax_where_it_stands_is_refused(
    shell_text: str, given: str, char: str, place: str
) -> None:
    refusal = judge(shell_text, given)

    assert refusal is not None
    assert (refusal.char, refusal.place) == (char, place)


@pytest.mark.parametrize(
    "shell_text",
    [
        "echo $'it\\'s' «raw»",
        "echo `echo \\$x` «raw»",
        "echo `echo '`' «raw»",
        "echo \"${x:-'a'}\" «raw»",
        'echo "${x#"a"}" «raw»',
        "echo $(( (1) ) «raw»",
        "echo $[1] «raw»",
        "x=$(()«raw»",
        "(()«raw»)",
        "echo (a # «raw»)",
        "echo @(a|b) «raw»",
        "cat <#«raw»",
        "echo $\\\n(id) «raw»",
        "cat <<$(x)\n«raw»",
        "echo $(cat <<EOF)\n«raw»",
        "echo $(grep case file) «raw»",
        "cat <<EOF\n$(echo\nEOF\n) «raw»",
    ],
)
def test_no_value_passes_behind_text_that_shells_read_differently(shell_text: str) -> None:
    refusal = judge(shell_text, "word")

    assert refusal is not None
    assert refusal.place == "behind text that shells may read differently"
