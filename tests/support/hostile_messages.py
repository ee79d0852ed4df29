"""Messages of a hostile producer, generated from a seed and named by class. Knows no broker.

Each class tries one thing: to run code, to read a secret, to reach a queue, to stop the worker, to fill its memory, to
hide something from a reader. `hostile_messages` gives any number of distinct ones, the same for the same seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_BODY_BYTES = 65_536
ESCAPED, UNKNOWN, OUTSIDE, GOOD = "escaped", "absent", "outside", "good"
"""Workflows: one prints its input `text`, escaped; one does not exist; one lies outside of the directories; a good one."""
HIDDEN = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\u200b\u200d\ufeff\U000e0041\x9b31m\x7f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """One message. `kind` is its class, `runs` whether a worker may run it: its workflow takes any text."""

    kind: str
    body: bytes
    runs: bool = False
    headers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What the messages aim at: a file to make, the names of queues, a variable that holds a secret."""

    canary: str
    work: str
    dead: str
    other: str
    results: str
    secret: str


Make = Callable[[random.Random, Aims], Hostile]
MAKES: dict[str, Make] = {}


def hostile_messages(count: int, aims: Aims, *, seed: int) -> list[Hostile]:
    """`count` distinct messages, each class as often as every other where it has so many."""
    return list(_distinct(count, aims, random.Random(seed)))


def _distinct(count: int, aims: Aims, dice: random.Random) -> Iterator[Hostile]:
    seen: set[tuple[bytes, str]] = set()
    idle = 0
    while len(seen) < count:
        before = len(seen)
        for kind, make in MAKES.items():
            made = make(dice, aims)
            key = (made.body, repr(made.headers))
            if key not in seen and len(seen) < count:
                seen.add(key)
                yield Hostile(kind=kind, body=made.body, runs=made.runs, headers=made.headers)
        idle = idle + 1 if len(seen) == before else 0
        assert idle < 100, f"only {len(seen)} distinct messages"


def _class(make: Make) -> Make:
    MAKES[make.__name__.strip("_")] = make
    return make


