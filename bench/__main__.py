"""The command: `python -m bench [--quick] [--only NAME,...] [--json FILE]`.

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
from typing import TYPE_CHECKING

from bench import machine, plan, report
from bench.figure import BenchFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figure import Figure

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
    "peers": "other workers, from the folder in AWF_BENCH_PEERS",
    "soak": "memory over many messages; only when asked for",
}
ONLY_WHEN_ASKED = ("soak",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0, or 1 when a section could not be measured. A missed aim is no failure."""
    options = _parser().parse_args(arguments)
    parent = Path(options.dir or tempfile.gettempdir()).resolve()
    chosen = options.only.split(",") if options.only else [s for s in SECTIONS if s not in ONLY_WHEN_ASKED]
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        sys.exit(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    about = machine.facts(parent)
    for name, fact in about.items():
        print(f"{name:15} {fact}")
    figures, failures = _run(chosen, _plan(options, parent))
    print(f"\nload average after: {machine.load()}")
    if options.json:
        document = report.as_document(about, figures, failures)
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if failures else 0


def _run(chosen: Sequence[str], how: plan.Plan) -> tuple[list[Figure], dict[str, str]]:
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    for name in chosen:
        print(f"\n{name}: {SECTIONS[name]}", flush=True)
        try:
            measured = importlib.import_module(f"bench.{name}").measure(how)
        except BenchFailed as exc:
            failures[name] = str(exc)
            print(f"could not be measured: {exc}", flush=True)
            continue
        figures += measured
        print(report.table(measured), flush=True)
    return figures, failures


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
    parser.add_argument("--dir", help="where queue files go (default: the temporary directory)")
    parser.add_argument("--rounds", type=int, help="interleaved rounds of each measurement")
    parser.add_argument("--messages", type=int, help="messages of each run, instead of the section's own number")
    parser.add_argument("--seconds", type=float, help="length of what is measured over a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
