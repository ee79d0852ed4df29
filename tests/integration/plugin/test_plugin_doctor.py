"""The doctor looks at everything installed and survives it."""

from __future__ import annotations

import sys

from awf_core.contract import API_VERSION
from awf_core.hookspecs import REQUIRED_HOOKS
from awf_core.plugin.doctor import diagnose, list_plugins


def facts_of(name: str):
    return next(fact for fact in diagnose() if fact.name == name)


def test_listing_imports_nothing(packages):
    module = packages.install("awf-mq-fake", mq="fake")

    listed = {(fact.group, fact.name): fact for fact in list_plugins()}

    assert listed["awf.mq", "fake"].distribution == "awf-mq-fake"
    assert listed["awf.mq", "fake"].imports is None
    assert module not in sys.modules


def test_a_good_backend_has_no_problem(packages):
    packages.install("awf-mq-fake", mq="fake")

    fact = facts_of("fake")

    assert fact.problem is None
    assert fact.imports is True
    assert fact.import_ms is not None
    assert fact.import_ms > 0
    assert fact.api_version == API_VERSION
    assert fact.missing_hooks == ()
    assert set(fact.hooks) == set(REQUIRED_HOOKS)


def test_an_incomplete_backend_lists_what_is_missing(packages, changed):
    source = changed("    @hookimpl\n    def awf_mq_interrupt(self): pass\n", "")
    packages.install("awf-mq-part", source=source, mq="part")

    fact = facts_of("part")

    assert fact.missing_hooks == ("awf_mq_interrupt",)
    assert "does not implement awf_mq_interrupt" in (fact.problem or "")


def test_a_broken_plugin_does_not_hide_the_others(packages):
    packages.install("awf-broken", source="raise SystemExit(1)", value="{module}", plugins="broken")
    source = "from awf_core import hookimpl\n@hookimpl\ndef awf_worker_started(worker): pass\n"
    packages.install("awf-good", source=source, value="{module}", plugins="good")

    broken, good = facts_of("broken"), facts_of("good")

    assert broken.imports is False
    assert "failed to import: SystemExit: 1" in (broken.problem or "")
    assert good.problem is None
    assert good.hooks == ("awf_worker_started",)


def test_a_name_claimed_twice_is_a_problem_of_both(packages):
    packages.install("awf-mq-one", mq="dup")
    packages.install("awf-mq-two", mq="dup")

    problems = [fact.problem for fact in diagnose() if fact.name == "dup"]

    assert len(problems) == 2
    assert all("'dup' is claimed twice: awf-mq-one 1.0" in (problem or "") for problem in problems)


def test_a_variable_declared_for_no_backend_is_a_problem(packages):
    module = packages.install("awf-mq-odd", env="AWF_MQ_ODD_URL")

    fact = facts_of("AWF_MQ_ODD_URL")

    assert fact.problem == (
        f"awf-mq-odd 1.0 ({module}:Backend) is declared for variable AWF_MQ_ODD_URL, "
        "but the package has no such backend"
    )
