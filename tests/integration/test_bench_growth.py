"""The exponent of a series, and what claims cost beside a real backlog and real dead-lettered and delayed messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.growth import backlog, beside, dead_letter_all, delay_all, exponent, kind, loops, series, sizes
from bench.modules import measure as modules
from bench.plan import Plan
from bench.project import Project


@pytest.mark.parametrize(("power", "expected"), [(0, "flat"), (1, "linear"), (2, "worse")])
def test_the_exponent_is_the_power_by_which_the_cost_grows(power: int, expected: str) -> None:
    points = [(float(size), 3.0 * size**power) for size in (10, 100, 1000)]

    assert exponent(points) == pytest.approx(power)
    assert kind(exponent(points)) == expected


def test_a_fixed_cost_at_small_sizes_hides_no_growth_at_large_ones() -> None:
    points = [(size, 1000.0 + size**2) for size in (1.0, 10.0, 1e3, 1e4)]

    assert kind(exponent(points)) == "worse"
    assert series("x", points, x_label="n", unit="s", aim=1.15)[0].verdict == "miss"


def test_sizes_are_powers_of_ten_up_to_the_largest() -> None:
    assert sizes(1000, 50_000) == [1000, 10_000]
    assert sizes(10, 1) == [10]


def test_claims_are_measured_beside_real_messages(tmp_path: Path) -> None:
    plan = Plan(directory=tmp_path, largest=10_000, repeats=1)

    ratio, growth, *of_sizes = backlog(plan, "embedded", Project)
    for what, put_away in (("dead-lettered", dead_letter_all), ("delayed", delay_all)):
        (claim,) = beside(plan, "embedded", Project, what, put_away)
        assert claim.value > 0

    assert ratio.value > 0
    assert [size for size, _ in growth.points] == [1000, 10_000]
    assert [figure.value for figure in of_sizes] == [cost for _, cost in growth.points]
    assert len(plan.noise.times_s) > 4
    assert list(tmp_path.iterdir()) == []


def test_a_loop_is_measured_at_each_number_of_items(tmp_path: Path) -> None:
    growth, *of_sizes = loops(Plan(directory=tmp_path, repeats=1))

    assert len(of_sizes) == 4
    assert growth.value > 0


def test_the_memory_of_what_a_worker_imports_is_listed_by_package(tmp_path: Path) -> None:
    bare, whole, *packages = modules(Plan(directory=tmp_path))

    assert bare.value < whole.value < 200
    assert "awf_core" in {figure.name.strip() for figure in packages}
    assert sum(figure.value for figure in packages) <= whole.value
