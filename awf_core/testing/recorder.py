"""Collects what became of each case of a run, and writes the certificate at its end. A plugin of `pytest_plugin.py`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.testing.certificate import Certificate, Outcome, Verdict, as_json, as_markdown, versions_of

if TYPE_CHECKING:
    from awf_core.testing.kit import Kit


class Recorder:
    """One run's results."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._outcomes: dict[str, Outcome] = {}
        self._about: dict[str, Any] | None = None

    def note(self, kit: Kit) -> None:
        """Remember what is tested. Called with every kit; the first one counts."""
        if self._about is None:
            self._about = {"type": kit.target.type, "capabilities": asdict(kit.capabilities)}

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of a case's phases."""
        case_id = dict(report.user_properties).get("awf_case")
        if not isinstance(case_id, str):
            return
        before = self._outcomes.get(case_id)
        verdict: Verdict = "failed" if report.failed else "skipped" if report.skipped else "passed"
        if before is not None and (before.verdict != "passed" or verdict == "passed"):
            return
        self._outcomes[case_id] = Outcome(
            case=case_id,
            test=report.nodeid.rpartition("::")[2],
            verdict=verdict,
            reason=_reason(report),
        )

    def pytest_sessionfinish(self) -> None:
        """Write JSON and Markdown, where any case ran."""
        if self._about is None:
            return
        certificate = Certificate(
            type=self._about["type"],
            capabilities=self._about["capabilities"],
            versions=versions_of(self._about["type"]),
            date=datetime.now(UTC).date().isoformat(),
            outcomes=tuple(self._outcomes.values()),
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        stem = self._directory / f"conformance-{certificate.type}"
        stem.with_suffix(".json").write_text(as_json(certificate))
        stem.with_suffix(".md").write_text(as_markdown(certificate))


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return " ".join(str(getattr(crash, "message", report.longrepr)).split())[:300]
    return ""
