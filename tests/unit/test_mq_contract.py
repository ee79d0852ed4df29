"""What a backend may not raise or answer: the error names the hook and the backend, and never blames AWF."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from awf_core.contract import Ack, Capabilities, Delivery, Stats
from awf_core.errors import BrokerUnavailable, ConfigError, LeaseLost, PluginFailed
from awf_core.mq import Mq

DELIVERY = Delivery(queue="q", body=b"{}", receipt=1)
ACKS = [Ack(delivery=DELIVERY), Ack(delivery=DELIVERY)]
CALLS = {
    "open": lambda mq: mq.open(),
    "consume": lambda mq: mq.consume("q", limit=1, wait_s=0),
    "ack": lambda mq: mq.ack(ACKS),
    "extend": lambda mq: mq.extend([DELIVERY, DELIVERY]),
    "stats": lambda mq: mq.stats("q"),
    "browse": lambda mq: mq.browse("q", limit=1),
    "move": lambda mq: mq.move("a", "b"),
    "purge": lambda mq: mq.purge("q"),
    "reply_queue": lambda mq: mq.reply_queue(ttl_s=1),
    "state_get": lambda mq: mq.state_get(["a", "b"]),
    "state_list": lambda mq: mq.state_list("a"),
}


class Hook:
    """A hook as pluggy offers it."""

    def __init__(self, does):
        self._does = does

    def __call__(self, **_arguments):
        return self._does()

    def get_hookimpls(self):
        return [self]


def mq_whose(call: str, does) -> Mq:
    return Mq(SimpleNamespace(**{f"awf_mq_{call}": Hook(does)}), Capabilities(lease_s=60.0), backend="x")


def raising(error: BaseException):
    def raise_it():
        raise error

    return raise_it


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [KeyError("k"), SystemExit(1), OSError("redis://u:hunter2@h is away")])
def test_an_exception_that_the_contract_does_not_allow_names_hook_and_backend(call, error):
    with pytest.raises(PluginFailed) as caught:
        CALLS[call](mq_whose(call, raising(error)))

    text = str(caught.value)
    assert text.startswith(f"mq.type 'x': awf_mq_{call} raised {type(error).__name__}: ")
    assert "hunter2" not in text
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), ConfigError("a setting")])
def test_an_error_of_awf_passes_unchanged(error):
    with pytest.raises(type(error)) as caught:
        CALLS["ack"](mq_whose("ack", raising(error)))

    assert caught.value is error


@pytest.mark.parametrize(
    ("call", "answer", "words"),
    [
        ("consume", None, "returned None, not a sequence of Deliveries"),
        ("consume", [DELIVERY, "x"], "returned a list of 2, not a sequence of Deliveries"),
        ("consume", [replace(DELIVERY, queue="other")], "returned a delivery of 'other' where 'q' was asked for"),
        ("ack", None, "returned None, not a sequence of 2 answers"),
        ("ack", [None], "returned a list of 1, not a sequence of 2 answers"),
        ("ack", "ab", "returned a str of 2, not a sequence of 2 answers"),
        ("ack", [None, True], "answered True for an item, not None or a BrokerError"),
        ("ack", [None, KeyError("k")], "answered a KeyError for an item, not None or a BrokerError"),
        ("extend", None, "returned None, not a sequence of 2 answers"),
        ("stats", None, "returned None, not a Stats"),
        ("browse", [], "returned a list of 0, not a Page"),
        ("move", "3", "returned a str of 1, not a whole number or None"),
        ("purge", True, "returned True, not a whole number or None"),
        ("reply_queue", b"q", "returned a bytes of 1, not a str"),
        ("state_get", [None], "returned a list of 1, not a sequence of 2 values"),
        ("state_list", None, "returned None, not a sequence"),
    ],
)
def test_an_answer_against_the_contract_names_hook_backend_and_what_it_was(call, answer, words):
    with pytest.raises(PluginFailed) as caught:
        CALLS[call](mq_whose(call, lambda: answer))

    assert str(caught.value) == f"mq.type 'x': awf_mq_{call} {words}"


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("consume", (DELIVERY,)),
        ("consume", []),
        ("ack", (None, LeaseLost("gone"))),
        ("extend", [None, LeaseLost("gone")]),
        ("stats", Stats(ready=1)),
        ("move", None),
        ("purge", 3),
        ("state_get", (None, "v")),
    ],
)
def test_an_answer_of_the_contract_passes_unchanged(call, answer):
    assert CALLS[call](mq_whose(call, lambda: answer)) is answer
