"""The names of log events: `<subject>.<what happened>`. Operators grep and alert on them, so a name never changes.

Every log line carries one of these as `event`; what varies is in its fields.
A test compares the documentation with `MEANING`.
"""

from __future__ import annotations

from typing import Final

WORKER_STARTED: Final = "worker.started"
WORKER_READY: Final = "worker.ready"
WORKER_DRAINING: Final = "worker.draining"
WORKER_FORCED: Final = "worker.forced"
WORKER_STOPPED: Final = "worker.stopped"
MESSAGE_CLAIMED: Final = "message.claimed"
RUN_FINISHED: Final = "run.finished"
MESSAGE_SETTLED: Final = "message.settled"
MESSAGE_REJECTED: Final = "message.rejected"
MESSAGE_DISCARDED: Final = "message.discarded"
MESSAGE_REBOUND: Final = "message.rebound"
REPLY_UNDELIVERABLE: Final = "reply.undeliverable"
RESULT_SUPPRESSED: Final = "result.suppressed"
SETTLE_RETRIED: Final = "settle.retried"
SETTLE_REFUSED: Final = "settle.refused"
SETTLE_BACKLOG: Final = "settle.backlog"
LEASE_LOST: Final = "lease.lost"
BROKER_UNAVAILABLE: Final = "broker.unavailable"
BROKER_BLOCKED: Final = "broker.blocked"
BROKER_RECOVERED: Final = "broker.recovered"
WORKFLOW_LOG: Final = "workflow.log"
STEP_STARTED: Final = "step.started"
STEP_FINISHED: Final = "step.finished"
WORKFLOW_LAST_GOOD: Final = "workflow.last_good"
RECORDS_INCOMPLETE: Final = "records.incomplete"
PLUGIN_FAILED: Final = "plugin.failed"
CONFIG_WARNING: Final = "config.warning"
INTERNAL_ERROR: Final = "internal.error"
LIBRARY: Final = "library"

MEANING: Final[dict[str, str]] = {
    WORKER_STARTED: "the process is up: version, backend, queues, concurrency, limits",
    WORKER_READY: "the broker has answered the first consume call; written once",
    WORKER_DRAINING: "no more messages are claimed; running workflows may finish, and their age is logged",
    WORKER_FORCED: "the grace is over, or a second signal came: what runs is stopped, and its message released",
    WORKER_STOPPED: "the last line: exit code, and how many messages ended in which way",
    MESSAGE_CLAIMED: "a message was claimed: id, workflow, attempt, deliveries",
    RUN_FINISHED: "a workflow ended: status, exit code, duration",
    MESSAGE_SETTLED: "a message was acked, nacked with a delay, released, or dead-lettered with a reason; "
    "a warning where it was dead-lettered, discarded, lost or deferred",
    MESSAGE_REJECTED: "a message that can't run: malformed, unknown workflow, invalid inputs",
    MESSAGE_DISCARDED: "a message that would be dead-lettered, while dead-lettering is off",
    MESSAGE_REBOUND: "a message that is in hand was delivered again; its run goes on with the new delivery",
    REPLY_UNDELIVERABLE: "`reply_to` leads nowhere; the result went to the undeliverable queue",
    RESULT_SUPPRESSED: "a result was dropped because the lease of its message was lost",
    SETTLE_RETRIED: "the broker did not accept a settlement; the worker retries it while the lease holds",
    SETTLE_REFUSED: "the broker refused a settlement for good; `instead` says what the worker tries next",
    SETTLE_BACKLOG: "as many messages are unsettled as `mq.max_unsettled` allows: the worker claims no more for now",
    LEASE_LOST: "the lease of a message ended and the message did not come back; `mq.on_lease_lost` decides on its run",
    BROKER_UNAVAILABLE: "the broker can't be reached; the worker retries with backoff",
    BROKER_BLOCKED: "the broker accepts no more messages for now",
    BROKER_RECOVERED: "the broker answers again",
    WORKFLOW_LOG: "a line that a workflow's own `log:` hook writes",
    WORKFLOW_LAST_GOOD: "a workflow can't be loaded; its last good version runs (`mq.reload: last_good`)",
    STEP_STARTED: "a state begins (debug)",
    STEP_FINISHED: "a state ended (debug)",
    RECORDS_INCOMPLETE: "a state file, the history, the audit log or a transcript can't be written; runs go on",
    PLUGIN_FAILED: "a plugin raised; the worker went on",
    CONFIG_WARNING: "something in the configuration is ignored",
    INTERNAL_ERROR: "an internal error, with its traceback",
    LIBRARY: "a line of a library's own log, at warning or above",
}
"""What each event says, one line each."""
