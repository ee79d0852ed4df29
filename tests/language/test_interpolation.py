"""Interpolation gives what the original engine was observed to give, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template

CORPUS = json.loads((Path(__file__).parent / "corpus" / "interpolation.json").read_text(encoding="utf-8"))


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$float"}:
            return float(value["$float"])
        return {key: _with_floats(item) for key, item in value.items()}
    return [_with_floats(item) for item in value] if isinstance(value, list) else value


def _all_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _all_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_all_floats(item) for item in value]
    return float(value) if type(value) is int else value


def _scope(context: Any) -> Scope:
    parts = _with_floats(CORPUS["base_context"] if context == "BASE" else context)
    for state in parts.get("states", {}).values():
        if "JSON" in state:
            state["JSON"] = _all_floats(state["JSON"])
    return Scope(**parts)


@pytest.mark.parametrize("case", CORPUS["cases"], ids=lambda case: case["id"])
def test_a_template_renders_as_the_original_engine_renders_it(case: dict[str, Any]) -> None:
    scope = _scope(case["context"])
    expected = case["expected"]

    template = compile_template(case["template"])

    if "output" in expected:
        assert template.render(scope) == expected["output"]
        return
    with pytest.raises(TemplateError) as caught:
        template.render(scope)
    assert str(caught.value) == expected["error"]
    assert caught.value.variable == expected.get("variable")
