"""E: dead-lettered messages. Cases of `MqConformance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.contract import Ack, Nack, Outgoing
from awf_core.errors import BodyTooLarge, LeaseLost
from awf_core.testing.actions import (
    ack,
    assert_quiet,
    browse_all,
    dead_letter,
    drain,
    finish,
    nack,
    numbered,
    send,
    take,
    take_one,
)
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

BINARY = b"\x00\xff not json \xfe"
TEXT = b"not json {"
MESSAGES = 20


class DeadLetters:
    """A message that can't be processed is kept whole, with its reason, and an operator can replay it."""

    @case("E1")
    def test_a_dead_lettered_message_leaves_its_queue_and_keeps_its_body(self, kit: Kit) -> None:
        """E1: it is no longer in the work queue, and once in the dead-letter queue, byte for byte."""
        mq = kit.mq()
        body = BINARY if mq.capabilities.binary_bodies else TEXT
        send(mq, kit.names.work, body)

        dead_letter(mq, take_one(mq, kit.names.work), kit.names.dead)

        assert_quiet(mq, kit.names.work)
        assert kit.dead_messages(mq, 1) == [body]

    @case("E1b", "awf_mq_browse")
    def test_a_dead_lettered_message_has_its_source_and_its_reason(self, kit: Kit) -> None:
        """E1b: it has source, reason, error, history and time."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        nack(mq, take_one(mq, kit.names.work))

        dead_letter(mq, take_one(mq, kit.names.work), kit.names.dead, reason="max_attempts")

        (item,) = browse_all(mq, kit.names.dead)
        assert (item.body, item.state, item.source) == (b"x", "dead", kit.names.work)
        assert (item.reason, item.error) == ("max_attempts", "the kit says so")
        assert item.dead_at is not None, "expected the time of the dead-lettering"
        expected = [{"attempt": 1, "reason": "kit"}, {"attempt": 2, "reason": "max_attempts"}]
        history = [dict(entry) for entry in item.history]
        assert history == expected, f"expected exactly the history that the core wrote, {expected}, got {history}"

    @case("E1c")
    def test_the_result_of_a_dead_lettered_message_is_published_with_it(self, kit: Kit) -> None:
        """E1c: when the call returns, the message is dead-lettered and its result published."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        reply = Outgoing(queue=kit.names.replies, body=b"failed")

        dead_letter(mq, take_one(mq, kit.names.work), kit.names.dead, replies=[reply])

        assert finish(mq, kit.names.replies) == [b"failed"]
        assert kit.dead_messages(mq, 1) == [b"x"]

    @case("E2", "awf_mq_browse", "browse_exact")
    def test_browsing_removes_no_message(self, kit: Kit) -> None:
        """E2: browsing twice, page by page, shows the same messages, oldest first, and changes no count."""
        mq = kit.mq()
        _dead_letter_all(mq, kit, numbered(5))

        first, second = browse_all(mq, kit.names.dead), browse_all(mq, kit.names.dead)
        page = mq.browse(kit.names.dead, limit=2)

        assert [item.body for item in first] == numbered(5)
        assert [item.id for item in first] == [item.id for item in second]
        assert [item.body for item in page.items] == numbered(2)
        assert page.next is not None
        assert kit.dead_messages(mq, 5) == numbered(5)

    @case("E3", "awf_mq_browse", "awf_mq_move")
    def test_one_dead_lettered_message_can_be_replayed(self, kit: Kit) -> None:
        """E3: the message with the id moves, as a first attempt; the others stay."""
        mq = kit.mq()
        _dead_letter_all(mq, kit, numbered(3), failures=1)
        chosen = next(item for item in browse_all(mq, kit.names.dead) if item.body == b"1")

        moved = mq.move(kit.names.dead, kit.names.work, ids=[chosen.id])

        assert moved in (1, None), f"expected 1 moved message, or None for an unknown number, got {moved}"
        back = take_one(mq, kit.names.work)
        assert (back.body, back.attempt) == (b"1", 1)
        assert_quiet(mq, kit.names.work)
        assert kit.dead_messages(mq, 2) == [b"0", b"2"]

    @case("E3b", "awf_mq_move")
    def test_some_or_all_dead_lettered_messages_can_be_replayed(self, kit: Kit) -> None:
        """E3b: `limit` messages move, then the rest; no message is lost or duplicated."""
        mq = kit.mq()
        _dead_letter_all(mq, kit, numbered(5))

        some = mq.move(kit.names.dead, kit.names.work, limit=2)
        rest = mq.move(kit.names.dead, kit.names.work)

        assert some in (2, None), f"expected 2 moved messages, or None for an unknown number, got {some}"
        assert rest in (3, None), f"expected 3 moved messages, or None for an unknown number, got {rest}"
        assert finish(mq, kit.names.work, 5) == numbered(5)
        assert kit.dead_messages(mq) == []

    @case("E3c", "awf_mq_browse", "awf_mq_move")
    def test_a_replayed_message_keeps_its_history(self, kit: Kit) -> None:
        """E3c: after a second dead-lettering the history has both reasons."""
        mq = kit.mq()
        _dead_letter_all(mq, kit, [b"x"], reason="first")
        mq.move(kit.names.dead, kit.names.work)

        dead_letter(mq, take_one(mq, kit.names.work), kit.names.dead, reason="second")

        (item,) = browse_all(mq, kit.names.dead)
        history = repr(list(item.history))
        assert item.reason == "second"
        assert "first" in history
        assert "second" in history

    @case("E3d", "awf_mq_move")
    def test_a_moved_message_can_no_longer_be_settled_by_an_old_receipt(self, kit: Kit) -> None:
        """E3d: moved to another queue and back, a message has receipts of its own; the old ones are LeaseLost."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        old = take_one(mq, kit.names.work)
        nack(mq, old, is_counted=False)

        mq.move(kit.names.work, kit.names.other)
        mq.move(kit.names.other, kit.names.work)
        new = take_one(mq, kit.names.work)
        answers = [*mq.extend([old]), *mq.nack([Nack(delivery=old)]), *mq.ack([Ack(delivery=old)])]

        assert old.receipt != new.receipt, "expected the moved message to have a receipt of its own"
        assert all(isinstance(answer, LeaseLost) for answer in answers), (
            f"extend, nack and ack with the receipt from before the moves: expected LeaseLost, got {answers}"
        )
        ack(mq, new)
        assert_quiet(mq, kit.names.work)

    @case("E4", "awf_mq_browse", "awf_mq_move", "processes")
    def test_a_replay_killed_in_the_middle_loses_no_message(self, kit: Kit) -> None:
        """E4: after SIGKILL every message is in one queue, or in both where moves aren't atomic."""
        mq = kit.mq()
        bodies = numbered(MESSAGES)
        _dead_letter_all(mq, kit, bodies)
        mover = kit.child("move", kit.names.dead, kit.names.work)
        mover.await_line("ready")

        mover.write_line()
        mover.await_line("moved", count=2)
        mover.kill()

        moved: list[bytes] = []

        def left() -> list[bytes]:
            moved.extend(drain(mq, kit.names.work, for_s=1.0))
            return kit.dead_messages(mq) + moved

        # What the killed process had in hand may be under a lease.
        eventually(lambda: set(left()) == set(bodies), kit.late_s, what=f"each of {MESSAGES} messages in a queue")
        found = left()
        assert len(found) == MESSAGES or not mq.capabilities.atomic_settle, (
            f"expected no duplicates, got {sorted(found)}"
        )

    @case("E5", "awf_mq_purge")
    def test_a_purge_removes_all_messages_that_no_consumer_holds(self, kit: Kit) -> None:
        """E5: the count is correct; other queues and held messages stay."""
        mq = kit.mq()
        _dead_letter_all(mq, kit, numbered(3))
        send(mq, kit.names.work, b"held")
        held = take_one(mq, kit.names.work)
        send(mq, kit.names.work, b"free")

        dead, work = mq.purge(kit.names.dead), mq.purge(kit.names.work)

        assert dead in (3, None), f"expected 3 purged messages, got {dead}"
        assert work in (1, None), f"expected 1 purged message, got {work}"
        assert kit.dead_messages(mq) == []
        assert_quiet(mq, kit.names.work)
        nack(mq, held)
        assert take_one(mq, kit.names.work).body == b"held"

    @case("E6", "processes", "losable")
    def test_a_message_that_crashes_its_workers_is_dead_lettered_without_another_run(self, kit: Kit) -> None:
        """E6: after the maximum of crashes a worker dead-letters it as `crash_loop` and doesn't run it."""
        mq = kit.mq()
        send(mq, kit.names.work, kit.message("kit-done", "poison"))
        kit.crash_deliveries(mq)

        worker = kit.worker()
        settled = worker.await_line("message.settled", settlement="dead_letter")

        assert settled["reason"] == "crash_loop"
        assert kit.project.runs("kit-done") == [], "expected no run"
        assert [r["status"] for r in kit.results(mq, 1)] == ["rejected"]
        assert len(kit.dead_messages(mq, 1)) == 1

    @case("E7", "processes")
    def test_a_malformed_message_is_dead_lettered_byte_for_byte(self, kit: Kit) -> None:
        """E7: bodies that can't be decoded are dead-lettered unchanged; the valid messages between them are run."""
        mq = kit.mq()
        bad = [TEXT, b"[1, 2]", b'{"no": "workflow"}']
        bad += [BINARY] if mq.capabilities.binary_bodies else []
        for number, body in enumerate(bad):
            send(mq, kit.names.work, body, kit.message("kit-done", f"good-{number}"))

        worker = kit.worker()

        results = kit.results(mq, len(bad))
        worker.await_line("message.settled", settlement="dead_letter", count=len(bad))
        assert sorted(r["message_id"] for r in results) == [f"good-{number}" for number in range(len(bad))]
        assert kit.dead_messages(mq, len(bad)) == sorted(bad)

    @case("E8", "max_body_bytes")
    def test_a_body_over_the_limit_is_refused_at_publish(self, kit: Kit) -> None:
        """E8: BodyTooLarge for that item, with the sizes in its text; a body at the limit is delivered whole."""
        mq = kit.mq()
        limit = mq.capabilities.max_body_bytes
        assert limit is not None
        largest = b"x" * limit
        messages = [Outgoing(queue=kit.names.work, body=body) for body in (largest, largest + b"x", b"after")]

        at_limit, over_limit, after = mq.publish(messages)

        assert isinstance(over_limit, BodyTooLarge), f"a body of {limit + 1} bytes: expected BodyTooLarge"
        assert str(limit) in str(over_limit)
        assert (at_limit, after) == (None, None), f"expected both to be accepted, got {at_limit} and {after}"
        bodies = finish(mq, kit.names.work, 2)
        assert [len(body) for body in bodies] == [len(b"after"), limit], "a body at the limit has to arrive whole"


def _dead_letter_all(mq: Mq, kit: Kit, bodies: list[bytes], *, reason: str = "kit", failures: int = 0) -> None:
    send(mq, kit.names.work, *bodies)
    for _ in range(failures):
        nack(mq, *take(mq, kit.names.work, len(bodies)))
    for delivery in take(mq, kit.names.work, len(bodies)):
        dead_letter(mq, delivery, kit.names.dead, reason=reason)
