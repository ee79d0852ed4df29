"""Whole workflows against what the original engine was observed to do with them.

Most cases run in this process through the flow of `awf run`; some run the installed command. Only the cases that
`docs/reference/compatibility.md` names and justifies are not compared.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from corpus_page import differing_cases
from eventually import eventually

from awf_core.cli.resume import ResumeRequest, resume_here
from awf_core.cli.run_flow import Refused, RunRequest, run_here
from awf_core.cli.run_report import RunReport
from awf_core.engine.process.line_input import LineInput
from awf_core.engine.records.history import Selection, read_history
from awf_core.engine.records.paths import record_paths
from awf_core.engine.steps import builtin_step_types
from awf_core.extensions.agents import NoInput
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.results import json_value
from awf_core.lang.lint import lint_file
from awf_core.lang.problems import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from awf_core.extensions.agents import UserInput
    from awf_core.extensions.results import Run

HERE = Path(__file__).parent
AWF = Path(sys.executable).with_name("awf")
KEYS = (
    "phase",
    "status",
    "exit_code",
    "context_exit_code",
    "final_state",
    "path",
    "states",
    "inputs",
    "error",
    "logs",
    "files_after",
)
THROUGH_THE_COMMAND = 25
LACKING = ("make", "curl", "git")
DIFFERENT = differing_cases("workflows.json")
"""Cases whose observed behaviour is a flaw of the original that is not reproduced, with the reason on the page."""


def load_corpus_module(name: str = "corpus") -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"awf_language_{name}", HERE / "corpus" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CORPUS = load_corpus_module()
CASES: list[dict[str, Any]] = json.loads((HERE / "corpus" / "workflows.json").read_text())


HERE_AND_NOW = [case for case in CASES if case["id"] not in DIFFERENT]
VALIDATED = [case for case in HERE_AND_NOW if case.get("validate")]
RESUMED = [case for case in HERE_AND_NOW if "resume" in case]
RUNNING = [case for case in HERE_AND_NOW if case not in VALIDATED and case not in RESUMED]


@functools.cache
def path_without_developer_tools() -> str:
    """A PATH with what this machine has but make, curl and git, so that no case depends on those."""
    directory = Path(tempfile.mkdtemp(prefix="awf-path-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    for source in map(Path, ("/usr/local/bin", "/usr/bin", "/bin")):
        for program in source.iterdir():
            link = directory / program.name
            if program.name not in LACKING and not link.is_symlink():
                link.symlink_to(program)
    return str(directory)


class Laid:
    """A case laid out on disk, with what it takes to run and observe it."""

    def __init__(self, case: dict[str, Any], root: Path, *, tree: str | None = None) -> None:
        """`tree`: an unpacked tree of the original, for files of a case that are texts of it."""
        self.case = case
        self.work, self.home, self.tmp = (root / name for name in ("work", "home", "tmp"))
        for directory in (self.work, self.home, self.tmp):
            directory.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the corpus closes no file of a tree
            CORPUS.layout(case, str(self.work), str(self.home), tree)
        self.env: dict[str, str] = CORPUS.environment(
            case, str(self.work), str(self.home), str(self.tmp), path=path_without_developer_tools()
        )
        self.name: str = case["workflow"].replace("$WORK", str(self.work))
        self.pairs = [f"{name}={value}" for name, value in case.get("inputs", {}).items()]

    def seen(self, shown: dict[str, Any], logs: list[str] | None) -> dict[str, Any]:
        """What happened, in the shape of the corpus."""
        seen = {key: value for key, value in shown.items() if value is not None or key == "error"}
        error = shown["error"] or {}
        seen |= {"error": error.get("message"), "error_code": error.get("code")}
        if logs is not None:
            seen["logs"] = logs
        if self.case.get("read_back"):
            seen["files_after"] = {name: self.content(name) for name in self.case["read_back"]}
        placed: dict[str, Any] = CORPUS.placeholders(seen, str(self.work), str(self.home), str(self.tmp))
        return placed

    def content(self, name: str) -> str | None:
        path = self.work / name
        return path.read_text() if path.exists() else None


class Logged(RunReport):
    """Keeps the lines of a run's log."""

    def __init__(self) -> None:
        super().__init__("silent", Cancel())
        self.lines: list[str] = []

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        self.lines.append(f"{level}: {json_value(text)}")


