"""The conformance kit: every guarantee a backend gives the worker, as a test whose name states it.

    class TestMine(MqConformance):
            skips = {}          # the cases that this backend skips, with their reasons

It needs the fixtures of `awf_core.testing.pytest_plugin`, and your fixture `mq_target`.
"""

from __future__ import annotations

from awf_core.testing.conformance.suite import MqConformance

__all__ = ["MqConformance"]
