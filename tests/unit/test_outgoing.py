"""What a backend can't take is answered before the backend sees it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from awf_core.contract import Ack, Capabilities, DeadLetter, Delivery, Nack, Outgoing
from awf_core.errors import BodyTooLarge, BrokerMisconfigured, LeaseLost, Unroutable
from awf_core.mq import Mq
from awf_core.outgoing import OutgoingRules

PLAIN = Capabilities(lease_s=60.0)
DELIVERY = Delivery(queue="q", body=b"{}", receipt=1)


def rules(**capabilities: object) -> OutgoingRules:
    return OutgoingRules(Capabilities(lease_s=60.0, **capabilities), backend="x")


def message(**changed: object) -> Outgoing:
    return Outgoing(**{"queue": "q", "body": b"{}", **changed})


class Hooks:
    """A backend that notes what reaches it and answers each item in turn from `answers`."""

    def __init__(self, *answers: object) -> None:
        self.seen: list[object] = []
        self._answers = answers

    def __getattr__(self, name: str) -> object:
        def hook(**arguments: object) -> object:
            (items,) = arguments.values()
            self.seen += items
            return list(self._answers[: len(items)])

        return hook


@pytest.mark.parametrize(
    ("capabilities", "changed", "error", "words"),
    [
        ({"max_body_bytes": 3}, {"body": b"1234"}, BodyTooLarge, "of 4 bytes, over 3"),
        ({"min_body_bytes": 1}, {"body": b""}, BrokerMisconfigured, "of 0 bytes, under 1"),
        ({}, {"queue": ""}, Unroutable, "can't be the name"),
        ({}, {"queue": "a\0b"}, Unroutable, "can't be the name"),
        ({}, {"queue": "\ud800"}, Unroutable, "can't be the name"),
        ({"max_queue_name_bytes": 4}, {"queue": "äöü"}, Unroutable, "1 to 4 bytes"),
        ({"reserved_names": (r".+\.retry\.\d+", "inner")}, {"queue": "q.retry.500"}, Unroutable, "keeps for itself"),
        ({"max_publish_delay_s": 0}, {"delay_s": 1}, BrokerMisconfigured, "delay_s 1"),
        ({"max_publish_delay_s": 10}, {"delay_s": 11}, BrokerMisconfigured, "the longest this backend keeps is 10 s"),
        ({}, {"delay_s": float("inf")}, BrokerMisconfigured, "delay_s"),
        ({"expires": "none"}, {"expires_s": 1}, BrokerMisconfigured, "expires_s 1"),
        ({"expires": "replies"}, {"expires_s": 1}, BrokerMisconfigured, "expires_s 1"),
        ({}, {"expires_s": float("nan")}, BrokerMisconfigured, "expires_s"),
        ({}, {"priority": 0}, BrokerMisconfigured, "priority 0"),
    ],
)
def test_what_the_capabilities_exclude_is_an_error_that_names_it(capabilities, changed, error, words):
    found = rules(**capabilities).problem(message(**changed))

    assert isinstance(found, error)
    assert words in f"{found} {found.hint}"
    assert str(found).startswith("mq.type 'x': ")


@pytest.mark.parametrize(
    ("capabilities", "changed"),
    [
        ({"max_body_bytes": 2}, {}),
        ({"max_queue_name_bytes": 6}, {"queue": "äöü"}),
        ({"reserved_names": ("inner",)}, {"queue": "inner-too"}),
        ({"max_publish_delay_s": 10}, {"delay_s": 10}),
        ({"max_publish_delay_s": 0}, {"delay_s": 0}),
        ({}, {"expires_s": 5}),
        ({"priority": True}, {"priority": 5}),
    ],
)
def test_what_the_capabilities_allow_has_no_problem(capabilities, changed):
    assert rules(**capabilities).problem(message(**changed)) is None


def test_replies_may_expire_where_only_replies_do_and_are_never_delayed():
    replies = rules(expires="replies")

    assert replies.reply_problem([message(expires_s=5)]) is None
    assert replies.reply_problem([message()]) is None
    assert "replies go out at once" in str(replies.reply_problem([message(), message(delay_s=1)]))


def test_one_message_that_cannot_be_taken_keeps_no_other_from_the_backend():
    hooks = Hooks(None, LeaseLost("gone"))
    first, bad, last = message(), message(priority=1), message(queue="other")

    answers = Mq(hooks, PLAIN, backend="x").publish([first, bad, last])

    assert hooks.seen == [first, last]
    assert [type(answer) for answer in answers] == [type(None), BrokerMisconfigured, LeaseLost]


@pytest.mark.parametrize("settlement", ["ack", "dead_letter"])
def test_a_settlement_with_a_reply_that_cannot_be_taken_does_not_reach_the_backend(settlement):
    hooks = Hooks(None)
    mq = Mq(hooks, Capabilities(lease_s=60.0, max_body_bytes=1), backend="x")
    make = {
        "ack": lambda replies: Ack(delivery=DELIVERY, replies=replies),
        "dead_letter": lambda replies: DeadLetter(delivery=DELIVERY, queue="d", reason="r", error="e", replies=replies),
    }[settlement]
    fine, bad = make([]), make([message()])

    answers = getattr(mq, settlement)([bad, fine])

    assert hooks.seen == [fine]
    assert isinstance(answers[0], BodyTooLarge)
    assert answers[1] is None


def test_ensure_refuses_a_name_the_backend_keeps_for_itself():
    hooks = SimpleNamespace(awf_mq_ensure=lambda **_: pytest.fail("the backend was asked"))
    mq = Mq(hooks, Capabilities(lease_s=60.0, reserved_names=("inner",)), backend="x")

    with pytest.raises(Unroutable, match="keeps for itself"):
        mq.ensure("inner", "work")


def test_a_dead_letter_queue_with_a_name_no_queue_can_have_does_not_reach_the_backend():
    hooks = Hooks(None)
    dead_letter = DeadLetter(delivery=DELIVERY, queue="", reason="r", error="e")

    (answer,) = Mq(hooks, PLAIN, backend="x").dead_letter([dead_letter])

    assert hooks.seen == []
    assert isinstance(answer, Unroutable)


@pytest.mark.parametrize("delay_s", [11, 1e300, float("nan")])
def test_a_nack_with_a_delay_the_backend_cannot_keep_does_not_reach_the_backend(delay_s):
    hooks = Hooks(None)
    longest = Nack(delivery=DELIVERY, delay_s=10)

    answers = Mq(hooks, Capabilities(lease_s=60.0, max_nack_delay_s=10), backend="x").nack(
        [Nack(delivery=DELIVERY, delay_s=delay_s), longest]
    )

    assert hooks.seen == [longest]
    assert [type(answer) for answer in answers] == [BrokerMisconfigured, type(None)]
    assert f"delay_s for 'q' is {delay_s}" in str(answers[0])


def test_a_move_to_a_name_no_queue_can_have_does_not_reach_the_backend():
    hooks = SimpleNamespace(awf_mq_move=lambda **_: pytest.fail("the backend was asked"))

    with pytest.raises(Unroutable, match="can't be the name of a queue"):
        Mq(hooks, PLAIN, backend="x").move("a", "")
