"""The benchmark runs, measures what it says, and says what is missing; its figures themselves are no test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.figure import BenchFailed, Figure, percentile, slope
from bench.memory import by_message
from bench.peers import figures, interpreter
from bench.report import table
from bench.worker import Sample, between

ROOT = Path(__file__).parents[2]


def run_bench(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def figures_by_name(path: Path) -> dict[str, dict[str, Any]]:
    return {figure["name"]: figure for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]}


def test_worker_sections_measure_real_workers_and_write_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    counts = ("--rounds", "1", "--messages", "40", "--seconds", "0.2")

    ended = run_bench(
        "--quick", "--only", "commands,startup,latency", *counts, "--json", str(out), "--dir", str(tmp_path)
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = figures_by_name(out)
    assert 0 < found["worker start to first message settled"]["value"] < 20
    assert found["commands through a worker, of the bare loop"]["aim"] == 0.9
    assert found["  worker's CPU, children included"]["value"] > 0
    assert found["submit to result, p50"]["value"] <= found["submit to result, p99"]["value"]
    assert "awf --help" in ended.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"], "queue files were left behind"


def test_limits_and_engine_are_measured_without_a_worker(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    counts = ("--rounds", "1", "--messages", "200", "--seconds", "0.02")

    ended = run_bench("--only", "limits,engine", *counts, "--json", str(out), "--dir", str(tmp_path))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    values = [figure["value"] for figure in figures_by_name(out).values()]
    assert len(values) == 14
    assert all(value > 0 for value in values)


def test_an_unknown_section_is_named_with_the_known_ones() -> None:
    ended = run_bench("--only", "noop,speed")

    assert ended.returncode == 1
    assert "no section speed; there are: limits, noop, commands" in ended.stderr


def test_peers_are_left_out_where_no_folder_is_named() -> None:
    ended = run_bench("--only", "peers", env={"AWF_BENCH_PEERS": ""})

    assert ended.returncode == 0
    assert "left out: AWF_BENCH_PEERS is not set" in ended.stdout


def test_peers_without_their_environment_are_a_failure_that_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("", encoding="utf-8")

    ended = run_bench("--only", "peers", env={"AWF_BENCH_PEERS": str(tmp_path), "BENCH_VENV": "/nowhere"})

    assert ended.returncode == 1
    assert "/nowhere/bin/python is not there: make a virtual environment" in ended.stdout
    assert "and set BENCH_VENV to it" in ended.stdout


def test_peers_folder_without_a_program_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match=r"there is no run\.py in it"):
        interpreter(tmp_path, {})


def test_peers_records_become_a_rate_and_a_cpu_figure_each() -> None:
    records = [
        {"kind": "throughput", "contestant": "huey", "rate": 2000.0, "cpu_s_per_1k": 0.2},
        {"kind": "throughput", "contestant": "huey", "rate": 3000.0, "cpu_s_per_1k": 0.4},
        {"kind": "spawn", "name": "xargs", "rate": 1.0},
        {"kind": "throughput", "contestant": "broken", "failed": "no redis"},
    ]

    rate, cpu = figures(records)

    assert (rate.name, rate.value, rate.rounds) == ("peer huey", 2500.0, (2000.0, 3000.0))
    assert cpu.value == pytest.approx(0.3)


def test_bench_says_miss_where_the_aim_was_missed_and_pass_where_it_was_met() -> None:
    rate = Figure(name="rate", unit="/s", rounds=(4000.0, 4999.0, 7000.0), aim=5000.0)
    start = Figure(name="start", unit="s", rounds=(0.5,), aim=0.5, better="less")
    limit = Figure(name="limit", unit="/s", rounds=(1.0,))

    shown = table([rate, start, limit]).splitlines()

    assert "≥ 5,000 /s  4,999 /s  miss  4,000..7,000 of 3" in shown[2]
    assert "≤ 0.5 s     0.5 s     pass" in shown[3]
    assert limit.verdict == ""


def test_cpu_of_a_window_is_interpolated_between_samples() -> None:
    samples = [
        Sample(at_s=at_s, cpu_s=cpu_s, rss_mb=1.0, peak_rss_mb=1.0, machine_cpu_s=0.0)
        for at_s, cpu_s in ((10.0, 1.0), (12.0, 2.0), (14.0, 4.0))
    ]

    used_s = between(samples, 11.0, 13.0, lambda sample: sample.cpu_s)

    assert used_s == pytest.approx(1.5)
    assert between(samples, 0.0, 99.0, lambda sample: sample.cpu_s) == pytest.approx(3.0)


def test_memory_is_reported_per_settled_message_and_only_while_there_are_any() -> None:
    samples = [
        Sample(at_s=at_s, cpu_s=0.0, rss_mb=rss_mb, peak_rss_mb=rss_mb, machine_cpu_s=0.0)
        for at_s, rss_mb in ((0.5, 40.0), (1.0, 50.0), (2.5, 51.0), (9.0, 51.0))
    ]

    points = by_message(samples, settled_at_s=[1.0, 2.0, 3.0])

    assert points == [(1.0, 50.0), (2.0, 51.0)]
    assert slope(points) == pytest.approx(1.0)
    assert slope(points[:1]) == 0.0


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.99, 4.0), (0.0, 1.0), (1.0, 4.0)])
def test_percentile_is_the_least_value_that_covers_the_share(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected
