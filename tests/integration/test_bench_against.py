"""Noise is measured and kept, a run is compared with an earlier one, and a page of it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import against
from bench.figure import Figure
from bench.guard import GUARDED, Guarded
from bench.guard import main as guard
from bench.noise import Noise, spread
from bench.page import write
from bench.report import Section, as_document, noise_line, table

ROOT = Path(__file__).parents[2]


def document(*figures: Figure, loop_s: tuple[float, ...] = (0.01, 0.01)) -> dict[str, Any]:
    return as_document({"python": "3"}, {"noop": Section(figures, Noise(list(loop_s)))}, {})


def rate(*rounds: float, name: str = "rate", is_awf: bool = True) -> Figure:
    return Figure(name=name, unit="/s", rounds=rounds, is_awf=is_awf)


def change(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [one.change for one in against.compare(before, now)]


def test_half_the_rate_is_slower_and_twice_the_rate_is_faster() -> None:
    assert change(document(rate(100.0, 100.0)), document(rate(50.0, 50.0))) == ["slower"]
    assert change(document(rate(100.0, 100.0)), document(rate(200.0, 200.0))) == ["faster"]


def test_half_the_rate_on_a_machine_of_half_the_speed_is_the_same() -> None:
    before = document(rate(100.0, 100.0))

    assert change(before, document(rate(50.0, 50.0), loop_s=(0.02, 0.02))) == ["same"]


def test_a_time_that_doubled_is_slower_though_its_figure_says_more_is_better() -> None:
    first, second = (Figure(name="its CPU", unit="s/1k", rounds=(used, used)) for used in (0.1, 0.2))

    assert change(document(first), document(second)) == ["slower"]


def test_a_change_within_the_noise_of_the_raw_loop_or_the_rounds_is_none() -> None:
    before = document(rate(100.0, 100.0))

    assert change(before, document(rate(60.0, 60.0), loop_s=(0.008, 0.01, 0.017))) == ["same"]
    assert change(before, document(rate(40.0, 60.0, 100.0))) == ["same"]


def test_a_slower_peer_or_machine_is_no_regression() -> None:
    before, now = (document(rate(per_s, per_s, is_awf=False)) for per_s in (100.0, 10.0))

    comparisons = against.compare(before, now)

    assert [one.change for one in comparisons] == ["slower"]
    assert against.regressions(comparisons) == []


def test_figures_of_one_name_below_different_ones_are_kept_apart() -> None:
    figures = [rate(1.0, name="a"), rate(2.0, name="  CPU"), rate(3.0, name="b"), rate(4.0, name="  CPU")]

    keys = [figure["key"] for figure in document(*figures)["figures"]]

    assert keys == ["noop: a", "noop: a / CPU", "noop: b", "noop: b / CPU"]


def test_noise_is_the_spread_of_the_raw_loop_and_marks_figures() -> None:
    noise = Noise()
    assert list(noise.rounds(2)) == [0, 1]
    assert len(noise.times_s) == 2
    assert all(one > 0 for one in noise.times_s)
    assert spread([1.0, 2.0, 4.0]) == pytest.approx(1.5)
    assert "noisy" in table([Figure(name="x", unit="s", rounds=(1.0,), noise=0.5)])
    assert "noisy" not in table([Figure(name="x", unit="s", rounds=(1.0,), noise=0.05)])
    assert "varied by 50% (noisy" in noise_line(Noise([1.0, 1.0, 1.5]))


@pytest.mark.parametrize(("text", "says"), [("{", "is no JSON"), ("[]", "has no `sections`"), (None, "can't be read")])
def test_a_file_of_something_else_is_refused_before_anything_is_measured(
    tmp_path: Path, text: str | None, says: str
) -> None:
    path = tmp_path / "earlier.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    ended = bench("--only", "soak", "--against", str(path))

    assert ended.returncode == 1
    assert says in ended.stderr


def test_a_run_writes_page_plots_and_figures_and_a_slower_one_ends_with_1(tmp_path: Path) -> None:
    out = tmp_path / "results"
    options = ("--only", "limits,startup", "--rounds", "2", "--messages", "100", "--seconds", "0.02")

    ended = bench(*options, "--out", str(out), "--dir", str(tmp_path))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    plots = sorted(out.glob("*.svg"))
    assert plots
    for plot in plots:
        assert f"src={plot.name}" in page
        assert ET.fromstring(plot.read_bytes()).tag.endswith("svg")
        assert b"<script" not in plot.read_bytes() or b"http" not in plot.read_bytes().split(b"<script")[1][:200]
    earlier = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert len(earlier["sections"]["limits"]["raw_loop_times_s"]) == 4, "before, each of two rounds, after"
    for figure in earlier["figures"]:
        figure["value"] /= 100
        figure["rounds"] = [figure["value"], figure["value"]]
    (tmp_path / "faster.json").write_text(json.dumps(earlier), encoding="utf-8")

    slower = bench(*options[:1], "startup", *options[2:], "--against", str(tmp_path / "faster.json"))

    assert slower.returncode == 1
    assert "slower" in slower.stdout
    assert "startup: awf --help" in slower.stdout


def test_a_plot_is_drawn_for_what_was_measured_at_several_sizes(tmp_path: Path) -> None:
    figure = Figure(name="claim", unit="exponent", rounds=(0.1,), points=((10.0, 1.0), (1e4, 2.0)), x_label="messages")

    write(tmp_path, document(figure))

    assert "log10 of messages" in (tmp_path / "noop-0.svg").read_text(encoding="utf-8")


def test_the_guard_ends_with_1_only_where_a_ratio_is_over_its_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = GUARDED[0]
    for limit, code, says in ((start.limit, 0, "ok"), (0.001, 1, "OVER")):
        monkeypatch.setattr("bench.guard.GUARDED", (Guarded(start.name, limit, start.measure),))

        assert guard(tmp_path) == code
        assert says in capsys.readouterr().out


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
