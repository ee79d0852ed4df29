"""`awf plugins conformance` runs the kit, writes the certificate, and says why it can't run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import memory_backend
import pytest

from awf_core.cli import conformance
from awf_core.cli.conformance import conformance_command
from awf_core.errors import ConfigError, UsageError
from awf_core.testing.certificate import Certificate, Outcome, as_json, as_markdown

SUPPORT = Path(memory_backend.__file__).parent
TWO_CASES = '-k "test_a_body_is_delivered_byte or test_a_receipt_that_the_backend"'


def conform(site: Path, out: Path, *options: str, limit_s: float | None = None) -> subprocess.CompletedProcess[str]:
    """The command on the memory backend, with two of the cases."""
    command = (sys.executable, "-c", "from awf_core.cli.main import main; main()", "plugins", "conformance", "memory")
    addopts = TWO_CASES if limit_s is None else f"{TWO_CASES} --awf-case-limit={limit_s}"
    env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{SUPPORT}", "PYTEST_ADDOPTS": addopts}
    return subprocess.run(
        [*command, "--out", str(out), *options], env=env, cwd=out, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def site(memory_backend: None, tmp_path: Path) -> Path:
    return tmp_path / "site"


def test_a_backend_that_conforms_gets_a_certificate(site, tmp_path):
    done = conform(site, tmp_path)

    assert (done.returncode, done.stdout) == (0, "2 passed, 0 skipped, 0 failed\n"), done.stderr
    document = json.loads((tmp_path / "conformance-memory.json").read_text())
    assert [case["case"] for case in document["cases"]] == ["A6", "B9"]
    assert document["versions"]["awf-mq-memory"] == "1.0"
    assert document["capabilities"]["atomic_settle"] is True
    assert "| A6 | a body is delivered byte for byte | pass |" in (tmp_path / "conformance-memory.md").read_text()


def test_a_failed_case_is_in_the_certificate_and_the_exit_code_is_1(site, tmp_path):
    done = conform(site, tmp_path, "--set", "faults=accept_forged_receipts", "--format", "json")

    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["counts"] == {"passed": 1, "skipped": 0, "failed": 1}
    failed = next(case for case in document["cases"] if case["verdict"] == "failed")
    assert failed["case"] == "B9"
    assert "LeaseLost" in failed["reason"]
    assert "**FAIL**" in (tmp_path / "conformance-memory.md").read_text()


def test_a_refused_setting_ends_the_command_with_its_reason(site, tmp_path):
    done = conform(site, tmp_path, "--set", "faults=no_such")

    assert done.returncode == 2
    assert done.stderr.count("no such fault: no_such") == 1
    assert "can't use this backend" in done.stderr
    assert "the kit could not run" in done.stderr


def test_a_case_that_takes_too_long_is_named_and_ends_the_run(site, tmp_path):
    done = conform(site, tmp_path, "--set", "faults=hang", limit_s=1.0)

    assert done.returncode == 1
    reasons = [case["reason"] for case in json.loads((tmp_path / "conformance-memory.json").read_text())["cases"]]
    assert len(reasons) == 2
    assert "case A6, test_a_body_is_delivered_byte_for_byte: no end after 1 s" in reasons[0]
    assert "did not return: awf_mq_publish of memory_backend" in reasons[0]


def call(*arguments: str) -> None:
    conformance_command.main(["sqlite", *arguments], standalone_mode=False)


def test_without_pytest_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(conformance, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match="needs pytest, which is not installed") as caught:
        call()

    assert caught.value.hint == "pip install 'awf-core[testing]'"


def test_a_setting_without_a_value_is_refused():
    with pytest.raises(UsageError, match="--set 'path' is not KEY=VALUE"):
        call("--set", "path")


def test_an_unknown_backend_is_refused_before_anything_runs():
    with pytest.raises(ConfigError, match="no such backend is installed"):
        conformance_command.main(["nonesuch"], standalone_mode=False)


def test_a_certificate_has_the_same_content_as_markdown_and_as_json():
    outcomes = (
        Outcome(case="A1", test="test_opening_works", verdict="passed"),
        Outcome(case="G1", test="test_a_restart_is_survived", verdict="skipped", reason="no server | embedded"),
    )
    certificate = Certificate(
        type="mine", date="2026-01-02", versions={"awf-core": "1.0"}, capabilities={"lease_s": 60.0}, outcomes=outcomes
    )

    text, document = as_markdown(certificate), json.loads(as_json(certificate))

    assert "1 passed, 1 skipped, 0 failed; 2026-01-02; awf-core 1.0." in text
    assert "| G1 | a restart is survived | skip: no server / embedded |" in text
    assert "`lease_s=60.0`" in text
    assert document["counts"] == {"passed": 1, "skipped": 1, "failed": 0}
