"""Every way a backend can fail to load has one sentence that says which package, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from awf_core.config.backend_names import BACKEND_GROUP
from awf_core.errors import ConfigError
from awf_core.plugin.loader import entries, load_backend


def refusal(name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_backend(name)
    return caught.value


def test_an_installed_backend_is_loaded_as_its_class(packages):
    module = packages.install("awf-mq-fake", mq="fake")

    backend = load_backend("fake")

    assert backend.__module__ == module
    assert backend.__name__ == "Backend"


def test_only_the_named_backend_is_imported(packages):
    wanted = packages.install("awf-mq-fake", mq="fake")
    other = packages.install("awf-mq-other", mq="other")

    load_backend("fake")

    assert wanted in sys.modules
    assert other not in sys.modules


def test_listing_the_backends_imports_none_and_names_their_packages(packages):
    module = packages.install("awf-mq-fake", version="3.2", mq="fake")

    listed = {info.name: info for info in entries(BACKEND_GROUP)}

    assert listed["fake"].distribution == "awf-mq-fake"
    assert listed["fake"].version == "3.2"
    assert listed["fake"].value == f"{module}:Backend"
    assert module not in sys.modules


def test_a_misspelled_backend_is_answered_with_the_likely_name_and_the_installed_ones(packages):
    packages.install("awf-mq-fake", mq="okk")

    error = refusal("ok")

    assert "mq.type 'ok': no such backend is installed (installed: " in error.message
    assert "okk" in error.message
    assert error.message.endswith("Did you mean 'okk'?")
    assert error.hint == "run `awf plugins doctor`"


@pytest.mark.parametrize(
    ("written", "package"),
    [("rabitmq", "awf-mq-rabbitmq"), ("amqp", "awf-mq-rabbitmq"), ("sqz", "awf-mq-sqs")],
)
def test_a_misspelled_backend_of_ours_that_is_not_installed_comes_with_the_install_line(
    packages, monkeypatch, written, package
):
    only_here(packages, monkeypatch)

    error = refusal(written)

    assert "Did you mean" in error.message
    assert error.message.endswith(f"Install it with: pip install {package}")


@pytest.mark.parametrize("name", ["rabbitmq", "redis", "sqs"])
def test_a_known_backend_that_is_not_installed_comes_with_its_install_line(packages, monkeypatch, name):
    only_here(packages, monkeypatch)

    error = refusal(name)

    assert error.message == (
        f"mq.type '{name}': no such backend is installed (installed: none). Install it with: pip install awf-mq-{name}"
    )
    assert error.hint == "run `awf plugins doctor`"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import pikaaa", "ModuleNotFoundError: No module named 'pikaaa'"),
        ("assert False, 'too old'", "AssertionError: too old"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: "),
        ("raise ValueError('amqp://me:hunter2@host')", "ValueError: amqp://me:***@host"),
        ("Other = 1", "AttributeError: module "),
    ],
)
def test_a_backend_that_fails_to_import_is_named_with_its_package_and_the_cause(packages, source, cause):
    module = packages.install("awf-mq-bad", version="0.3.1", source=source, mq="bad")

    error = refusal("bad")

    expected = f"mq.type 'bad': awf-mq-bad 0.3.1 ({module}:Backend) failed to import: {cause}"
    assert error.message.startswith(expected)
    assert error.__cause__ is not None
    assert error.hint == "run `awf plugins doctor`"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("api_version = 0", "speaks MQ API 0, this awf-core speaks 1. Upgrade the backend's package."),
        ("api_version = 2", "speaks MQ API 2, this awf-core speaks 1. Upgrade awf-core."),
        ("api_version = '1'", "states api_version '1', which is not a whole number."),
        ("pass", "states no api_version in its own class body (expected: `api_version = 1`)."),
    ],
)
def test_a_backend_of_another_contract_says_which_side_to_upgrade(packages, changed, line, said):
    module = packages.install("awf-mq-old", version="0.1", source=changed("api_version = 1", line), mq="old")

    error = refusal("old")

    assert error.message == f"mq.type 'old': awf-mq-old 0.1 ({module}:Backend) {said}"


def test_an_inherited_api_version_does_not_count(packages, changed):
    source = changed("class Backend:", "class Base:") + "\nclass Backend(Base):\n    pass\n"
    packages.install("awf-mq-old", source=source, mq="old")

    error = refusal("old")

    assert "states no api_version in its own class body" in error.message


def test_of_an_incomplete_backend_the_error_says_what_is_missing(packages, changed):
    source = changed("    @hookimpl\n    def awf_mq_nack(self, nacks): return [None for _ in nacks]\n", "")
    module = packages.install("awf-mq-part", source=source, mq="part")

    error = refusal("part")

    assert error.message == f"mq.type 'part': awf-mq-part 1.0 ({module}:Backend) does not implement awf_mq_nack."


def test_of_hooks_with_another_marker_the_error_names_the_right_decorator(packages, changed):
    source = changed("from awf_core import hookimpl", "import pluggy; hookimpl = pluggy.HookimplMarker('awf_core')")
    packages.install("awf-mq-marked", source=source, mq="marked")

    error = refusal("marked")

    assert "does not implement awf_mq_open, awf_mq_close" in error.message
    assert error.message.endswith("(is it decorated with awf_core.hookimpl?).")


def test_coroutine_hooks_are_refused(packages, changed):
    packages.install("awf-mq-async", source=changed("def awf_mq_ack", "async def awf_mq_ack"), mq="async")

    error = refusal("async")

    assert error.message.endswith("implements awf_mq_ack as a coroutine function; hooks are called, never awaited.")


def test_what_is_not_a_class_is_refused(packages):
    module = packages.install("awf-mq-mod", value="{module}", mq="mod")

    error = refusal("mod")

    assert error.message == f"mq.type 'mod': awf-mq-mod 1.0 ({module}) is not a class."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pass", "has no Settings (expected: a pydantic model, `Settings = MySettings`)."),
        ("Settings = dict", "has Settings <class 'dict'>, which is not a pydantic model class."),
        ("Settings = 5", "has Settings 5, which is not a pydantic model class."),
    ],
)
def test_settings_have_to_be_a_pydantic_model(packages, changed, line, said):
    packages.install("awf-mq-set", source=changed("    Settings = Settings", f"    {line}"), mq="set")

    error = refusal("set")

    assert error.message.endswith(said)


def test_a_name_claimed_twice_names_both_packages(packages):
    first = packages.install("awf-mq-one", version="1.0", mq="dup")
    second = packages.install("awf-mq-two", version="2.0", mq="dup")

    error = refusal("dup")

    assert error.message == (
        f"mq.type 'dup' is claimed twice: awf-mq-one 1.0 ({first}:Backend); "
        f"awf-mq-two 2.0 ({second}:Backend). Uninstall one."
    )
    assert first not in sys.modules


def test_a_package_installed_while_the_process_runs_is_found(packages):
    refusal("late")
    packages.install("awf-mq-late", mq="late")

    assert load_backend("late").__name__ == "Backend"


def test_a_changed_entry_point_is_not_served_from_a_stale_cache(packages, tmp_path):
    module = packages.install("awf-mq-edit", mq="edit")
    env = {**os.environ, "PYTHONPATH": str(packages.site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    show = "from awf_core.plugin.loader import load_backend; print(load_backend('edit').__name__)"
    # stevedore itself fills its file cache, as another tool on the machine would.
    fill = "import stevedore; stevedore.ExtensionManager('awf.mq.none'); " + show
    before = subprocess.run([sys.executable, "-c", fill], env=env, capture_output=True, text=True, check=True)

    points = next(packages.site.glob("awf_mq_edit*.dist-info")) / "entry_points.txt"
    stat = points.stat()
    (packages.site / f"{module}.py").write_text(
        (packages.site / f"{module}.py").read_text() + "\nclass Renamed(Backend):\n    api_version = 1\n"
    )
    points.write_text(f"[awf.mq]\nedit = {module}:Renamed\n")
    os.utime(points, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = subprocess.run([sys.executable, "-c", show], env=env, capture_output=True, text=True, check=True)

    assert before.stdout.strip() == "Backend"
    assert after.stdout.strip() == "Renamed"


def only_here(packages, monkeypatch) -> None:
    """Leave only the test's own packages and the standard library to be found."""
    monkeypatch.setattr(sys, "path", [str(packages.site)])
    import importlib

    importlib.invalidate_caches()
