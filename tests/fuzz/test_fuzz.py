"""Fuzzing of everything that reads what it did not write: each ends with a value or its own error, whatever the input.

`make test` runs some hundred inputs for each target, `make fuzz` a million for all together: AWF_FUZZ_INPUTS says how
many each target gets. Hypothesis generates one of them, and AWF_FUZZ_MUTATIONS more are made of it, which takes a
hundredth of the time. They depend on nothing but the generated one, so that a failure can be repeated.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from awf_mq_rabbitmq.messages import Received, counts_of, dead_copy, delivery_of, moved_copy, retry_copy
from awf_mq_rabbitmq.properties import encode
from awf_mq_rabbitmq.publishing import MAX_PROPERTIES_BYTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from awf_core.config.load import load_config
from awf_core.contract import DeadLetter, Delivery
from awf_core.engine.steps import builtin_step_types
from awf_core.errors import ConfigError
from awf_core.json_text import is_finite
from awf_core.lang.expressions import ExpressionError, ExpressionEvalError, compile_expression
from awf_core.lang.load import parse_workflow
from awf_core.lang.problems import LoadError
from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template
from awf_core.message import Limits, Malformed, Message, decode
from awf_core.result import format_result
from awf_core.visible_text import visible_json
from awf_core.worker.outcome import make_outcome
from awf_core.worker.plan import malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from awf_core.lang.expressions.expression import Mode

T = TypeVar("T", str, bytes)
INPUTS = int(os.environ.get("AWF_FUZZ_INPUTS", "150"))
MUTATIONS = int(os.environ.get("AWF_FUZZ_MUTATIONS", "0"))
WORDS_AT_ONCE = 50
"""How many values one process of a shell gets."""
SHELLS = {"sh": ["sh"], "bash": ["bash"], "dash": ["dash"], "busybox": ["busybox", "sh"]}
STEP_TYPES = builtin_step_types(operations={}, agent_providers={}, notify_backend=None)


def fuzzed(*, inputs: int = INPUTS // (1 + MUTATIONS)) -> Callable[[Any], Any]:
    return settings(
        max_examples=max(1, inputs),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def variants(generated: T) -> Iterator[T]:
    """An input, and MUTATIONS that are made of it: parts left out, repeated, moved, replaced."""
    yield generated
    dice = random.Random(repr(generated))
    mutated = generated
    for number in range(MUTATIONS):
        # Every tenth starts afresh, so that most are still like what a parser takes.
        base = mutated if number % 10 else generated
        start, end = sorted(dice.randrange(len(base) + 1) for _ in range(2))
        other = dice.randrange(len(base) + 1)
        part = base[start:end][:50]
        mutated = dice.choice((
            base[:start] + base[end:],
            base[:other] + part + base[other:],
            base[:start] + part[::-1] + base[end:],
            base[:start] + part * 2 + base[start:],
            base[:end],
        ))[:2000]  # fmt: skip
        yield mutated


def tokens(*words: str) -> st.SearchStrategy[str]:
    """Texts of these words and of others."""
    return st.lists(st.sampled_from(words) | st.text(max_size=4), max_size=30).map("".join)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("workflow", "id", "inputs", "reply_to", "metadata", "schema", "type", "message_id", "status")
BODIES = (
    st.binary(max_size=200)
    | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)).map(lambda value: json.dumps(value).encode())
    | tokens(
        *'{}[]:,"', '"workflow"', '"good"', '"inputs"', '"metadata"', "1e999", "-", "0", "9" * 400, "NaN", "\\ud800",
        "\\u0000", "null", "true", "\ufeff", "[" * 100, '"a":',
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))
)  # fmt: skip


@fuzzed()
@given(body=BODIES, headers=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2))
def test_message(body: bytes, headers: dict[str, str]) -> None:
    for each in variants(body):
        _read_message(each, headers)


def _read_message(body: bytes, headers: dict[str, str]) -> None:
    delivery = Delivery(queue="q", body=body, receipt=None, headers=headers)

    message = decode(delivery, Limits(max_body_bytes=5_000, max_depth=16))

    assert isinstance(message, (Message, Malformed))
    if isinstance(message, Message):
        assert is_finite(message.inputs)
        return
    outcome = make_outcome(
        malformed(message), delivery, message, worker="w", max_output_bytes=500, dead_lettered=True, now=0.0
    )
    document = json.loads(format_result(delivery, None, outcome).body, parse_constant=_refuse)
    assert json.loads(visible_json(json.dumps(document))) == document


SHORT = st.binary(max_size=8).map(lambda raw: bytes([len(raw)]) + raw)
NAMES = st.sampled_from([b"x-awf-attempt", b"x-awf-starts", b"x-awf-history", b"x-death", b"CC", b"a"]).map(
    lambda raw: bytes([len(raw)]) + raw
)
PLAIN = (
    st.sampled_from(
        [b"V", b"t\1", b"b\xff", b"T" + b"\xff" * 8, b"D\xff" + b"\xff" * 4, b"d" + b"\x7f\xf0" + b"\0" * 6]
    )
    | st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: b"l" + struct.pack(">q", number))
    | st.binary(max_size=12)
)


def _sized(code: bytes) -> Callable[[bytes], bytes]:
    return lambda payload: code + struct.pack(">I", len(payload)) + payload


def _deeper(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    entries = st.lists(st.tuples(SHORT | NAMES, inner).map(b"".join), max_size=3).map(b"".join)
    return st.lists(inner, max_size=3).map(b"".join).map(_sized(b"A")) | entries.map(_sized(b"F"))


VALUES = st.recursive(PLAIN | st.binary(max_size=20).map(_sized(b"S")), _deeper, max_leaves=6)
TABLES = st.lists(st.tuples(SHORT | NAMES, VALUES).map(b"".join), max_size=5).map(b"".join)
CONTENT_HEADERS = st.binary(max_size=60) | st.tuples(
    st.integers(0, 0x1FFF).map(lambda flags: struct.pack(">H", 0x2000 | flags << 1)), TABLES, st.binary(max_size=40)
).map(lambda parts: parts[0] + struct.pack(">I", len(parts[1])) + parts[1] + parts[2])


@fuzzed()
@given(raw=CONTENT_HEADERS, is_redelivered=st.booleans())
def test_amqp_headers(raw: bytes, *, is_redelivered: bool) -> None:
    for each in variants(raw):
        _read_headers(each, is_redelivered=is_redelivered)


def _read_headers(raw: bytes, *, is_redelivered: bool) -> None:
    received = Received(queue="q", raw_properties=raw, body=b"x", is_redelivered=is_redelivered)

    delivery = delivery_of(received)

    assert delivery.attempt >= 1
    assert delivery.age_s is not None
    assert delivery.age_s >= 0
    dead = DeadLetter(delivery=delivery, queue="d", reason="r", error="e", history=delivery.history)
    for copy in (
        retry_copy(received, "q", counts_of(received), delivery.history),
        dead_copy(received, dead, now_s=0.0),
        moved_copy(received, "q"),
    ):
        assert len(encode(copy.properties)) <= MAX_PROPERTIES_BYTES


SCOPE = Scope(inputs={"x": "v", "l": [1, 2], "m": {"a": None}}, states={"a": {"Output": "o"}}, env={"A": "1"})


@fuzzed()
@given(
    text=tokens(
        "{{", "}}", "{{-", "-}}", "(", ")", "|", ".", "$", "$x", ":=", "=", '"a"', "`", "'c'", "1", "-1", "1e9", "nil",
        "if ", "else ", "end", "range ", "with ", "define ", "template ", "block ", "break", "continue", ".inputs.x",
        ".inputs.l", " index ", " printf ", '"%d%[3]*.[2]*[1]f"', " escape ", " json ", " len ", " slice ", " eq ", "/*",
        "*/", " split ", " join ", " replace ", " repeat ", "\\", "\n",
    )
)  # fmt: skip
def test_template(text: str) -> None:
    for each in variants(text):
        with suppress(TemplateError):
            compile_template(each).render(SCOPE)


@fuzzed()
@given(
    text=tokens(
        "inputs.x", "inputs.l", "states.a.Output", "env.A", "nil", "true", "0", "1", "2.5", "'a'", '"', "`", "[", "]",
        "(", ")", "{", "}", ",", ":", "?", ".", "??", "?.", " == ", " != ", " < ", " in ", " and ", " or ", " not ", "!",
        " + ", " - ", " * ", " / ", " % ", " ** ", "..", "#", "|", " matches ", " contains ", "len(", "filter(", "map(",
        "all(", "int(", "repeat(", "1e308", "9223372036854775807", "\\", "//", "/*", "let a = ", ";",
    ),
    mode=st.sampled_from(["bool", "int", "any"]),
)  # fmt: skip
def test_expression(text: str, mode: Mode) -> None:
    for each in variants(text):
        with suppress(ExpressionError, ExpressionEvalError):
            compile_expression(each, mode=mode).evaluate(SCOPE)


YAML_WORDS = (
    "name: a\n", "states:\n", "  initial: a\n", "  a: ", "    type: step\n", "    command: x\n", "{", "}", "[", "]", ": ",
    "- ", ", ", "&a ", "*a", "<<: ", "!!timestamp ", "!!int ", "!!float ", "!!binary ", "!!null ", "!!map ", "!x ", "|\n",
    ">\n", '"', "'", "\n", "  ", "~", "yes", ".inf", "0x", "1_0", "9" * 30, "h", "2024-01-01", "#", "---\n", "...\n", "? ",
    "mq:\n", "  type: ", "  retry: ", "sqlite", "max_attempts: ", "%YAML 1.1\n", "\t", "inputs:\n", "outputs: ", "timeout: ",
)  # fmt: skip


@fuzzed()
@given(data=st.binary(max_size=60) | tokens(*YAML_WORDS).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_yaml_of_a_workflow(data: bytes) -> None:
    for each in variants(data):
        with suppress(LoadError):
            parse_workflow(each, source=Path("w.yaml"), step_types=STEP_TYPES)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("config")
    (made / ".awf").mkdir()
    return made


@fuzzed()
@given(text=tokens(*YAML_WORDS, "mq: {", "dead_letter: ", "workflows: ", "reply: {allow: ", "10s", "-1", "max_run: "))
def test_config(directory: Path, text: str) -> None:
    for each in variants(text):
        (directory / ".awf" / "config.yaml").write_bytes(each.encode("utf-8", "surrogatepass"))
        with suppress(ConfigError):
            load_config(cwd=directory, env={})


SHELL_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12) | st.lists(
    st.sampled_from([*"'\"\\`$!#&|;<>(){}[]*?~=%^-+,.:/@ \t\n\r\x01\x7f", "$(", "${", "&&", "\\\n", "--", "-n", "é"]),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("shell", SHELLS)
def test_escape(shell: str) -> None:
    program = shutil.which(SHELLS[shell][0])
    if program is None:
        pytest.skip(f"{SHELLS[shell][0]} is not installed")
    template = compile_template("{{escape .inputs.x}}")

    @fuzzed(inputs=INPUTS // WORDS_AT_ONCE // len(SHELLS) + 1)
    @given(words=st.lists(SHELL_TEXT, min_size=WORDS_AT_ONCE, max_size=WORDS_AT_ONCE))
    def check(words: list[str]) -> None:
        escaped = [template.render(Scope(inputs={"x": word})) for word in words]
        script = "printf '%s\\0' " + " ".join(escaped)

        done = subprocess.run([program, *SHELLS[shell][1:], "-c", script], capture_output=True, check=True)

        assert done.stdout.decode().split("\0")[:-1] == words

    check()


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} in a result")
