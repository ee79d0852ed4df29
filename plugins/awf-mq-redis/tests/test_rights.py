"""The rights that a user needs, that it needs no others, and the error for a missing right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing, Remember
from awf_core.errors import BrokerMisconfigured, LeaseLost

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
RIGHTS = re.findall(r"-@all|\+[a-z|]+", README.partition("ACL SETUSER worker")[2].partition("```")[0])
KEYS = [
    "~work",
    "~{work}:*",
    "~dead",
    "~{dead}:*",
    "~results",
    "~{results}:*",
    "~awf-reply-*",
    "~{awf-reply-*}:*",
    "~awf:state:*",
]


@pytest.fixture
def user(server, external):
    """Give a user these rights; returns the URL to log in as them."""

    def make(*rules):
        external.acl_deluser("worker")
        external.execute_command("ACL", "SETUSER", "worker", "on", ">s3cret", *rules)
        return server.url.replace("redis://", "redis://worker:s3cret@")

    yield make
    external.acl_deluser("worker")


def test_a_user_with_the_rights_of_the_readme_can_do_everything(user, make_backend, external):
    url = user(*RIGHTS, *KEYS)
    external.acl_log_reset()
    backend = make_backend(url)

    backend.awf_mq_ensure("work", "work", "dead")
    backend.awf_mq_ensure("dead", "dead", None)
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % n, delay_s=n / 1000) for n in range(4)])
    deliveries = [backend.awf_mq_consume("work", 1, 5)[0] for _ in range(4)]
    reply = Outgoing(queue="results", body=b"r")
    answers = [
        *backend.awf_mq_ack(
            [Ack(delivery=deliveries[0], replies=[reply], remember=Remember(key="k", value="v", ttl_s=9))]
        ),
        *backend.awf_mq_nack([Nack(delivery=deliveries[1], reason="x")]),
        *backend.awf_mq_dead_letter([DeadLetter(delivery=deliveries[2], queue="dead", reason="r", error="e")]),
    ]
    extended = backend.awf_mq_extend(deliveries)
    counts = [backend.awf_mq_stats("work").dead, backend.awf_mq_stats("dead").ready]
    shown = [len(backend.awf_mq_browse(queue, 10, None).items) for queue in ("work", "dead")]
    moved = backend.awf_mq_move("dead", "work", None, None)
    private = backend.awf_mq_reply_queue(60)
    backend.awf_mq_publish([Outgoing(queue=private, body=b"p")])
    answered = backend.awf_mq_consume(private, 1, 0)
    state = backend.awf_mq_state_list("")
    purged = backend.awf_mq_purge("work")

    assert answers == [None] * 3
    assert [type(answer) for answer in extended] == [LeaseLost] * 3 + [type(None)]
    assert (counts, shown, moved, purged) == ([1, 1], [2, 1], 1, 2)
    assert answered[0].body == b"p"
    assert state == [("k", "v")]
    # Reading the snapshot setting may be refused; no other command was.
    assert {entry["object"] for entry in external.acl_log()} <= {"config|get"}


@pytest.mark.parametrize("command", ["zadd", "lrange", "hset", "ltrim", "xadd", "hincrby", "blmove"])
def test_a_missing_right_is_refused_at_start_with_the_command_and_the_key(user, make_backend, command):
    rights = [*RIGHTS, *KEYS, f"-{command}"] + (["-brpoplpush"] if command == "blmove" else [])
    backend = make_backend(user(*rights))

    with pytest.raises(BrokerMisconfigured) as caught:
        backend.awf_mq_ensure("work", "work", "dead")

    assert command.upper() in str(caught.value)
    assert "{work}:probe" in str(caught.value)
    assert "ACL line" in caught.value.hint
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("keys", "named"), [("~work ~dead ~{dead}:*", "{work}:claiming"), ("~work ~{work}:* ~{dead}:*", "dead")]
)
def test_a_forbidden_key_is_named(user, make_backend, keys, named):
    backend = make_backend(user(*RIGHTS, *keys.split()))

    with pytest.raises(BrokerMisconfigured, match=r"not allowed to use queue 'work'") as caught:
        backend.awf_mq_ensure("work", "work", "dead")

    assert f"(TYPE {named})" in str(caught.value)


@pytest.mark.parametrize(
    ("ensured", "key", "write"),
    [
        (("work", "work", "dead"), "dead", None),
        (("work", "work", "dead"), "dead", ("XADD", "*", "body", "x")),
        (("work", "work", "dead"), "{dead}:sources", ("HSET", "work", "1")),
        (("undeliverable", "dead", None), "undeliverable", ("LPUSH", "x")),
        (("results", "reply", None), "results", None),
    ],
    ids=["no stream yet", "stream", "its sources", "undeliverable", "reply"],
)
def test_a_key_that_may_be_read_and_not_written_is_refused_at_start(user, make_backend, external, ensured, key, write):
    if external.info("server")["redis_version"].startswith("6."):
        pytest.skip("Redis 6 has no rights to read only")
    if write is not None:
        external.execute_command(write[0], key, *write[1:])
    others = [each for each in ("~work", "~{work}:*", "~dead", "~{dead}:*") if not each.startswith(f"~{key[:6]}")]
    backend = make_backend(user(*RIGHTS, *others, f"%R~{key}"))
    before = external.dump(key)

    with pytest.raises(BrokerMisconfigured) as caught:
        backend.awf_mq_ensure(*ensured)

    assert f"not allowed to write to key '{key}' for queue '{ensured[0]}'" in str(caught.value)
    assert "ACL line" in caught.value.hint
    assert external.dump(key) == before


def test_a_producer_that_may_only_push_can_still_publish(user, make_backend):
    url = user("-@all", "+ping", "+lpush", "+type", "+client|setname", "~work")
    backend = make_backend(url, context={"declare": "never"})

    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


def test_a_forbidden_reply_queue_affects_no_other_delivery(user, make_backend, external):
    backend = make_backend(user(*RIGHTS, *KEYS))
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % n) for n in range(3)])
    deliveries = backend.awf_mq_consume("work", 3, 0)
    queues = ["results", "forbidden", "results"]

    answers = backend.awf_mq_ack(
        [Ack(delivery=d, replies=[Outgoing(queue=q, body=b"r")]) for d, q in zip(deliveries, queues, strict=True)]
    )

    assert [type(answer) for answer in answers] == [type(None), BrokerMisconfigured, type(None)]
    assert "not allowed to acknowledge messages in 'work'" in str(answers[1])
    assert external.llen("results") == 2
    assert backend.awf_mq_ack([Ack(delivery=deliveries[1])]) == [None]


def test_a_right_taken_away_later_loses_no_message(user, make_backend, external):
    backend = make_backend(user(*RIGHTS, *KEYS))
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")] * 2)
    held = backend.awf_mq_consume("work", 1, 0)[0]
    external.execute_command("ACL", "SETUSER", "worker", "-xadd", "-zadd")

    with pytest.raises(BrokerMisconfigured, match="not allowed to take messages from 'work'"):
        backend.awf_mq_consume("work", 1, 0)
    (refused,) = backend.awf_mq_dead_letter([DeadLetter(delivery=held, queue="dead", reason="r", error="e")])
    external.execute_command("ACL", "SETUSER", "worker", "+xadd", "+zadd")

    assert isinstance(refused, BrokerMisconfigured)
    assert external.hlen("{work}:meta") + external.llen("work") >= 2


def test_settings_that_this_user_may_not_read_are_logged_as_unknown(user, make_backend, caplog):
    rights = [*RIGHTS, *KEYS, "-info"]

    make_backend(user(*rights))

    assert "so they are unknown" in caplog.text
