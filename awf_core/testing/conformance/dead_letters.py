"""E: dead letters. Cases of the kit; part of `MqConformance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.contract import Outgoing
from awf_core.errors import BodyTooLarge
from awf_core.testing.actions import (
    assert_quiet,
    browse_all,
    bury,
    drain,
    finish,
    nack,
    numbered,
    send,
    take,
    take_one,
)
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

BINARY = b"\x00\xff not json \xfe"
TEXT = b"not json {"
LETTERS = 20


class DeadLetters:
    """What can't be done is kept whole, with the reason, where a person finds it and can send it back."""

    @case("E1")
    def test_a_dead_letter_leaves_its_queue_and_keeps_its_body(self, kit: Kit) -> None:
        """E1: gone from the work queue for good, once in the dead-letter queue, byte for byte."""
        mq = kit.mq()
        body = BINARY if mq.capabilities.binary_bodies else TEXT
        send(mq, kit.names.work, body)

        bury(mq, take_one(mq, kit.names.work), kit.names.dead)

        assert_quiet(mq, kit.names.work)
        assert kit.letters(mq, 1) == [body]

    @case("E1b", "awf_mq_browse")
    def test_a_dead_letter_tells_where_it_came_from_and_why(self, kit: Kit) -> None:
        """E1b: source, reason, error, history and the time stand with it."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        nack(mq, take_one(mq, kit.names.work))

        bury(mq, take_one(mq, kit.names.work), kit.names.dead, reason="max_attempts")

        (letter,) = browse_all(mq, kit.names.dead)
        assert (letter.body, letter.state, letter.source) == (b"x", "dead", kit.names.work)
        assert (letter.reason, letter.error) == ("max_attempts", "the kit says so")
        assert letter.dead_at is not None
        assert [entry for entry in letter.history if entry.get("reason") == "max_attempts"]

    @case("E1c")
    def test_the_result_of_a_dead_letter_is_published_with_it(self, kit: Kit) -> None:
        """E1c: when the call returns, both are there."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        reply = Outgoing(queue=kit.names.replies, body=b"failed")

        bury(mq, take_one(mq, kit.names.work), kit.names.dead, replies=[reply])

        assert finish(mq, kit.names.replies) == [b"failed"]
        assert kit.letters(mq, 1) == [b"x"]

    @case("E2", "awf_mq_browse", "browse_exact")
    def test_looking_at_letters_takes_none(self, kit: Kit) -> None:
        """E2: browsing twice, page by page, shows the same, oldest first, and changes no count."""
        mq = kit.mq()
        _bury_all(mq, kit, numbered(5))

        first, second = browse_all(mq, kit.names.dead), browse_all(mq, kit.names.dead)
        page = mq.browse(kit.names.dead, limit=2)

        assert [item.body for item in first] == numbered(5)
        assert [item.id for item in first] == [item.id for item in second]
        assert [item.body for item in page.items] == numbered(2)
        assert page.next is not None
        assert kit.letters(mq, 5) == numbered(5)

    @case("E3", "awf_mq_browse", "awf_mq_move")
    def test_one_letter_can_be_sent_back_to_work(self, kit: Kit) -> None:
        """E3: the chosen one moves and starts afresh; the others stay."""
        mq = kit.mq()
        _bury_all(mq, kit, numbered(3), failures=1)
        chosen = next(item for item in browse_all(mq, kit.names.dead) if item.body == b"1")

        moved = mq.move(kit.names.dead, kit.names.work, ids=[chosen.id])

        assert moved == 1
        back = take_one(mq, kit.names.work)
        assert (back.body, back.attempt) == (b"1", 1)
        assert_quiet(mq, kit.names.work)
        assert kit.letters(mq, 2) == [b"0", b"2"]

    @case("E3b", "awf_mq_move")
    def test_all_letters_or_some_of_them_can_be_sent_back_to_work(self, kit: Kit) -> None:
        """E3b: `limit` bounds, None moves the rest; nothing is lost or doubled on the way."""
        mq = kit.mq()
        _bury_all(mq, kit, numbered(5))

        some = mq.move(kit.names.dead, kit.names.work, limit=2)
        rest = mq.move(kit.names.dead, kit.names.work)

        assert (some, rest) == (2, 3)
        assert finish(mq, kit.names.work, 5) == numbered(5)
        assert kit.letters(mq) == []

    @case("E3c", "awf_mq_browse", "awf_mq_move")
    def test_a_letter_that_was_sent_back_keeps_its_history(self, kit: Kit) -> None:
        """E3c: the second death tells of the first."""
        mq = kit.mq()
        _bury_all(mq, kit, [b"x"], reason="first")
        mq.move(kit.names.dead, kit.names.work)

        bury(mq, take_one(mq, kit.names.work), kit.names.dead, reason="second")

        (letter,) = browse_all(mq, kit.names.dead)
        told = repr(list(letter.history))
        assert letter.reason == "second"
        assert "first" in told
        assert "second" in told

    @case("E4", "awf_mq_browse", "awf_mq_move", "processes")
    def test_a_replay_killed_half_way_loses_no_letter(self, kit: Kit) -> None:
        """E4: SIGKILL in the middle of a replay: every letter is in one place, or in two where moves aren't atomic."""
        mq = kit.mq()
        bodies = numbered(LETTERS)
        _bury_all(mq, kit, bodies)
        mover = kit.child("move", kit.names.dead, kit.names.work)
        mover.await_line("ready")

        mover.say()
        mover.await_line("moved", count=2)
        mover.kill()

        left = kit.letters(mq) + drain(mq, kit.names.work, for_s=1.0)
        assert set(left) == set(bodies)
        assert len(left) == LETTERS or not mq.capabilities.atomic_settle

    @case("E5", "awf_mq_purge")
    def test_purging_removes_what_nobody_holds_and_nothing_else(self, kit: Kit) -> None:
        """E5: the count is right, other queues and held deliveries stay."""
        mq = kit.mq()
        _bury_all(mq, kit, numbered(3))
        send(mq, kit.names.work, b"held")
        held = take_one(mq, kit.names.work)
        send(mq, kit.names.work, b"free")

        dead, work = mq.purge(kit.names.dead), mq.purge(kit.names.work)

        assert dead in (3, None)
        assert work in (1, None)
        assert kit.letters(mq) == []
        assert_quiet(mq, kit.names.work)
        nack(mq, held)
        assert take_one(mq, kit.names.work).body == b"held"

    @case("E6", "processes", "losable")
    def test_a_message_that_takes_its_workers_down_is_buried_before_it_runs_again(self, kit: Kit) -> None:
        """E6: after as many crashes as the cap says, a worker dead-letters it as `crash_loop` without running it."""
        mq = kit.mq()
        send(mq, kit.names.work, kit.message("kit-done", "poison"))
        kit.crash_deliveries(mq)

        worker = kit.worker()
        settled = worker.await_line("message.settled", settlement="dead_letter")

        assert settled["reason"] == "crash_loop"
        assert kit.project.runs("kit-done") == []
        assert [r["status"] for r in kit.results(mq, 1)] == ["rejected"]
        assert len(kit.letters(mq, 1)) == 1

    @case("E7", "processes")
    def test_a_malformed_message_goes_dead_byte_for_byte(self, kit: Kit) -> None:
        """E7: undecodable bodies are dead-lettered at once, unchanged, and the good ones between them are done."""
        mq = kit.mq()
        bad = [TEXT, b"[1, 2]", b'{"no": "workflow"}']
        bad += [BINARY] if mq.capabilities.binary_bodies else []
        for number, body in enumerate(bad):
            send(mq, kit.names.work, body, kit.message("kit-done", f"good-{number}"))

        worker = kit.worker()

        results = kit.results(mq, len(bad))
        worker.await_line("message.settled", settlement="dead_letter", count=len(bad))
        assert sorted(r["message_id"] for r in results) == [f"good-{number}" for number in range(len(bad))]
        assert kit.letters(mq, len(bad)) == sorted(bad)

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


def _bury_all(mq: Mq, kit: Kit, bodies: list[bytes], *, reason: str = "kit", failures: int = 0) -> None:
    send(mq, kit.names.work, *bodies)
    for _ in range(failures):
        nack(mq, *take(mq, kit.names.work, len(bodies)))
    for delivery in take(mq, kit.names.work, len(bodies)):
        bury(mq, delivery, kit.names.dead, reason=reason)
