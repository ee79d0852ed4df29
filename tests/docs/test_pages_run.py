"""Run the commands that the pages show, and compare their output with the output that the pages show."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from docs_console import compare
from docs_pages import ROOT, page_names, read_page

if TYPE_CHECKING:
    from docs_console import Scratch

RUNNABLE = [name for name in page_names() if any(block.is_run for block in read_page(name).blocks)]
NEEDS_A_PROJECT = {"docs/explanation/embedded-queue.md"}
DEMO = "make demo"


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_page_does_what_it_shows(name: str, scratch: Scratch) -> None:
    if name in NEEDS_A_PROJECT:
        scratch.run(["awf", "init"])

    scratch.follow(read_page(name))


def test_the_demo_prints_what_the_readme_shows(scratch: Scratch) -> None:
    shutil.copytree(ROOT / "examples", scratch.directory / "examples")
    block = next(block for block in read_page("README.md").blocks if block.text.startswith(f"$ {DEMO}\n"))

    printed = scratch.run(["sh", "examples/demo/run.sh"])

    compare(block.text.removeprefix(f"$ {DEMO}\n"), printed, f"README.md:{block.line}")


def test_make_demo_runs_the_script_that_the_readme_shows() -> None:
    asked = subprocess.run(["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True)

    assert "sh examples/demo/run.sh" in asked.stdout, asked.stderr


@pytest.mark.parametrize("name", page_names())
def test_every_piece_of_json_and_yaml_can_be_read(name: str) -> None:
    for block in read_page(name).blocks:
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert list(yaml.safe_load_all(block.text))
