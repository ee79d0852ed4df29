"""The conformance kit: every guarantee a backend gives the worker, as a test named by the sentence it proves.

    class TestMine(MqConformance):
        skips = {}          # what the kit reports as skipped for this backend, by case and reason

Needs the fixtures of `awf_core.testing.pytest_plugin` and one of the author's, `mq_target`.
"""

from __future__ import annotations

from awf_core.testing.conformance.suite import MqConformance

__all__ = ["MqConformance"]
