"""The kit as a test file of its own, for `awf plugins conformance`: the backend comes from the options."""

from __future__ import annotations

from awf_core.testing.conformance import MqConformance


class TestConformance(MqConformance):
    """Every case, with nothing pinned: what is skipped stands in the certificate."""

    skips = None
