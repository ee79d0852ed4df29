"""The core's own operations, agent providers and executors: registered as any plugin's are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from awf_core.config.backend_names import has_third_party_plugins
from awf_core.errors import ConfigError
from awf_core.extensions.executors import Executor
from awf_core.integrations import CLI_AGENTS, GITHUB_OPERATIONS
from awf_core.integrations.agents import dialects
from awf_core.integrations.github import github_operations
from awf_core.plugin.manager import build_plugins

REGISTERS = """
from awf_core import hookimpl
@hookimpl
def awf_register_{kind}(register): register({name!r}, 1)
"""
HEAVY = """
import sys
from awf_core.plugin.manager import build_plugins
registered = build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": "*"}).registered
registered.operations(), registered.agent_providers()
ours = [name for name in sys.modules if name.startswith("awf_core.integrations")]
print(ours, [name for name in ("httpx", "asyncio", "sqlite3", "ssl") if name in sys.modules])
"""


@pytest.mark.parametrize("disabled", ["", "*", "other"])
def test_the_cores_integrations_are_registered_whatever_third_party_plugins_are_kept_out(disabled):
    registered = build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": disabled}).registered

    assert set(registered.operations()) == {"http.request", "notify.send", *github_operations()}
    assert set(registered.agent_providers()) == {"openai_compatible", *dialects()}
    assert isinstance(registered.executors()["awf-cli"], Executor)


def test_the_registered_names_are_those_of_the_modules_behind_them():
    assert set(GITHUB_OPERATIONS) == set(github_operations())
    assert set(CLI_AGENTS) == set(dialects())


@pytest.mark.parametrize(
    ("kind", "what", "name"),
    [
        ("operations", "operation", "http.request"),
        ("agent_providers", "agent provider", "claude"),
        ("executors", "executor", "awf-cli"),
    ],
)
def test_a_plugin_can_not_take_the_name_of_a_built_in_integration(packages, kind, what, name):
    packages.install("awf-more", source=REGISTERS.format(kind=kind, name=name), value="{module}", plugins="more")

    with pytest.raises(ConfigError) as caught:
        getattr(build_plugins(None, None, env={}).registered, kind)()

    assert caught.value.message == f"{what} {name!r} is registered twice: by plugin 'builtin' and by plugin 'more'"


def test_registering_them_imports_none_of_their_modules():
    shown = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True)

    assert shown.stdout == "['awf_core.integrations'] []\n"


def test_the_core_alone_counts_as_no_third_party_plugin(packages):
    alone = has_third_party_plugins()
    packages.install("awf-more", source="", value="{module}", plugins="more")

    assert not alone
    assert has_third_party_plugins()
