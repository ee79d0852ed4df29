"""The lease keeper by itself: what it tells the runs it knows of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from awf_core.clock import SystemClock
from awf_core.config.load import load_config
from awf_core.contract import Delivery
from awf_core.extensions.deadline import Cancel
from awf_core.observe.throttle import Throttle
from awf_core.plugin.assemble import assemble
from awf_core.worker.lease import LeaseKeeper

if TYPE_CHECKING:
    from queue_project import Project


def test_a_run_that_begins_just_after_all_were_told_to_stop_is_told_too(project: Project) -> None:
    mq = assemble(load_config(cwd=project.directory, env=os.environ), worker="tester").mq
    leases = LeaseKeeper(mq, SystemClock(), Throttle(SystemClock()))
    early, late = Delivery(queue="q", body=b"", receipt=1), Delivery(queue="q", body=b"", receipt=2)
    cancel, late_cancel = Cancel(), Cancel()
    leases.take([early, late])
    leases.running(early, cancel, None)

    told = leases.cancel_all("stop")
    leases.running(late, late_cancel, None)

    assert told == 1
    assert (cancel.reason, late_cancel.reason) == ("stop", "stop")
