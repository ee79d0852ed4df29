"""Observers get what they ask for, and can't harm the worker or each other."""

from __future__ import annotations

import io
import json

import pytest

from awf_core.contract import Delivery
from awf_core.observe.log import configure_logging
from awf_core.plugin.manager import build_plugins
from awf_core.plugin.observers import Observers

GOOD = """
from awf_core import hookimpl
seen = []
@hookimpl
def awf_message_settled(duration_s, settlement): seen.append((settlement, duration_s))
@hookimpl
def awf_run_finished(status, exit_code=99): seen.append((status, exit_code))
"""
RAISING = """
from awf_core import hookimpl
@hookimpl
def awf_message_settled(delivery): raise {error}
"""
DELIVERY = Delivery(queue="q", body=b"private", receipt=1, id="m-1")


class StillClock:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 100.0


@pytest.fixture
def written() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    return stream


def module_of(packages, name: str, source: str):
    import importlib

    return importlib.import_module(packages.install(f"awf-{name}", source=source, value="{module}", plugins=name))


def test_an_observer_gets_the_values_it_names_in_its_own_order(packages):
    module = module_of(packages, "good", GOOD)
    observers = Observers(build_plugins(None, None, env={}))

    observers.message_settled(DELIVERY, "ack", "", 0.5)
    observers.run_finished("r", "w", "completed", 0, 0.1)

    assert module.seen == [("ack", 0.5), ("completed", 0)]


def test_every_event_of_the_hook_specifications_has_a_method():
    from awf_core.plugin.checks import EVENTS

    assert [hook for hook in EVENTS if not callable(getattr(Observers, hook.removeprefix("awf_"), None))] == []


@pytest.mark.parametrize("error", ["ValueError('amqp://u:hunter2@h')", "SystemExit(1)"])
def test_a_raising_observer_is_logged_and_counted_and_harms_no_other(packages, written, error):
    module = module_of(packages, "good", GOOD)
    module_of(packages, "raising", RAISING.format(error=error))
    observers = Observers(build_plugins(None, None, env={}), clock=StillClock())

    observers.message_settled(DELIVERY, "ack", "", 0.5)
    observers.message_settled(DELIVERY, "nack", "", 0.5)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert module.seen == [("ack", 0.5), ("nack", 0.5)]
    assert observers.failures == {("raising", "awf_message_settled"): 2}
    assert [(line["event"], line["plugin"], line["hook"]) for line in lines] == [
        ("plugin.failed", "raising", "awf_message_settled")
    ]
    assert error.split("(")[0] in lines[0]["exception"]
    assert "hunter2" not in written.getvalue()


def test_without_observers_nothing_is_active():
    observers = Observers(build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": "*"}))

    observers.worker_started("w", ["q"], 5)
    observers.worker_stopping("w", "signal")

    assert observers.active is False
    assert observers.failures == {}


def test_tracing_shows_which_plugins_are_notified_without_bodies(packages, capsys):
    module_of(packages, "good", GOOD)
    observers = Observers(build_plugins(None, None, env={"AWF_TRACE_HOOKS": "1"}))

    observers.message_settled(DELIVERY, "ack", "", 0.5)

    written = capsys.readouterr().err
    assert "hook awf_message_settled(delivery=<q id=m-1 attempt=1>, settlement='ack'" in written
    assert written.endswith("-> good\n")
    assert "private" not in written
