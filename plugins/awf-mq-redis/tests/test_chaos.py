"""The chaos round of `make chaos`, scaled down: workers and the server killed at random, every message counted."""

from __future__ import annotations

import os

import pytest

from awf_core.testing.brokers import redis_program
from bench.chaos_redis import run


@pytest.mark.skipif(
    redis_program() is None and not os.environ.get("CI"), reason="no redis-server or valkey-server is installed"
)
def test_every_message_has_one_result_though_workers_and_the_server_are_killed(tmp_path):
    report = run(tmp_path, messages=400, workers=3, kills=5, server_kills=2, lease_s=1.0, seed=7, limit_s=60)

    assert report.is_good, report
    assert (report.kills, report.server_kills) == (5, 2)
    assert report.runs >= report.messages
