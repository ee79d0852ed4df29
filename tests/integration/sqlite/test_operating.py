"""What an operator and the core do with a queue: count, browse, move, purge, expire, store state."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing, StateEntry, Stats
from awf_core.errors import BrokerMisconfigured, QueueMissing, Unroutable

LEASE_S = 60.0
EMPTY = Stats(ready=0, delayed=0, in_flight=0, dead=0, oldest_age_s=None)


def dead_letter(backend, delivery, queue="dead", **values):
    item = DeadLetter(delivery=delivery, queue=queue, reason="max_attempts", error="boom", **values)
    assert backend.awf_mq_dead_letter([item]) == [None]


def bodies(backend, queue):
    return [item.body for item in backend.awf_mq_browse(queue, 1000, None).items]


def test_the_counts_are_true_after_each_step_of_a_message(backend, clock, take):
    seen = [backend.awf_mq_stats("work")]
    backend.awf_mq_publish([Outgoing(queue="work", body=b"1"), Outgoing(queue="work", body=b"2", delay_s=100)])
    clock.advance(7)
    seen.append(backend.awf_mq_stats("work"))
    delivery = take(publish=False)
    seen.append(backend.awf_mq_stats("work"))
    clock.advance(LEASE_S)
    seen.append(backend.awf_mq_stats("work"))
    backend.awf_mq_nack([Nack(delivery=delivery, delay_s=1000)])
    seen.append(backend.awf_mq_stats("work"))
    clock.advance(1000)
    dead_letter(backend, take(publish=False))
    seen.append(backend.awf_mq_stats("work"))

    assert seen == [
        EMPTY,
        Stats(ready=1, delayed=1, in_flight=0, dead=0, oldest_age_s=7.0),
        Stats(ready=0, delayed=1, in_flight=1, dead=0, oldest_age_s=None),
        Stats(ready=1, delayed=1, in_flight=0, dead=0, oldest_age_s=67.0),
        Stats(ready=0, delayed=2, in_flight=0, dead=0, oldest_age_s=None),
        Stats(ready=1, delayed=0, in_flight=0, dead=1, oldest_age_s=1067.0),
    ]
    assert backend.awf_mq_stats("dead").ready == 1
    assert backend.awf_mq_stats("no such queue") == EMPTY


def test_browsing_shows_every_state_and_takes_nothing(backend, clock, take):
    held = take(id="held")
    backend.awf_mq_publish(
        [
            Outgoing(queue="work", body=b"x", id="ready", reply_to="back", correlation_id="c", headers={"a": "b"}),
            Outgoing(queue="work", body=b"x", id="delayed", delay_s=50),
        ]
    )

    first, second = backend.awf_mq_browse("work", 10, None), backend.awf_mq_browse("work", 10, None)

    assert [(item.message_id, item.state) for item in first.items] == [
        ("held", "in_flight"),
        ("ready", "ready"),
        ("delayed", "delayed"),
    ]
    assert [item.id for item in first.items] == [item.id for item in second.items]
    assert first.exact
    ready, delayed = first.items[1:]
    assert (ready.reply_to, ready.correlation_id, ready.headers) == ("back", "c", {"a": "b"})
    assert (ready.deliveries, first.items[0].deliveries) == (0, 1)
    assert delayed.due_at == pytest.approx(clock.now() + 50, abs=0.002)
    assert delayed.enqueued_at == pytest.approx(clock.now(), abs=0.002)
    assert backend.awf_mq_ack([Ack(delivery=held)]) == [None]


def test_pages_show_every_message_once_while_messages_change(backend, take):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(25)])

    seen, after = [], None
    while True:
        page = backend.awf_mq_browse("work", 10, after)
        seen += [int(item.body) for item in page.items]
        backend.awf_mq_nack([Nack(delivery=take(publish=False), delay_s=100)])
        if page.next is None:
            break
        after = page.next

    assert seen == list(range(25))
    assert backend.awf_mq_browse("work", 25, None).next is None


def test_a_replayed_message_starts_with_new_counters_and_keeps_its_history(backend, clock, take):
    backend.awf_mq_nack([Nack(delivery=take(id="m1", reply_to="back"))])
    dead_letter(backend, take(publish=False), history=[{"attempt": 1}])
    clock.advance(90_000)

    moved = backend.awf_mq_move("dead", "work", None, None)

    delivery = take(publish=False)
    (item,) = backend.awf_mq_browse("work", 1, None).items
    assert moved == 1
    assert (delivery.message_id, delivery.reply_to) == ("m1", "back")
    assert (delivery.attempt, delivery.deliveries, delivery.crashes, delivery.age_s) == (1, 1, 0, 0.0)
    assert (item.source, item.reason, item.error, item.dead_at) == (None, None, None, None)
    assert item.history == [{"attempt": 1}]
    assert backend.awf_mq_stats("work").dead == 0


def test_the_id_that_a_message_had_is_its_message_id_after_a_move(backend, take):
    delivery = take()
    backend.awf_mq_nack([Nack(delivery=delivery, counted=False)])

    backend.awf_mq_move("work", "other", None, None)

    moved = take("other", publish=False)
    assert moved.message_id == delivery.id
    assert moved.id != delivery.id


def test_a_history_that_cannot_be_read_does_not_stop_a_replay(backend, external, take):
    dead_letter(backend, take())
    external.execute("UPDATE message SET history = 'garbage'")

    assert backend.awf_mq_move("dead", "work", None, None) == 1

    (item,) = backend.awf_mq_browse("work", 1, None).items
    assert item.history == []


def test_a_move_by_ids_moves_only_these_messages(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"%d" % number) for number in range(5)])
    backend.awf_mq_publish([Outgoing(queue="other", body=b"x")])
    ids = [item.id for item in backend.awf_mq_browse("a", 10, None).items]
    other_id = backend.awf_mq_browse("other", 1, None).items[0].id

    moved = backend.awf_mq_move("a", "b", [ids[3], ids[1], "nonsense", "99999", other_id], None)

    assert moved == 2
    assert bodies(backend, "b") == [b"1", b"3"]
    assert bodies(backend, "a") == [b"0", b"2", b"4"]
    assert bodies(backend, "other") == [b"x"]


def test_a_move_stops_at_its_limit_and_a_large_move_keeps_the_order(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"%d" % number) for number in range(1100)])

    first = backend.awf_mq_move("a", "b", None, 3)
    rest = backend.awf_mq_move("a", "b", None, None)

    assert (first, rest) == (3, 1097)
    assert [int(d.body) for d in backend.awf_mq_consume("b", 2000, 0)] == list(range(1100))


def test_a_move_to_the_same_queue_ends(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"x")] * 1001)

    assert backend.awf_mq_move("a", "a", None, None) == 1001
    assert backend.awf_mq_stats("a").ready == 1001


def test_held_messages_are_neither_moved_nor_purged(backend, take):
    held = take()
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x", delay_s=5), Outgoing(queue="work", body=b"y")])

    moved = backend.awf_mq_move("work", "other", None, 1)
    removed = backend.awf_mq_purge("work")

    assert (moved, removed) == (1, 1)
    assert bodies(backend, "work") == [b"{}"]
    assert backend.awf_mq_ack([Ack(delivery=held)]) == [None]


def test_a_move_to_a_name_no_queue_can_have_is_refused(mq):
    with pytest.raises(Unroutable, match="can't be the name of a queue"):
        mq.move("a", "")


def test_a_large_purge_removes_all_messages(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"x")] * 1001)

    assert backend.awf_mq_purge("a") == 1001
    assert backend.awf_mq_purge("a") == 0


def test_replies_expire_and_other_messages_do_not(make_backend, clock, take, backend):
    replier = make_backend(context={"reply_ttl_s": 100.0})
    delivery = take()
    own = Outgoing(queue="answers", body=b"own", expires_s=10)
    replier.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=b"default"), own])])
    backend.awf_mq_publish([Outgoing(queue="answers", body=b"kept")])

    seen = []
    for _ in range(3):
        seen.append((bodies(backend, "answers"), backend.awf_mq_stats("answers").ready))
        clock.advance(60)

    assert seen == [
        ([b"default", b"own", b"kept"], 3),
        ([b"default", b"kept"], 2),
        ([b"kept"], 1),
    ]
    assert [d.body for d in backend.awf_mq_consume("answers", 10, 0)] == [b"kept"]


def test_expired_messages_and_state_are_removed_by_later_writes(backend, external, clock):
    backend.awf_mq_publish([Outgoing(queue="answers", body=b"x", expires_s=1)] * 1200)
    backend.awf_mq_state_put([StateEntry(key=f"k{number}", value="v", ttl_s=1) for number in range(10)])
    clock.advance(5)

    left = []
    for _ in range(4):
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
        left.append(external.execute("SELECT COUNT(*) FROM message WHERE queue = 'answers'").fetchone()[0])

    assert left == [700, 200, 0, 0]
    assert external.execute("SELECT COUNT(*) FROM state").fetchone() == (0,)


def test_a_held_message_does_not_expire(backend, clock):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x", expires_s=30)])
    (delivery,) = backend.awf_mq_consume("work", 1, 0)
    clock.advance(40)

    backend.awf_mq_publish([Outgoing(queue="other", body=b"x")])

    assert backend.awf_mq_stats("work").in_flight == 1
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_a_dead_lettered_message_does_not_expire(backend, clock):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x", expires_s=30)])
    dead_letter(backend, backend.awf_mq_consume("work", 1, 0)[0])
    clock.advance(1000)

    assert bodies(backend, "dead") == [b"x"]


def test_a_private_reply_queue_is_unique_and_expires(backend, clock, take):
    queue, other = backend.awf_mq_reply_queue(20), backend.awf_mq_reply_queue(20)
    reply = Outgoing(queue=queue, body=b"answer")
    backend.awf_mq_ack([Ack(delivery=take(), replies=[reply])])
    in_time = bodies(backend, queue)

    clock.advance(21)
    (error,) = backend.awf_mq_publish([reply])

    assert queue != other
    assert isinstance(error, QueueMissing)
    assert f"the private reply queue '{queue}' expired 1s ago" in error.message
    assert in_time == [b"answer"]
    assert bodies(backend, queue) == []


def test_a_private_reply_queue_without_an_end_is_refused(backend):
    with pytest.raises(BrokerMisconfigured, match="ttl_s is inf"):
        backend.awf_mq_reply_queue(float("inf"))


def test_state_is_read_back_until_it_expires(backend, clock):
    answers = backend.awf_mq_state_put(
        [
            StateEntry(key="a:1", value="é"),
            StateEntry(key="a:2", value="short", ttl_s=10),
            StateEntry(key="b", value=""),
            StateEntry(key="a%", value="no wildcard"),
        ]
    )
    before = backend.awf_mq_state_get(["a:2", "a:1", "none", "b"])
    clock.advance(11)

    assert answers == [True] * 4
    assert before == ["short", "é", None, ""]
    assert backend.awf_mq_state_get(["a:2", "a:1"]) == [None, "é"]
    assert backend.awf_mq_state_list("a:") == [("a:1", "é")]
    assert backend.awf_mq_state_list("a%") == [("a%", "no wildcard")]
    assert [key for key, _ in backend.awf_mq_state_list("")] == ["a%", "a:1", "b"]


def test_if_absent_writes_only_where_no_live_value_is(backend, clock):
    def claim(value, **values):
        return backend.awf_mq_state_put([StateEntry(key="k", value=value, ttl_s=10, if_absent=True, **values)])

    first, second = claim("first"), claim("second")
    clock.advance(11)
    third = claim("third")
    overwritten = backend.awf_mq_state_put([StateEntry(key="k", value="fourth")])
    fifth = claim("fifth")

    assert (first, second, third, overwritten, fifth) == ([True], [False], [True], [True], [False])
    assert backend.awf_mq_state_get(["k"]) == ["fourth"]


def test_a_none_value_deletes_and_with_if_absent_deletes_no_live_value(backend):
    backend.awf_mq_state_put([StateEntry(key="k", value="v")])

    kept = backend.awf_mq_state_put([StateEntry(key="k", value=None, if_absent=True)])
    value = backend.awf_mq_state_get(["k"])
    deleted = backend.awf_mq_state_put([StateEntry(key="k", value=None), StateEntry(key="none", value=None)])

    assert (kept, value, deleted) == ([False], ["v"], [True, True])
    assert backend.awf_mq_state_get(["k"]) == [None]


def test_a_time_to_live_that_is_too_long_is_refused_before_anything_is_written(backend):
    entries = [StateEntry(key="k", value="v"), StateEntry(key="l", value="v", ttl_s=float("nan"))]

    with pytest.raises(BrokerMisconfigured, match="ttl_s is nan"):
        backend.awf_mq_state_put(entries)

    assert backend.awf_mq_state_get(["k"]) == [None]
