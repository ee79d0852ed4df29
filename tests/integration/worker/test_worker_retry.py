"""Failed attempts: when a message is redelivered, when it is dead-lettered, and what its result says then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Work

QUICK = {"initial_delay": "10ms", "max_delay": "50ms", "jitter": 0}


def fails_until(project: Project, attempt: int) -> str:
    return (
        f"echo x >> {project.marks}/starts; [ $AWF_ATTEMPT -ge {attempt} ] && echo ok || {{ echo down >&2; exit 7; }}"
    )


def test_a_failed_attempt_is_redelivered_after_its_delay_and_only_the_last_attempt_is_answered(
    project: Project, work: Work
) -> None:
    project.mq(retry=QUICK)
    project.workflow("flaky", fails_until(project, 2))
    project.put({"id": "m", "workflow": "flaky", "reply_to": "results"})

    served = work()

    (result,) = project.results()
    assert (result["status"], result["attempt"], result["output"]) == ("completed", 2, "ok\n")
    assert project.starts() == 2
    first, last = served.lines("message.settled")
    assert (first["settlement"], first["counted"], first["delay_s"], first["reason"]) == ("nack", True, 0.01, "down")
    assert last["settlement"] == "ack"
    assert served.exit_code == 0
    assert project.dead_messages() == []


def test_after_the_last_attempt_it_is_a_dead_letter_with_its_history_and_the_result_says_so(
    project: Project, work: Work
) -> None:
    project.mq(retry={**QUICK, "max_attempts": 3})
    project.workflow("down", fails_until(project, 99))
    project.put({"id": "m", "workflow": "down", "reply_to": "results"})

    served = work()

    (dead,), (result,) = project.dead_messages(), project.results()
    assert (dead["reason"], dead["attempt"], dead["source"]) == ("max_attempts", 3, "awf-workflows")
    assert dead["error"].strip() == "down"
    assert [entry["attempt"] for entry in dead["history"]] == [1, 2, 3]
    last = dead["history"][-1]
    assert (last["attempt"], last["reason"], last["worker"]) == (3, "max_attempts", "tester")
    assert last["run_id"] == result["run_id"]
    assert last["error"].strip() == "down"
    assert (result["status"], result["attempt"], result["dead_lettered"]) == ("failed", 3, True)
    assert project.starts() == 3
    assert served.exit_code == 3


def test_a_workflow_has_retry_rules_of_its_own_by_name_or_glob(project: Project, work: Work) -> None:
    project.mq(
        retry={**QUICK, "max_attempts": 3},
        workflows={"once": {"retry": {"max_attempts": 1}}, "twice-*": {"retry": {"max_attempts": 2}}},
    )
    for name in ("once", "twice-a", "thrice"):
        project.workflow(name, f"echo x >> {project.marks}/{name}; exit 1")
        project.put({"workflow": name})

    work()

    assert {name: project.starts(name) for name in ("once", "twice-a", "thrice")} == {
        "once": 1,
        "twice-a": 2,
        "thrice": 3,
    }


def test_a_message_older_than_max_age_is_not_retried_again(project: Project, work: Work) -> None:
    project.mq(retry={"max_attempts": 9, "initial_delay": "2m", "max_age": "1m", "jitter": 0})
    project.workflow("down", "exit 1")
    project.put({"workflow": "down", "reply_to": "results"})

    work()

    assert project.dead_messages()[0]["reason"] == "max_age"
    assert project.results()[0]["attempt"] == 1


def test_a_run_longer_than_max_run_is_cancelled_and_counts_as_a_failed_attempt(project: Project, work: Work) -> None:
    project.mq(retry={**QUICK, "max_attempts": 2}, workflows={"slow": {"max_run": "150ms"}})
    project.workflow("slow", f"echo x >> {project.marks}/starts; sleep 30")
    project.put({"workflow": "slow", "reply_to": "results"})

    served = work()

    (dead,), (result,) = project.dead_messages(), project.results()
    assert (dead["reason"], dead["attempt"]) == ("max_attempts", 2)
    assert (result["status"], result["attempt"], result["dead_lettered"]) == ("cancelled", 2, True)
    assert 100 < result["duration_ms"] < 5000
    assert result["error"]["message"].startswith("cancelled after max_run (150ms): step work:")
    assert dead["error"] == result["error"]["message"]
    assert project.starts() == 2
    assert served.exit_code == 3


def test_burst_waits_for_retries_that_are_delayed(project: Project, work: Work) -> None:
    project.mq(retry={"initial_delay": "400ms", "jitter": 0})
    project.workflow("flaky", fails_until(project, 2))
    project.put({"workflow": "flaky"})

    served = work()

    assert served.exit_code == 0
    assert project.starts() == 2
    assert project.count() == 0


def test_where_dead_lettering_is_off_messages_are_answered_acked_and_logged_and_the_start_warns_of_it(
    project: Project, work: Work
) -> None:
    project.mq(dead_letter={"enabled": False}, retry={"max_attempts": 1})
    project.workflow("down", "exit 1")
    project.put({"id": "m-1", "workflow": "down", "reply_to": "results"}, "no JSON")

    served = work()

    assert project.dead_messages() == []
    assert project.count() == 0
    (result,) = project.results()
    assert (result["status"], result["dead_lettered"]) == ("failed", False)
    assert served.lines("message.discarded")[0]["reason"] in ("max_attempts", "malformed")
    assert len(served.lines("message.discarded", level="warning")) == 2
    assert len(served.lines("message.settled", settlement="discard")) == 2
    (warning,) = served.lines("config.warning")
    assert warning["warning"] == (
        "mq.dead_letter.enabled is false: messages that would be dead-lettered are answered and discarded"
    )
    assert served.exit_code == 3


def test_max_messages_takes_that_many_and_leaves_the_rest(project: Project, work: Work) -> None:
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put(*({"workflow": "hello"} for _ in range(7)))

    served = work(burst=False, max_messages=3)

    assert served.exit_code == 0
    assert project.starts() == 3
    assert project.count() == 4
    assert served.lines("worker.draining")[0]["reason"] == "max_messages"
