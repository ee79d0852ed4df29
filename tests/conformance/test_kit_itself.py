"""What the kit reports: skipped cases, a missing backend, and conditions that don't hold in time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.conformance import MqConformance, suite
from awf_core.testing.conformance.suite import assert_skips
from awf_core.testing.eventually import eventually
from awf_core.testing.kit import Kit
from awf_core.testing.needs import cases_of
from awf_core.testing.process import LoggedProcess
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (
    'import sys, time; print(\'{"event": "ready", "number": 7}\', file=sys.stderr); print(\'plain\', file=sys.stderr)'
)


@pytest.fixture
def kit(tmp_path: Path):
    with Kit(MqTarget(type="sqlite", settings={"path": str(tmp_path / "q.db")}), tmp_path / "project") as made:
        yield made


def test_every_case_has_a_unique_id_and_its_docstring_begins_with_it():
    tests = [getattr(MqConformance, name) for name in dir(MqConformance) if name.startswith("test_")]
    cases = cases_of(MqConformance)

    assert len(cases) == len(tests) - 1
    for case in cases.values():
        assert (getattr(MqConformance, case.test).__doc__ or "").startswith(f"{case.id}: ")


def test_an_undeclared_skip_fails_with_the_list_to_declare(kit):
    with pytest.raises(AssertionError, match=r"declare:\s+skips = \{'A10b': 'no server: the broker is embedded'"):
        assert_skips(MqConformance, kit, {})


def test_a_declared_skip_that_does_not_happen_fails_too(kit):
    with pytest.raises(AssertionError, match="skips other cases than declared"):
        assert_skips(MqConformance, kit, {"A1": "no reason"})


def test_without_a_backend_the_kit_says_how_to_choose_one(tmp_path):
    command = (
        sys.executable,
        "-m",
        "pytest",
        suite.__file__,
        "-c",
        os.devnull,
        "-p",
        "awf_core.testing.pytest_plugin",
    )

    done = subprocess.run(
        [*command, "-k", "test_opening", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "no backend to test: define a fixture `mq_target`, or give --awf-type" in done.stdout


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"url": "redis://h.example"}, ("h.example", 6379)),
        ({"url": "amqps://u:p@h:1/x"}, ("h", 1)),
        ({"url": "sqlite:///var/q.db"}, None),
        ({"path": "q.db"}, None),
    ],
)
def test_a_broker_is_embedded_where_its_address_has_no_host(settings, address):
    assert MqTarget(type="x", settings=settings).address == address


def test_a_wrong_password_is_made_where_the_url_has_a_password():
    target = MqTarget(type="x", settings={"url": "redis://user:right@h:1/0", "prefix": "p"})

    assert target.refused_login == {"url": "redis://user:kit-wrong-password@h:1/0", "prefix": "p"}
    assert MqTarget(type="x", settings={"url": "redis://h:1"}).refused_login is None


def test_a_condition_that_never_holds_is_named_with_its_last_value():
    with pytest.raises(AssertionError, match=r"not within 0.05 s: an event; last value: 0"):
        eventually(lambda: 0, 0.05, what="an event")


@pytest.fixture
def process(tmp_path: Path):
    started = LoggedProcess([sys.executable, "-c", PROGRAM], directory=tmp_path, env=os.environ)
    yield started
    started.kill()


def test_a_process_that_ends_without_the_line_shows_its_log(process):
    line = process.await_line("ready", number=7)

    assert line == {"event": "ready", "number": 7}
    with pytest.raises(AssertionError, match=r"(?s)ended with 0 before 1 x never\n.*plain"):
        process.await_line("never")


def test_an_error_for_a_process_that_was_not_killed_has_its_exit_code(process):
    with pytest.raises(AssertionError, match="ended with 0, not by SIGKILL"):
        process.assert_killed()
