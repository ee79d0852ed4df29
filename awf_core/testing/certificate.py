"""The certificate of a run of the kit: recorded while pytest runs, written as JSON and as Markdown at its end."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from awf_core.config.backend_names import BACKEND_GROUP
from awf_core.plugin.loader import entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.testing.kit import Kit

Verdict = Literal["passed", "skipped", "failed"]

GROUPS = {
    "A": "Basics",
    "B": "Delivery",
    "C": "Retry and delay",
    "D": "Leases and crashes",
    "E": "Dead-lettering",
    "F": "Publish and reply",
    "G": "Outages",
    "H": "Hygiene",
    "W": "Worker",
}
MARKS: Mapping[Verdict, str] = {"passed": "pass", "skipped": "skip", "failed": "**FAIL**"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one case; `reason` says why it was skipped or how it failed."""

    case: str
    test: str
    verdict: Verdict
    reason: str = ""

    @property
    def sentence(self) -> str:
        """The rule that the test's name states."""
        return self.test.removeprefix("test_").partition("[")[0].replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A run of the kit. `versions` maps packages, Python and the system to their versions."""

    type: str
    date: str
    versions: Mapping[str, str]
    capabilities: Mapping[str, object]
    outcomes: Sequence[Outcome]
    notes: Sequence[str] = ()

    @property
    def counts(self) -> dict[str, int]:
        """The number of cases by verdict."""
        counted = Counter(outcome.verdict for outcome in self.outcomes)
        return {verdict: counted[verdict] for verdict in MARKS}


class Recorder:
    """The pytest plugin that records the result of each case of a run."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._outcomes: dict[str, Outcome] = {}
        self._about: dict[str, Any] | None = None

    def describe(self, kit: Kit) -> None:
        """Store the backend's type, capabilities and notes. Only the first call has an effect."""
        if self._about is None:
            self._about = {"type": kit.target.type, "capabilities": asdict(kit.capabilities), "notes": kit.target.notes}

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the worst verdict of a case's phases."""
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
        """Write JSON and Markdown, unless no case ran."""
        if self._about is None:
            return
        certificate = Certificate(
            type=self._about["type"],
            capabilities=self._about["capabilities"],
            versions=versions_of(self._about["type"]),
            date=datetime.now(UTC).date().isoformat(),
            outcomes=tuple(self._outcomes.values()),
            notes=self._about["notes"],
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        stem = self._directory / f"conformance-{certificate.type}"
        stem.with_suffix(".json").write_text(as_json(certificate))
        stem.with_suffix(".md").write_text(as_markdown(certificate))


def versions_of(backend: str) -> dict[str, str]:
    """The versions of the core, the backend's package, Python and the system."""
    package = next(((b.distribution, b.version) for b in entries(BACKEND_GROUP) if b.name == backend), None)
    return {
        "awf-core": version("awf-core"),
        **({package[0]: package[1]} if package else {}),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_json(certificate: Certificate) -> str:
    """The certificate for machines, keys in a fixed order."""
    document = {
        "type": certificate.type,
        "date": certificate.date,
        "versions": dict(certificate.versions),
        "counts": certificate.counts,
        "capabilities": dict(certificate.capabilities),
        **({"notes": list(certificate.notes)} if certificate.notes else {}),
        "cases": [{**asdict(outcome), "sentence": outcome.sentence} for outcome in certificate.outcomes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(certificate: Certificate) -> str:
    """The certificate for people: versions, counts, a table per group."""
    counts = certificate.counts
    versions = ", ".join(f"{name} {number}" for name, number in certificate.versions.items())
    counted = f"{counts['passed']} passed, {counts['skipped']} skipped, {counts['failed']} failed"
    lines = [
        f"# Conformance of `mq.type: {certificate.type}`",
        "",
        f"{counted}; {certificate.date}; {versions}.",
        "",
        "Capabilities: " + ", ".join(f"`{name}={value}`" for name, value in certificate.capabilities.items()) + ".",
        "",
    ]
    if certificate.notes:
        lines += [*(f"- {note}" for note in certificate.notes), ""]
    for group, title in GROUPS.items():
        lines += _group(title, [outcome for outcome in certificate.outcomes if outcome.case.startswith(group)])
    return "\n".join(lines)


def _group(title: str, outcomes: Sequence[Outcome]) -> list[str]:
    if not outcomes:
        return []
    rows = [
        f"| {o.case} | {o.sentence} | {MARKS[o.verdict]}{': ' + o.reason.replace('|', '/') if o.reason else ''} |"
        for o in outcomes
    ]
    return [f"## {title}", "", "| case | what is proved | result |", "|---|---|---|", *rows, ""]


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return " ".join(str(getattr(crash, "message", report.longrepr)).split())[:300]
    return ""
