"""What is registered, what is refused, and how the guilty plugin is named."""

from __future__ import annotations

import pytest

from awf_core.errors import ConfigError
from awf_core.plugin.loader import load_backend
from awf_core.plugin.manager import build_plugins

OBSERVER = """
from awf_core import hookimpl
seen = []
@hookimpl
def awf_message_settled(delivery, settlement):
    seen.append((delivery, settlement))
"""


def refusal(env=None, backend=None, name=None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        build_plugins(backend, name, env=env or {})
    return caught.value


def make_backend(name: str):
    from awf_core.clock import SystemClock
    from awf_core.contract import BackendContext

    cls = load_backend(name)
    return cls(cls.Settings(), BackendContext(worker="w", clock=SystemClock(), directory="."))


def test_backend_and_plugins_are_registered_under_their_names(packages):
    packages.install("awf-mq-fake", mq="fake")
    packages.install("awf-audit", source=OBSERVER, value="{module}", plugins="audit")

    plugins = build_plugins(make_backend("fake"), "fake", env={})

    assert {"awf_core", "audit", "awf.mq:fake"} <= set(plugins.names)
    assert plugins.hook.awf_mq_stats(queue="q").ready == 7


def test_a_plugin_may_bear_the_name_of_the_backend(packages):
    packages.install("awf-mq-fake", mq="fake")
    packages.install("awf-fake-extras", source=OBSERVER, value="{module}", plugins="fake")

    plugins = build_plugins(make_backend("fake"), "fake", env={"AWF_DISABLE_PLUGINS": "fake"})

    assert plugins.disabled == ("fake",)
    assert plugins.hook.awf_mq_stats(queue="q").ready == 7


def test_a_wrapper_changes_what_the_backend_answers(packages):
    packages.install("awf-mq-fake", mq="fake")
    wrapper = """
from dataclasses import replace
from awf_core import hookimpl
@hookimpl(wrapper=True)
def awf_mq_stats(queue):
    stats = yield
    return replace(stats, ready=stats.ready + 1)
"""
    packages.install("awf-wrap", source=wrapper, value="{module}", plugins="wrap")

    plugins = build_plugins(make_backend("fake"), "fake", env={})

    assert plugins.hook.awf_mq_stats(queue="q").ready == 8


def test_a_second_implementation_of_a_backend_hook_is_refused_naming_both(packages):
    packages.install("awf-mq-fake", mq="fake")
    thief = "from awf_core import hookimpl\n@hookimpl\ndef awf_mq_ack(acks): return []\n"
    packages.install("awf-thief", source=thief, value="{module}", plugins="thief")

    error = refusal(backend=make_backend("fake"), name="fake")

    assert error.message == (
        "awf_mq_ack is implemented twice: by 'thief' and by 'awf.mq:fake'. "
        "One backend serves a worker; others may only wrap it (hookimpl(wrapper=True))."
    )


def test_without_a_plugin_the_core_formats_the_result_and_a_plugin_comes_before_it(packages):
    from awf_core.contract import Delivery
    from awf_core.result import Outcome

    times = {"started_at": 0.0, "finished_at": 1.0}
    outcome = Outcome(
        id="r", message_id="m", workflow="w", status="completed", exit_code=0, attempt=1, worker="w", **times
    )
    arguments = {"delivery": Delivery(queue="q", body=b"{}", receipt=1), "message": None, "outcome": outcome}
    core_only = build_plugins(None, None, env={}).hook.awf_format_result(**arguments)

    formatter = """
from awf_core import hookimpl
from awf_core.contract import Formatted
@hookimpl
def awf_format_result(outcome): return Formatted(body=outcome.id.encode(), content_type="text/plain")
"""
    packages.install("awf-format", source=formatter, value="{module}", plugins="format")
    with_plugin = build_plugins(None, None, env={}).hook.awf_format_result(**arguments)

    assert b'"message_id":"m"' in core_only.body
    assert with_plugin.body == b"r"


@pytest.mark.parametrize("blocked", ["broken", "other, broken", "*"])
def test_a_disabled_plugin_is_not_even_imported(packages, blocked):
    packages.install("awf-broken", source="raise RuntimeError", value="{module}", plugins="broken")

    plugins = build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": blocked})

    assert "broken" in plugins.disabled
    assert "broken" not in plugins.names


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit", "SystemExit"),
        ("assert 0", "AssertionError"),
    ],
)
def test_a_plugin_that_fails_to_import_is_named_with_its_package(packages, source, cause):
    module = packages.install("awf-bad", version="0.2", source=source, value="{module}", plugins="bad")

    error = refusal()

    assert error.message == f"plugin 'bad': awf-bad 0.2 ({module}) failed to import: {cause}"
    assert error.hint == "run `awf plugins doctor`; AWF_DISABLE_PLUGINS=bad starts without it"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "@hookimpl\ndef awf_message_setled(delivery): pass",
            "implements awf_message_setled, which is no hook. Did you mean 'awf_message_settled'?",
        ),
        (
            "@hookimpl\ndef awf_message_settled(delivry): pass",
            (
                "implements awf_message_settled with the parameter 'delivry', which the hook doesn't have. "
                "Did you mean 'delivery'? (it has: delivery, settlement, reason, duration_s)"
            ),
        ),
        (
            "@hookimpl\nasync def awf_worker_started(worker): pass",
            "implements awf_worker_started as a coroutine function; hooks are called, never awaited.",
        ),
        (
            "@hookimpl(wrapper=True)\ndef awf_worker_started(worker):\n    return (yield)",
            "wraps awf_worker_started; events and registrations can't be wrapped, implement them.",
        ),
        (
            "@hookimpl\ndef awf_worker_started(*, worker): pass",
            "implements awf_worker_started with the parameter 'worker'; only plain parameters are filled.",
        ),
        (
            "def awf_worker_started(worker): pass",
            "has awf_worker_started, but not as a hook (is it decorated with awf_core.hookimpl?).",
        ),
    ],
)
def test_of_a_plugin_that_does_not_fit_the_hooks_the_error_says_why(packages, body, said):
    source = f"from awf_core import hookimpl\n{body}\n"
    module = packages.install("awf-odd", source=source, value="{module}", plugins="odd")

    error = refusal()

    assert error.message == f"plugin 'odd': awf-odd 1.0 ({module}) {said}"
    assert error.hint == "run `awf plugins doctor`"


