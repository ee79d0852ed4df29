"""The names of log events. Stable: people grep and alert on them, so a name is never changed, only added.

Every log line carries one of these as `event`; what varies is in its fields.
Documentation is checked against `MEANING`.
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
MESSAGE_DISCARDED: Final = "message_discarded"
REPLY_UNDELIVERABLE: Final = "reply.undeliverable"
RESULT_SUPPRESSED: Final = "result.suppressed"
SETTLE_RETRIED: Final = "settle.retried"
LEASE_LOST: Final = "lease.lost"
BROKER_UNAVAILABLE: Final = "broker.unavailable"
BROKER_BLOCKED: Final = "broker.blocked"
BROKER_RECOVERED: Final = "broker.recovered"
WORKFLOW_LOG: Final = "workflow.log"
STEP_STARTED: Final = "step.started"
STEP_FINISHED: Final = "step.finished"
RECORDS_INCOMPLETE: Final = "records.incomplete"
PLUGIN_FAILED: Final = "plugin_failed"
CONFIG_WARNING: Final = "config.warning"
INTERNAL_ERROR: Final = "internal.error"
LIBRARY: Final = "library"

MEANING: Final[dict[str, str]] = {
    WORKER_STARTED: "the process is up: version, backend, queues, concurrency, limits",
    WORKER_READY: "the first call to receive has come back; written once",
    WORKER_DRAINING: "no more messages are taken; what runs may finish, with its age every few seconds",
    WORKER_FORCED: "the grace is over, or a second signal came: what still runs is stopped and given back",
    WORKER_STOPPED: "the last line: why, exit code, what was done",
    MESSAGE_CLAIMED: "a message was taken: id, workflow, attempt, deliveries",
    RUN_FINISHED: "a workflow ended: status, exit code, duration",
    MESSAGE_SETTLED: "a message was acked, given back with a delay, or dead-lettered with a reason",
    MESSAGE_REJECTED: "a message that can't run: malformed, unknown workflow, invalid inputs",
    MESSAGE_DISCARDED: "a message that would be dead-lettered while dead letters are off",
    REPLY_UNDELIVERABLE: "`reply_to` leads nowhere; the result went to the undeliverable queue",
    RESULT_SUPPRESSED: "a result was dropped because the message is no longer ours",
    SETTLE_RETRIED: "the broker didn't take a settlement; it is tried again while the lease holds",
    LEASE_LOST: "a message was, or will be, handed to somebody else while it ran here",
    BROKER_UNAVAILABLE: "the broker can't be reached; tried again with growing pauses",
    BROKER_BLOCKED: "the broker takes nothing more for now",
    BROKER_RECOVERED: "the broker answers again",
    WORKFLOW_LOG: "a line that a workflow's own hook asked for",
    STEP_STARTED: "a state begins (debug)",
    STEP_FINISHED: "a state ended (debug)",
    RECORDS_INCOMPLETE: "a state file, the history, the audit log or a transcript can't be written; runs go on",
    PLUGIN_FAILED: "an observer raised; the worker went on",
    CONFIG_WARNING: "something in the configuration is ignored",
    INTERNAL_ERROR: "a fault of this program, with its traceback",
    LIBRARY: "a line of a library's own log, at warning or above",
}
"""What each event says, one line each."""
