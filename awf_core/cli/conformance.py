"""`awf plugins conformance`: run the conformance kit against a backend and write a certificate."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rich_click as click

from awf_core.cli.options import format_option
from awf_core.cli.output import note, print_json, print_text
from awf_core.errors import ConfigError, UsageError

PYTEST_FAILED = 1
NOT_CONFORMING = 1


@click.command("conformance", context_settings={"show_default": True})
@click.argument("backend", metavar="TYPE")
@click.option("--url", help="Address of the broker (the backend's `url` setting).")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another setting of the backend; repeatable."
)
@click.option("--restart-cmd", help="Command that restarts the broker and returns when the broker answers again.")
@click.option(
    "--lease", type=click.FloatRange(min=0.1), default=1.0, help="Lease for the cases that let one expire, in seconds."
)
@click.option(
    "--scale", type=click.FloatRange(min=0.1), default=1.0, help="Factor for the number of messages in heavy cases."
)
@click.option("--out", default=".", help="Directory for the certificate.")
@format_option
def conformance_command(
    *,
    backend: str,
    url: str | None,
    settings: tuple[str, ...],
    restart_cmd: str | None,
    lease: float,
    scale: float,
    out: str,
    output_format: str,
) -> int:
    """Run the conformance kit on the backend TYPE and write a certificate, JSON and Markdown.

    The kit uses queue names of its own, and restarts the broker only with --restart-cmd.
    The exit code is 0 if no case failed, else 1.
    """
    from awf_core.plugin.loader import load_backend

    load_backend(backend)
    if find_spec("pytest") is None:
        raise ConfigError(
            "the conformance kit needs pytest, which is not installed", hint="pip install 'awf-core[testing]'"
        )
    wrong = [item for item in settings if "=" not in item]
    if wrong:
        raise UsageError(f"--set {wrong[0]!r} is not KEY=VALUE", hint="for example --set path=/tmp/queue.db")
    given = {"--awf-url": url, "--awf-restart-cmd": restart_cmd, "--awf-lease": str(lease), "--awf-scale": str(scale)}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    options += [f"--awf-set={item}" for item in settings]
    directory = Path(out).absolute()
    code = _run_pytest([f"--awf-type={backend}", f"--awf-certificate={directory}", *options])
    return _report(directory / f"conformance-{backend}.json", code, output_format)


def _run_pytest(options: Sequence[str]) -> int:
    """Run the kit in its own process, with output on stderr and without the pytest settings of this directory."""
    from awf_core.testing import __file__ as here

    suite = Path(here).parent / "conformance" / "suite.py"
    with tempfile.TemporaryDirectory(prefix="awf-kit-") as scratch:
        settings = Path(scratch) / "pytest.ini"
        settings.write_text("[pytest]\n")
        command = (
            sys.executable, "-m", "pytest", str(suite), "-c", str(settings), f"--rootdir={scratch}", "--no-header",
            "-p", "awf_core.testing.pytest_plugin", "-p", "no:cacheprovider", "--import-mode=importlib",
            f"--basetemp={Path(scratch) / 'tmp'}", "--tb=short", "-q", *options,
        )  # fmt: skip
        return subprocess.run(command, stdout=sys.stderr, check=False).returncode


def _report(certificate: Path, pytest_code: int, output_format: str) -> int:
    if pytest_code > PYTEST_FAILED or not certificate.exists():
        raise ConfigError(f"the kit could not run (pytest ended with {pytest_code})", hint="see its output above")
    document: dict[str, Any] = json.loads(certificate.read_text())
    counts = document["counts"]
    if output_format == "json":
        print_json(document)
    else:
        print_text(f"{counts['passed']} passed, {counts['skipped']} skipped, {counts['failed']} failed")
    note(f"certificate: {certificate} and {certificate.with_suffix('.md').name}")
    return NOT_CONFORMING if counts["failed"] or pytest_code else 0
