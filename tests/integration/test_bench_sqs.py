"""The section on SQS runs a real worker and a plain loop on one server each, and counts their requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.brokers import moto_program
from bench.figure import BenchFailed
from bench.plan import Plan
from bench.sqs_worker import SqsProject, measure

if TYPE_CHECKING:
    from pathlib import Path

needs_moto = pytest.mark.skipif(
    moto_program() is None and not os.environ.get("CI"),
    reason="moto_server is not installed: pip install 'moto[server]'",
)


@needs_moto
def test_a_worker_is_measured_beside_the_loop_and_their_requests_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.sqs_worker.CONCURRENCY", (10,))

    figures = measure(Plan(directory=tmp_path, rounds=1, messages=2_000))

    rates, requests = ([figure.value for figure in figures if figure.unit == unit] for unit in ("/s", "/message"))
    assert len(rates) == 2
    assert min(rates) > 0
    loop, worker = requests
    assert loop == pytest.approx(0.3)
    # Three requests for ten messages, and a few for batches that were not full and for the last poll.
    assert 0.3 <= worker < 1
    (ratio,) = [figure.value for figure in figures if figure.unit == "×"]
    assert ratio == pytest.approx(rates[1] / rates[0])
    assert list(tmp_path.iterdir()) == [], "the project was left behind"


@needs_moto
def test_a_run_in_which_messages_did_not_complete_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with SqsProject(tmp_path) as project:
        project.fill(3)

        with pytest.raises(BenchFailed, match=r"expected 3 completed results, found 0 .* 3 left in 'awf-workflows'"):
            project.check_all_completed(3)
