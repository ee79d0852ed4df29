"""What a backend has proved: a certificate as JSON for machines and Markdown for a README. Pure but for versions."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from awf_core.config.backend_names import BACKEND_GROUP
from awf_core.plugin.loader import entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Verdict = Literal["passed", "skipped", "failed"]

GROUPS = {
    "A": "Basics",
    "B": "Delivery",
    "C": "Retry and delay",
    "D": "Leases and crashes",
    "E": "Dead letters",
    "F": "Publish and reply",
    "G": "Outages",
    "H": "Hygiene",
    "W": "Worker",
}
MARKS: Mapping[Verdict, str] = {"passed": "pass", "skipped": "skip", "failed": "**FAIL**"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one case; `reason` says why it was skipped or how it failed."""

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
    """A run of the kit. `versions` maps what was involved to its version."""

    type: str
    date: str
    versions: Mapping[str, str]
    capabilities: Mapping[str, object]
    outcomes: Sequence[Outcome]

    @property
    def counts(self) -> dict[str, int]:
        """How many cases passed, were skipped, failed."""
        counted = Counter(outcome.verdict for outcome in self.outcomes)
        return {verdict: counted[verdict] for verdict in MARKS}


def versions_of(backend: str) -> dict[str, str]:
    """Versions of core, the backend's package, Python and the system."""
    package = next(((b.distribution, b.version) for b in entries(BACKEND_GROUP) if b.name == backend), None)
    return {
        "awf-core": version("awf-core"),
        **({package[0]: package[1]} if package else {}),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_json(certificate: Certificate) -> str:
    """The whole certificate, keys in a fixed order."""
    document = {
        "type": certificate.type,
        "date": certificate.date,
        "versions": dict(certificate.versions),
        "counts": certificate.counts,
        "capabilities": dict(certificate.capabilities),
        "cases": [{**asdict(outcome), "sentence": outcome.sentence} for outcome in certificate.outcomes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(certificate: Certificate) -> str:
    """The certificate for people: what was tested, the counts, a table per group."""
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
    for letter, title in GROUPS.items():
        lines += _group(title, [outcome for outcome in certificate.outcomes if outcome.case.startswith(letter)])
    return "\n".join(lines)


def _group(title: str, outcomes: Sequence[Outcome]) -> list[str]:
    if not outcomes:
        return []
    rows = [
        f"| {o.case} | {o.sentence} | {MARKS[o.verdict]}{': ' + o.reason.replace('|', '/') if o.reason else ''} |"
        for o in outcomes
    ]
    return [f"## {title}", "", "| case | what is proved | result |", "|---|---|---|", *rows, ""]
