"""All cases in one class, and the check of what a backend skips. Backends' tests subclass it.

`awf plugins conformance` runs this file: the backend then comes from the options.
"""

from __future__ import annotations

from pprint import pformat
from typing import TYPE_CHECKING, ClassVar

from awf_core.testing.conformance.basics import Basics
from awf_core.testing.conformance.dead_letters import DeadLetters
from awf_core.testing.conformance.delivery import DeliveryCases
from awf_core.testing.conformance.hygiene import Hygiene
from awf_core.testing.conformance.in_hand import InHandCases
from awf_core.testing.conformance.leases import Leases
from awf_core.testing.conformance.limits import Limits
from awf_core.testing.conformance.outages import Outages
from awf_core.testing.conformance.replies import Replies
from awf_core.testing.conformance.retry import Retry
from awf_core.testing.conformance.worker import WorkerCases
from awf_core.testing.needs import skipped_cases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.testing.kit import Kit


# In reverse: pytest runs the methods of the last base first.
class MqConformance(
    WorkerCases,
    Hygiene,
    Outages,
    Limits,
    Replies,
    DeadLetters,
    InHandCases,
    Leases,
    Retry,
    DeliveryCases,
    Basics,
):
    """The whole kit. `skips`: case id -> reason, for exactly the cases that the backend skips; None = no check."""

    skips: ClassVar[Mapping[str, str] | None] = {}

    def test_exactly_the_declared_cases_are_skipped(self, kit: Kit) -> None:
        """Fails when a case is skipped that isn't declared, for example because the broker is broken."""
        assert_skips(type(self), kit, type(self).skips)


class TestConformance(MqConformance):
    """Every case, for `awf plugins conformance`. The certificate lists what is skipped."""

    skips = None


def assert_skips(suite: type, kit: Kit, declared: Mapping[str, str] | None) -> None:
    """Check that `suite` skips exactly the declared cases for this backend; None = no check."""
    if declared is None:
        return
    skipped = skipped_cases(suite, kit)
    assert skipped == dict(declared), (
        f"this backend skips other cases than declared; declare:\nskips = {pformat(skipped)}"
    )
