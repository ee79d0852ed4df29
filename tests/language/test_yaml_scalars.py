"""YAML is read as the original tool reads it: every scalar of the corpus, in every kind of field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from awf_core.lang.fields import Fields
from awf_core.lang.go.numbers import float_text
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed, type_name
from awf_core.lang.problems import FieldProblem
from awf_core.lang.yaml_decode import MAX_BYTES, as_any, read_yaml
from awf_core.yaml.nodes import MAX_DEPTH, MAX_NODES, YamlError
from awf_core.yaml.scalars import Timestamp

CORPUS = Path(__file__).parent / "corpus" / "yaml_scalars.json"
CASES = json.loads(CORPUS.read_text(encoding="utf-8"))["cases"]
READABLE = [case for case in CASES if "any_error" not in case]
BROKEN = [case for case in CASES if "any_error" in case]


def fields_of(text: str, *, re_encoded: bool = False) -> Fields:
    root = read_yaml(text.encode())
    assert root is not None
    return Fields(root, path="", re_encoded=re_encoded)


def go_type(value: object) -> str:
    return "time.Time" if isinstance(value, Timestamp) else type_name(value)


@pytest.mark.parametrize("case", READABLE, ids=[case["scalar"] for case in READABLE])
def test_an_untyped_field_sees_the_value_the_original_sees(case):
    fields = fields_of(f"v: {case['scalar']}\n")

    value = fields.raw("v")

    assert (go_type(value), printed(value)) == (case["any_type"], case["any_printed"])


@pytest.mark.parametrize("case", READABLE, ids=[case["scalar"] for case in READABLE])
@pytest.mark.parametrize(("key", "re_encoded"), [("string", False), ("state_string", True)])
def test_a_text_field_sees_the_text_the_original_sees(case, key, re_encoded):
    fields = fields_of(f"v: {case['scalar']}\n", re_encoded=re_encoded)

    if f"{key}_error" in case:
        with pytest.raises(FieldProblem) as caught:
            fields.text("v")

        # A state's line is the one in the file here, where the original counts in a copy of the state.
        expected = case[f"{key}_error"].replace("line 2", "line 1")
        assert caught.value.text == expected
    else:
        assert fields.text("v") == case[key]


@pytest.mark.parametrize("case", READABLE, ids=[case["scalar"] for case in READABLE])
def test_an_integer_field_sees_the_number_or_refuses(case):
    fields = fields_of(f"v: {case['scalar']}\n")

    if case.get("int_error"):
        with pytest.raises(FieldProblem, match=r"(?s)cannot unmarshal .* into int"):
            fields.integer("v")
    else:
        assert (fields.integer("v") or 0) == case["int"]


@pytest.mark.parametrize("case", READABLE, ids=[case["scalar"] for case in READABLE])
def test_a_flag_field_sees_the_flag_or_refuses(case):
    fields = fields_of(f"v: {case['scalar']}\n")

    if case.get("bool_error"):
        with pytest.raises(FieldProblem, match=r"(?s)cannot unmarshal .* into bool"):
            fields.flag("v")
    else:
        assert fields.flag("v") is case["bool"]


@pytest.mark.parametrize("case", BROKEN, ids=[case["scalar"] for case in BROKEN])
def test_a_text_that_is_no_yaml_is_refused_in_the_words_of_the_original(case):
    with pytest.raises(YamlError) as caught:
        read_yaml(f"v: {case['scalar']}\n".encode())

    assert caught.value.text == case["any_error"]


@pytest.mark.parametrize(
    ("written", "inside_a_state"),
    [
        ("2.0", 2),
        ("1.5e3", 1500),
        ("1000000.0", 1e6),
        ("2.5", 2.5),
        ("007", 7),
        ("'2.0'", "2.0"),
        (".inf", float("inf")),
    ],
)
def test_a_whole_float_inside_a_state_becomes_an_integer_on_its_way(written, inside_a_state):
    fields = fields_of(f"v: [{written}]\n", re_encoded=True)

    value = fields.raw("v")[0]

    assert (value, type(value)) == (inside_a_state, type(inside_a_state))


def test_a_timestamp_prints_with_its_zone_and_is_text_to_everything_else():
    fields = fields_of("v: 2001-12-14t21:59:43.10-05:00\nw: 0001-01-01\n")

    moment, early = fields.raw("v"), fields.raw("w")

    assert moment == "2001-12-14 21:59:43.1 -0500 -0500"
    assert moment.rfc3339 == "2001-12-14T21:59:43.1-05:00"
    assert early == "0001-01-01 00:00:00 +0000 UTC"


@pytest.mark.parametrize(
    "scalar", ["2024-01-01T10:00:00", "2024-01-01 10:00:00Z", "2024-02-30", "2024-01-01T10:00:00+25:00"]
)
def test_what_is_almost_a_timestamp_stays_text(scalar):
    assert type(fields_of(f"v: {scalar}\n").raw("v")) is str


@pytest.mark.parametrize(
    ("scalar", "value"), [(".5_12", 0.512), ("1_0.5_0", 10.5), (".5__1", ".5__1"), (".5_", ".5_"), ("._5", "._5")]
)
def test_underscores_stand_between_the_digits_of_a_number(scalar, value):
    assert fields_of(f"v: {scalar}\n").raw("v") == value


def test_numbers_that_no_machine_holds_stay_text():
    digits = "1" * 5000

    value = fields_of(f"v: {digits}\n").raw("v")

    assert value == digits


@pytest.mark.parametrize(
    ("scalar", "text"),
    [
        ("!!int abc", "yaml: cannot decode !!str `abc` as a !!int"),
        ("!!float abc", "yaml: cannot decode !!str `abc` as a !!float"),
        ("!!bool yes", "yaml: cannot decode !!str `yes` as a !!bool"),
        ("!mine x", "yaml: cannot decode !!str `x` as a !mine"),
        ("!!binary '*'", "yaml: !!binary value contains invalid base64 data"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(scalar, text):
    with pytest.raises(FieldProblem) as caught:
        fields_of(f"v: {scalar}\n").raw("v")

    assert caught.value.text == text


def test_long_values_are_cut_in_the_text_of_a_problem():
    with pytest.raises(FieldProblem) as caught:
        fields_of("a: 1\nv: abcdefghijkl\n").integer("v")

    assert caught.value.text == "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `abcdefg...` into int"
    assert (caught.value.line, caught.value.field) == (2, "v")


def test_merge_keys_add_what_is_not_written_and_the_earlier_merge_wins():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: own\nd: {'<<': plain}\n"

    value = as_any(read_yaml(text.encode()), re_encoded=False)

    assert value["c"] == {"x": "own", "y": 1, "z": 2}
    assert value["d"] == {"<<": "plain"}


def test_a_merge_of_something_else_is_refused():
    with pytest.raises(FieldProblem, match="map merge requires map or sequence of maps as the value"):
        fields_of("v: {<<: 5}\n").raw("v")


def test_lists_leave_nulls_out_and_mappings_make_them_empty():
    fields = fields_of("l: [a, ~, 5]\nn: [1, null]\nm: {a: ~, b: 5}\n")

    assert fields.list_of_text("l") == ("a", "5")
    assert fields.list_of_integers("n") == (1,)
    assert fields.text_mapping("m") == {"a": "", "b": "5"}


@pytest.mark.parametrize(
    ("read", "wanted"),
    [
        ("list_of_text", "[]string"),
        ("list_of_integers", "[]int"),
        ("each", "[]map[string]interface {}"),
        ("nested", "map[string]interface {}"),
        ("mapping", "map[string]interface {}"),
        ("text_mapping", "map[string]string"),
        ("number", "float64"),
    ],
)
def test_a_value_of_another_shape_is_named_with_what_was_wanted(read, wanted):
    with pytest.raises(FieldProblem) as caught:
        getattr(fields_of("v: word\n"), read)("v")

    assert caught.value.text == f"yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `word` into {wanted}"


def test_every_duplicate_key_is_named_with_both_lines():
    with pytest.raises(YamlError) as caught:
        read_yaml(b"a: 1\nb: {c: 1, c: 2}\na: 2\n")

    assert caught.value.text == (
        'yaml: unmarshal errors:\n  line 2: mapping key "c" already defined at line 2\n'
        '  line 3: mapping key "a" already defined at line 1'
    )


def test_only_the_first_document_is_read():
    root = read_yaml(b"a: 1\n---\na: [\n")

    assert as_any(root, re_encoded=False) == {"a": 1}


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"\n\n"])
def test_a_file_without_a_document_is_nothing(text):
    assert read_yaml(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: [\n", "yaml: line 1: did not find expected node content"),
        (b"a: 1\nb: c: d\n", "yaml: line 2: mapping values are not allowed in this context"),
        (b"a: \x01", "yaml: control characters are not allowed"),
        (b"a: \xff", "yaml: invalid leading UTF-8 octet"),
        (b"a: &x [*x]\n", "yaml: anchor 'x' value contains itself"),
    ],
)
def test_syntax_errors_keep_the_words_people_search_for(text, message):
    with pytest.raises(YamlError) as caught:
        read_yaml(text)

    assert caught.value.text == message


def test_a_file_over_the_limit_is_refused_with_both_sizes():
    with pytest.raises(YamlError, match=f"file of {MAX_BYTES + 1} bytes is larger than the {MAX_BYTES} bytes allowed"):
        read_yaml(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    "text", [b"[" * 1_000_000, b"- " * 400_000 + b"x", b"{a: " * 300_000], ids=["flow", "block", "map"]
)
def test_deep_nesting_is_refused_before_it_costs_anything(text):
    with pytest.raises(YamlError, match=f"exceeded max depth of {MAX_DEPTH}"):
        read_yaml(text)


def test_a_document_of_too_many_values_is_refused_while_it_is_read():
    with pytest.raises(YamlError, match=f"document contains more than {MAX_NODES} values"):
        read_yaml(b"[" + b"x," * (MAX_NODES + 10) + b"[")


def test_aliases_can_not_multiply_without_end():
    levels = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        previous = b"*a%d" % (level - 1)
        levels.append(b"a%d: &a%d [%s]" % (level, level, b", ".join([previous] * 10)))

    with pytest.raises(YamlError, match=f"document contains excessive aliasing: more than {MAX_NODES} values"):
        read_yaml(b"\n".join(levels))


def test_nesting_through_aliases_counts_too():
    levels = [b"a0: &a0 [x]"] + [b"a%d: &a%d [*a%d]" % (n, n, n - 1) for n in range(1, MAX_DEPTH)]

    with pytest.raises(YamlError, match="exceeded max depth"):
        read_yaml(b"\n".join(levels))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (1.5, "1.5"), (100000.0, "100000"), (1e6, "1e+06"), (123456789.0, "1.23456789e+08"),
        (0.0001, "0.0001"), (0.00001, "1e-05"), (1.25e-7, "1.25e-07"), (-2.5, "-2.5"), (1e100, "1e+100"),
        (float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"),
    ],
)  # fmt: skip
def test_floats_are_spelled_as_go_spells_them(number, text):
    assert float_text(number) == text


def test_quoting_escapes_what_does_not_print():
    assert quoted('a"b\\c\n\t\x00é\u200b\U0001f600\U000e0001') == r'"a\"b\\c\n\t\x00é\u200b😀\U000e0001"'
