"""Which input names an untrusted producer may use: the stricter rules for inputs that come from a queue.

Steps see every text input as an environment variable of the same name, so a message could otherwise set `PATH` or
`LD_PRELOAD` of what the worker runs. Called by the worker's plan. Pure; names are compared as environments do, with
their case: `path` is a fine name for an input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from awf_core.lang.go.quoting import quoted
from awf_core.lang.inputs import refuse
from awf_core.lang.model import Workflow

MAX_NAME_LENGTH = 255
_SHOWN = 60

_LEGAL = re.compile(r"[^\W\d][\w.\-]*")
"""Letters, digits (of any script), `_`, `.` and `-`: no `=`, no NUL, no space, nothing a shell reads as its own."""

_EXACT = frozenset(
    """
    PATH HOME SHELL ENV BASH_ENV IFS CDPATH PS4 PROMPT_COMMAND SHELLOPTS BASHOPTS GLOBIGNORE BASH_XTRACEFD TMPDIR
    USER LOGNAME PWD OLDPWD GCONV_PATH LOCPATH NLSPATH GLIBC_TUNABLES HOSTALIASES TERMINFO
    EDITOR VISUAL PAGER MANPAGER LESSOPEN LESSCLOSE BROWSER SSH_ASKPASS SSH_AUTH_SOCK MAKEFLAGS MAKEFILES
    NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS PERLLIB PERLIO
    JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS CLASSPATH
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR OPENSSL_CONF REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CURL_HOME
    KUBECONFIG GOOGLE_APPLICATION_CREDENTIALS
    """.split()  # noqa: SIM905  (one name a line would fill a page)
)
"""Shell and loader; programs that programs start; interpreters; where data and credentials go."""

_PREFIXES = tuple(
    """
    LD_ DYLD_ MALLOC_ BASH_FUNC_ PYTHON PERL5 RUBY GIT_ AWF_ XDG_ AWS_ DOCKER_ SUDO_ PIP_ UV_ NPM_CONFIG_ npm_config_
    GEM_ BUNDLE_ CARGO_ RUSTC_ OPENAI_ ANTHROPIC_
    """.split()  # noqa: SIM905
)


def undeclared(workflow: Workflow, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in `given` that the workflow does not declare, sorted."""
    declared = {definition.name for definition in workflow.inputs}
    return tuple(sorted(name for name in given if name not in declared))


def check_untrusted(workflow: Workflow, given: Mapping[str, Any]) -> None:
    """Raises InputError for undeclared and for dangerous names, and for text that no program can be given."""
    dangers = _dangers(given)
    reasons = _reasons(dangers)
    reasons += [f"inputs.{_shown(name)}: holds a NUL" for name in sorted(given) if _has_nul(given[name])]
    extra = (name for name in undeclared(workflow, given) if name not in dangers)
    reasons += [f"inputs.{_shown(name)}: not declared by workflow {quoted(workflow.name)}" for name in extra]
    refuse(reasons)


def check_names(given: Iterable[str]) -> None:
    """Raises InputError for dangerous names only: for workflows that declare nothing that could be read here."""
    refuse(_reasons(_dangers(given)))


def _has_nul(value: Any) -> bool:
    """Whether a text has a NUL, at any depth: every step has the inputs in its environment, which can't hold one."""
    open_values = [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, str) and "\0" in each:
            return True
        if isinstance(each, Mapping):
            open_values += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            open_values += each
    return False


def _dangers(given: Iterable[str]) -> dict[str, str]:
    return {name: danger for name in sorted(given) if (danger := _danger(name))}


def _reasons(dangers: Mapping[str, str]) -> list[str]:
    return [f"inputs.{_shown(name)}: {danger}" for name, danger in dangers.items()]


def _danger(name: str) -> str:
    if not _LEGAL.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        return "not a name that steps can have in their environment"
    if name in _EXACT or name.startswith(_PREFIXES):
        return "would change an environment variable that programs take orders from"
    return ""


def _shown(name: str) -> str:
    if _LEGAL.fullmatch(name) and len(name) <= _SHOWN:
        return name
    return quoted(name[:_SHOWN] + ("…" if len(name) > _SHOWN else ""))