def _json(document: object, **more: Any) -> Hostile:
    return Hostile(kind="", body=json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"), **more)


def _message(dice: random.Random, workflow: object = GOOD, **keys: object) -> dict[str, object]:
    return {"id": f"hostile-{dice.getrandbits(64):016x}", "workflow": workflow, **keys}


def _commands(dice: random.Random, aims: Aims) -> str:
    name = f"{aims.canary}-{dice.getrandbits(48):012x}"
    run = dice.choice((f"touch {name}", f"echo>{name}", f"python3 -c open('{name}','w')", f"cp /dev/null {name}"))
    before, after = dice.choice((
        (";", ";"), ("$(", ")"), ("`", "`"), ("'; ", "; '"), ('"; ', '; "'), ("\n", "\n"), ("&& ", " #"), ("| ", ""),
        ("\\'; ", " #"), ("'\\''; ", " #"), ("x\r\n", "\r\n"), ("${IFS}$(", ")"), ("<(", ")"), ("!!", ""), ("# \n", ""),
        ("'\"'\"'; ", " #"), ("\\\n;", ""), ("$'\\n", "'"), ("\0;", ""), ("-e ", ""), ("~;", ""), ("{a,", "}"),
    ))  # fmt: skip
    return f"{dice.choice(('', 'x', ' ', '--', '*'))}{before}{run}{after}"


@_class
def _shell_text_in_an_escaped_input(dice: random.Random, aims: Aims) -> Hostile:
    text = _commands(dice, aims).replace("\0", "")
    return _json(_message(dice, ESCAPED, inputs={"text": text}, reply_to=aims.results), runs=True)


@_class
def _template_in_an_input(dice: random.Random, aims: Aims) -> Hostile:
    text = dice.choice((
        "{{.env.%s}}", "{{env.%s}}", "${%s}", "$%s", "{{`{{.env.%s}}`}}", '{{printf "%%s" .env.%s}}', "%%{{%s}}",
        "#{ENV['%s']}", "{{.Env.%s}}", "{% raw %%}{{%s}}", "{{call .env.%s}}", "<%%= %s %%>", '{{index .env "%s"}}',
    ))  # fmt: skip
    return _json(
        _message(dice, ESCAPED, inputs={"text": text.replace("%s", aims.secret)}, reply_to=aims.results), runs=True
    )


@_class
def _name_of_an_input(dice: random.Random, aims: Aims) -> Hostile:
    name = dice.choice((
        "PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS", "PS4", "PYTHONSTARTUP", "GIT_SSH_COMMAND", "AWF_CONFIG_PATH",
        "BASH_FUNC_echo%%", "a=b", "a\0b", "a b", "", "1", "x;touch", "$(x)", "\u202ePATH", "NODE_OPTIONS", "é\u0301",
        "__proto__", "constructor", "x" * 300, "text\n", "LD_" + "A" * dice.randint(1, 9), aims.secret,
    ))  # fmt: skip
    return _json(_message(dice, inputs={name: _commands(dice, aims)}))


@_class
def _many_names(dice: random.Random, _: Aims) -> Hostile:
    return _json(_message(dice, inputs={f"n{number}": 0 for number in range(dice.randint(100, 3000))}))


@_class
def _workflow_name(dice: random.Random, aims: Aims) -> Hostile:
    name = dice.choice((
        f"../{OUTSIDE}", f"../../{OUTSIDE}", f"/{OUTSIDE}", f"{aims.canary}/../{OUTSIDE}.yaml", f"..\\{OUTSIDE}",
        f"%2e%2e/{OUTSIDE}", f"./{OUTSIDE}", f"{GOOD}.yaml", f"{GOOD}.yaml.yaml", f"{GOOD}/", f"{GOOD}\0", f" {GOOD}",
        f"{GOOD}\n", f"{GOOD}\u200b", "..", ".", "~", "*", "$(touch x)", "a/b/c", "A/b", "-h", "--help", "\u202egood",
        "C:\\good", "file:///etc/passwd", "/dev/zero", "/proc/self/environ", "good;good", "\ud800", "x" * 400,
    ))  # fmt: skip
    return _json(_message(dice, name + dice.choice(("", "", "/", ".yaml", "\u200b"))))


@_class
def _unknown_workflow(dice: random.Random, _: Aims) -> Hostile:
    end = dice.choice(("", HIDDEN[9:12], " ", "\u0430"))
    return _json(_message(dice, f"{UNKNOWN}-{dice.getrandbits(32)}{end}"))


@_class
def _id(dice: random.Random, aims: Aims) -> Hostile:
    hostile_id = dice.choice((
        f"../../{aims.canary}", f"{aims.canary}-id", "/etc/passwd", "a\0b", HIDDEN, "\n{}", "x" * 255, "-rf", "$(id)",
        "'; touch x; '", "\ud83d", "%n%s", "0", "null", "-" * 40, "\\\\host\\share",
    ))  # fmt: skip
    return _json({"id": f"{hostile_id[:230]}{dice.getrandbits(40)}", "workflow": UNKNOWN, "reply_to": aims.results})


@_class
def _reply_address(dice: random.Random, aims: Aims) -> Hostile:
    address = dice.choice((
        aims.work, aims.dead, aims.other, f"{aims.other}-dead", f"{{{aims.work}}}:lease", f"{{{aims.work}}}:role",
        f"{aims.work}.retry.1000", f"{aims.work}.alive.{'0' * 32}", "amq.rabbitmq.reply-to", "awf:state:x", "*", "",
        "amq.rabbitmq.reply-to.g1h2", "../results", "/etc/cron.d/x", "x" * 300, "a\0b", HIDDEN, "awf-undeliverable",
        f"{aims.work} ", f"{aims.work}\n", "http://127.0.0.1:1/", "{a}", "::", "-", ".", "\u0430wf-dlq",
    ))  # fmt: skip
    return _json(_message(dice, f"{UNKNOWN}-{dice.getrandbits(30)}", reply_to=address))


@_class
def _result(dice: random.Random, aims: Aims) -> Hostile:
    result = {"message_id": f"m-{dice.getrandbits(40)}", "status": dice.choice(("completed", "rejected", None, 1, []))}
    if dice.random() < 0.3:
        result = {"type": "awf.result"}
    return _json({**_message(dice, OUTSIDE), **result, "reply_to": aims.results})


@_class
def _wrong_type(dice: random.Random, _: Aims) -> Hostile:
    key = dice.choice(("workflow", "inputs", "metadata", "reply_to", "id", "schema"))
    value = dice.choice((0, 1.5, True, [], [1], [[]], {"a": 1}, "", "  ", -1, 1 << 63))
    document = {**_message(dice, UNKNOWN), key: value}
    return _json(document if key == "workflow" or isinstance(value, (dict, str)) else {**document, "inputs": [key]})


@_class
def _number(dice: random.Random, _: Aims) -> Hostile:
    digits = dice.randint(309, 4000)
    number = dice.choice((
        f"1e{digits}", f"-1E+{digits}", "9" * digits, f"-{'9' * digits}", "NaN", "Infinity", "-Infinity", "0x10", "01",
        f"{'9' * digits}.5", ".5", "1_000", "+1", f"[1e{digits}]", f'{{"a": -1e{digits}}}', "9" * 50_000,
    ))  # fmt: skip
    key = dice.choice(("inputs", "metadata"))
    return Hostile(kind="", body=f'{{"workflow":"{GOOD}","id":"{dice.random()}","{key}":{{"v":{number}}}}}'.encode())


@_class
def _depth(dice: random.Random, _: Aims) -> Hostile:
    depth = dice.randint(65, 20_000)
    inner = "[" * depth + dice.choice(("", "]" * depth))
    if dice.random() < 0.5:
        inner = '{"a":' * (depth // 4 + 65) + "1" + "}" * (depth // 4 + 65)
    return Hostile(kind="", body=f'{{"workflow":"{GOOD}","inputs":{{"v":{inner}}}}}'.encode()[:MAX_BODY_BYTES])


@_class
def _bytes(dice: random.Random, _: Aims) -> Hostile:
    start = dice.choice((b"", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\0", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x80\x04\x95"))
    return Hostile(kind="", body=start + dice.randbytes(dice.randint(1, 200)) + b"\xff")


@_class
def _text_that_is_no_message(dice: random.Random, aims: Aims) -> Hostile:
    text = dice.choice((
        "{", "[]", "null", '"x"', "{}", "[{}]", "workflow: good", "<workflow>good</workflow>", "{'workflow': 'good'}",
        '{"workflow":"good"', '{"workflow":"good"} {}', '{"workflow":"good",}', "//", '{"workflow":\t"go\tod"}',
        '{"workflow":"\\ud800"}', '{"workflow":"good","inputs":{"a":"\\udfff"}}', "!!python/object:os.system",
    ))  # fmt: skip
    return Hostile(kind="", body=(text + f"\n#{dice.getrandbits(32)}{_commands(dice, aims)}").encode())


@_class
def _bad_utf8(dice: random.Random, aims: Aims) -> Hostile:
    body = json.dumps(_message(dice, GOOD, inputs={"a": "@"}, reply_to=aims.results, metadata={"n": 1}))
    bad = dice.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28\xa1"))
    return Hostile(kind="", body=body.encode().replace(b"@", bad))


@_class
def _hidden_characters(dice: random.Random, aims: Aims) -> Hostile:
    hidden = "".join(dice.sample(HIDDEN, 8))
    name = f"{UNKNOWN}{hidden}{dice.getrandbits(30)}"
    return _json({"id": f"m{hidden}", "workflow": name, "metadata": {hidden: hidden}, "reply_to": aims.results})


@_class
def _metadata(dice: random.Random, aims: Aims) -> Hostile:
    value = dice.choice((
        {"correlation_id": HIDDEN}, {"correlation_id": "x" * 5000}, {"correlation_id": ["a"]}, {"a": [{}] * 2000},
        {"password": "p", aims.secret: "q"}, {"": ""}, {"x": "y" * 20_000}, {"status": "completed", "message_id": "m"},
        {f"k{number}": number for number in range(800)}, {"a": {"b": {"c": {"d": [[[[1]]]]}}}}, {"v": 1.7e308},
    ))  # fmt: skip
    return _json(_message(dice, f"{UNKNOWN}-{dice.getrandbits(20)}", metadata=value, reply_to=aims.results))


@_class
def _reserved_key(dice: random.Random, _: Aims) -> Hostile:
    keys = {"schema": dice.choice((2, 0, "1", 1.5, [], {}, "x" * 99)), "attempt": -1, "deliveries": 1 << 63}
    return _json(_message(dice, GOOD, **keys))


@_class
def _large(dice: random.Random, _: Aims) -> Hostile:
    filler = dice.choice(("x", "\\u0000", '\\"', "é", "\\ud83d\\ude00"))
    many = (MAX_BODY_BYTES + dice.randint(1, 20_000)) // len(filler.encode()) + 1
    if dice.random() < 0.8:
        many //= 40
        return Hostile(kind="", body=f'{{"workflow":"{UNKNOWN}{dice.getrandbits(30)}","x":"{filler * many}"}}'.encode())
    return Hostile(kind="", body=f'{{"workflow":"{GOOD}","inputs":{{"a":"{filler * many}"}}}}'.encode())


@_class
def _headers(dice: random.Random, aims: Aims) -> Hostile:
    """Notes of ours and of the broker's, forged; brokers without headers get only the body."""
    forged: dict[str, Any] = {
        "x-awf-attempt": dice.choice((-1, 0, 1 << 40, "1", None)),
        "x-awf-starts": dice.choice((-1, 0, "x")),
        "x-awf-noted": True,
        "x-awf-key": dice.choice(("0" * 32, "../x", 7)),
        "x-awf-age-ms": dice.choice((-1, "1", None)),
        "x-awf-source": dice.choice((aims.other, aims.work, HIDDEN)),
        "x-awf-reason": HIDDEN,
        "x-awf-history": dice.choice(("[" * 900, '[{"a":1e999}]', "null", "[1]", '{"a":1}')),
        "x-delivery-count": 0,
        "CC": [f"{aims.other}-nowhere"],
        "BCC": [f"{aims.dead}-nowhere"],
        "traceparent": HIDDEN,
        "deep": _nested(dice.randint(1, 60)),
        "long": "x" * dice.choice((1, 1000, 50_000)),
    }
    chosen = dict(dice.sample(sorted(forged.items()), dice.randint(1, 8)))
    return _json(_message(dice, f"{UNKNOWN}-{dice.getrandbits(30)}"), headers=chosen)


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value
