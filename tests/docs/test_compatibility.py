"""docs/reference/compatibility.md: every row is held by a test or a case that exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from corpus_page import differing_cases
from docs_pages import ROOT, read_page, table

from awf_core.engine.steps import builtin_step_types
from awf_core.lang.load import parse_workflow
from awf_core.lang.problems import LoadError

NAME = "docs/reference/compatibility.md"
PAGE = read_page(NAME)
ROWS = [*table(PAGE.prose, "The original"), *table(PAGE.prose, "Documented")]
CORPUS = ROOT / "tests/language/corpus"
TEST = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")
CASE = re.compile(r"(?<!\[)`([a-z][a-z0-9-]+)`(?!\])")


def case_ids() -> set[str]:
    return {case["id"] for case in json.loads((CORPUS / "workflows.json").read_text())}


def left_out() -> set[str]:
    return set(differing_cases("workflows.json"))


def row_id(row: dict[str, str]) -> str:
    return next(iter(row.values()))[:60]


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_every_row_is_held_by_tests_and_cases_that_exist(row: dict[str, str]) -> None:
    shown = row["Shown by"]
    tests = TEST.findall(shown)
    cases = CASE.findall(TEST.sub("", shown))

    assert tests or cases
    assert set(cases) <= case_ids()
    for function, path in tests:
        assert f"def {function}(" in ((ROOT / NAME).parent / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_a_row_that_says_the_same_has_no_case_that_differs_on_purpose(row: dict[str, str]) -> None:
    if row["Here"].startswith("The same"):
        assert set(CASE.findall(TEST.sub("", row["Shown by"]))) & left_out() == set()


@pytest.mark.parametrize("name", ["workflows.json", "expressions.json"])
def test_every_case_that_differs_is_justified_on_its_own(name: str) -> None:
    content = json.loads((CORPUS / name).read_text())
    known = {case["id"] for case in (content if isinstance(content, list) else content["cases"])}

    for case, reason in differing_cases(name).items():
        assert case in known
        assert len(reason) > 40, case


def test_the_expression_of_a_case_on_the_page_is_that_of_the_corpus() -> None:
    written = {case["id"]: case["expr"] for case in json.loads((CORPUS / "expressions.json").read_text())["cases"]}
    rows = table(PAGE.prose, "Case of `expressions.json`")

    assert {row["The expression"].strip("`") for row in rows} == {
        written[case] for case in differing_cases("expressions.json")
    }


def test_the_page_lists_every_known_flaw() -> None:
    assert len(table(PAGE.section("## Flaws of the language"), "The original")) == 18
    assert len(table(PAGE.section("## Documented, but not working in the original"), "Documented")) == 7


def test_a_state_without_a_type_is_refused_though_it_has_a_template() -> None:
    text = b"name: w\nstates:\n  initial: a\n  a: {use_template: t, on_success: d}\n  d: {type: terminal}\n"

    with pytest.raises(LoadError) as caught:
        parse_workflow(text, source=Path("w.yaml"), step_types=builtin_step_types())

    assert caught.value.message == "w.yaml:4: step 'a': unknown step type: "
