"""Reading YAML: values as the original tool reads them, and the line of every key."""

from __future__ import annotations

import math

import pytest

from awf_core.config.yaml_source import parse_document, parse_flow, read_document
from awf_core.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, label="c.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("On", "On"),
        ("y", "y"),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("''", ""),
        ("", None),
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("007", 7),
        ("010", 8),
        ("0777", 511),
        ("08", 8.0),
        ("0o10", 8),
        ("0O10", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("0b2", "0b2"),
        ("0x", "0x"),
        ("1_000", 1000),
        ("1,000", "1,000"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("12e03", 12000.0),
        ("1e1000", "1e1000"),
        ("-.INF", -math.inf),
        ("inf", "inf"),
        ("NaN", "NaN"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("123abc", "123abc"),
        ("9223372036854775808", 9223372036854775808),
        ("18446744073709551616", 18446744073709551616.0),
        ("-9223372036854775809", -9223372036854775809.0),
        ("2024-01-01", "2024-01-01 00:00:00 +0000 UTC"),
        ("2024-01-01T10:00:00Z", "2024-01-01 10:00:00 +0000 UTC"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1 -0500 -0500"),
        ("2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.10 -5"),
        ("2024-13-01", "2024-13-01"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!binary aGk=", "hi"),
        ("&a x", "x"),
        ("=", "="),
        ("x#c", "x#c"),
        ("#c", None),
        ("[1, x]", [1, "x"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_a_scalar_means_what_it_means_to_the_original_tool(scalar, value):
    read = parse_document(f"v: {scalar}\n", label="c.yaml").values["v"]

    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such():
    assert math.isnan(parse_document("v: .nan", label="c").values["v"])


def test_every_key_knows_its_line():
    document = parse_document("a: 1\nb:\n  c: 2\n  d:\n  - x\n  - y\n", label="c.yaml")

    assert document.where(("a",)) == "c.yaml:1"
    assert document.where(("b", "c")) == "c.yaml:3"
    assert document.where(("b", "d", 1)) == "c.yaml:6"
    assert document.where(("b", "absent")) == "c.yaml:2"
    assert document.where(("absent",)) == "c.yaml"


def test_anchors_and_merge_keys_work_and_own_keys_win():
    text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nmore:\n  <<: [*b, {z: 9}]\n"

    values = parse_document(text, label="c.yaml").values

    assert values["use"] == {"x": 1, "y": 3}
    assert values["more"] == {"x": 1, "y": 2, "z": 9}


def test_only_the_first_document_counts():
    assert parse_document("a: 1\n---\na: 2\n", label="c").values == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "~\n", "---\n"])
def test_an_empty_file_is_an_empty_mapping(text):
    assert parse_document(text, label="c").values == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: duplicate key 'a' (first on line 1)"),
        ("a: [1\n", "c.yaml:2: not valid YAML: "),
        ("a: 1\n b: 2\n", "c.yaml:2: not valid YAML: "),
        ("a: *missing\n", "c.yaml:1: not valid YAML: found undefined alias"),
        ("- a\n", "c.yaml:1: not a mapping (allowed: keys with values, such as `mq:`)"),
        ("just text\n", "c.yaml:1: not a mapping"),
        ("a: &a [*a]\n", "c.yaml:1: an alias that contains itself"),
        ("{[1]: 2}\n", "c.yaml:1: a key must be a text"),
        ("a:\n  <<: 5\n", "c.yaml:2: `<<` merges mappings only"),
        ("a: !!binary x\n", "c.yaml:1: 'x' is not base64"),
        ("a: !!binary é\n", "c.yaml:1: 'é' is not base64"),
        ("a: \x01\n", "c.yaml"),
    ],
)
def test_invalid_yaml_is_reported_with_its_line(text, said):
    assert refusal(text).startswith(said)


def test_aliases_can_not_blow_up_the_memory():
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))

    assert "too large" in refusal("l0: &l0 [x]\n" + layers)


def test_a_file_that_is_not_utf8_is_reported(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: \xff\xfe")

    with pytest.raises(ConfigError) as caught:
        read_document(path, label="c.yaml")

    assert caught.value.message == "c.yaml: not UTF-8 text (byte 3)"
    assert caught.value.hint == "save the file as UTF-8"


def test_an_unreadable_file_is_reported(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path, label="c.yaml")

    assert caught.value.message == "c.yaml: cannot be read: Is a directory"


def test_an_invalid_piece_of_yaml_is_rejected_with_the_reason():
    with pytest.raises(ValueError, match="not valid YAML"):
        parse_flow("[a")
    assert parse_flow("{a: [1, yes]}") == {"a": [1, "yes"]}
