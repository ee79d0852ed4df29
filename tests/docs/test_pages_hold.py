"""What pages refer to exists: links, tests, files, commands, options, keys, variables. And how they are written."""

from __future__ import annotations

import re
from functools import cache

import pytest
from awf_mq_rabbitmq.settings import RabbitMqSettings
from awf_mq_redis.settings import RedisSettings
from awf_mq_sqs.settings import SqsSettings
from docs_pages import ROOT, Page, page_names, read_page

from awf_core.backends.sqlite.backend import SqliteSettings
from awf_core.cli.main import COMMANDS, AwfGroup, LazyCommand, awf
from awf_core.config.keys import fields_by_key, nested_model
from awf_core.config.model import MqSettings

PAGES = page_names()
LINK = re.compile(r"\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)?\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
EMPTY_WORDS = re.compile(
    r"\b(simply|just|easy|easily|obviously|blazing|powerful|seamless(ly)?|robust|beautiful)\b", re.IGNORECASE
)
PLACES = ("awf_core", "tests", "docs", "examples", "bench")


def slug(heading: str) -> str:
    """The anchor a heading gets where the pages are shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


@cache
def anchors(name: str) -> set[str]:
    return {slug(line.lstrip("#")) for line in read_page(name).prose.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    page = read_page(name)
    for target in LINK.findall(page.prose):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_exists_where_it_says(name: str) -> None:
    for function, path in re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", read_page(name).prose):
        file = (ROOT / name).parent / path
        assert f"def {function}(" in file.read_text(encoding="utf-8"), f"{name}: {function} in {path}"


def test_the_readme_proves_each_of_its_guarantees() -> None:
    rows = [
        line for line in read_page("README.md").section("## What is guaranteed").splitlines() if line.startswith("| ")
    ]

    assert len(rows) > 10
    assert [row for row in rows[1:] if "[`test_" not in row] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_names_is_there(name: str) -> None:
    for code in CODE.findall(read_page(name).prose):
        if re.fullmatch(rf"(?:{'|'.join(PLACES)})(?:/[\w.-]+)+/?", code):
            assert (ROOT / code).exists(), f"{name}: {code}"


@cache
def options_of(words: tuple[str, ...]) -> set[str] | None:
    """The options of `awf <words>`, None when there is no such command; words behind the command's are arguments."""
    if not words or words[0].startswith("-"):
        return {*(opt for parameter in awf.params for opt in parameter.opts), "--help"}
    if words[0] not in COMMANDS:
        return None
    import click

    lazy = AwfGroup().get_command(click.Context(awf), words[0])
    assert isinstance(lazy, LazyCommand)
    command = lazy.load()
    if len(words) > 1:
        command = getattr(command, "commands", {}).get(words[1], command)
    return {*(opt for parameter in command.params for opt in parameter.opts), "--help"}


def awf_calls(page: Page) -> list[str]:
    shown = [line.removeprefix("$ ") for block in page.blocks for line in block.text.splitlines()]
    calls = [part.strip() for text in [*CODE.findall(page.prose), *shown] for part in re.split(r"&&|\||;|&", text)]
    return [call for call in calls if re.match(r"awf [a-z-]", call)]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_and_option_that_a_page_names_exists(name: str) -> None:
    for call in awf_calls(read_page(name)):
        words = tuple(word for word in call.split()[1:] if re.fullmatch(r"[\w-]+", word))
        options = options_of(words[:2])
        assert options is not None, f"{name}: {call}"
        unknown = {found for found in re.findall(r"(?<=\s)(--?[a-z][\w-]*)", call) if found not in options}
        assert not unknown, f"{name}: {call}: {unknown}"


def keys(model: object, prefix: str) -> set[str]:
    found = set()
    for key, field in fields_by_key(model).items():  # type: ignore[arg-type]
        found.add(f"{prefix}.{key}")
        below = nested_model(field.annotation)
        if below is not None:
            found |= keys(below, f"{prefix}.{key}")
    return found


@cache
def known_keys() -> set[str]:
    backends = {"sqlite": SqliteSettings, "redis": RedisSettings, "rabbitmq": RabbitMqSettings, "sqs": SqsSettings}
    below = {key for name, model in backends.items() for key in keys(model, f"mq.{name}")}
    return keys(MqSettings, "mq") | below | {f"mq.{name}" for name in backends}


@pytest.mark.parametrize("name", PAGES)
def test_every_configuration_key_that_a_page_names_exists(name: str) -> None:
    known = known_keys()
    named = {code.partition(":")[0] for code in CODE.findall(read_page(name).prose) if re.match(r"mq\.[a-z]", code)}

    assert {key for key in named if key not in known and "<" not in key} == set()


@cache
def variables() -> set[str]:
    """Every AWF_ variable the code, the build and the examples mention, and those of keys and options."""
    files = [*(ROOT / "awf_core").rglob("*.py"), *(ROOT / "bench").rglob("*.py"), ROOT / "Makefile"]
    mentioned = {found for file in files for found in re.findall(r"AWF_[A-Z_]+[A-Z]", file.read_text(encoding="utf-8"))}
    of_keys = {"AWF_" + key.upper().replace(".", "_") for key in known_keys()}
    of_options = set(re.findall(r"AWF_[A-Z_]+[A-Z]", read_page("docs/reference/cli.md").text))
    return mentioned | of_keys | of_options


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_that_a_page_names_exists(name: str) -> None:
    assert set(re.findall(r"AWF_[A-Z_]+[A-Z]", read_page(name).text)) - variables() == set()


@pytest.mark.parametrize("name", PAGES)
def test_prose_has_no_empty_words_and_one_sentence_a_line(name: str) -> None:
    for number, line in enumerate(read_page(name).prose.splitlines(), 1):
        plain = CODE.sub("x", line)
        assert not EMPTY_WORDS.search(plain), f"{name}:{number}: {line}"
        if line and line[0] not in "|-#0123456789 " and not line.startswith("**"):
            assert not re.search(r"[.?!] +[A-Z]", plain), f"{name}:{number}: two sentences: {line}"


def test_every_page_of_the_documentation_is_listed() -> None:
    """Add a new page to docs/index.md, a new decision to docs/adr/README.md."""
    listed = {"docs/index.md"}
    for index in ("docs/index.md", "docs/adr/README.md"):
        targets = [target.partition("#")[0] for target in LINK.findall(read_page(index).prose)]
        listed |= {str((ROOT / index).parent.joinpath(target).resolve().relative_to(ROOT)) for target in targets}

    assert {name for name in PAGES if name.startswith("docs/")} - listed == set()