SERVERS = ExitStack()


@pytest.fixture(scope="module", autouse=True)
def _no_server_stays() -> Iterator[None]:
    yield
    SERVERS.close()


@contextmanager
def served(case: dict[str, Any]) -> Iterator[None]:
    """The server a case talks to. Its port is the same for all, so of several processes one at a time has it."""
    needs_server = case.get("needs") == "http_server"
    if needs_server and not hasattr(SERVERS, "port_is_ours"):
        SERVERS.enter_context(running_server())
        SERVERS.port_is_ours = True  # type: ignore[attr-defined]
    yield
    if needs_server and "PYTEST_XDIST_WORKER" in os.environ:
        SERVERS.close()
        del SERVERS.port_is_ours  # type: ignore[attr-defined]


@contextmanager
def running_server() -> Iterator[None]:
    server = eventually(start_server, 60, what="port 18923 is free")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def start_server() -> Any:
    try:
        return load_corpus_module("http_server").start()
    except OSError:
        return None


@contextmanager
def typed(lines: list[str]) -> Iterator[LineInput]:
    """Lines that a user types, then the end of input."""
    reading, writing = os.pipe()
    try:
        os.write(writing, typed_bytes(lines))
        os.close(writing)
        yield LineInput(reading)
    finally:
        os.close(reading)


