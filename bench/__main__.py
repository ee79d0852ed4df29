"""The command: `python -m bench [--quick] [--only NAME,...] [--json FILE] [--out DIR] [--against FILE]`, or `--guard`.

Measures, one section after the other, and prints every figure beside its aim and the machine's own limits.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import against, guard, machine, page, plan, report
from bench.figure import BenchFailed
from bench.noise import Noise

if TYPE_CHECKING:
    from collections.abc import Sequence

SECTIONS = {
    "limits": "what the machine itself can do: SQLite, fsync, JSON, threads",
    "noop": "no-op messages a second through one worker",
    "commands": '`command: "true"` beside a bare loop that spawns the same shell',
    "startup": "worker start to first message settled; `awf --help`",
    "idle": "CPU of a worker with nothing to do",
    "memory": "resident memory and its slope",
    "latency": "submit to result through a warm worker",
    "engine": "the engine alone, in this process",
    "redis_worker": "no-op messages and latency on a Redis of its own, peers in the same rounds",
    "rabbitmq_worker": "no-op messages and latency on a RabbitMQ of its own, peers in the same rounds",
    "sqs_worker": "no-op messages and requests a message on SQS (moto), a plain boto3 loop in the same rounds",
    "growth": "cost by backlog, dead-lettered and delayed messages, body size, loop items, processes",
    "modules": "resident memory of what a worker imports, by package",
    "peers": "other workers, from the folder in AWF_BENCH_PEERS",
    "soak": "memory over many messages; only when asked for",
}
ONLY_WHEN_ASKED = ("soak",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for. A missed aim is no failure.

    0, or 1: a section could not be measured, something became slower than in `--against` beyond noise, or `--guard`
    found a figure over its limit.
    """
    options = _parser().parse_args(arguments)
    parent = Path(options.dir or tempfile.gettempdir()).resolve()
    chosen = options.only.split(",") if options.only else [s for s in SECTIONS if s not in ONLY_WHEN_ASKED]
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        sys.exit(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    if options.guard:
        return guard.main(parent)
    earlier = _earlier(options.against)
    about = machine.facts(parent)
    for name, fact in about.items():
        print(f"{name:15} {fact}")
    sections, failures = _run(chosen, _plan(options, parent))
    print(f"\nload average after: {machine.load()}")
    document = report.as_document(about, sections, failures)
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.out:
        print(f"page: {page.write(Path(options.out), document)}")
    is_slower = earlier is not None and _say_changes(earlier, document)
    return 1 if failures or is_slower else 0


def _earlier(file: str | None) -> dict[str, Any] | None:
    """The run to compare with, read before anything is measured."""
    if file is None:
        return None
    try:
        return against.read(Path(file))
    except against.NotComparable as exc:
        sys.exit(f"--against: {exc}")


def _say_changes(earlier: dict[str, Any], document: dict[str, Any]) -> bool:
    """Print what changed; True where something of awf became slower beyond noise."""
    comparisons = against.compare(earlier, document)
    slower = against.regressions(comparisons)
    print(f"\nagainst the earlier run (above 1 × is worse):\n{against.text(comparisons)}")
    print(f"slower beyond noise: {len(slower)} of {len(comparisons)}")
    return bool(slower)


def _run(chosen: Sequence[str], how: plan.Plan) -> tuple[dict[str, report.Section], dict[str, str]]:
    sections: dict[str, report.Section] = {}
    failures: dict[str, str] = {}
    for name in chosen:
        print(f"\n{name}: {SECTIONS[name]}", flush=True)
        try:
            noise = Noise()
            noise.sample()
            measured = importlib.import_module(f"bench.{name}").measure(replace(how, noise=noise))
            noise.sample()
        except BenchFailed as exc:
            failures[name] = str(exc)
            print(f"could not be measured: {exc}", flush=True)
            continue
        figures = [replace(figure, noise=noise.spread) for figure in measured]
        sections[name] = report.Section(figures, noise)
        print(f"{report.table(figures)}\n{report.noise_line(noise)}", flush=True)
    return sections, failures


def _plan(options: argparse.Namespace, parent: Path) -> plan.Plan:
    how = plan.quick(parent) if options.quick else plan.full(parent)
    if options.rounds:
        how = replace(how, rounds=options.rounds, starts=options.rounds, repeats=options.rounds)
    if options.messages:
        count = options.messages
        how = replace(how, messages=count, commands=count, memory_messages=count, soak_messages=count)
    if options.seconds:
        how = replace(how, idle_s=options.seconds, latency_s=options.seconds, limit_s=options.seconds)
    return how


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure awf beside the machine's own limits.",
        epilog="sections: " + "; ".join(f"{name} = {what}" for name, what in SECTIONS.items()),
    )
    parser.add_argument("--quick", action="store_true", help="fewer messages, one round")
    parser.add_argument("--only", metavar="NAME,...", help="these sections, comma-separated")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--out", metavar="DIR", help="write a page with plots and the figures (figures.json) there")
    parser.add_argument("--against", metavar="FILE", help="compare with the JSON of an earlier run; 1 if slower")
    parser.add_argument("--guard", action="store_true", help="only four ratios with limits; 1 where one is over it")
    parser.add_argument("--dir", help="where queue files go (default: the temporary directory)")
    parser.add_argument("--rounds", type=int, help="interleaved rounds of each measurement")
    parser.add_argument("--messages", type=int, help="messages of each run, instead of the section's own number")
    parser.add_argument("--seconds", type=float, help="length of what is measured over a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
