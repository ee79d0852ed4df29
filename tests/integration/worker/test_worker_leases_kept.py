"""The lease keeper by itself: how it cancels runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from awf_core.clock import SystemClock
from awf_core.config.load import load_config
from awf_core.contract import Delivery
from awf_core.extensions.deadline import Cancel
from awf_core.observe.throttle import Throttle
from awf_core.plugin.assemble import assemble
from awf_core.worker.lease_renewal import LeaseKeeper

if TYPE_CHECKING:
    from queue_project import Project


def test_a_run_that_begins_just_after_all_were_cancelled_is_cancelled_too(project: Project) -> None:
    mq = assemble(load_config(cwd=project.directory, env=os.environ), worker="tester").mq
    leases = LeaseKeeper(mq, SystemClock(), Throttle(SystemClock()))
    early, late = Delivery(queue="q", body=b"", receipt=1), Delivery(queue="q", body=b"", receipt=2)
    cancel, late_cancel = Cancel(), Cancel()
    leases.take([early, late])
    leases.running(early, cancel, None)

    running = leases.cancel_all("stop")
    leases.running(late, late_cancel, None)

    assert running == 1
    assert (cancel.reason, late_cancel.reason) == ("stop", "stop")