def test_a_class_in_place_of_an_instance_is_refused(packages):
    source = "class Audit: pass\n"
    module = packages.install("awf-odd", source=source, value="{module}:Audit", plugins="odd")

    error = refusal()

    assert error.message == (
        f"plugin 'odd': awf-odd 1.0 ({module}:Audit) is a class; hooks need an instance "
        "(is a `()` missing behind 'Audit'?)."
    )


def test_an_optional_hook_of_another_version_is_accepted(packages):
    source = "from awf_core import hookimpl\n@hookimpl(optionalhook=True)\ndef awf_of_tomorrow(x): pass\n"
    packages.install("awf-next", source=source, value="{module}", plugins="next")

    assert "next" in build_plugins(None, None, env={}).names


def test_the_same_plugin_name_in_two_packages_is_refused(packages):
    first = packages.install("awf-one", source=OBSERVER, value="{module}", plugins="twin")
    second = packages.install("awf-two", source=OBSERVER, value="{module}", plugins="twin")

    error = refusal()

    assert error.message == (
        f"plugin 'twin' is claimed twice: awf-one 1.0 ({first}); awf-two 1.0 ({second}). Uninstall one."
    )


def test_a_backend_with_a_wrong_parameter_is_named(packages, changed):
    packages.install("awf-mq-fake", source=changed("awf_mq_ack(self, acks)", "awf_mq_ack(self, items)"), mq="fake")

    error = refusal(backend=make_backend("fake"), name="fake")

    assert error.message.startswith(
        "backend 'fake' implements awf_mq_ack with the parameter 'items', which the hook doesn't have."
    )


def test_what_plugins_register_is_collected_by_kind(packages):
    source = """
from awf_core import hookimpl
@hookimpl
def awf_register_operations(register):
    register("shout", str.upper)
    register("whisper", str.lower)
@hookimpl
def awf_register_step_types(register): register("a step type")
@hookimpl
def awf_register_agent_providers(register): register("mine", 1)
@hookimpl
def awf_register_executors(register): register("fast", 2)
@hookimpl
def awf_register_commands(register): register("a command")
"""
    packages.install("awf-more", source=source, value="{module}", plugins="more")

    registered = build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": "builtin"}).registered

    assert registered.operations() == {"shout": str.upper, "whisper": str.lower}
    assert registered.step_types() == ("a step type",)
    assert registered.agent_providers() == {"mine": 1}
    assert registered.executors() == {"fast": 2}
    assert registered.commands() == ("a command",)


def test_a_plugin_that_raises_while_registering_stops_the_start_with_its_name(packages):
    source = "from awf_core import hookimpl\n@hookimpl\ndef awf_register_operations(register): 1 / 0\n"
    packages.install("awf-more", source=source, value="{module}", plugins="more")
    registered = build_plugins(None, None, env={}).registered

    with pytest.raises(ConfigError) as caught:
        registered.operations()

    assert caught.value.message == (
        "plugin 'more' failed in awf_register_operations: ZeroDivisionError: division by zero"
    )
    assert caught.value.hint == "AWF_DISABLE_PLUGINS=more starts without it"


def test_two_plugins_can_not_register_the_same_operation(packages):
    source = "from awf_core import hookimpl\n@hookimpl\ndef awf_register_operations(register): register('x', 1)\n"
    packages.install("awf-a", source=source, value="{module}", plugins="a")
    packages.install("awf-b", source=source, value="{module}", plugins="b")

    with pytest.raises(ConfigError) as caught:
        build_plugins(None, None, env={}).registered.operations()

    assert caught.value.message == "operation 'x' is registered twice: by plugin 'a' and by plugin 'b'"


def test_tracing_writes_hook_calls_to_stderr_without_bodies(packages, capsys):
    from awf_core.contract import Ack, Delivery

    packages.install("awf-mq-fake", mq="fake")
    delivery = Delivery(queue="q", body=b"private", receipt=1, id="m-1")
    plugins = build_plugins(make_backend("fake"), "fake", env={"AWF_TRACE_HOOKS": "1"})

    plugins.hook.awf_mq_ack(acks=[Ack(delivery=delivery)])
    plugins.hook.awf_mq_stats(queue="redis://me:hunter2@host/q")

    written = capsys.readouterr().err
    assert "hook awf_mq_ack(acks=[1]) -> awf.mq:fake\n" in written
    assert "hook awf_mq_stats(queue='redis://me:***@host/q') -> awf.mq:fake\n" in written
    assert "private" not in written