def typed_bytes(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def run_in_process(laid: Laid) -> dict[str, Any]:
    asked = RunRequest(name=laid.name, pairs=laid.pairs)
    with served(laid.case), typed(laid.case.get("stdin_lines", [])) as user_input:
        return observe(laid, user_input, lambda **how: run_here(asked, **how))


def resume_in_process(laid: Laid) -> dict[str, Any]:
    """The runs made before, under the id the case names; then that run taken up again."""
    for before in laid.case["before"]:
        pairs = [f"{name}={value}" for name, value in before.get("inputs", {}).items()]
        first = RunRequest(name=laid.name, pairs=pairs, run_id=laid.case["resume"])
        observe(laid, NoInput(), lambda first=first, **how: run_here(first, **how))
    again = ResumeRequest(run_id=laid.case["resume"], origin=laid.case.get("from", "current"), pairs=laid.pairs)
    return observe(laid, NoInput(), lambda **how: resume_here(again, **how))


def observe(laid: Laid, user_input: UserInput, start: Callable[..., Run]) -> dict[str, Any]:
    cancel, events = Cancel(), Logged()
    timer = threading.Timer(laid.case.get("cancel_ms", 0) / 1000, cancel.request, ["SIGINT"])
    if "cancel_ms" in laid.case:
        timer.start()
    try:
        run = start(
            cwd=laid.work,
            env=laid.env,
            cancel=cancel,
            events=events,
            warn=lambda _: None,
            user_input=user_input,
        )
    except Refused as refused:
        error = refused.error
        message = error.text if isinstance(error, LoadError) else error.message
        shown = {
            "phase": refused.phase,
            "exit_code": refused.exit_code,
            "error": {"message": message, "code": error.code},
        }
        return laid.seen(shown, None)
    finally:
        timer.cancel()
    return laid.seen(run.as_json(), events.lines)


def run_command(laid: Laid) -> dict[str, Any]:
    arguments = [argument for pair in laid.pairs for argument in ("--input", pair)]
    with served(laid.case):
        process = subprocess.run(
            [AWF, "run", "--format", "json", laid.name, *arguments],
            cwd=laid.work,
            env=laid.env,
            input=typed_bytes(laid.case.get("stdin_lines", [])),
            capture_output=True,
            timeout=60,
        )
    shown = json.loads(process.stdout)
    assert process.returncode == shown["exit_code"], process.stderr.decode()
    return laid.seen(shown, None)


def is_same_load_error(expected: str, seen: str | None) -> bool:
    """Whether the original's problem is among those found; here more may be, and lines are those of the file."""
    bare = [re.sub(r"line \d+", "line N", text) for text in (expected, seen or "")]
    return bare[0] in bare[1]


def differences(case: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    expected = dict(case["expected"])
    if expected.get("phase") == "load" and is_same_load_error(expected["error"], seen["error"]):
        del expected["error"]
    keys = [key for key in KEYS if key in expected and (key in seen or key != "logs")]
    found: list[str] = CORPUS.compare({**case, "expected": expected}, seen, keys=keys)
    if set(seen.get("states", {})) != set(expected.get("states", {})):
        found.append(f"states: expected {sorted(expected.get('states', {}))}, got {sorted(seen['states'])}")
    if expected.get("error_code") and seen["error_code"] != expected["error_code"]:
        found.append(f"error_code: expected {expected['error_code']!r}, got {seen['error_code']!r}")
    return found


@pytest.mark.parametrize("case", RUNNING, ids=lambda case: case["id"])
def test_a_workflow_does_what_the_original_engine_does(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)

    seen = run_in_process(laid)

    assert differences(case, seen) == []


@pytest.mark.parametrize("case", RESUMED, ids=lambda case: case["id"])
def test_a_resumed_run_does_what_the_original_engine_does(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)

    seen = resume_in_process(laid)

    assert differences(case, seen) == []


@pytest.mark.parametrize("case", RESUMED, ids=lambda case: case["id"])
def test_the_resume_command_prints_what_happened_as_json(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)
    for before in case["before"]:
        given = [f"--input={name}={value}" for name, value in before.get("inputs", {}).items()]
        awf_process(laid, "run", laid.name, "--run-id", case["resume"], *given)

    given = [f"--input={pair}" for pair in laid.pairs]
    origin = case.get("from", "current")
    process = awf_process(laid, "resume", case["resume"], "--from", origin, "--format", "json", *given)

    shown = json.loads(process.stdout)
    assert process.returncode == shown["exit_code"]
    assert shown["workflow_id"] == case["resume"]
    assert differences(case, laid.seen(shown, None)) == []


def awf_process(laid: Laid, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([AWF, *arguments], cwd=laid.work, env=laid.env, capture_output=True, timeout=60)


@pytest.mark.parametrize("case", VALIDATED, ids=lambda case: case["id"])
def test_validate_finds_what_the_original_tool_finds(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)

    process = awf_process(laid, "validate", case["workflow"], "--format", "json")

    expected, shown = case["expected"], json.loads(process.stdout)
    assert (process.returncode, shown["valid"]) == (expected["exit_code"], expected["valid"])
    errors = [f"[error] {error['field']}: {error['message']}" for error in shown["errors"]]
    assert errors == ([expected["error"]] if "error" in expected else [])


def that_complete() -> list[dict[str, Any]]:
    return [case for case in RUNNING if case["expected"].get("status") == "completed"]


def test_validate_refuses_no_workflow_that_runs(tmp_path: Path) -> None:
    refused = {}
    for number, case in enumerate(that_complete()):
        (tmp_path / str(number)).mkdir()
        laid = Laid(case, tmp_path / str(number))
        path = laid.work / ".awf/workflows" / f"{laid.name}.yaml"
        if path.exists():
            problems = lint_file(path, builtin_step_types(), given_inputs=tuple(case.get("inputs", {})))
            refused[case["id"]] = [problem.message for problem in problems if problem.severity == "error"]

    assert len(refused) > 100
    assert {name: problems for name, problems in refused.items() if problems} == {}


def with_one_row() -> list[dict[str, Any]]:
    """Cases with a history of one run; a run that was cancelled has two rows there, and has one here."""
    usable = [case for case in RUNNING if len(case["expected"].get("history", ())) == 1]
    return [case for case in usable if not {"timeout", "cancel", "agent"} & set(case["features"])][::6]


@pytest.mark.parametrize("case", with_one_row(), ids=lambda case: case["id"])
def test_the_history_has_the_error_of_the_step_that_ran_last(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)
    run_in_process(laid)

    (row,) = read_history(record_paths(laid.env).history, Selection(), limit=10)

    shown = {"workflow": row.workflow, "status": row.status, "exit_code": row.exit_code, "error": row.error}
    assert [shown] == case["expected"]["history"]


def for_the_command() -> list[dict[str, Any]]:
    """A share of the cases, spread over all of them; those with a cancel or a time limit run in process only."""
    usable = [case for case in RUNNING if not {"cancel", "timeout"} & set(case["features"])]
    return usable[:: max(1, len(usable) // THROUGH_THE_COMMAND)]


@pytest.mark.parametrize("case", for_the_command(), ids=lambda case: case["id"])
def test_the_run_command_prints_what_happened_as_json(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)

    seen = run_command(laid)

    assert differences(case, seen) == []


def compared(laid: Laid) -> list[str]:
    """The differences of a case of any kind, run in this process as far as it can be."""
    case = laid.case
    if case.get("validate"):
        ended = awf_process(laid, "validate", laid.name)
        code = case["expected"]["exit_code"]
        return [] if ended.returncode == code else [f"exit_code: expected {code}, got {ended.returncode}"]
    return differences(case, resume_in_process(laid) if "resume" in case else run_in_process(laid))


def original_fixtures() -> list[Any]:
    """The cases over the original's own fixtures, where a tree of it and what was observed are given.

    Those files have a licence of their own, so they are not copied here.
    """
    tree, observed = os.environ.get("AWF_TEST_ORIGINAL_TREE"), os.environ.get("AWF_TEST_ORIGINAL_CASES")
    if not tree or not observed:
        why = "set AWF_TEST_ORIGINAL_TREE and AWF_TEST_ORIGINAL_CASES: the original's fixtures may not be copied here"
        return [pytest.param({}, "", marks=pytest.mark.skip(reason=why), id="none given")]
    return [pytest.param(case, tree, id=case["id"]) for case in json.loads(Path(observed).read_text())]


@pytest.mark.parametrize(("case", "tree"), original_fixtures())
def test_the_originals_own_fixtures_do_what_they_do_there(case: dict[str, Any], tree: str, tmp_path: Path) -> None:
    assert compared(Laid(case, tmp_path, tree=tree)) == []


def test_a_case_over_a_file_of_another_tree_is_laid_out_and_compared(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    text = "name: w\nstates:\n  initial: a\n  a: {type: step, command: 'git status', on_success: e}\n  e: {type: terminal}\n"
    (tmp_path / "tree/w.yaml").write_text(text)
    expected = {"status": "failed", "exit_code": 1, "path": ["a"], "states": {"a": {"ExitCode": 127}}}
    case = {
        "id": "x",
        "workflow": "w",
        "files": {".awf/workflows/w.yaml": {"upstream": "w.yaml"}},
        "expected": expected,
    }

    (tmp_path / "run").mkdir()
    assert compared(Laid(case, tmp_path / "run", tree=str(tmp_path / "tree"))) == []


@pytest.mark.parametrize("case", [case for case in CASES if case["id"] in DIFFERENT], ids=lambda case: case["id"])
def test_a_case_that_the_page_names_differs(case: dict[str, Any], tmp_path: Path) -> None:
    laid = Laid(case, tmp_path)

    assert compared(laid) != []


def test_a_program_that_the_machine_lacks_fails_its_step_in_the_words_of_the_shell(tmp_path: Path) -> None:
    steps = "".join(
        f"  {name}: {{type: step, command: '{name} --version', on_success: bad, on_failure: {following}}}\n"
        for name, following in zip(LACKING, (*LACKING[1:], "done"), strict=True)
    )
    text = f"name: w\nstates:\n  initial: make\n{steps}  bad: {{type: terminal, status: failure}}\n"
    case = {"id": "lacking", "workflow": "w", "files": {".awf/workflows/w.yaml": f"{text}  done: {{type: terminal}}\n"}}

    seen = run_in_process(Laid(case, tmp_path))

    assert (seen["status"], seen["path"]) == ("completed", [*LACKING, "done"])
    for name in LACKING:
        state = seen["states"][name]
        assert (state["Status"], state["ExitCode"]) == ("failed", 127)
        assert state["Stderr"].endswith(f"{name}: command not found\n")


def test_every_case_but_those_the_page_names_is_compared() -> None:
    ids = [case["id"] for cases in (RUNNING, RESUMED, VALIDATED) for case in cases]

    assert len(CASES) == 271
    assert sorted([*ids, *DIFFERENT]) == sorted(case["id"] for case in CASES)
    assert {"http_server"} <= {case.get("needs") for case in RUNNING}
    assert (len(RESUMED), len(VALIDATED)) == (4, 7)
