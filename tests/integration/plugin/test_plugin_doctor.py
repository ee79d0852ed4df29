"""The doctor checks everything installed and survives it."""

from __future__ import annotations

import sys
from importlib.metadata import PathDistribution, version
from typing import TYPE_CHECKING

import pytest

from awf_core.config.load import load_config
from awf_core.contract import API_VERSION
from awf_core.errors import ConfigError
from awf_core.hookspecs import REQUIRED_HOOKS
from awf_core.plugin.assemble import assemble
from awf_core.plugin.doctor import diagnose, list_plugins, script_facts

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "def awf_mq_stats(self, queue): return",
            "def awf_mq_stat(self, queue): return",
            "does not implement awf_mq_stats",
        ),
        (
            "    @hookimpl\n    def awf_mq_stats",
            "    @hookimpl\n    def awf_mq_purg(self, queue): return 0\n    @hookimpl\n    def awf_mq_stats",
            "implements awf_mq_purg, which is no hook. Did you mean 'awf_mq_purge'?",
        ),
        ("def awf_mq_nack(self, nacks):", "def awf_mq_nack(self, nacks, when):", "with the parameter 'when'"),
        ("self.settings, self.context = settings, context", "raise KeyError('k')", "can't be set up: KeyError: 'k'"),
        ("self.capabilities = Capabilities(lease_s=settings.lease_s)", "pass", "sets no `capabilities`"),
        ('    model_config = ConfigDict(extra="forbid")\n', "", "has Settings that accept unknown keys"),
    ],
)
def test_what_the_start_refuses_is_a_problem_in_the_same_words(packages, changed, old, new, words, tmp_path):
    packages.install("awf-mq-odd", source=changed(old, new), mq="odd")
    (tmp_path / ".awf").mkdir()
    (tmp_path / ".awf" / "config.yaml").write_text("mq: {type: odd}\n")

    problem = facts_of("odd").problem or ""
    with pytest.raises(ConfigError) as caught:
        assemble(load_config(cwd=tmp_path, env={}, overrides={}), worker="w")

    assert words in problem
    assert caught.value.message.endswith(problem)


@pytest.mark.parametrize("address", ["uri", "endpoint"])
def test_settings_that_name_their_address_otherwise_get_a_word_that_is_no_problem(packages, changed, address):
    packages.install("awf-mq-odd", source=changed('    url: str = "fake', f'    {address}: str = "fake'), mq="odd-one")

    fact = facts_of("odd-one")

    assert fact.problem is None
    assert "has Settings without an address called url or queue_url or path" in (fact.notice or "")
    assert f"(settings: {', '.join(sorted((address, 'lease', 'queue')))})" in (fact.notice or "")
    assert "AWF_MQ_ODD_ONE_URL in the environment can't select this backend" in (fact.notice or "")


def test_an_address_called_url_gets_no_word(packages):
    packages.install("awf-mq-fake", mq="fake")

    assert facts_of("fake").notice is None


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


def test_a_requirement_that_is_not_met_is_a_problem_with_the_line_that_installs_it(packages):
    requires = [
        "pluggy>=999",
        "pluggy>=1",
        "awf-absent~=2.0",
        "awf-absent; extra == 'more'",
        "awf-absent; sys_platform == 'no'",
    ]
    packages.install("awf-mq-fake", mq="fake", requires=requires)

    unmet = [fact for fact in diagnose() if fact.group == "requires" and fact.distribution == "awf-mq-fake"]

    assert [fact.value for fact in unmet] == ["pluggy>=999", "awf-absent~=2.0"]
    assert unmet[0].problem == (
        f"awf-mq-fake 1.0 requires pluggy>=999, installed is {version('pluggy')}. "
        "Install it with: pip install 'pluggy>=999'"
    )
    assert "installed is none. Install it with: pip install 'awf-absent~=2.0'" in (unmet[1].problem or "")


def test_the_doctor_says_whose_the_script_is():
    (fact,) = [fact for fact in diagnose() if fact.group == "console_scripts"]

    assert (fact.distribution, fact.problem) == ("awf-core", None)
    assert fact.value.endswith("/bin/awf")


@pytest.fixture
def core(tmp_path: Path) -> PathDistribution:
    """A core that was installed into a directory of its own, where its script was not."""
    info = tmp_path / "core" / "awf_core-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: awf-core\nVersion: 1.0\n")
    (info / "RECORD").write_text("bin/awf,,\n")
    return PathDistribution(info)


def test_a_script_that_another_package_replaced_is_a_problem_with_another_way_in(packages, core, tmp_path):
    module = packages.install("awf", value="{module}:main", scripts="awf")
    script = tmp_path / "core" / "bin" / "awf"
    script.parent.mkdir()
    script.write_text(f"from {module} import main\nmain()\n")

    (fact,) = script_facts(core)

    assert fact.distribution == "awf"
    assert fact.problem == (
        f"{script} is the script of awf 1.0 ({module}:main). "
        "Use `awfq` or `python -m awf_core`, or: pip install --force-reinstall --no-deps awf-core"
    )


def test_a_script_that_is_missing_is_a_problem(core):
    (fact,) = script_facts(core)

    assert "bin/awf is missing. Use `awfq` or `python -m awf_core`" in (fact.problem or "")
